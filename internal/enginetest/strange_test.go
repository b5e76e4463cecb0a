package enginetest_test

import (
	_ "embed"
	"fmt"
	"strings"
	"testing"

	"github.com/undrop/undrop/internal/postgres/postgrestest"
)

//go:embed testdata/strange.sql
var strange string

// strangeDatabase makes the database, with the parts that are easier to say in a
// loop.
func strangeDatabase(t *testing.T) string {
	t.Helper()
	types := []string{"int", "text", "numeric", "timestamptz", "jsonb"}
	values := []string{"1", "'t'", "1.5", "'2024-01-01 00:00:00+00'", `'{"a": 1}'`}
	cols, vals := make([]string, 200), make([]string, 200)
	for i := range cols {
		cols[i] = fmt.Sprintf("c%d %s", i, types[i%len(types)])
		vals[i] = values[i%len(values)]
	}
	wide := "create table wide(id int primary key, " + strings.Join(cols, ", ") + ");" +
		"insert into wide values (1, " + strings.Join(vals, ", ") + "), (2" + strings.Repeat(", null", 200) + ")"
	return postgrestest.NewDatabase(t, textual, strange, wide)
}

func TestStrangeDatabase(t *testing.T) {
	dsn := strangeDatabase(t)
	inst := newInstallation(t, dsn, "core")
	for _, c := range inst.init.Contracts {
		t.Log(c.Relation, c.Table, c.Mode)
	}
	for _, l := range inst.init.LeftOut {
		t.Log("left out", l)
	}
	inst.catchUp()
	inst.compare(nil)
}
