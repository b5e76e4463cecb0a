package cli

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/spf13/cobra"

	"github.com/undrop/undrop/internal/app"
	"github.com/undrop/undrop/internal/demo"
)

// demoCommand shows the product on this machine.
func demoCommand(env *Env) *cobra.Command {
	o := demo.Options{}
	c := &cobra.Command{
		Use:   "demo",
		Short: "See it work on this machine: a live database lands, and is compared row for row",
		Long: `Starts a PostgreSQL of its own (an installed one, otherwise one that it downloads) and an
embedded log in a temporary folder, fills a small bank, lets it live, lands it in Iceberg
tables, and compares source and tables row for row at one position. Everything that it
started has ended when it ends. Exit code 4: source and tables differ.`,
		Example: `  undrop demo
  undrop demo --rows 1000000 --seconds 30
  undrop demo --keep ./undrop-demo     # goes on running there; Ctrl-C stops it`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if !c.Flags().Changed("seed") {
				o.Seed = uint64(rand.Uint32())
			}
			o.Log = env.Log
			if !c.Flags().Changed("log-level") { // the demo tells its own story
				o.Log = slog.New(quieter{env.Log.Handler()})
			}
			o.Say = func(format string, args ...any) { fmt.Fprintf(env.Stderr, format+"\n", args...) }
			o.Watch = watchDemo(env)
			o.Done = func(a *demo.Answer) error {
				env.Progress.Done()
				if env.JSON {
					return env.printJSON(a)
				}
				return renderDemo(env, a)
			}
			return demo.Run(c.Context(), o)
		},
	}
	env.jsonFlag(c)
	c.Flags().Uint64Var(&o.Seed, "seed", 0, "of the traffic: the same seed makes the same transactions (default: a random one)")
	c.Flags().Int64Var(&o.Rows, "rows", 200_000, "payments that exist before it starts")
	c.Flags().IntVar(&o.Seconds, "seconds", 15, "of live traffic")
	c.Flags().StringVar(&o.Keep, "keep", "", "keep everything in this folder and go on running there until Ctrl-C")
	return c
}

// quieter passes on warnings and errors only.
type quieter struct{ slog.Handler }

func (q quieter) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && q.Handler.Enabled(ctx, l)
}

func (q quieter) WithAttrs(attrs []slog.Attr) slog.Handler {
	return quieter{q.Handler.WithAttrs(attrs)}
}

func (q quieter) WithGroup(name string) slog.Handler { return quieter{q.Handler.WithGroup(name)} }

// watchDemo draws the progress line, or writes a plain line per second where
// there is no terminal.
func watchDemo(env *Env) func(demo.Moment) {
	line := env.Progress.Set
	every := time.Duration(0)
	if !env.Progress.Shown() {
		every = 950 * time.Millisecond // of a tick that comes twice a second
		line = func(format string, args ...any) { fmt.Fprintf(env.Stderr, format+"\n", args...) }
	}
	var at time.Time
	var before app.Progress
	return func(m demo.Moment) {
		now := time.Now()
		if now.Sub(at) < every {
			return
		}
		p := m.Progress
		rate := float64(p.Rows+p.Changes-before.Rows-before.Changes) / now.Sub(at).Seconds()
		if at.IsZero() {
			rate = 0
		}
		before, at = p, now
		lag := "-"
		if p.Live > 0 {
			lag = fmt.Sprintf("%.1f s", p.Lag.Seconds())
		}
		line("%5.1f s  %s rows loaded, %s changes · %s/s · lag %s · %d of %d tables live · %d quarantined",
			m.Elapsed.Seconds(), count(p.Rows), count(p.Changes), count(int64(rate)), lag, p.Live, p.Tables, p.Quarantined)
	}
}

// renderDemo shows the account of each table, the comparison, and where to go on.
func renderDemo(env *Env, a *demo.Answer) error {
	w := env.Stdout
	fmt.Fprintf(w, "\nWhat became of everything that was read\n\n")
	g := newGrid("TABLE", "MODE", "READ", "APPLIED", "SUPERSEDED", "QUARANTINED", "FILTERED", "BALANCES")
	for _, t := range a.Tables {
		g.add(t.Name, string(t.Mode), count(t.Account.Read), count(t.Account.Applied), count(t.Account.Superseded), count(t.Account.Quarantined), count(t.Account.Filtered), yesNo(t.Balanced))
	}
	if err := g.write(w); err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	fmt.Fprintf(w, "\nSource and tables, row for row, at position %s\n\n", a.LSN)
	g = newGrid("TABLE", "SNAPSHOT", "AT", "SOURCE ROWS", "TABLE ROWS", "EQUAL", "DIFFERING", "IN QUARANTINE")
	for _, t := range a.Tables {
		g.add(t.Name, fmt.Sprint(t.SnapshotID), t.LSN.String(), count(t.SourceRows), count(t.TableRows), count(t.EqualRows), count(t.Differing), fmt.Sprint(len(t.QuarantinedKeys)))
	}
	if err := g.write(w); err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	renderDemoNames(env, a)
	fmt.Fprintf(w, "\nFirst table readable after %.1f s, all after %.1f s; %s transactions, %s rolled back; %.1f s in all. Seed %d.\n",
		a.FirstVisible, a.AllVisible, count(a.Transactions), count(a.RolledBack), a.Wall, a.Seed)
	fmt.Fprintf(w, "\nWhere to look next\n\n")
	for _, n := range a.Next {
		if _, err := fmt.Fprintf(w, "  %s\n", n); err != nil {
			return fmt.Errorf("write answer: %w", err)
		}
	}
	if a.Dir != "" {
		fmt.Fprintf(env.Stderr, "\neverything is in %s and goes on running; Ctrl-C stops it\n", a.Dir)
	}
	return nil
}

// renderDemoNames names the keys in quarantine, why they are there, and the
// differences.
func renderDemoNames(env *Env, a *demo.Answer) {
	const most = 12
	for _, t := range a.Tables {
		if n := len(t.QuarantinedKeys); n > 0 {
			keys := t.QuarantinedKeys
			more := ""
			if n > most {
				keys, more = keys[:most], fmt.Sprintf(" and %d more (--json names all)", n-most)
			}
			fmt.Fprintf(env.Stdout, "\nquarantined keys of %s: %s%s\n", t.Name, printable(fmt.Sprint(keys)), more)
		}
		for _, d := range t.Differences {
			fmt.Fprintf(env.Stdout, "%s differs: %s\n", t.Name, printable(d))
		}
	}
	if len(a.Quarantine) > 0 {
		r := a.Quarantine[0]
		fmt.Fprintf(env.Stdout, "for example: %s %s at %s: %s\n", r.Table, printable(r.Key), r.LSN, printable(r.Reason))
	}
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "NO"
}
