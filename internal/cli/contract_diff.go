package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/contract"
)

func contractDiffCommand(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Say what a new version of a contract breaks, and for whom",
		Long: `Compares two versions of a contract change by change: patch, minor,
minor-with-plan, major or forbidden. What registries and tables let through in
silence (unit, scale, zone, key, enum) is judged as well. Exit code 4 if a
change is major or forbidden, or needs a higher version than the new one has.`,
		Example: "  undrop contract diff payments-1.0.0.odcs.yaml payments-1.1.0.odcs.yaml",
		Args:    cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			old, err := loadContract(env, args[0], false)
			if err != nil {
				return err
			}
			new, err := loadContract(env, args[1], false)
			if err != nil {
				return err
			}
			r := contract.Diff(old, new)
			if env.JSON {
				err = env.printJSON(r)
			} else {
				err = printDiff(env, r)
			}
			if err != nil {
				return err
			}
			return diffVerdict(r, args)
		},
	}
	env.jsonFlag(c)
	return c
}

func printDiff(env *Env, r contract.Report) error {
	var b strings.Builder
	for _, c := range r.Changes {
		fmt.Fprintln(&b, c)
	}
	verdict := string(r.Verdict)
	if verdict == "" {
		verdict = "no change"
	}
	fmt.Fprintf(&b, "%s: needs a version step %s, has %s (%s -> %s)\n", verdict, r.RequiredBump, r.DeclaredBump, r.Old.Version, r.New.Version)
	return printText(env, b.String())
}

func diffVerdict(r contract.Report, args []string) error {
	e := &undrop.Error{Code: undrop.Damaged, Op: "compare contracts"}
	switch {
	case r.Verdict.AtLeast(contract.Forbidden):
		e.Err, e.Hint = fmt.Errorf("a change is forbidden on the existing table"), "keep the old column and add another one, or land a new table (undrop.table)"
	case r.Verdict.AtLeast(contract.Major):
		e.Err, e.Hint = fmt.Errorf("a change breaks a promise"), "land a new table (undrop.table) beside the old one until its readers have moved"
	case !r.BumpOK():
		e.Err, e.Hint = fmt.Errorf("version %s says less than the changes do", r.New.Version), fmt.Sprintf("set the %s version in %s", r.RequiredBump, args[1])
	default:
		return nil
	}
	return e
}
