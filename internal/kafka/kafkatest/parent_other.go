//go:build !linux

package kafkatest

import "os/exec"

// dieWithParent has no counterpart here.
func dieWithParent(*exec.Cmd) {}
