package cli

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/undrop/undrop/internal/app"
)

func initCommand(env *Env) *cobra.Command {
	var o app.InitOptions
	var outbox bool
	var outboxTable string
	c := &cobra.Command{
		Use:   "init --source DSN DIR",
		Short: "Write an undrop.yaml and a draft contract for every table of a database",
		Long: `Looks at a database and writes DIR/undrop.yaml and DIR/contracts/*.odcs.yaml: drafts that
carry every value that the tables hold. What only an owner can decide is marked with
OWNER in the draft. Nothing in the database is changed; what it still needs is listed,
with the SQL.

undrop.yaml holds the connection string; only its owner can read the file.

With --outbox it prints the SQL of an outbox table instead, with a trigger compiled from
contracts: in the producer's own transaction it refuses an event of aggregate type X
unless it names the contract and its payload is as the schema object X says.`,
		Example: `  undrop init --source "$CORE_DSN" ./bank
  undrop init --source "$CORE_DSN" --table 'payments.*' --table core.accounts ./bank
  undrop init --outbox bank/contracts/payments.odcs.yaml --outbox-table payments.outbox | psql "$CORE_DSN"`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if outbox {
				return printOutbox(env, args, outboxTable)
			}
			if o.DSN == "" {
				return usageError(c, errors.New("--source is missing"))
			}
			if len(args) != 1 {
				return usageError(c, fmt.Errorf("needs one folder to write to, not %d", len(args)))
			}
			o.Dir, o.Log = args[0], env.Log
			answer, err := app.Init(c.Context(), o)
			if err != nil {
				return err
			}
			if env.JSON {
				return env.printJSON(answer)
			}
			return renderInit(env.Stdout, answer)
		},
	}
	flags := c.Flags()
	flags.StringVar(&o.DSN, "source", "", "the source database: a PostgreSQL URL or key=value string")
	flags.StringArrayVar(&o.Tables, "table", nil, "only tables that match, as schema.table with * for any characters; may be given more than once")
	flags.StringVar(&o.Name, "name", "", "name of the installation (default: the folder's name)")
	flags.StringVar(&o.Source, "source-name", "", "name of the source in undrop.yaml (default: the database's name)")
	flags.BoolVar(&o.Quick, "quick", false, "do not look at live values")
	flags.BoolVar(&o.Force, "force", false, "overwrite files that exist")
	flags.BoolVar(&outbox, "outbox", false, "print the SQL of an outbox governed by the contracts that are named")
	flags.StringVar(&outboxTable, "outbox-table", "public.outbox", "the table that --outbox makes")
	env.jsonFlag(c)
	return c
}

func printOutbox(env *Env, files []string, table string) error {
	sql, err := app.OutboxSQL(files, table)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		env.Log.Warn("no contract is named: the trigger refuses every event until this is run again with some")
	}
	if env.JSON {
		return env.printJSON(map[string]string{"sql": sql})
	}
	_, err = io.WriteString(env.Stdout, sql)
	return err
}

func renderInit(w io.Writer, a *app.InitAnswer) error {
	g := newGrid("SOURCE TABLE", "MART TABLE", "MODE", "CONTRACT")
	for _, c := range a.Contracts {
		g.add(c.Relation, c.Table, string(c.Mode), c.File)
	}
	if err := g.write(w); err != nil {
		return err
	}
	var b strings.Builder
	part := func(title string, lines []string) {
		if len(lines) > 0 {
			fmt.Fprintf(&b, "\n%s\n", title)
			for _, l := range lines {
				fmt.Fprintf(&b, "  %s\n", printable(l))
			}
		}
	}
	var notes, left, findings, sql []string
	for _, c := range a.Contracts {
		notes = append(notes, c.Notes...)
	}
	for _, l := range a.LeftOut {
		left = append(left, l.Relation+": "+l.Reason)
	}
	for _, f := range a.Findings {
		text := f.Message
		if !strings.HasPrefix(text, f.Relation) {
			text = f.Relation + ": " + text
		}
		if f.Fatal {
			text += " (up refuses to start)"
		}
		findings = append(findings, text)
		if f.SQL != "" {
			sql = append(sql, strings.Split(f.SQL, "\n")...)
		}
	}
	part("Notes on the drafts:", notes)
	part("Left out:", left)
	part("The source, as it is:", findings)
	part("SQL for that:", sql)
	part("Next:", []string{"undrop contract lint --run " + filepath.Join(filepath.Dir(a.Config), "contracts", "*.odcs.yaml"), "undrop up -f " + a.Config})
	_, err := io.WriteString(w, b.String())
	return err
}
