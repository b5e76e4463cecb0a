package cli

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	undrop "github.com/undrop/undrop"
)

func TestImportWritesADraftPerTable(t *testing.T) {
	column := undrop.RelationColumn{Name: "id", Type: "bigint", Base: "bigint", Class: "base", NotNull: true}
	all := []undrop.Relation{
		{Schema: "public", Name: "payments", Kind: "table", PrimaryKey: []string{"id"}, Columns: []undrop.RelationColumn{column}},
		{Schema: "public", Name: "log", Kind: "table", Columns: []undrop.RelationColumn{column}},
	}
	dir := t.TempDir()
	run := func(tables int, args ...string) (stdout, stderr string, err error) {
		var out, story bytes.Buffer
		env := &Env{Stdout: &out, Stderr: &story, Log: slog.New(slog.NewTextHandler(&story, nil))}
		c := contractCommand(env, func(_ context.Context, dsn string, patterns []string, look bool) ([]undrop.Relation, error) {
			if dsn != "dsn" || !look || len(patterns) == 0 {
				t.Errorf("asked for %q %q %t", dsn, patterns, look)
			}
			return all[:tables], nil
		})
		c.SetArgs(append([]string{"import", "--source", "dsn"}, args...))
		c.SilenceErrors, c.SilenceUsage = true, true
		err = c.ExecuteContext(t.Context())
		return out.String(), story.String(), err
	}
	code := func(err error) undrop.Code {
		var e *undrop.Error
		if !errors.As(err, &e) || e.Hint == "" {
			t.Errorf("%v has no next step", err)
		}
		return undrop.CodeOf(err)
	}

	stdout, _, err := run(1, "public.payments")
	if err != nil || !strings.Contains(stdout, "physicalName: public.payments") {
		t.Errorf("one table to standard output: %v\n%s", err, stdout)
	}
	if _, _, err = run(2, "public.*"); code(err) != undrop.BadInput {
		t.Errorf("two contracts in one stream: %v", err)
	}
	stdout, stderr, err := run(2, "-o", dir, "public.*")
	if err != nil || !strings.Contains(stdout, "public.payments.odcs.yaml\n") || !strings.Contains(stderr, "history") {
		t.Errorf("two tables to a folder: %v\n%s%s", err, stdout, stderr)
	}
	file := filepath.Join(dir, "public.log.odcs.yaml")
	if err := os.WriteFile(file, []byte("# the owner's words\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err = run(2, "-o", dir, "public.*"); code(err) != undrop.Refused {
		t.Errorf("over an existing file: %v", err)
	}
	if data, err := os.ReadFile(file); err != nil || string(data) != "# the owner's words\n" {
		t.Errorf("the owner's file holds %q, %v", data, err)
	}
	if _, _, err = run(2, "-o", dir, "--force", "public.*"); err != nil {
		t.Error(err)
	}
	stdout, _, err = run(2, "--json", "public.*")
	if err != nil || strings.Count(stdout, `"relation"`) != 2 || !strings.Contains(stdout, `"notes"`) {
		t.Errorf("JSON: %v\n%s", err, stdout)
	}
}
