package kafka

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"time"
)

const (
	// diskReserve is what the log leaves free on its disk.
	diskReserve = 64 << 20
	// remeasure bounds how often the directory is walked.
	remeasure = 200 * time.Millisecond
)

// logSize knows how large the log is: measured now and then, and what was let in
// since is added.
type logSize struct {
	dir string
	max int64

	mu       sync.Mutex
	bytes    int64
	diskLow  bool
	measured time.Time
	trimmed  bool // the log may be smaller than bytes says
}

func newLogSize(dir string, max int64) *logSize { return &logSize{dir: dir, max: max} }

// hard is the size at which the broker stops taking records: a quarter over the
// cap, so that a transaction that was begun below the cap can end.
func (s *logSize) hard() int64 { return s.max + s.max/4 }

// admit counts n bytes in, or says that there is no room.
func (s *logSize) admit(n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bytes+n > s.hard() || s.diskLow {
		s.refresh()
	}
	if s.bytes+n > s.hard() || s.diskLow {
		return false
	}
	s.bytes += n
	return true
}

// full says that the cap is reached.
func (s *logSize) full() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bytes >= s.max || s.diskLow || time.Since(s.measured) > 5*time.Second {
		s.refresh()
	}
	return s.bytes >= s.max || s.diskLow
}

func (s *logSize) used() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trimmed {
		s.refresh()
	}
	return s.bytes
}

// stale says that records are about to be removed.
func (s *logSize) stale() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trimmed = true
}

func (s *logSize) measure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.walk()
}

// refresh measures again unless that was just done. When the directory cannot be
// walked the older figure, which is too large rather than too small, stays.
func (s *logSize) refresh() {
	if time.Since(s.measured) >= remeasure {
		_ = s.walk()
	}
}

func (s *logSize) walk() error {
	var total int64
	s.measured, s.trimmed = time.Now(), false
	err := filepath.WalkDir(s.dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			var info fs.FileInfo
			if info, err = d.Info(); err == nil {
				total += info.Size()
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the broker removes files while we walk
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("measure the log: %w", err)
	}
	free, known := freeBytes(filepath.Dir(s.dir))
	s.bytes, s.diskLow = total, known && free < diskReserve
	return nil
}
