package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/undrop/undrop/internal/app"
)

func tableRowsCommand(env *Env) *cobra.Command {
	var o app.RowsOptions
	c := &cobra.Command{
		Use:   "rows TABLE",
		Short: "Show rows of a mart table",
		Long: `Shows rows of a mart table with deletes applied, as any engine would read them. It
is for looking, not a query language: an engine has one.`,
		Example: "  undrop table rows bank.payments --where \"status = 'paid' and amount > 100\" --limit 5\n" +
			"  undrop table rows bank.payments --at 2026-01-31T12:00:00Z --json",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return env.withApp(c.Context(), func(ctx context.Context, a *app.App) error {
				rows, err := a.Rows(ctx, args[0], o)
				if err != nil {
					return err
				}
				if env.JSON {
					return env.printJSON(rows)
				}
				if err := renderRows(env.Stdout, rows); err != nil {
					return err
				}
				if rows.Truncated {
					env.Log.Info("there are more rows", "shown", len(rows.Rows), "see", "--limit 0")
				}
				return nil
			})
		},
	}
	atFlag(c, &o.At)
	c.Flags().StringVar(&o.Where, "where", "", "COLUMN OP VALUE [and …], with = != < <= > >=")
	c.Flags().Int64Var(&o.Limit, "limit", 20, "at most this many rows; 0: all")
	c.Flags().BoolVar(&o.Meta, "meta", false, "with undrop's own columns")
	env.fileFlag(c)
	env.jsonFlag(c)
	return c
}

// renderRows shows each cell as it stands in the JSON answer, strings without
// quotes; null is shown as such, so that it differs from the empty string.
func renderRows(w io.Writer, rows *app.RowsAnswer) error {
	g := newGrid(append([]string{}, rows.Columns...)...)
	for i, c := range g.rows[0] {
		g.rows[0][i] = printable(c)
	}
	if len(rows.Columns) == 0 {
		_, err := fmt.Fprintf(w, "%s has no rows that are visible yet\n", rows.Table)
		return err
	}
	for _, row := range rows.Rows {
		cells, err := cellsOf(row, len(rows.Columns))
		if err != nil {
			return fmt.Errorf("show row of %s: %w", rows.Table, err)
		}
		g.add(cells...)
	}
	return g.write(w)
}

// cellsOf is the values of a JSON object, in its order.
func cellsOf(row json.RawMessage, n int) ([]string, error) {
	dec := json.NewDecoder(bytes.NewReader(row))
	if _, err := dec.Token(); err != nil { // the brace
		return nil, err
	}
	var cells []string
	for dec.More() {
		if _, err := dec.Token(); err != nil { // the name
			return nil, err
		}
		var v json.RawMessage
		if err := dec.Decode(&v); err != nil {
			return nil, err
		}
		cell := string(v)
		if v[0] == '"' {
			if err := json.Unmarshal(v, &cell); err != nil {
				return nil, err
			}
		}
		cells = append(cells, cell)
	}
	if len(cells) != n {
		return nil, fmt.Errorf("%d values for %d columns", len(cells), n)
	}
	return cells, nil
}
