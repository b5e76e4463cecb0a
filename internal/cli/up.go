package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/undrop/undrop/internal/app"
)

// upCommand runs what the configuration describes.
func upCommand(env *Env) *cobra.Command {
	var o app.UpOptions
	c := &cobra.Command{
		Use:   "up",
		Short: "Run what the configuration describes",
		Long: `Run what undrop.yaml describes: capture, apply and the console in one process, or the roles
that --only names. The first interrupt drains: capture stops, apply commits what the newest
cut holds. A second one stops at once. Both are safe, and so is kill -9.`,
		Example: `  undrop up -f bank/undrop.yaml
  undrop up -f bank/undrop.yaml --until-caught-up     # for scripts
  undrop up -f bank/undrop.yaml --only capture        # one role per process`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if env.Progress.Shown() {
				o.Progress = showProgress(env)
			}
			return env.withApp(c.Context(), func(ctx context.Context, a *app.App) error { return a.Up(ctx, o) })
		},
	}
	env.fileFlag(c)
	c.Flags().StringSliceVar(&o.Only, "only", nil, "run only these roles: capture, apply, catalog, maintain, console")
	c.Flags().BoolVar(&o.UntilCaughtUp, "until-caught-up", false, "stop cleanly once every table holds the source position read at start")
	return c
}

// showProgress draws what the pipeline does, with rates.
func showProgress(env *Env) func(app.Progress) {
	var before app.Progress
	at := time.Now()
	return func(p app.Progress) {
		now := time.Now()
		seconds := now.Sub(at).Seconds()
		rate := float64(p.Rows+p.Changes-before.Rows-before.Changes) / seconds
		before, at = p, now
		if p.Live < p.Tables && p.RowsTotal > 0 {
			env.Progress.Set("loading %d of about %d rows · %.0f/s · %d of %d tables live · %d quarantined", p.Rows, p.RowsTotal, rate, p.Live, p.Tables, p.Quarantined)
			return
		}
		env.Progress.Set("%d changes · %.0f/s · lag %.1f s · %d tables live · %d quarantined", p.Changes, rate, p.Lag.Seconds(), p.Live, p.Quarantined)
	}
}
