package postgres_test

import (
	"strings"
	"testing"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/postgres"
)

// Schema changes: what still fits goes on, what does not comes as raw rows with
// the reason, until the relation fits again.
func TestDrift(t *testing.T) {
	fits := func(sql string) {
		t.Run("fits: "+sql, func(t *testing.T) {
			t.Parallel()
			tab := notesTable()
			l := newLab(t, []*undrop.Table{tab}, notes)
			l.exec("insert into t values (1, 'a')", sql, "insert into t (id, note) values (2, 'b')")
			got := l.stream()
			want(t, sql, rowsText(got.rows[tab]), `c 1 {"id":1,"note":"a"}
c 1 {"id":2,"note":"b"}`)
			if len(got.drifts) > 0 {
				t.Errorf("drift: %v", got.drifts[0])
			}
		})
	}
	for _, sql := range []string{"alter table t add extra numeric default 42", "alter table t alter note type varchar(5)", "alter table t alter id type smallint",
		"alter table t alter note set not null", "create type e as enum ('a', 'b'); alter table t alter note type e using note::e",
		"create domain d as text; alter table t alter note type d"} {
		fits(sql)
	}
	for name, c := range map[string]struct {
		table                      *undrop.Table
		setup, sql, insert, reason string
		raw                        string
	}{
		"wider integer": {table("t", "*id int", "n int"), "create table t (id int primary key, n int)", "alter table t alter n type bigint", "2, 3000000000",
			"column n: the source has bigint", `c 1 {"id":2,"n":null} bad:schema.drift@ raw:{"id":"2","n":"3000000000"}`},
		"wider numeric": {table("t", "*id int", "n decimal(12,2)"), "create table t (id int primary key, n numeric(12,2))", "alter table t alter n type numeric(14,2)", "2, 1.5",
			"numeric(14,2)", `c 1 {"id":2,"n":null} bad:schema.drift@ raw:{"id":"2","n":"1.50"}`},
		"zone": {table("t", "*id int", "at timestamp"), "create table t (id int primary key, at timestamp)", "alter table t alter at type timestamptz", "2, '2024-01-01 00:00:00+00'",
			"timestamp with time zone", `c 1 {"id":2,"at":null} bad:schema.drift@ raw:{"id":"2","at":"2024-01-01 00:00:00+00"}`},
		"renamed": {table("t", "*id int", "n int"), "create table t (id int primary key, n int)", "alter table t rename n to m", "2, 5",
			"column n is gone", `c 1 {"id":2,"n":null} bad:schema.drift@ raw:{"id":"2","m":"5"}`},
		"dropped": {table("t", "*id int", "n int"), "create table t (id int primary key, n int)", "alter table t drop n", "2",
			"column n is gone", `c 1 {"id":2,"n":null} bad:schema.drift@ raw:{"id":"2"}`},
		"key type": {table("t", "*id int", "n int"), "create table t (id int primary key, n int)", "alter table t alter id type text", "'2', 1",
			"column id: the source has text", `c 1 {"id":null,"n":null} bad:schema.drift@ raw:{"id":"2","n":"1"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, []*undrop.Table{c.table}, c.setup)
			l.exec(c.sql, "insert into t values ("+c.insert+")")
			got := l.stream()
			want(t, "rows", rowsText(got.rows[c.table]), c.raw)
			if len(got.drifts) != 1 || !strings.Contains(got.drifts[0].Reason, c.reason) || got.drifts[0].Table != c.table || got.drifts[0].Position != got.rows[c.table].LSN[0] {
				t.Errorf("drifts %v, want %q", got.drifts, c.reason)
			}
			// The contract could not be read into a COPY either.
			if _, err := postgres.NewCopyDecoder(c.table, l.relation(c.table)); err == nil {
				t.Error("COPY takes what the stream refuses")
			}
		})
	}
}

// A drift ends with the next relation that fits, and other tables never notice.
func TestDriftEnds(t *testing.T) {
	a, b := table("a", "*id int", "n int"), table("b", "*id int", "n int")
	l := newLab(t, []*undrop.Table{a, b}, "create table a (id int primary key, n int); create table b (id int primary key, n int)")
	st := l.open(postgres.StreamConfig{})
	l.exec("insert into a values (1, 1)", "alter table a alter n type bigint", "insert into a values (2, 2)", "update a set id = 3 where id = 2", "insert into b values (1, 1)",
		"delete from a where id = 3", "alter table a alter n type int", "insert into a values (4, 4)")
	got := l.drain(st)
	want(t, "a", rowsText(got.rows[a]), `c 1 {"id":1,"n":1}
c 1 {"id":2,"n":null} bad:schema.drift@ raw:{"id":"2","n":"2"}
d 1 {"id":2,"n":null} bad:schema.drift@ raw:{"id":"2","n":null}
c 2 {"id":3,"n":null} bad:schema.drift@ raw:{"id":"3","n":"2"}
d 1 {"id":3,"n":null} bad:schema.drift@ raw:{"id":"3","n":null}
c 1 {"id":4,"n":4}`)
	want(t, "b", rowsText(got.rows[b]), `c 1 {"id":1,"n":1}`)
	if len(got.drifts) != 1 {
		t.Errorf("drifts %v", got.drifts)
	}
}

// A type that is gone by the time its rows are read is not guessed.
func TestDriftOfATypeThatIsGone(t *testing.T) {
	tab := table("t", "*id int", "n decimal(12,2)", "e string")
	l := newLab(t, []*undrop.Table{tab}, "create domain amount as numeric(12,2); create type e as enum ('x'); create table t (id int primary key, n amount, e e)")
	l.exec("insert into t values (1, 1.5, 'x')", "alter table t alter n type numeric(12,2), alter e type text; drop domain amount; drop type e", "insert into t values (2, 1.5, 'x')")
	got := l.stream()
	want(t, "rows", rowsText(got.rows[tab]), `c 1 {"id":1,"n":null,"e":null} bad:schema.drift@ raw:{"id":"1","n":"1.50","e":"x"}
c 1 {"id":2,"n":"1.50","e":"x"}`)
}
