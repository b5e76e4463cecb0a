package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	undrop "github.com/undrop/undrop"
)

// lockRoles takes the lock of each exclusive role: two captures of one
// installation would fight over its slots, two applies over its tables.
func (a *App) lockRoles(has map[string]bool) (unlock func(), err error) {
	var held []*os.File
	unlock = func() {
		for _, f := range held {
			_ = f.Close() // releases the lock
		}
	}
	for _, role := range []string{"capture", "apply"} {
		if !has[role] {
			continue
		}
		f, err := lock(filepath.Join(a.cfg.State, role+".lock"))
		if err != nil {
			unlock()
			return nil, err
		}
		held = append(held, f)
	}
	return unlock, nil
}

// lock takes a file lock and writes our process id into the file.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, &undrop.Error{Code: undrop.Failed, Op: "open lock", Err: err}
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder, _ := os.ReadFile(path) // only for the message
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, &undrop.Error{Code: undrop.Refused, Op: "start", Err: fmt.Errorf("another undrop runs here: %s is held by process %s", path, strings.TrimSpace(string(holder))),
				Hint: "undrop status"}
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if err := f.Truncate(0); err == nil {
		_, _ = fmt.Fprintf(f, "%d\n", os.Getpid()) // only for the message
	}
	return f, nil
}

func joinLines(lines []string) string { return strings.Join(lines, "\n  ") }
