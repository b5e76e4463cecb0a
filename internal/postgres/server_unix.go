//go:build unix

package postgres

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"

	undrop "github.com/undrop/undrop"
)

// interrupt makes a postmaster cut its connections and end in order.
const interrupt = syscall.SIGINT

// owner is the unprivileged user that server processes run as when we are root.
// A nil owner means: run them as we are.
type owner struct{ uid, gid uint32 }

// serverOwner is nil unless we are root.
func serverOwner() (*owner, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil && uid != 0 {
			return &owner{uint32(uid), uint32(gid)}, nil
		}
	}
	return &owner{65534, 65534}, nil
}

// give makes a file or folder (and a folder that is missing) the owner's and checks that
// the owner can get to it.
func (o *owner) give(path string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if err == nil {
			err = os.Mkdir(path, 0o700)
		}
		if err != nil {
			return fmt.Errorf("make folder for PostgreSQL: %w", err)
		}
	}
	if o == nil {
		return nil
	}
	if dir := o.blocked(filepath.Dir(path)); dir != "" {
		return &undrop.Error{Code: undrop.BadInput, Op: "start PostgreSQL in " + path,
			Err:  fmt.Errorf("PostgreSQL does not run as root, and uid %d may not enter %s", o.uid, dir),
			Hint: "choose a folder below " + os.TempDir() + ", or run as an ordinary user"}
	}
	if err := os.Chown(path, int(o.uid), int(o.gid)); err != nil {
		return fmt.Errorf("give %s to uid %d: %w", path, o.uid, err)
	}
	return nil
}

// blocked is the first folder on the way down to dir that the owner may not
// enter; "" if there is none.
func (o *owner) blocked(dir string) string {
	if o == nil {
		return ""
	}
	if parent := filepath.Dir(dir); parent != dir {
		if b := o.blocked(parent); b != "" {
			return b
		}
	}
	info, err := os.Stat(dir)
	if err != nil {
		return "" // not there: the error comes when it is used, with a better reason
	}
	bit := fs.FileMode(0o001)
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		switch {
		case st.Uid == o.uid:
			bit = 0o100
		case st.Gid == o.gid:
			bit = 0o010
		}
	}
	if info.Mode()&bit == 0 {
		return dir
	}
	return ""
}

// runChild starts cmd as the owner, in its own process group, and calls done
// with the result when it has ended. Ctrl-C in a terminal goes to every process
// of a group: the server must outlive it until we have drained.
func runChild(cmd *exec.Cmd, o *owner, done func(error)) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if o != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: o.uid, Gid: o.gid}
	}
	dieWithParent(cmd.SysProcAttr)
	started := make(chan error, 1)
	go func() {
		// The signal at the parent's death is sent when the thread that made the
		// child ends, so that thread must live as long as the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		started <- nil
		done(cmd.Wait())
	}()
	return <-started
}
