package lake

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"

	"github.com/apache/iceberg-go"
	"github.com/google/uuid"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
	"github.com/undrop/undrop/internal/crash"
)

const (
	openFiles   = 64        // partitions that are written to at once
	openBytes   = 256 << 20 // in memory, over all of them
	chunkMemory = 1 << 20
)

// Writer writes rows into Parquet data files. It is not safe for concurrent use.
// After an error only Abort makes sense.
type Writer struct {
	config    WriterConfig
	layout    *layout
	parts     *partitioner // nil: one file at a time
	content   iceberg.ManifestEntryContent
	equality  []int
	id        string // in the names of all files
	plain     []bool
	shred     shredder
	open      map[string]*dataFile // by partition key
	files     []File               // by number; finished or zero
	began     int
	count     int // calls of Write
	openBytes int
	checked   *undrop.Table
	place     func(i int32, file int, row int64)
	groups    groups
	ended     bool
	failed    error

	wait    sync.WaitGroup // for files on their way to the disk
	mu      sync.Mutex
	syncErr error
}

// NewWriter makes a writer. It makes no file until there is a row.
func NewWriter(c WriterConfig) (*Writer, error) {
	w, err := newWriter(c, iceberg.EntryContentData, nil)
	if err != nil {
		return nil, fmt.Errorf("write files of table %s: %w", c.name(), err)
	}
	return w, nil
}

