package cli

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/undrop/undrop/internal/bench"
)

// benchCommand measures.
func benchCommand(env *Env) *cobra.Command {
	return group("bench", "Measure undrop on this machine, source included",
		`  undrop bench snapshot --rows 2000000
  undrop bench snapshot --rows 1000000 --lane log
  undrop bench stream --rows 1000000 --changes 1000000
  undrop bench latency --seconds 20 --json`,
		benchSnapshot(env), benchStream(env), benchLatency(env))
}

func benchSnapshot(env *Env) *cobra.Command {
	var o bench.Options
	c := &cobra.Command{Use: "snapshot", Short: "First load of one table of 8 columns", Args: cobra.NoArgs, Example: "  undrop bench snapshot --rows 2000000 --lane direct",
		RunE: func(c *cobra.Command, _ []string) error {
			o.Log, o.Story = env.Log, env.Stderr
			r, err := bench.Snapshot(c.Context(), o)
			if err != nil {
				return err
			}
			return renderBench(env, r)
		}}
	benchFlags(env, c, &o)
	c.Flags().StringVar(&o.Lane, "lane", "direct", "direct or log")
	return c
}

func benchStream(env *Env) *cobra.Command {
	var o bench.Options
	c := &cobra.Command{Use: "stream", Short: "A backlog of updates, 100 to a transaction, from WAL to committed table", Args: cobra.NoArgs,
		Example: "  undrop bench stream --rows 1000000 --changes 1000000",
		RunE: func(c *cobra.Command, _ []string) error {
			o.Log, o.Story = env.Log, env.Stderr
			r, err := bench.Stream(c.Context(), o)
			if err != nil {
				return err
			}
			return renderBench(env, r)
		}}
	benchFlags(env, c, &o)
	c.Flags().Int64Var(&o.Changes, "changes", 1_000_000, "updates to make")
	return c
}

func benchLatency(env *Env) *cobra.Command {
	var o bench.Options
	var seconds int
	c := &cobra.Command{Use: "latency", Short: "Commit to visible at 1,000 changes per second", Args: cobra.NoArgs, Example: "  undrop bench latency --seconds 20",
		RunE: func(c *cobra.Command, _ []string) error {
			o.Log, o.Story = env.Log, env.Stderr
			r, err := bench.Latency(c.Context(), o, time.Duration(seconds)*time.Second)
			if err != nil {
				return err
			}
			if env.JSON {
				return env.printJSON(r)
			}
			_, err = fmt.Fprintf(env.Stdout, "%s changes at %.0f/s, commit interval %s, %d cores: p50 %.3f s, p99 %.3f s, max %.3f s, last row %.3f s; our CPU %.2f s, PostgreSQL's %.2f s, peak memory %.0f MiB\n",
				count(r.Changes), r.PerSecond, r.CommitEvery, r.Cores, r.P50, r.P99, r.Max, r.LastRow, r.OurCPU, r.SourceCPU, float64(r.PeakRSS)/(1<<20))
			return err
		}}
	benchFlags(env, c, &o)
	c.Flags().IntVar(&seconds, "seconds", 20, "how long to write")
	return c
}

func benchFlags(env *Env, c *cobra.Command, o *bench.Options) {
	env.jsonFlag(c)
	c.Flags().Int64Var(&o.Rows, "rows", 1_000_000, "rows of the table")
	c.Flags().StringVar(&o.Dir, "dir", "", "keep the installation in this folder (default: temporary)")
	c.Flags().StringVar(&o.Profile, "cpuprofile", "", "write a CPU profile of the measured phase to this file")
	_ = c.Flags().MarkHidden("cpuprofile") // it fails for a flag that does not exist only
}

func renderBench(env *Env, r *bench.Result) error {
	if env.JSON {
		return env.printJSON(r)
	}
	w := tabwriter.NewWriter(env.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "%s\n", r.What)
	fmt.Fprintf(w, "rows\t%s\t%.0f bytes a row in the source\n", count(r.Rows), r.RowBytes)
	fmt.Fprintf(w, "wall clock\t%.2f s\t%.0f rows/s\n", r.WallSeconds, r.RowsPerSecond)
	fmt.Fprintf(w, "our CPU\t%.2f s\t%.0f rows per CPU-second\n", r.OurCPU, r.RowsPerCPU)
	fmt.Fprintf(w, "PostgreSQL's CPU\t%.2f s\tours is %.2f times that\n", r.SourceCPU, r.CPURatio)
	fmt.Fprintf(w, "warehouse\t%.1f MiB\n", float64(r.TableBytes)/(1<<20))
	fmt.Fprintf(w, "peak memory\t%.0f MiB\t%d cores\n", float64(r.PeakRSS)/(1<<20), r.Cores)
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	return nil
}
