package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/undrop/undrop/internal/app"
)

func versionCommand(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:     "version",
		Short:   "Say which undrop this is",
		Example: "  undrop version --json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			b := app.Build()
			if env.JSON {
				return env.printJSON(b)
			}
			text := "undrop " + b.Version
			if b.Commit != "" {
				text += " (" + b.Commit + ")"
			}
			_, err := fmt.Fprintf(env.Stdout, "%s, %s, %s\n", text, b.Go, b.Platform)
			return err
		},
	}
	env.jsonFlag(c)
	return c
}
