package cli

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/app"
	"github.com/undrop/undrop/internal/pipeline"
)

// quarantineCommand is about rows that break their contract.
func quarantineCommand(env *Env) *cobra.Command {
	return group("quarantine", "Rejected rows: what broke, where it was read, and putting it right",
		`  undrop quarantine ls --table bank.payments
  undrop quarantine show 3f2a…
  undrop quarantine replay --where rule=enum        # shows the plan
  undrop quarantine replay --where rule=enum --yes
  undrop quarantine discard 3f2a… --reason "test data"`,
		quarantineLs(env), quarantineShow(env), quarantineReplay(env), quarantineDiscard(env))
}

func quarantineLs(env *Env) *cobra.Command {
	var f app.QuarantineFilter
	var where []string
	c := &cobra.Command{Use: "ls", Short: "List rejected rows", Args: cobra.NoArgs,
		Example: "  undrop quarantine ls --status open --where path=status",
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.Parse(where); err != nil {
				return err
			}
			return env.withApp(c.Context(), func(ctx context.Context, a *app.App) error {
				q, err := a.Quarantine(ctx, f)
				if err != nil {
					return err
				}
				if env.JSON {
					return env.printJSON(q)
				}
				return renderRejected(env, q.Records)
			})
		}}
	env.fileFlag(c)
	env.jsonFlag(c)
	c.Flags().StringVar(&f.Table, "table", "", "only this mart table")
	c.Flags().StringVar(&f.Status, "status", "open", `only this status: open, replayed, superseded, discarded; "" for all`)
	c.Flags().StringArrayVar(&where, "where", nil, "rule=ID or path=COLUMN; may be given more than once")
	return c
}

func renderRejected(env *Env, records []*pipeline.Rejected) error {
	w := tabwriter.NewWriter(env.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tTABLE\tKEY\tSTATUS\tPOSITION\tWHY")
	for _, r := range records {
		why := make([]string, len(r.Violations))
		for i, v := range r.Violations {
			why[i] = v.String()
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", r.RecordID, r.Table, r.Key, r.Status, r.Position(), strings.Join(why, "; "))
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	return nil
}

func quarantineShow(env *Env) *cobra.Command {
	c := &cobra.Command{Use: "show ID", Short: "Show a rejected row with its value and position", Args: cobra.ExactArgs(1),
		Example: "  undrop quarantine show 3f2a9c… --json",
		RunE: func(c *cobra.Command, args []string) error {
			return env.withApp(c.Context(), func(ctx context.Context, a *app.App) error {
				q, err := a.Quarantine(ctx, app.QuarantineFilter{IDs: args})
				if err != nil {
					return err
				}
				if len(q.Records) == 0 {
					return &undrop.Error{Code: undrop.BadInput, Op: "show", Err: fmt.Errorf("there is no record %q", args[0]), Hint: `undrop quarantine ls --status ""`}
				}
				return env.printJSON(q.Records[0])
			})
		}}
	env.fileFlag(c)
	env.jsonFlag(c)
	return c
}

func quarantineReplay(env *Env) *cobra.Command {
	var req app.ReplayRequest
	var where []string
	var version string
	var yes bool
	c := &cobra.Command{Use: "replay", Short: "Put rejected rows through the present contract once more", Args: cobra.NoArgs,
		Long: `Put rejected rows through the contract that is in force now. Rows of a key are replayed in
order; a row of the table that is newer is never overwritten. Without --yes it says what would happen.`,
		Example: "  undrop quarantine replay --table bank.payments --contract 1.1.0 --yes",
		RunE: func(c *cobra.Command, _ []string) error {
			if err := req.Filter.Parse(where); err != nil {
				return err
			}
			req.Dry = !yes
			return env.withApp(c.Context(), func(ctx context.Context, a *app.App) error {
				if err := a.WantVersion(req.Filter.Table, version); err != nil {
					return err
				}
				r, err := a.Replay(ctx, req)
				if err != nil {
					return err
				}
				if env.JSON {
					return env.printJSON(r)
				}
				return renderReplay(env, r, req.Dry)
			})
		}}
	env.fileFlag(c)
	env.jsonFlag(c)
	c.Flags().StringVar(&req.Filter.Table, "table", "", "only this mart table")
	c.Flags().StringVar(&version, "contract", "", "the version that must be in force: refuses when another one is")
	c.Flags().StringArrayVar(&where, "where", nil, "rule=ID, path=COLUMN or id=RECORD; may be given more than once")
	c.Flags().BoolVar(&yes, "yes", false, "do it")
	return c
}

func renderReplay(env *Env, r *app.ReplayAnswer, dry bool) error {
	w := tabwriter.NewWriter(env.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "TABLE\tSELECTED\tREPLAYED\tSUPERSEDED\tSTILL REJECTED\tWAIT FOR AN EARLIER ONE")
	for _, t := range r.Tables {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\n", t.Table, t.Selected, t.Replayed, t.Superseded, t.Still, t.Waits)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	if dry {
		fmt.Fprintln(env.Stderr, "nothing was changed; add --yes to do it")
	}
	return nil
}

func quarantineDiscard(env *Env) *cobra.Command {
	var req app.DiscardRequest
	c := &cobra.Command{Use: "discard ID…", Short: "Close rejected rows for good", Args: cobra.MinimumNArgs(1),
		Example: `  undrop quarantine discard 3f2a9c… --reason "test data"`,
		RunE: func(c *cobra.Command, args []string) error {
			req.IDs = args
			return env.withApp(c.Context(), func(ctx context.Context, a *app.App) error {
				d, err := a.Discard(ctx, req)
				if err != nil {
					return err
				}
				if env.JSON {
					return env.printJSON(d)
				}
				fmt.Fprintf(env.Stdout, "%d discarded\n", d.Discarded)
				return nil
			})
		}}
	env.fileFlag(c)
	env.jsonFlag(c)
	c.Flags().StringVar(&req.Reason, "reason", "", "why; kept with the record")
	return c
}
