package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/config"
)

var errNoSubcommand = errors.New("needs a subcommand")

// fail tells a person (or a script, with --json) what went wrong and what to try
// next, and returns the exit code.
func (e *Env) fail(ctx context.Context, err error) int {
	code := undrop.CodeOf(err)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		// The signal is the reason, not the step that noticed it first.
		code, err = undrop.Interrupted, &undrop.Error{Code: undrop.Interrupted, Err: errors.New("interrupted")}
	}
	shown := describe(err)
	shown.Code = code
	if e.JSON {
		line, jerr := json.Marshal(map[string]failure{"error": shown})
		if jerr != nil {
			line = []byte(`{"error":{"code":"failed"}}`)
		}
		fmt.Fprintf(e.Stderr, "%s\n", line)
		return code.Exit()
	}
	text := shown.Message
	if shown.Op != "" {
		text = shown.Op + ": " + text
	}
	fmt.Fprintf(e.Stderr, "error: %s\n", text)
	if shown.Hint != "" {
		fmt.Fprintf(e.Stderr, "try: %s\n", strings.ReplaceAll(strings.TrimSpace(shown.Hint), "\n", "\n     "))
	}
	return code.Exit()
}

// failure is an error as --json shows it on standard error.
type failure struct {
	Code    undrop.Code `json:"code"`
	Op      string      `json:"op,omitempty"`
	Message string      `json:"message"`
	Hint    string      `json:"hint,omitempty"`
}

// describe takes operation and hint from the first undrop.Error in the chain
// that has them; text that was wrapped around it is not lost.
func describe(err error) failure {
	if e, ok := err.(*undrop.Error); ok { //nolint:errorlint // only the outermost error may be taken apart
		f := failure{Op: e.Op, Message: e.Err.Error(), Hint: e.Hint}
		if f.Hint == "" {
			f.Hint = hintOf(e.Err)
		}
		return f
	}
	return failure{Message: err.Error(), Hint: hintOf(err)}
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

// usageError makes a mistake in the command line of c a BadInput.
func usageError(c *cobra.Command, err error) error {
	return &undrop.Error{Code: undrop.BadInput, Op: c.CommandPath(), Err: err, Hint: c.CommandPath() + " --help"}
}

// unknownCommand names the nearest subcommand of c.
func unknownCommand(c *cobra.Command, word string) error {
	hint := c.CommandPath() + " --help"
	names := []string{}
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, append([]string{sub.Name()}, sub.Aliases...)...)
		}
	}
	if near := config.Nearest(word, names); near != "" {
		hint = c.CommandPath() + " " + near
	}
	return &undrop.Error{Code: undrop.BadInput, Op: c.CommandPath(), Err: fmt.Errorf("unknown command %q", word), Hint: hint}
}

// flagError names the flag nearest to one that does not exist.
func flagError(c *cobra.Command, err error) error {
	hint := c.CommandPath() + " --help"
	var missing *pflag.NotExistError
	if errors.As(err, &missing) {
		names := []string{}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				names = append(names, f.Name)
			}
		})
		if near := config.Nearest(missing.GetSpecifiedName(), names); near != "" {
			hint = c.CommandPath() + " --" + near
		}
	}
	return &undrop.Error{Code: undrop.BadInput, Op: c.CommandPath(), Err: err, Hint: hint}
}
