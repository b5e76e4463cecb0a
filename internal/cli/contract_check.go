package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/config"
	"github.com/undrop/undrop/internal/contract"
)

// checkAnswer says which rows break the contract.
type checkAnswer struct {
	Object     string           `json:"object"`
	Rows       int              `json:"rows"`
	Broken     int              `json:"broken"` // rows with at least one violation
	Violations []checkViolation `json:"violations"`
}

type checkViolation struct {
	Row int `json:"row"` // from 1
	undrop.Violation
}

// checkBatch is how many rows are judged at a time, so that memory does not grow
// with the file.
const checkBatch = 8192

func contractCheckCommand(env *Env) *cobra.Command {
	rows, object := "", ""
	c := &cobra.Command{
		Use:   "check FILE --rows FILE.jsonl",
		Short: "Judge rows by a contract",
		Long: `Judges rows, one JSON object a line, by the promises of a contract: types,
required, enum, ranges, lengths, patterns and quality rules that hold for every
row. Exit code 4 if a row breaks one.`,
		Example: "  undrop contract check payments.odcs.yaml --rows sample.jsonl\n  psql -Atc 'select to_jsonb(p) from payments p' | undrop contract check payments.odcs.yaml --rows -",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if rows == "" {
				return usageError(cmd, errors.New("--rows is missing"))
			}
			c, err := loadContract(env, args[0], true)
			if err != nil {
				return err
			}
			o, err := pickObject(c, object)
			if err != nil {
				return err
			}
			in := env.Stdin
			if rows != "-" {
				f, err := os.Open(rows)
				if err != nil {
					return inputError(rows, err)
				}
				defer f.Close()
				in = f
			}
			a, err := checkRows(o, rows, in)
			if err != nil {
				return err
			}
			return printCheck(env, a)
		},
	}
	c.Flags().StringVar(&rows, "rows", "", "the rows, one JSON object a line; - for standard input")
	c.Flags().StringVar(&object, "object", "", "the schema object, if the contract has several")
	env.jsonFlag(c)
	return c
}

func pickObject(c *contract.Contract, name string) (*contract.Object, error) {
	var names []string
	for _, o := range c.Objects {
		if o.Name == name || name == "" && len(c.Objects) == 1 {
			return o, nil
		}
		names = append(names, o.Name)
	}
	err := fmt.Errorf("the contract has %d objects", len(names))
	hint := "--object " + strings.Join(names, ", or --object ")
	if name != "" {
		err = fmt.Errorf("the contract has no object %q", name)
		if near := config.Nearest(name, names); near != "" {
			hint = "--object " + near
		}
	}
	return nil, &undrop.Error{Code: undrop.BadInput, Op: "choose an object of " + c.File, Err: err, Hint: hint}
}

func checkRows(o *contract.Object, file string, in io.Reader) (checkAnswer, error) {
	a := checkAnswer{Object: o.Name, Violations: []checkViolation{}}
	rows, checker := contract.NewRows(o), contract.NewChecker(o)
	judge := func() {
		b := rows.Batch()
		checker.Check(b, 0)
		for i := range b.Len() {
			if len(b.Bad[i]) > 0 {
				a.Broken++
			}
			for _, v := range b.Bad[i] {
				a.Violations = append(a.Violations, checkViolation{a.Rows + i + 1, v})
			}
		}
		a.Rows += b.Len()
		b.Reset()
	}
	r := bufio.NewReaderSize(in, 1<<20)
	for n := 1; ; n++ {
		line, err := r.ReadBytes('\n')
		if text := strings.TrimSpace(string(line)); text != "" {
			if err := rows.Add([]byte(text)); err != nil {
				return a, &undrop.Error{Code: undrop.BadInput, Op: fmt.Sprintf("read %s line %d", file, n), Err: err, Hint: "one JSON object a line, keys are columns"}
			}
			if rows.Batch().Len() == checkBatch {
				judge()
			}
		}
		if errors.Is(err, io.EOF) {
			judge()
			return a, nil
		}
		if err != nil {
			return a, fmt.Errorf("read %s: %w", file, err)
		}
	}
}

func printCheck(env *Env, a checkAnswer) error {
	var err error
	if env.JSON {
		err = env.printJSON(a)
	} else {
		var b strings.Builder
		for _, v := range a.Violations {
			fmt.Fprintf(&b, "row %d: %s [%s]\n", v.Row, v.Violation, v.Rule)
		}
		fmt.Fprintf(&b, "%s: %d rows, %d break the contract\n", a.Object, a.Rows, a.Broken)
		err = printText(env, b.String())
	}
	if err != nil || a.Broken == 0 {
		return err
	}
	return &undrop.Error{Code: undrop.Damaged, Op: "check rows", Err: fmt.Errorf("%d of %d rows break the contract", a.Broken, a.Rows),
		Hint: "correct the rows at their source, or change the promise (undrop contract diff says for whom that matters)"}
}
