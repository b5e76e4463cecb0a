package kafka

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"

	undrop "github.com/undrop/undrop"
)

// registryLog is the file behind the registry: one line per change, each with a
// checksum, appended and synced before the change is answered.
//
// A line ends with a newline, so what a crash leaves of the last one is told
// from damage without trusting a length field: an unfinished last line was never
// answered and is cut off, anything else that does not fit its checksum is
// damage and refused.
type registryLog struct {
	f    *os.File
	path string
	end  int64
	err  error // set when the file may hold something that we did not mean
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// registryHeader is the first line's text.
const registryHeader = `{"undrop":"schema registry","format":1}`

// openRegistryLog opens the file and calls replay with every change in it.
func openRegistryLog(dir, op string, replay func([]byte) error) (*registryLog, error) {
	path := filepath.Join(dir, "schemas.log")
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, &undrop.Error{Code: undrop.Failed, Op: op, Err: err}
	}
	lines, keep, mended, err := splitLines(text)
	if err == nil {
		err = replayLines(lines, replay)
	}
	if err != nil {
		var e *undrop.Error
		if errors.As(err, &e) {
			return nil, err
		}
		return nil, &undrop.Error{Code: undrop.Damaged, Op: op, Err: fmt.Errorf("%s: %w", path, err),
			Hint: "restore " + path + " from a copy: records in the log name schemas by the ids in it"}
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, &undrop.Error{Code: undrop.Failed, Op: op, Err: err}
	}
	l := &registryLog{f: f, path: path, end: keep}
	err = f.Truncate(keep)
	if err == nil && mended {
		_, err = f.WriteAt([]byte{'\n'}, keep-1)
	}
	if err == nil && len(lines) == 0 {
		err = l.append([]byte(registryHeader))
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		f.Close()
		return nil, &undrop.Error{Code: undrop.Failed, Op: op, Err: err}
	}
	return l, nil
}

// splitLines gives the good lines and how many bytes to keep. mended says that
// the last line is whole but for its newline, which is to be written again.
func splitLines(text []byte) (lines [][]byte, keep int64, mended bool, err error) {
	for rest := text; len(rest) > 0; {
		line, after, whole := bytes.Cut(rest, []byte{'\n'})
		payload, ok := checkLine(line)
		switch {
		case ok && whole:
			lines = append(lines, payload)
			keep += int64(len(line)) + 1
		case ok && len(after) == 0:
			return append(lines, payload), keep + int64(len(line)) + 1, true, nil
		case whole:
			return nil, 0, false, fmt.Errorf("the line at byte %d does not fit its checksum", keep)
		default:
			// The newline itself may be what was hit: then the line before it is
			// whole, and it was answered.
			if payload, ok := checkLine(line[:len(line)-1]); ok {
				return append(lines, payload), keep + int64(len(line)), true, nil
			}
			return lines, keep, false, nil
		}
		rest = after
	}
	return lines, keep, false, nil
}

func replayLines(lines [][]byte, replay func([]byte) error) error {
	for i, line := range lines {
		if i == 0 {
			var head struct {
				Undrop string `json:"undrop"`
				Format int    `json:"format"`
			}
			if err := json.Unmarshal(line, &head); err != nil || head.Undrop != "schema registry" {
				return fmt.Errorf("it does not begin as a schema registry: %q", line)
			}
			if head.Format > 1 {
				return &undrop.Error{Code: undrop.Refused, Op: "open the schema registry", Err: fmt.Errorf("it has format %d, this program knows 1", head.Format),
					Hint: "use the newer program that wrote it"}
			}
			continue
		}
		if err := replay(line); err != nil {
			return fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	return nil
}

// checkLine takes the checksum off a line.
func checkLine(line []byte) ([]byte, bool) {
	if len(line) < 9 || line[8] != ' ' {
		return nil, false
	}
	var sum [4]byte
	if _, err := hex.Decode(sum[:], line[:8]); err != nil || !bytes.Equal(line[:8], []byte(hex.EncodeToString(sum[:]))) {
		return nil, false
	}
	want := uint32(sum[0])<<24 | uint32(sum[1])<<16 | uint32(sum[2])<<8 | uint32(sum[3])
	return line[9:], crc32.Checksum(line[9:], castagnoli) == want
}

// append makes one change durable. After a failure the file is set back; when
// that fails too, no later change is taken.
func (l *registryLog) append(change []byte) error {
	if l.err != nil {
		return l.err
	}
	line := fmt.Appendf(nil, "%08x %s\n", crc32.Checksum(change, castagnoli), change)
	_, err := l.f.WriteAt(line, l.end)
	if err == nil {
		err = l.f.Sync()
	}
	if err == nil {
		l.end += int64(len(line))
		return nil
	}
	err = fmt.Errorf("write %s: %w", l.path, err)
	if terr := errors.Join(l.f.Truncate(l.end), l.f.Sync()); terr != nil {
		l.err = fmt.Errorf("%w (and it could not be set back: %v)", err, terr) //nolint:errorlint // the first error is the cause
	}
	return err
}

func (l *registryLog) close() error { return l.f.Close() }
