package api

import (
	"errors"
	"net/http"

	undrop "github.com/undrop/undrop"
)

// Failure is an error in JSON, the same over HTTP and on a command's standard
// error: {"error": {"code", "op", "message", "hint"}}.
type Failure struct {
	Code    undrop.Code `json:"code"`
	Op      string      `json:"op,omitempty"`
	Message string      `json:"message"`
	Hint    string      `json:"hint,omitempty"`
}

// FailureOf takes code, operation and hint from the undrop.Error in err; text
// that was wrapped around it is not lost.
func FailureOf(err error) Failure {
	if joined, ok := err.(interface{ Unwrap() []error }); ok && len(joined.Unwrap()) == 1 { // joined with a clean-up that went well
		err = joined.Unwrap()[0]
	}
	f := Failure{Code: undrop.CodeOf(err), Message: err.Error(), Hint: hintOf(err)}
	if e, ok := err.(*undrop.Error); ok && e.Op != "" { //nolint:errorlint // only the outermost error may be taken apart
		f.Op, f.Message = e.Op, e.Err.Error()
	}
	return f
}

// hintOf is the outermost hint in the chain.
func hintOf(err error) string {
	for {
		var e *undrop.Error
		if !errors.As(err, &e) {
			return ""
		}
		if e.Hint != "" {
			return e.Hint
		}
		err = e.Err
	}
}

func failed(f Failure) map[string]Failure { return map[string]Failure{"error": f} }

func statusOf(err error) int {
	switch undrop.CodeOf(err) {
	case undrop.BadInput:
		return http.StatusBadRequest
	case undrop.Refused:
		return http.StatusConflict
	case undrop.Unknown, undrop.Interrupted:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}