// newWriter makes a writer of the columns keep (field ids), nil for all.
func newWriter(c WriterConfig, content iceberg.ManifestEntryContent, keep []int) (*Writer, error) {
	if err := c.defaults(); err != nil {
		return nil, err
	}
	var has func(int) bool
	if keep != nil {
		has = func(id int) bool { return slices.Contains(keep, id) }
	}
	l, err := newLayout(&c, has)
	if err != nil {
		return nil, err
	}
	parts, err := newPartitioner(&c, has)
	if err != nil {
		return nil, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	n := len(l.leaves)
	return &Writer{config: c, layout: l, parts: parts, content: content, equality: keep, id: id.String(), plain: make([]bool, n),
		shred: shredder{leaves: l.leaves, runs: make([]values, n+1)}, open: map[string]*dataFile{}}, nil
}

// OnPlace has fn called for every row that is written: the i-th row of the call of
// Write becomes row number row, from 0, of the file that Close returns at index
// file.
func (w *Writer) OnPlace(fn func(i int32, file int, row int64)) { w.place = fn }

// Write appends rows of b, all if rows is nil, in that order. The metadata columns
// are filled from the batch's change columns, the stamp and lane.
func (w *Writer) Write(b *batch.Batch, rows []int32, lane undrop.Lane) error {
	if w.failed == nil {
		w.failed = w.write(b, rows, lane)
	}
	if w.failed != nil {
		return fmt.Errorf("write files of table %s: %w", w.config.Table, w.failed)
	}
	return nil
}

func (w *Writer) write(b *batch.Batch, rows []int32, lane undrop.Lane) error {
	if w.ended {
		return errors.New("the writer is closed")
	}
	s := selection{n: b.Len()}
	if rows != nil {
		s = selection{n: len(rows), rows: rows}
	}
	if s.n == 0 {
		return nil
	}
	if err := w.check(b); err != nil {
		return err
	}
	w.count++
	st := stamp{w.config.Stamp.Source, lane}
	perRow := b.Bytes()/b.Len() + 1
	if w.parts == nil {
		return w.append("", b, s, nil, st, perRow)
	}
	if err := w.groups.split(w.parts, b, s); err != nil {
		return err
	}
	for i := range w.groups.list {
		g := &w.groups.list[i]
		if err := w.append(g.key, b, selection{n: len(g.rows), rows: g.rows}, g.origin, st, perRow); err != nil {
			return err
		}
	}
	return nil
}

// check refuses a batch of other columns.
func (w *Writer) check(b *batch.Batch) error {
	if b.Table == w.config.Table || b.Table == w.checked {
		return nil
	}
	if len(b.Table.Fields) != len(w.config.Table.Fields) {
		return errors.New("the batch is of another version of the table")
	}
	for i, f := range w.config.Table.Fields {
		if g := b.Table.Fields[i]; g.ID != f.ID || g.Type.String() != f.Type.String() {
			return fmt.Errorf("the batch is of another version of the table: it has %s %s instead of %s %s", g.Name, g.Type, f.Name, f.Type)
		}
	}
	w.checked = b.Table
	return nil
}

// append writes rows of one partition. origin holds their numbers in the call of
// Write, if those are not 0, 1, 2, ...
func (w *Writer) append(key string, b *batch.Batch, s selection, origin []int32, st stamp, perRow int) error {
	for done := 0; done < s.n; {
		f, err := w.file(key)
		if err != nil {
			return err
		}
		n := min(s.n-done, chunkRows, max(1, chunkMemory/perRow), f.room())
		first := f.rows
		if err := f.write(b, s.slice(done, n), st, &w.shred); err != nil {
			return err
		}
		if w.place != nil {
			for k := range n {
				i := int32(done + k)
				if origin != nil {
					i = origin[i]
				}
				w.place(i, f.number, first+int64(k))
			}
		}
		done += n
		f.used = w.count
		f.groupSize += n * perRow
		w.openBytes += n * perRow
		if err := w.settle(key, f); err != nil {
			return err
		}
	}
	return nil
}

// settle ends row groups and files that are large enough.
func (w *Writer) settle(key string, f *dataFile) error {
	if f.size() >= w.config.TargetFileSize {
		return w.end(key, f)
	}
	if f.room() <= 0 || f.groupSize >= rowGroupBytes {
		return w.endGroup(f)
	}
	for w.openBytes > openBytes {
		largest := f
		for _, g := range w.open {
			if g.groupSize > largest.groupSize {
				largest = g
			}
		}
		if err := w.endGroup(largest); err != nil {
			return err
		}
	}
	return nil
}

func (w *Writer) endGroup(f *dataFile) error {
	w.openBytes -= f.groupSize
	return f.endGroup(&w.shred.runs[len(w.shred.leaves)])
}

// file finds the open file of a partition, or begins one.
func (w *Writer) file(key string) (*dataFile, error) {
	if f := w.open[key]; f != nil {
		return f, nil
	}
	if len(w.open) >= openFiles {
		oldest := ""
		for k, f := range w.open {
			if o := w.open[oldest]; o == nil || f.used < o.used || f.used == o.used && f.number < o.number {
				oldest = k
			}
		}
		if err := w.end(oldest, w.open[oldest]); err != nil {
			return nil, err
		}
	}
	kind := ""
	if w.content == iceberg.EntryContentEqDeletes {
		kind = "-deletes"
	}
	path := fmt.Sprintf("%s/%s-%05d%s.parquet", w.config.Dir, w.id, w.began, kind)
	dest, err := w.config.Warehouse.FS.create(path)
	if err != nil {
		return nil, err
	}
	f, err := newDataFile(w.layout, dest, path, w.config.RowGroup, w.plain)
	if err != nil {
		dest.Abort()
		return nil, err
	}
	f.number, f.used = w.began, w.count
	w.began++
	w.files = append(w.files, File{})
	w.open[key] = f
	return f, nil
}

// end completes a file and leaves it to be made durable.
func (w *Writer) end(key string, f *dataFile) error {
	delete(w.open, key)
	w.openBytes -= f.groupSize
	e := entrySpec{spec: w.config.Spec, content: w.content, equality: w.equality}
	var err error
	if w.parts != nil {
		if e.partition, err = w.parts.describe(key); err != nil {
			f.dest.Abort()
			return err
		}
	}
	if w.files[f.number], err = f.end(&w.shred.runs[len(w.shred.leaves)], e); err != nil {
		f.dest.Abort()
		w.files[f.number] = File{}
		return err
	}
	w.wait.Go(func() {
		if err := f.dest.publish(); err != nil {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.syncErr = errors.Join(w.syncErr, fmt.Errorf("make %s durable: %w", f.path, err))
		}
	})
	return nil
}

// Close completes all files and returns them by number. They are durable then and
// belong to the caller. Without a row there is none. After an error nothing is
// left of them.
func (w *Writer) Close() ([]File, error) {
	if w.ended {
		return nil, fmt.Errorf("write files of table %s: the writer is closed", w.config.Table)
	}
	err := w.failed
	for key, f := range w.open {
		if err != nil {
			break
		}
		err = w.end(key, f)
	}
	w.wait.Wait()
	if err = errors.Join(err, w.syncErr); err == nil && len(w.files) > 0 {
		var dir string
		if dir, err = localPath(w.config.Dir); err == nil {
			err = syncDir(filepath.Clean(dir))
		}
	}
	if err != nil {
		w.Abort()
		return nil, fmt.Errorf("write files of table %s: %w", w.config.Table, err)
	}
	w.ended = true
	crash.Point(crashNamed)
	return w.files, nil
}

// Abort drops everything that was written. After Close it does nothing: the files
// are the caller's.
func (w *Writer) Abort() {
	if w.ended {
		return
	}
	w.ended = true
	for _, f := range w.open {
		f.dest.Abort()
	}
	w.wait.Wait()
	for _, f := range w.files {
		if f.Path != "" {
			_ = w.config.Warehouse.FS.Remove(f.Path) // an orphan harms nothing
		}
	}
}
