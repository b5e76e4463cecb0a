//go:build unix && !linux

package postgres

import "syscall"

// dieWithParent does nothing: only Linux can be asked for it. A server whose
// parent was killed stays until it is stopped by hand.
func dieWithParent(*syscall.SysProcAttr) {}
