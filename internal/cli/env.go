package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	undrop "github.com/undrop/undrop"
)

// Env is what a command may touch: the three streams, a logger and the flags
// that several commands share. A command constructor gets the Env before the
// flags are parsed, its RunE uses it after.
type Env struct {
	Stdin    io.Reader
	Stdout   io.Writer    // the answer
	Stderr   io.Writer    // the story; write lines through Log, or through Progress
	Log      *slog.Logger // never nil
	Progress *Progress    // silent unless Stderr is a terminal
	JSON     bool         // --json was given
	File     string       // --file, where the command has it

	logFormat, logLevel string
}

func newEnv(stdin io.Reader, stdout, stderr io.Writer) *Env {
	p := newProgress(stderr)
	return &Env{
		Stdin: stdin, Stdout: stdout, Stderr: p, Progress: p,
		Log: slog.New(slog.DiscardHandler),
	}
}

// start makes the logger that the flags ask for.
func (e *Env) start() error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(e.logLevel)); err != nil {
		return &undrop.Error{Code: undrop.BadInput, Op: "read --log-level",
			Err: fmt.Errorf("%q is not a level", e.logLevel), Hint: "--log-level debug, info, warn or error"}
	}
	opts := &slog.HandlerOptions{Level: level}
	switch e.logFormat {
	case "text":
		e.Log = slog.New(slog.NewTextHandler(e.Stderr, opts))
	case "json":
		e.Log = slog.New(slog.NewJSONHandler(e.Stderr, opts))
	default:
		return &undrop.Error{Code: undrop.BadInput, Op: "read --log",
			Err: fmt.Errorf("%q is not a format", e.logFormat), Hint: "--log text or --log json"}
	}
	return nil
}

// jsonFlag gives a command --json.
func (e *Env) jsonFlag(c *cobra.Command) {
	c.Flags().BoolVar(&e.JSON, "json", false, "answer in JSON")
}

// fileFlag gives a command -f.
func (e *Env) fileFlag(c *cobra.Command) {
	c.Flags().StringVarP(&e.File, "file", "f", "undrop.yaml", "the configuration")
}

// printJSON writes v to standard output as indented JSON.
func (e *Env) printJSON(v any) error {
	enc := json.NewEncoder(e.Stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	return nil
}
