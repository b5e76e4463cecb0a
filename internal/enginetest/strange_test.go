package enginetest_test

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/enginetest"
	"github.com/undrop/undrop/internal/postgres/postgrestest"
)

//go:embed testdata/strange.sql
var strange string

//go:embed testdata/changes.sql
var changes string

// strangeDatabase makes the database, with the part that is easier to say in a
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
	setup := strange
	if postgrestest.Query(t, postgrestest.NewDatabase(t), "show server_version_num")[0][0] < "150000" {
		// Such scales came with PostgreSQL 15; plain ones stand for them.
		setup = strings.NewReplacer("rounded numeric(5, -2)", "rounded numeric(7)", "tiny numeric(3, 5)", "tiny numeric(5, 5)").Replace(setup)
	}
	return postgrestest.NewDatabase(t, textual, setup, wide)
}

// TestStrangeDatabase lands a database that nobody made for undrop by both lanes,
// changes it, and has an engine that is not ours read the mart. Seen to fail: with
// the session's interval style left at the server's default.
func TestStrangeDatabase(t *testing.T) {
	dsn := strangeDatabase(t)
	direct := newInstallation(t, dsn, "direct")
	byLog := newInstallation(t, dsn, "bylog")
	byLog.edit(byLog.file, "lane: direct", "lane: log")
	direct.leftOut("public.kept", "public.no_columns", "public.seen", "public.volatile")

	for _, inst := range []*installation{direct, byLog} {
		inst.catchUp()
		inst.compare(nil)
		inst.stamped()
	}
	sameRows(t, direct, byLog)
	if t.Failed() {
		t.FailNow()
	}
	for _, s := range statements(changes) {
		direct.sql(s)
	}
	for _, inst := range []*installation{direct, byLog} {
		inst.catchUp()
		inst.compare(nil)
	}
	sameRows(t, direct, byLog)
	direct.quarantined(nil)
	direct.surface()
}

// statements splits a file into what one connection runs at a time: a
// transaction of its own for each statement, unless the file says begin.
func statements(file string) []string {
	var all []string
	var one strings.Builder
	quoted, open := false, false
	for line := range strings.Lines(file) {
		text, _, _ := strings.Cut(line, " -- ")
		if strings.HasPrefix(text, "--") {
			continue
		}
		one.WriteString(line)
		quoted = quoted != (strings.Count(line, "$$")%2 == 1)
		switch strings.TrimSpace(text) {
		case "begin;":
			open = true
		case "commit;", "rollback;":
			open = false
		}
		if text = strings.TrimSpace(text); strings.HasSuffix(text, ";") && !quoted && !open {
			all = append(all, one.String())
			one.Reset()
		}
	}
	return append(all, one.String())
}

// leftOut wants init to have named exactly these relations as not captured.
func (i *installation) leftOut(want ...string) {
	i.t.Helper()
	var have []string
	for _, l := range i.init.LeftOut {
		if l.Reason == "" {
			i.t.Errorf("%s is left out without a reason", l.Relation)
		}
		have = append(have, l.Relation)
	}
	slices.Sort(have)
	if !slices.Equal(have, want) {
		i.t.Errorf("init left out %q, want %q", have, want)
	}
}

// stamped wants every row of a table that was only loaded to have the load's
// position: one LSN below the snapshot's, and no sequence number.
func (i *installation) stamped() {
	i.t.Helper()
	for name, mart := range i.marts() {
		lsn, _ := column(mart, "_undrop_lsn")
		seq, _ := column(mart, "_undrop_seq")
		lane, _ := column(mart, "_undrop_lane")
		source, _ := column(mart, "_undrop_source")
		for _, row := range mart.Cells {
			if *row[lsn] != *mart.Cells[0][lsn] || *row[seq] != "0" || *row[lane] != "snapshot" || *row[source] != i.init.Source {
				i.t.Errorf("%s: row with lsn %s seq %s lane %s source %s", name, *row[lsn], *row[seq], *row[lane], *row[source])
			}
		}
	}
}

// sameRows compares what two installations made of the same source: every cell
// but those that name the installation's own source and its load.
func sameRows(t *testing.T, a, b *installation) {
	t.Helper()
	other := b.marts()
	for name, mart := range a.marts() {
		rows := [2]map[string]int{{}, {}}
		own := map[string]bool{"_undrop_source": true}
		for side, m := range []*enginetest.Rows{mart, other[name]} {
			if m == nil {
				t.Errorf("%s: only one installation has it", name)
				break
			}
			lane, _ := column(m, "_undrop_lane")
			for _, cells := range m.Cells {
				var row []any
				for n, c := range m.Columns {
					loaded := *cells[lane] == "snapshot" && (c.Name == "_undrop_lsn" || c.Name == "_undrop_committed_at")
					if cells[n] == nil || own[c.Name] || loaded {
						row = append(row, cells[n] == nil)
						continue
					}
					row = append(row, *cells[n])
				}
				rows[side][rowText(row)]++
			}
		}
		diff(t, name+" by two lanes", rows[0], rows[1])
	}
}

// quarantined wants exactly these rows in quarantine: "table key path rule".
func (i *installation) quarantined(want []string) {
	i.t.Helper()
	var have []string
	for _, r := range i.quarantine().Records {
		for _, v := range r.Violations {
			var key bytes.Buffer
			if err := json.Compact(&key, r.Key); err != nil {
				i.t.Fatal(err)
			}
			have = append(have, fmt.Sprintf("%s %s %s %s", r.Table, &key, v.Path, v.Rule))
		}
	}
	slices.Sort(have)
	slices.Sort(want)
	if !slices.Equal(have, want) {
		i.t.Errorf("quarantine holds\n  %s\nwant\n  %s", strings.Join(have, "\n  "), strings.Join(want, "\n  "))
	}
	for _, r := range i.quarantine().Records {
		if r.Version == "" || r.Position() == (undrop.Position{}) {
			i.t.Errorf("record %s of %s does not name contract version and position", r.RecordID, r.Table)
		}
	}
}
