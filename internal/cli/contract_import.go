package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/contract"
)

// draftAnswer is one drafted contract.
type draftAnswer struct {
	Relation string   `json:"relation"`
	Table    string   `json:"table"`
	File     string   `json:"file,omitempty"`
	Contract string   `json:"contract,omitempty"` // when no folder was given
	Notes    []string `json:"notes"`
}

func contractImportCommand(env *Env, relations Relations) *cobra.Command {
	var dsn, out, namespace string
	var quick, force bool
	c := &cobra.Command{
		Use:   "import --source DSN TABLE...",
		Short: "Draft contracts for live tables",
		Long: `Drafts a contract for each table that matches a pattern (schema.table, with * for
any characters). The drafts carry every value that the tables hold; what only an
owner can decide is marked with OWNER. Live values are looked at, so that a type
is not narrower than they are, unless --quick is given.`,
		Example: "  undrop contract import --source \"$CORE_DSN\" public.payments > payments.odcs.yaml\n  undrop contract import --source \"$CORE_DSN\" -o contracts 'public.*'",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if dsn == "" {
				return usageError(cmd, errors.New("--source is missing"))
			}
			rels, err := relations(cmd.Context(), dsn, args, !quick)
			if err != nil {
				return err
			}
			if len(rels) > 1 && out == "" && !env.JSON {
				return &undrop.Error{Code: undrop.BadInput, Op: "draft contracts", Err: fmt.Errorf("%d tables match, and a contract is one file", len(rels)), Hint: "give a folder with -o"}
			}
			drafts, err := draftAll(env, rels, contract.DraftOptions{Namespace: namespace}, out, force)
			if err != nil {
				return err
			}
			if env.JSON {
				return env.printJSON(map[string]any{"contracts": drafts})
			}
			return printDrafts(env, drafts)
		},
	}
	c.Flags().StringVar(&dsn, "source", "", "the source database: a PostgreSQL URL or key=value string")
	c.Flags().StringVarP(&out, "output", "o", "", "write NAMESPACE.TABLE.odcs.yaml files into this folder")
	c.Flags().StringVar(&namespace, "namespace", "", "namespace of the mart tables (default: the table's schema)")
	c.Flags().BoolVar(&quick, "quick", false, "do not look at live values")
	c.Flags().BoolVar(&force, "force", false, "overwrite files that exist")
	env.jsonFlag(c)
	return c
}

func draftAll(env *Env, rels []undrop.Relation, opts contract.DraftOptions, out string, force bool) ([]draftAnswer, error) {
	drafts := []draftAnswer{}
	taken := map[string]string{}
	for _, rel := range rels {
		data, notes := contract.Draft(rel, opts)
		d := draftAnswer{Relation: contract.RelationName(rel.Schema, rel.Name), Table: opts.TableName(rel).String(), Notes: append([]string{}, notes...)}
		if first, ok := taken[d.Table]; ok {
			return nil, &undrop.Error{Code: undrop.BadInput, Op: "draft contracts", Err: fmt.Errorf("%s and %s would both be table %s", first, d.Relation, d.Table),
				Hint: "import them one at a time and choose undrop.table in one of them"}
		}
		taken[d.Table] = d.Relation
		for _, n := range notes {
			env.Log.Warn(n)
		}
		if out == "" {
			d.Contract = string(data)
		} else {
			d.File = filepath.Join(out, d.Table+".odcs.yaml")
			if err := writeDraft(d.File, data, force); err != nil {
				return nil, err
			}
		}
		drafts = append(drafts, d)
	}
	return drafts, nil
}

func writeDraft(file string, data []byte, force bool) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(file, flags, 0o644)
	if errors.Is(err, os.ErrExist) {
		return &undrop.Error{Code: undrop.Refused, Op: "write " + file, Err: errors.New("the file exists; what an owner wrote into it would be lost"), Hint: "--force to overwrite it"}
	}
	if err != nil {
		return fmt.Errorf("create contract: %w", err)
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}

func printDrafts(env *Env, drafts []draftAnswer) error {
	for _, d := range drafts {
		text := d.Contract
		if d.File != "" {
			text = d.File + "\n"
		}
		if err := printText(env, text); err != nil {
			return err
		}
	}
	return nil
}
