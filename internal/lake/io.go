package lake

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	iceio "github.com/apache/iceberg-go/io"

	"github.com/undrop/undrop/internal/crash"
)

// The durable steps of writing a file.
const (
	crashSynced  = "lake.write.synced"  // the bytes are durable, under a temporary name
	crashRenamed = "lake.write.renamed" // the file has its name, which is not durable yet
	crashNamed   = "lake.write.named"   // the name is durable, nothing refers to it yet
)

func init() { crash.Register(crashSynced, crashRenamed, crashNamed) }

// FS is the folder access that Iceberg's library and our writers share. A name is
// a path or a file: URI. A file appears under its name whole or not at all, and
// when Close or WriteFile has returned, its bytes, its name and the folders that
// lead to it would survive a crash of the machine.
//
// It replaces the library's own access to folders, which syncs nothing and writes
// in place. FS is safe for concurrent use.
type FS struct {
	root  string // folders below it are made durable even when they were there already
	known sync.Map
}

var (
	_ iceio.ReadFileIO  = (*FS)(nil)
	_ iceio.WriteFileIO = (*FS)(nil)
	_ iceio.ListableIO  = (*FS)(nil)
)

// Open opens a file for reading.
func (f *FS) Open(name string) (iceio.File, error) {
	path, err := localPath(name)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return os.Open(path)
}

// ReadFile reads a whole file.
func (f *FS) ReadFile(name string) ([]byte, error) {
	path, err := localPath(name)
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return os.ReadFile(path)
}

// WriteFile makes a durable file, replacing one of that name.
func (f *FS) WriteFile(name string, p []byte) error {
	w, err := f.create(name)
	if err != nil {
		return err
	}
	if _, err := w.Write(p); err != nil {
		w.Abort()
		return err
	}
	return w.Close()
}

// Create begins a file that appears, durable, when it is closed.
func (f *FS) Create(name string) (iceio.FileWriter, error) { return f.create(name) }

// Remove deletes a file. It does not wait until that is durable: a file that
// comes back after a crash is one that nothing refers to.
func (f *FS) Remove(name string) error {
	path, err := localPath(name)
	if err != nil {
		return &fs.PathError{Op: "remove", Path: name, Err: err}
	}
	return os.Remove(path)
}

// WalkDir walks a folder; the names have the form of root.
func (f *FS) WalkDir(root string, fn fs.WalkDirFunc) error {
	path, err := localPath(root)
	if err != nil {
		return &fs.PathError{Op: "walk", Path: root, Err: err}
	}
	prefix := strings.TrimSuffix(root, "/")
	path = filepath.Clean(path)
	return filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		return fn(prefix+strings.TrimPrefix(filepath.ToSlash(p), filepath.ToSlash(path)), d, err)
	})
}

func (f *FS) create(name string) (*fileWriter, error) {
	path, err := localPath(name)
	if err != nil {
		return nil, &fs.PathError{Op: "create", Path: name, Err: err}
	}
	dir := filepath.Dir(path)
	if err := f.makeDir(dir); err != nil {
		return nil, err
	}
	var b [8]byte
	_, _ = rand.Read(b[:])
	// A reader that lists folders skips names that begin with a dot.
	temp := filepath.Join(dir, "."+hex.EncodeToString(b[:])+".undrop-tmp")
	file, err := os.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644)
	if errors.Is(err, fs.ErrNotExist) { // somebody removed a folder that we know
		f.known.Clear()
		if err = f.makeDir(dir); err == nil {
			file, err = os.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644)
		}
	}
	if err != nil {
		return nil, err
	}
	return &fileWriter{file: file, path: path}, nil
}

// makeDir makes dir and all folders above it, each durable before anything is put
// into it. A folder below root is made durable once by every process that uses
// it, although it exists: the process that made it may have crashed in between.
func (f *FS) makeDir(dir string) error {
	if _, ok := f.known.Load(dir); ok {
		return nil
	}
	info, err := os.Stat(dir)
	switch {
	case err == nil && !info.IsDir():
		return &fs.PathError{Op: "mkdir", Path: dir, Err: errors.New("a file is in the way")}
	case err == nil && !f.below(dir):
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	parent := filepath.Dir(dir)
	if parent == dir {
		return err
	}
	if err := f.makeDir(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := syncDir(parent); err != nil {
		return err
	}
	f.known.Store(dir, true)
	return nil
}

func (f *FS) below(dir string) bool {
	return f.root != "" && (dir == f.root || strings.HasPrefix(dir, f.root+string(filepath.Separator)))
}

// fileWriter is a file under a temporary name.
type fileWriter struct {
	file *os.File
	path string
	err  error // the first failure; the file never gets its name after one
}

func (w *fileWriter) Write(p []byte) (int, error) {
	n, err := w.file.Write(p)
	w.fail(err)
	return n, err
}

func (w *fileWriter) ReadFrom(r io.Reader) (int64, error) {
	n, err := w.file.ReadFrom(r)
	w.fail(err)
	return n, err
}

func (w *fileWriter) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// Close makes the file durable and gives it its name. After a failure nothing of
// it is left.
func (w *fileWriter) Close() error {
	if err := w.publish(); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(w.path)); err != nil {
		return err
	}
	crash.Point(crashNamed)
	return nil
}

// publish is Close without making the name durable.
func (w *fileWriter) publish() error {
	if w.err == nil {
		w.err = w.file.Sync()
	}
	if w.err != nil {
		w.Abort()
		return w.err
	}
	crash.Point(crashSynced)
	if err := errors.Join(w.file.Close(), os.Rename(w.file.Name(), w.path)); err != nil {
		w.err = err
		_ = os.Remove(w.file.Name())
		return err
	}
	crash.Point(crashRenamed)
	return nil
}

// Abort drops the file.
func (w *fileWriter) Abort() {
	_ = w.file.Close()
	_ = os.Remove(w.file.Name()) // what is left has a name that nothing reads
}

// syncDir makes the names in a folder durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync folder %s: %w", dir, err)
	}
	return nil
}
