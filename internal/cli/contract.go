package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/contract"
)

// Relations describes the tables of a source database that match patterns; look
// says whether live values are looked at.
type Relations func(ctx context.Context, dsn string, patterns []string, look bool) ([]undrop.Relation, error)

// contractCommand holds the contract verbs. They need no server; import needs a
// source database, and is left out when relations is nil.
func contractCommand(env *Env, relations Relations) *cobra.Command {
	subs := []*cobra.Command{
		contractLintCommand(env), contractShowCommand(env), contractDiffCommand(env), contractCheckCommand(env),
	}
	if relations != nil {
		subs = append(subs, contractImportCommand(env, relations))
	}
	return group("contract", "Check, compare and draft data contracts",
		"  undrop contract lint contracts/*.odcs.yaml\n  undrop contract diff old.odcs.yaml new.odcs.yaml", subs...)
}

// lintAnswer is what lint says about one file.
type lintAnswer struct {
	File     string             `json:"file"`
	Valid    bool               `json:"valid"`    // by the standard
	Runnable bool               `json:"runnable"` // by the pipeline
	Problems []contract.Problem `json:"problems"`
}

func contractLintCommand(env *Env) *cobra.Command {
	run := false
	c := &cobra.Command{
		Use:   "lint FILE...",
		Short: "Judge contracts by the Open Data Contract Standard",
		Long: `Judges contracts by ODCS v3.1 or v3.2: its JSON Schema, its text where the two
differ, and whether what is said is consistent. With --run, what the pipeline
needs beyond that is asked for as well. Warnings do not fail.`,
		Example: "  undrop contract lint contracts/*.odcs.yaml\n  undrop contract lint --run --json contracts/payments.odcs.yaml",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			answers := []lintAnswer{}
			bad := 0
			for _, file := range args {
				a, err := lint(env, file, run)
				if err != nil {
					return err
				}
				if contract.HasErrors(a.Problems) {
					bad++
				}
				answers = append(answers, a)
			}
			if err := printLint(env, answers); err != nil {
				return err
			}
			if bad == 0 {
				return nil
			}
			return &undrop.Error{Code: undrop.BadInput, Op: "lint contracts", Err: fmt.Errorf("%d of %d have errors", bad, len(args)),
				Hint: "mend the lines that standard output names, then lint again"}
		},
	}
	c.Flags().BoolVar(&run, "run", false, "also ask for what the pipeline needs to run the contract")
	env.jsonFlag(c)
	return c
}

func lint(env *Env, file string, run bool) (lintAnswer, error) {
	data, err := readInput(env, file)
	if err != nil {
		return lintAnswer{}, err
	}
	c, problems := contract.Load(file, data)
	a := lintAnswer{File: file, Valid: c != nil, Problems: problems}
	if c != nil {
		a.Runnable = len(c.Runnable()) == 0
		if run {
			_, a.Problems = contract.Parse(file, data)
		}
	}
	if a.Problems == nil {
		a.Problems = []contract.Problem{}
	}
	return a, nil
}

func printLint(env *Env, answers []lintAnswer) error {
	if env.JSON {
		return env.printJSON(map[string]any{"files": answers})
	}
	var b strings.Builder
	for _, a := range answers {
		for _, p := range a.Problems {
			fmt.Fprintln(&b, p)
		}
		switch {
		case a.Runnable:
			fmt.Fprintf(&b, "%s: valid, can be run\n", a.File)
		case a.Valid && !contract.HasErrors(a.Problems):
			fmt.Fprintf(&b, "%s: valid; cannot be run as it is (undrop contract lint --run says why)\n", a.File)
		}
	}
	return printText(env, b.String())
}

func printText(env *Env, s string) error {
	if _, err := io.WriteString(env.Stdout, s); err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	return nil
}

// readInput reads a file, or standard input for "-".
func readInput(env *Env, file string) ([]byte, error) {
	if file == "-" {
		data, err := io.ReadAll(env.Stdin)
		if err != nil {
			return nil, fmt.Errorf("read standard input: %w", err)
		}
		return data, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, inputError(file, err)
	}
	return data, nil
}

func inputError(file string, err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return &undrop.Error{Code: undrop.BadInput, Op: "read " + file, Err: err, Hint: "name a file that exists and may be read"}
}

// loadContract reads a contract that has to be valid; to be run as well, if run.
func loadContract(env *Env, file string, run bool) (*contract.Contract, error) {
	data, err := readInput(env, file)
	if err != nil {
		return nil, err
	}
	read := contract.Load
	if run {
		read = contract.Parse
	}
	c, problems := read(file, data)
	if c != nil {
		return c, nil
	}
	var lines []string
	for _, p := range problems {
		if p.Severity == contract.SeverityError {
			lines = append(lines, p.String())
		}
	}
	hint := "undrop contract lint " + file
	if run {
		hint = "undrop contract lint --run " + file
	}
	return nil, &undrop.Error{Code: undrop.BadInput, Op: "read contract " + file, Err: errors.New(strings.Join(lines, "\n  ")), Hint: hint}
}

// columns prints rows whose cells are separated by tabs, aligned.
func columns(env *Env, rows []string) error {
	w := tabwriter.NewWriter(env.Stdout, 0, 4, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintln(w, r)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	return nil
}
