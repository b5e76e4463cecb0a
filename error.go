package undrop

import (
	"errors"
	"fmt"
)

// Code classifies an error for the person or script that gets it, and decides
// the exit code of the process.
type Code string

// The codes, each with its exit code.
const (
	Failed      Code = "failed"      // 1
	BadInput    Code = "invalid"     // 2: the input or the flags are wrong
	Refused     Code = "refused"     // 3: a guard said no
	Damaged     Code = "damaged"     // 4: the check worked and found damage or differences
	Unknown     Code = "unknown"     // 5: state unknown, nothing was changed
	Interrupted Code = "interrupted" // 130
)

// Exit is the process exit code for c.
func (c Code) Exit() int {
	switch c {
	case BadInput:
		return 2
	case Refused:
		return 3
	case Damaged:
		return 4
	case Unknown:
		return 5
	case Interrupted:
		return 130
	default:
		return 1
	}
}

// Error is an error on its way to a person: what was attempted, why it failed
// and the next thing to try. Inside a package, wrap with fmt.Errorf instead.
type Error struct {
	Code Code
	Op   string // "open the log in ./state/log"
	Err  error
	Hint string // a command or SQL to try next; may hold several lines
}

// Error prints "op: err"; the hint is printed by the command line on its own line.
func (e *Error) Error() string {
	if e.Op == "" {
		return e.Err.Error()
	}
	return fmt.Sprintf("%s: %v", e.Op, e.Err)
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// CodeOf finds the code of err: Failed when it carries none.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return Failed
}
