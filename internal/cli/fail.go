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
	"github.com/undrop/undrop/internal/api"
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
	shown := api.FailureOf(err)
	shown.Code = code
	if e.JSON {
		line, jerr := json.Marshal(map[string]api.Failure{"error": shown})
		if jerr != nil { // the text is not Unicode, perhaps
			line = []byte(`{"error":{"code":"failed","message":"the error cannot be written as JSON"}}`)
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
	if near := nearest(word, names); near != "" {
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
		if near := nearest(missing.GetSpecifiedName(), names); near != "" {
			hint = c.CommandPath() + " --" + near
		}
	}
	return &undrop.Error{Code: undrop.BadInput, Op: c.CommandPath(), Err: err, Hint: hint}
}

// nearest is the word that a person most likely meant, by the rule that the
// configuration uses for its keys.
func nearest(word string, words []string) string { return config.Nearest(word, words) }
