package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/undrop/undrop/internal/app"
)

// tableReloadCommand asks for tables to be read from their source once more.
func tableReloadCommand(env *Env) *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "reload TABLE…",
		Short: "Read tables from their source once more, side by side",
		Long: `Marks tables to be loaded anew by the next "undrop up". Readers keep what they have until the new
rows are exact; then the table is swapped in one commit. The gaps of a table are closed by it.
Without --yes it says what would happen.`,
		Example: "  undrop table reload bank.payments --yes -f bank/undrop.yaml",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return env.withApp(c.Context(), func(ctx context.Context, a *app.App) error {
				plan := func(context.Context, []string) (*app.ReloadAnswer, error) { return a.ReloadPlan(args) }
				if yes {
					plan = a.Reload
				}
				r, err := plan(ctx, args)
				if err != nil {
					return err
				}
				if env.JSON {
					return env.printJSON(r)
				}
				names := strings.Join(r.Tables, " ")
				text := fmt.Sprintf("would load %s anew at the next undrop up; readers keep the present rows until then\n", names)
				if r.Asked {
					text = fmt.Sprintf("%s will be loaded anew: undrop up -f %s\n", names, env.File)
				}
				for _, n := range r.Notes {
					text += "note: " + n + "\n"
				}
				if !r.Asked {
					text += "add --yes to do it\n"
				}
				_, err = fmt.Fprint(env.Stdout, text)
				return err
			})
		},
	}
	env.fileFlag(c)
	env.jsonFlag(c)
	c.Flags().BoolVar(&yes, "yes", false, "do it")
	return c
}
