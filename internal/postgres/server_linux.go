package postgres

import "syscall"

// dieWithParent makes the kernel stop the server when our process is gone, even
// when it was killed. It must not be used with a thread that may end early.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGINT }
