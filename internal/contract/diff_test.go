package contract

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	undrop "github.com/undrop/undrop"
)

// Every row of the compatibility table has a folder with two versions, the
// verdict that the table asks for, and the whole report as a person reads it.
func TestEveryRowOfTheCompatibilityTable(t *testing.T) {
	dirs, err := filepath.Glob("testdata/diff/*")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]bool{}
	for _, dir := range dirs {
		name := filepath.Base(dir)
		rows[name[:2]] = true
		t.Run(name, func(t *testing.T) {
			old, new := loadFile(t, filepath.Join(dir, "old.odcs.yaml")), loadFile(t, filepath.Join(dir, "new.odcs.yaml"))
			r := Diff(old, new)
			if want := Verdict(strings.TrimSpace(string(read(t, filepath.Join(dir, "verdict"))))); r.Verdict != want {
				t.Errorf("verdict %q, want %q", r.Verdict, want)
			}
			var b strings.Builder
			for _, c := range r.Changes {
				fmt.Fprintf(&b, "%s (breaks %s, table refuses: %t)\n", c, c.Direction, c.TableRefuses)
			}
			fmt.Fprintf(&b, "needs %s, declares %s\n", r.RequiredBump, r.DeclaredBump)
			golden(t, filepath.Join(dir, "report"), b.String())
			refused := r.Verdict.AtLeast(Major) || strings.Contains(b.String(), "table refuses: true")
			if err := Compatible(old, new); (err != nil) != refused {
				t.Errorf("Compatible says %v", err)
			}
			if back := Diff(old, old); len(back.Changes) != 0 {
				t.Errorf("a contract differs from itself: %v", back.Changes)
			}
		})
	}
	for i := 1; i <= 25; i++ {
		if !rows[fmt.Sprintf("%02d", i)] {
			t.Errorf("row %d has no folder", i)
		}
	}
}

func TestVersionMustSayWhatTheChangesDo(t *testing.T) {
	old := string(read(t, "testdata/diff/01-add-nullable-field/old.odcs.yaml"))
	new := string(read(t, "testdata/diff/01-add-nullable-field/new.odcs.yaml"))
	for version, ok := range map[string]bool{"1.0.0": false, "1.0.1": false, "1.1.0": true, "2.0.0": true, "0.9.0": false} {
		err := Compatible(loadText(t, old), loadText(t, strings.Replace(new, "version: 1.1.0", "version: "+version, 1)))
		if (err == nil) != ok {
			t.Errorf("1.0.0 to %s: %v", version, err)
		}
		var e *undrop.Error
		if err != nil && (!errors.As(err, &e) || e.Code != undrop.Refused || e.Hint == "") {
			t.Errorf("%v carries no code or hint", err)
		}
	}
}

func TestIDsSurviveAnInsertedColumn(t *testing.T) {
	old := loadText(t, head+`
      - {name: a, logicalType: string}
      - {name: b, logicalType: array, items: {logicalType: string}}
      - {name: gone, logicalType: string}
`)
	new := loadText(t, head+`
      - {name: new, logicalType: string}
      - {name: b, logicalType: array, items: {logicalType: string}}
      - {name: a, logicalType: string}
`)
	o, n := old.Objects[0], new.Objects[0]
	n.AdoptIDs(o)
	if got := fieldIDs(n); got != "id:1 new:6 b:3 b[]:5 a:2" {
		t.Errorf("ids after adoption: %s (before: %s)", got, fieldIDs(o))
	}
	if n.Table.Fields[2].ID != 3 || n.Table.Fields[2].Type.ElemID != 5 {
		t.Errorf("the table's fields were not renumbered: %+v", n.Table.Fields[2])
	}
}

func fieldIDs(o *Object) string {
	var out []string
	for _, p := range o.Properties {
		out = append(out, fmt.Sprintf("%s:%d", p.Name, p.Field.ID))
		if p.Items != nil {
			out = append(out, fmt.Sprintf("%s:%d", p.Items.Path, p.Items.Field.ID))
		}
	}
	return strings.Join(out, " ")
}

// head begins a contract whose columns follow.
const head = `apiVersion: v3.2.0
kind: DataContract
id: t
name: t
version: 1.0.0
schema:
  - name: t
    properties:
      - {name: id, logicalType: integer, primaryKey: true, required: true}
`

func loadFile(t testing.TB, file string) *Contract {
	t.Helper()
	c, problems := Load(file, read(t, file))
	if c == nil {
		t.Fatal(problems)
	}
	return c
}

func loadText(t testing.TB, text string) *Contract {
	t.Helper()
	c, problems := Load("t.odcs.yaml", []byte(text))
	if c == nil {
		t.Fatal(problems)
	}
	return c
}
