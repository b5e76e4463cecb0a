package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/app"
)

func gapCommand(env *Env) *cobra.Command {
	return group("gap", "Look at ranges of positions known to be missing", "  undrop gap ls\n  undrop gap show core-slot_lost-1",
		gapLsCommand(env), gapShowCommand(env))
}

func gapLsCommand(env *Env) *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:     "ls",
		Short:   "List gaps",
		Example: "  undrop gap ls --all --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return env.withApp(c.Context(), func(_ context.Context, a *app.App) error {
				list := a.OpenGaps
				if all {
					list = a.Gaps
				}
				gaps, err := list()
				if err != nil {
					return err
				}
				if env.JSON {
					return env.printJSON(app.GapsAnswer{Gaps: append([]undrop.Gap{}, gaps...)}) // an empty list, not null
				}
				return renderGaps(env.Stdout, gaps)
			})
		},
	}
	c.Flags().BoolVar(&all, "all", false, "closed gaps too")
	env.fileFlag(c)
	env.jsonFlag(c)
	return c
}

func renderGaps(w io.Writer, gaps []undrop.Gap) error {
	if len(gaps) == 0 {
		_, err := fmt.Fprintln(w, "no gaps")
		return err
	}
	g := newGrid("GAP", "STATE", "SOURCE", "REASON", "FROM", "TO", "TABLES", "OPENED")
	for _, gap := range gaps {
		g.add(gap.ID, gap.State, gap.Source, gap.Reason, lsnOrNone(gap.From), lsnOrNone(gap.To), strings.Join(gap.Tables, ","), timeOrNone(gap.OpenedAt))
	}
	return g.write(w)
}

func gapShowCommand(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:     "show ID",
		Short:   "Show one gap with its exact bounds",
		Example: "  undrop gap show core-slot_lost-1 --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return env.withApp(c.Context(), func(_ context.Context, a *app.App) error {
				g, err := a.Gap(args[0])
				if err != nil {
					return err
				}
				if env.JSON {
					return env.printJSON(g)
				}
				return renderGap(env.Stdout, g)
			})
		},
	}
	env.fileFlag(c)
	env.jsonFlag(c)
	return c
}

func renderGap(w io.Writer, gap undrop.Gap) error {
	g := newGrid("gap", gap.ID)
	g.add("state", gap.State)
	g.add("source", gap.Source)
	g.add("reason", gap.Reason)
	g.add("detail", gap.Detail)
	g.add("complete up to", lsnOrNone(gap.From))
	g.add("complete again at", lsnOrNone(gap.To))
	if gap.Topic != "" {
		bounds := none
		if len(gap.Offsets) == 2 {
			bounds = fmt.Sprintf("offsets %d up to, not including, %d", gap.Offsets[0], gap.Offsets[1])
		}
		g.add("topic", gap.Topic)
		g.add("missing", bounds)
	}
	g.add("tables", strings.Join(gap.Tables, ", "))
	g.add("opened", timeOrNone(gap.OpenedAt))
	g.add("closed", timeOrNone(gap.ClosedAt))
	return g.write(w)
}
