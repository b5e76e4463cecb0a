package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/undrop/undrop/internal/app"
)

func tableCommand(env *Env) *cobra.Command {
	return group("table", "Look at and look after mart tables", "  undrop table ls\n  undrop table rows bank.payments --limit 5",
		tableLsCommand(env), tableShowCommand(env), tableRowsCommand(env), tableReloadCommand(env))
}

func tableLsCommand(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:     "ls",
		Short:   "List mart tables with what each holds",
		Long:    "Lists mart tables with what each holds. It reads the files and needs no server; while a\nprocess of the installation is up, the state of a table is what that process says.",
		Example: "  undrop table ls -f bank/undrop.yaml\n  undrop table ls --json | jq '.tables[].snapshot_id'",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return env.withApp(c.Context(), func(ctx context.Context, a *app.App) error {
				tables, err := a.Tables(ctx)
				if err != nil {
					return err
				}
				if env.JSON {
					return env.printJSON(app.TablesAnswer{Tables: tables})
				}
				return renderTables(env.Stdout, tables)
			})
		},
	}
	env.fileFlag(c)
	env.jsonFlag(c)
	return c
}

func renderTables(w io.Writer, tables []app.TableInfo) error {
	g := newGrid("TABLE", "MODE", "STATE", "ROWS", "LAG S", "BEHIND", "QUARANTINED", "SOURCE LSN", "TRUSTED THROUGH")
	for _, t := range tables {
		lsn, trusted, lag := none, none, none
		if t.Source != nil {
			lsn = lsnOrNone(t.Source.LSN)
			if !t.Source.Complete {
				lsn += " (not a cut)"
			}
		}
		if t.TrustedThrough != nil {
			trusted = lsnOrNone(t.TrustedThrough.LSN)
		}
		if t.LagSeconds != nil {
			lag = fmt.Sprintf("%.1f", *t.LagSeconds)
		}
		g.add(t.Name, orNone(string(t.Mode)), t.State, countOrNone(t.Rows), lag, countOrNone(t.LagRecords), count(t.Quarantined), lsn, trusted)
	}
	if err := g.write(w); err != nil {
		return err
	}
	for _, t := range tables {
		if t.Reason != "" {
			if _, err := fmt.Fprintf(w, "\n%s is %s: %s\n", t.Name, t.State, printable(t.Reason)); err != nil {
				return err
			}
		}
	}
	return nil
}

func tableShowCommand(env *Env) *cobra.Command {
	var at string
	c := &cobra.Command{
		Use:   "show TABLE",
		Short: "Show one mart table: schema, files, snapshots, account",
		Example: "  undrop table show bank.payments\n" +
			"  undrop table show bank.payments --at source:0/16B3748 --json",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return env.withApp(c.Context(), func(ctx context.Context, a *app.App) error {
				t, err := a.Table(ctx, args[0], at)
				if err != nil {
					return err
				}
				if env.JSON {
					return env.printJSON(t)
				}
				return renderTable(env.Stdout, t)
			})
		},
	}
	atFlag(c, &at)
	env.fileFlag(c)
	env.jsonFlag(c)
	return c
}

func atFlag(c *cobra.Command, at *string) {
	c.Flags().StringVar(at, "at", "", "as it was: an RFC 3339 time, snapshot:ID or source:LSN")
}

func renderTable(w io.Writer, t *app.TableDetail) error {
	if err := renderTables(w, []app.TableInfo{t.TableInfo}); err != nil {
		return err
	}
	facts := newGrid("", "")
	facts.add("contract", strings.TrimSpace(t.Contract.ID+" "+t.Contract.Version))
	facts.add("topic", orNone(t.Topic))
	facts.add("location", t.Location)
	facts.add("metadata", orNone(t.MetadataLocation))
	facts.add("key", orNone(strings.Join(t.Key, ", ")))
	facts.add("partition", orNone(strings.Join(t.Partition, ", ")))
	facts.add("files", fmt.Sprintf("%s data, %s delete, %s", count(t.Files.Data), count(t.Files.Deletes), bytesText(t.Files.Bytes)))
	a := t.Account.Total
	facts.add("account", fmt.Sprintf("read %s = applied %s + superseded %s + quarantined %s + filtered %s",
		count(a.Read), count(a.Applied), count(a.Superseded), count(a.Quarantined), count(a.Filtered)))

	schema := newGrid("ID", "COLUMN", "TYPE", "NULLS", "DOC")
	for _, f := range t.Schema {
		nulls := "yes"
		if f.Required {
			nulls = "no"
		}
		schema.add(fmt.Sprint(f.ID), f.Name, f.Type, nulls, f.Doc)
	}
	snapshots := newGrid("SNAPSHOT", "AT", "OPERATION", "LANE", "SOURCE LSN", "READ", "APPLIED", "SUPERSEDED", "QUARANTINED", "FILTERED")
	const most = 10
	for i, s := range t.Snapshots {
		if i == most {
			break
		}
		lsn := none
		if s.Source != nil {
			lsn = lsnOrNone(s.Source.LSN)
		}
		row := []string{fmt.Sprint(s.ID), timeOrNone(s.At), orNone(s.Operation), orNone(string(s.Lane)), lsn, none, none, none, none, none}
		if c := s.Commit; c != nil {
			row = append(row[:5], count(c.Read), count(c.Applied), count(c.Superseded), count(c.Quarantined), count(c.Filtered))
		}
		snapshots.add(row...)
	}
	facts.rows = facts.rows[1:] // no header
	for _, g := range []*grid{facts, schema, snapshots} {
		if _, err := io.WriteString(w, "\n"); err != nil {
			return err
		}
		if err := g.write(w); err != nil {
			return err
		}
	}
	if n := len(t.Snapshots); n > most {
		_, err := fmt.Fprintf(w, "and %d older; --json shows all\n", n-most)
		return err
	}
	return nil
}
