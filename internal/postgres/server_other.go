//go:build !unix

package postgres

import (
	"fmt"
	"os"
	"os/exec"
)

// interrupt: without Unix signals a server can only be ended the hard way; it
// recovers at the next start.
var interrupt = os.Kill

// owner is never set here: there is no root that PostgreSQL refuses.
type owner struct{ uid, gid uint32 }

func serverOwner() (*owner, error) { return nil, nil }

func (o *owner) give(path string) error {
	if _, err := os.Stat(path); os.IsNotExist(err) {
		if err := os.MkdirAll(path, 0o700); err != nil {
			return fmt.Errorf("make folder for PostgreSQL: %w", err)
		}
	}
	return nil
}

func (o *owner) blocked(string) string { return "" }

func runChild(cmd *exec.Cmd, _ *owner, done func(error)) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { done(cmd.Wait()) }()
	return nil
}
