package kafka

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	undrop "github.com/undrop/undrop"
)

// dirLock keeps a second process out of a directory. The operating system lets
// go of it when the process ends, however it ends, so a lock file that was left
// behind locks nothing.
type dirLock struct{ f *os.File }

var errLocked = errors.New("locked")

// lockDir takes the lock of dir, or refuses and names who has it.
func lockDir(dir, op string) (*dirLock, error) {
	path := filepath.Join(dir, "LOCK")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, &undrop.Error{Code: undrop.Failed, Op: op, Err: err, Hint: "make the directory writable, or set another one with state in undrop.yaml"}
	}
	if err := lockFile(f); err != nil {
		defer f.Close()
		if !errors.Is(err, errLocked) {
			return nil, &undrop.Error{Code: undrop.Failed, Op: op, Err: fmt.Errorf("lock %s: %w", path, err),
				Hint: "put the directory on a file system that has locks"}
		}
		owner, _ := os.ReadFile(path)
		pid := strings.TrimSpace(string(owner))
		if pid == "" {
			pid = "unknown"
		}
		return nil, &undrop.Error{Code: undrop.Refused, Op: op,
			Err:  fmt.Errorf("it is in use by process %s (%s)", pid, path),
			Hint: "stop that process first (kill " + pid + "), or let it serve the log and run this one with --only"}
	}
	if err = f.Truncate(0); err == nil {
		_, err = f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	}
	if err != nil {
		_ = f.Close()
		return nil, &undrop.Error{Code: undrop.Failed, Op: op, Err: fmt.Errorf("write %s: %w", path, err)}
	}
	return &dirLock{f}, nil
}

func (l *dirLock) unlock() error { return l.f.Close() }
