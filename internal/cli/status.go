package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/undrop/undrop/internal/app"
)

func statusCommand(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:     "status",
		Short:   "Say how every source and table is doing",
		Example: "  undrop status -f bank/undrop.yaml",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return env.withApp(c.Context(), func(ctx context.Context, a *app.App) error {
				s, err := a.Status(ctx)
				if err != nil {
					return err
				}
				if env.JSON {
					return env.printJSON(s)
				}
				return renderStatus(env.Stdout, s)
			})
		},
	}
	env.fileFlag(c)
	env.jsonFlag(c)
	return c
}

func renderStatus(w io.Writer, s *app.StatusAnswer) error {
	running := "not running; this is what the files say"
	if s.Running {
		running = "running"
	}
	if _, err := fmt.Fprintf(w, "%s: %s\n\n", s.Name, running); err != nil {
		return err
	}
	g := newGrid("SOURCE", "CUT", "ACKNOWLEDGED", "WAL KEPT", "CHANGES", "PROBLEM")
	for _, src := range s.Sources {
		slot, kept := none, none
		if src.SlotLSN != nil {
			slot = lsnOrNone(*src.SlotLSN)
		}
		if src.SlotBehind != nil {
			kept = bytesText(*src.SlotBehind)
		}
		g.add(src.Name, lsnOrNone(src.CutLSN), slot, kept, count(src.Changes), src.Problem)
	}
	if err := g.write(w); err != nil {
		return err
	}
	if _, err := io.WriteString(w, "\n"); err != nil {
		return err
	}
	if err := renderTables(w, s.Tables); err != nil {
		return err
	}
	if len(s.Gaps) == 0 {
		return nil
	}
	if _, err := fmt.Fprintf(w, "\n%d open gaps\n", len(s.Gaps)); err != nil {
		return err
	}
	return renderGaps(w, s.Gaps)
}
