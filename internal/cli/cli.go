// Package cli turns a command line into one call of package app and the answer
// into text or JSON: one file per command. It decides nothing about data and
// names no engine.
//
// The answer goes to standard output, the story (log, progress, errors) to
// standard error, and the exit code is that of the error's undrop.Code.
package cli

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/app"
)

func init() { cobra.EnableCommandSorting = false } // help follows the order of commands

// commands are all verbs, in the order in which help shows them.
func commands(env *Env) []*cobra.Command {
	return []*cobra.Command{
		demoCommand(env),
		initCommand(env),
		upCommand(env),
		statusCommand(env),
		tableCommand(env),
		quarantineCommand(env),
		gapCommand(env),
		contractCommand(env, app.Relations),
		benchCommand(env),
		versionCommand(env),
	}
}

// Run runs one command line (without the program's name) and returns the exit
// code. It returns only when everything that it started has ended.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	env := newEnv(stdin, stdout, stderr)
	// A flag that does not parse is an error too, and a script that asked for
	// JSON wants that one in JSON as well.
	env.JSON = slices.Contains(args, "--json")
	err := run(ctx, env, args)
	env.Progress.Done()
	if err == nil {
		return 0
	}
	return env.fail(ctx, err)
}

// run builds the command tree, so that each run has its own flags, and executes it.
func run(ctx context.Context, env *Env, args []string) error {
	started := false
	root := rootCommand(env)
	root.AddCommand(commands(env)...)
	eachCommand(root, func(c *cobra.Command) {
		if work := c.RunE; work != nil {
			c.RunE = func(c *cobra.Command, args []string) error {
				if err := env.start(); err != nil {
					return err
				}
				started = true
				return work(c, args)
			}
		}
	})
	root.SetArgs(args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	c, err := root.ExecuteContextC(ctx)
	if err == nil || started || undrop.CodeOf(err) != undrop.Failed {
		return err
	}
	// What fails before the command's own work is a mistake in the command line.
	return usageError(c, err)
}

func rootCommand(env *Env) *cobra.Command {
	root := &cobra.Command{
		Use:   "undrop",
		Short: "Land databases in Apache Iceberg under data contracts, with every row accounted for",
		Long: `undrop lands operational databases in Apache Iceberg tables under data contracts.
Every snapshot of every table is a state that the source really had, and says which.`,
		Example: `  undrop demo                                  # see it work on this machine
  undrop init --source "$CORE_DSN" ./bank      # draft contracts for your own database
  undrop up -f ./bank/undrop.yaml              # run it`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE:          groupRun,
	}
	flags := root.PersistentFlags()
	flags.StringVar(&env.logFormat, "log", "text", "how the story on standard error is written: text or json")
	flags.StringVar(&env.logLevel, "log-level", "info", "the least important line that is shown: debug, info, warn or error")
	root.SetFlagErrorFunc(flagError)
	root.SetHelpCommand(helpCommand(root))
	return root
}

// group makes a command that only holds others.
func group(use, short, example string, subs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Example: example, Args: cobra.ArbitraryArgs, RunE: groupRun}
	c.AddCommand(subs...)
	return c
}

// groupRun is reached when none of the subcommands has the name that was typed.
func groupRun(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return unknownCommand(c, args[0])
	}
	if err := c.Help(); err != nil {
		return fmt.Errorf("print help: %w", err)
	}
	if c.HasParent() { // undrop alone asks "what can you do"; undrop table alone is half a sentence
		return &undrop.Error{Code: undrop.BadInput, Op: c.CommandPath(), Err: errNoSubcommand, Hint: c.CommandPath() + " --help"}
	}
	return nil
}

// helpCommand is cobra's help, except that an unknown topic is an error.
func helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [command]",
		Short: "Help about any command",
		RunE: func(_ *cobra.Command, args []string) error {
			c, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return unknownCommand(c, rest[0])
			}
			c.InitDefaultHelpFlag()
			return c.Help()
		},
	}
}

func eachCommand(c *cobra.Command, fn func(*cobra.Command)) {
	fn(c)
	for _, sub := range c.Commands() {
		eachCommand(sub, fn)
	}
}
