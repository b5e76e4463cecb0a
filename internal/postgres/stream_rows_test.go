package postgres_test

import (
	"fmt"
	"strings"
	"testing"

	undrop "github.com/undrop/undrop"
)

// What becomes of each kind of change, row for row.
func TestRowsOfChanges(t *testing.T) {
	plain := "create table t (id int primary key, note text)"
	toast := "create table t (id int primary key, n int, body text, note text); alter table t alter body set storage external; "
	full := "; alter table t replica identity full"
	body := strings.Repeat("x", 3000)
	for name, c := range map[string]struct {
		setup string
		table *undrop.Table
		sql   []string // each a transaction
		want  string
	}{
		"insert update delete": {plain, table("t", "*id int", "note string"),
			[]string{"begin; insert into t values (1, 'a'), (2, null); update t set note = 'b' where id = 1; commit", "delete from t where id = 1"},
			`c 1 {"id":1,"note":"a"}
			 c 2 {"id":2,"note":null}
			 u 3 {"id":1,"note":"b"}
			 d 1 {"id":1,"note":null}`},
		"key change": {plain, table("t", "*id int", "note string"),
			[]string{"insert into t values (1, 'a')", "begin; update t set note = 'b'; update t set id = 2; update t set id = 3, note = 'c'; commit"},
			`c 1 {"id":1,"note":"a"}
			 u 1 {"id":1,"note":"b"}
			 d 2 {"id":1,"note":null}
			 c 3 {"id":2,"note":"b"}
			 d 4 {"id":2,"note":null}
			 c 5 {"id":3,"note":"c"}`},
		"composite text key": {`create table t (a text, b numeric(4,1), note text, primary key (b, a))`, table("t", "*a string", "*b decimal(4,1)", "note string"),
			[]string{"insert into t values ('x', 1, 'n')", "update t set a = 'y'", "update t set note = 'm'", "delete from t"},
			`c 1 {"a":"x","b":"1.0","note":"n"}
			 d 1 {"a":"x","b":"1.0","note":null}
			 c 2 {"a":"y","b":"1.0","note":"n"}
			 u 1 {"a":"y","b":"1.0","note":"m"}
			 d 1 {"a":"y","b":"1.0","note":null}`},
		"unchanged toast": {toast, table("t", "*id int", "n int", "body string", "note string"),
			[]string{"insert into t values (1, 1, repeat('x', 3000), 'a')", "update t set n = 2", "update t set id = 5"},
			`c 1 {"id":1,"n":1,"body":"` + body + `","note":"a"}
			 u 1 {"id":1,"n":2,"body":null,"note":"a"} unchanged:body
			 d 1 {"id":1,"n":null,"body":null,"note":null}
			 c 2 {"id":5,"n":2,"body":null,"note":"a"} unchanged:body moved`},
		"unchanged toast, identity full": {toast + full, table("t", "*id int", "n int", "body string", "note string"),
			[]string{"insert into t values (1, 1, repeat('x', 3000), null)", "update t set n = 2", "update t set id = 5", "delete from t"},
			`c 1 {"id":1,"n":1,"body":"` + body + `","note":null}
			 u 1 {"id":1,"n":2,"body":"` + body + `","note":null}
			 d 1 {"id":1,"n":2,"body":"` + body + `","note":null}
			 c 2 {"id":5,"n":2,"body":"` + body + `","note":null}
			 d 1 {"id":5,"n":2,"body":"` + body + `","note":null}`},
		"unchanged toast in a bad row": {toast, table("t", "*id int", "n int", "body string", "note timestamp"),
			[]string{"alter table t alter note type timestamp using null", "insert into t values (1, 1, repeat('x', 3000), '2024-01-01')", "update t set note = 'infinity'"},
			`c 1 {"id":1,"n":1,"body":"` + body + `","note":"2024-01-01 00:00:00"}
			 u 1 {"id":1,"n":1,"body":null,"note":null} unchanged:body bad:timestamp.infinity@note raw:{"id":"1","n":"1","note":"infinity"}`},
		"toasted key": {"create table t (id text primary key, n int); alter table t alter id set storage external", table("t", "*id string", "n int"),
			[]string{"insert into t values (repeat('x', 2500), 1)", "update t set n = 2"},
			`c 1 {"id":"` + body[:2500] + `","n":1}
			 u 1 {"id":"` + body[:2500] + `","n":2}`},
		"no key, identity full": {"create table t (a int, b text)" + full, table("t", "a int", "b string"),
			[]string{"insert into t values (1, 'x'), (1, 'x')", "update t set b = 'y' where ctid = '(0,1)'", "delete from t where b = 'x'"},
			`c 1 {"a":1,"b":"x"}
			 c 2 {"a":1,"b":"x"}
			 d 1 {"a":1,"b":"x"}
			 c 2 {"a":1,"b":"y"}
			 d 1 {"a":1,"b":"x"}`},
		"truncate": {plain + "; create table o (id int primary key references t)", table("t", "*id int", "note string"),
			[]string{"begin; insert into t values (1, 'a'); truncate t, o restart identity; insert into t values (2, 'b'); commit"},
			`c 1 {"id":1,"note":"a"}
			 t 2 {"id":null,"note":null}
			 c 3 {"id":2,"note":"b"}`},
		"what was rolled back is absent": {plain, table("t", "*id int", "note string"),
			[]string{"begin; insert into t values (1, 'never'); rollback",
				"begin; insert into t values (2, 'a'); savepoint s; insert into t values (3, 'never'); update t set note = 'never'; rollback to s; savepoint s2; insert into t values (4, 'b'); release s2; commit"},
			`c 1 {"id":2,"note":"a"}
			 c 2 {"id":4,"note":"b"}`},
		"partitions by way of the root": {"create table t (id int, k text, note text, primary key (id, k)) partition by list (k); create table t_a partition of t for values in ('a'); create table t_b partition of t for values in ('b') partition by list (id); create table t_b1 partition of t_b default",
			table("t", "*id int", "*k string", "note string"),
			[]string{"insert into t values (1, 'a', 'x'), (2, 'b', 'y')", "update t set k = 'b' where id = 1", "truncate t"},
			`c 1 {"id":1,"k":"a","note":"x"}
			 c 2 {"id":2,"k":"b","note":"y"}
			 d 1 {"id":1,"k":"a","note":null}
			 c 2 {"id":1,"k":"b","note":"x"}
			 t 1 {"id":null,"k":null,"note":null}`},
		"names in any case": {`create table "Select" ("Id" int primary key, "group" text, "ünï ""q""" int)`, table("Select", "*Id int", "group string"),
			[]string{`insert into "Select" values (1, 'a', 5)`},
			`c 1 {"Id":1,"group":"a"}`},
		"identity by an index": {"create table t (id int primary key, code text not null unique, note text); alter table t replica identity using index t_code_key", table("t", "id int", "*code string", "note string"),
			[]string{"insert into t values (1, 'a', 'x')", "update t set note = 'y'", "update t set code = 'b'", "delete from t"},
			`c 1 {"id":1,"code":"a","note":"x"}
			 u 1 {"id":1,"code":"a","note":"y"}
			 d 1 {"id":null,"code":"a","note":null}
			 c 2 {"id":1,"code":"b","note":"y"}
			 d 1 {"id":null,"code":"b","note":null}`},
		"a delete needs only its key": {"create table t (id int primary key, at timestamp)" + full, table("t", "*id int", "at timestamp"),
			[]string{"insert into t values (1, 'infinity')", "delete from t"},
			`c 1 {"id":1,"at":null} bad:timestamp.infinity@at raw:{"id":"1","at":"infinity"}
			 d 1 {"id":1,"at":null}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, []*undrop.Table{c.table}, c.setup)
			l.exec(c.sql...)
			want(t, name, rowsText(l.stream().rows[c.table]), strings.ReplaceAll(c.want, "\n\t\t\t ", "\n"))
		})
	}
}

// null is what the contract says for values that its types do not hold.
func TestDeclaredNulls(t *testing.T) {
	tab := table("t", "*id int", "f double", "n decimal(4,1)", "at timestamptz", "l list<decimal(4,1)>", "p struct<d:date>")
	for i := range tab.Fields {
		f := &tab.Fields[i]
		f.OnNaN, f.OnInfinity, f.OnOverflow, f.SourceType = undrop.BadNull, undrop.BadNull, undrop.BadNull, "numeric"
	}
	tab.Fields[5].Type.Fields[0].OnInfinity = undrop.BadNull
	l := newLab(t, []*undrop.Table{tab}, "create type p as (d date); create table t (id int primary key, f float8, n numeric, at timestamptz, l numeric[], p p)")
	l.exec("insert into t values (1, 'NaN', 'NaN', 'infinity', '{1,NaN,1000}', row('infinity')), (2, 'Infinity', 1000, '10000-01-01', '{0.05}', row('0044-01-01 BC'))")
	text := `%[1]s 1 {"id":1,"f":null,"n":null,"at":null,"l":["1.0",null,null],"p":{"d":null}}
%[1]s 2 {"id":2,"f":null,"n":null,"at":null,"l":[null],"p":null} bad:date.range@p.d raw:{"id":"2","f":"Infinity","n":"1000","at":"10000-01-01 00:00:00+00","l":["0.05"],"p":{"d":"0044-01-01 BC"}}`
	want(t, "stream", rowsText(l.stream().rows[tab]), strings.ReplaceAll(text, "%[1]s", "c"))
	got := strings.NewReplacer("r 0 {\"id\":1", "r 1 {\"id\":1", "r 0 {\"id\":2", "r 2 {\"id\":2").Replace(rowsText(l.copied(tab)))
	want(t, "copy", got, strings.ReplaceAll(text, "%[1]s", "r"))
}

// Two hundred columns, and names that need quotes, by both roads.
func TestWideTable(t *testing.T) {
	columns, create, values := []string{"*id int"}, "create table wide (id int primary key", "1"
	for i := range 200 {
		name, typ, kind, value := fmt.Sprintf("Col-%d", i), "text", "string", fmt.Sprintf("'v%d'", i)
		if i%3 == 0 {
			typ, kind, value = "numeric(9,3)", "decimal(9,3)", fmt.Sprintf("%d.25", i)
		}
		create += `, "` + name + `" ` + typ
		values += ", " + value
		columns = append(columns, name+" "+kind)
	}
	tab := table("wide", columns...)
	l := newLab(t, []*undrop.Table{tab}, create+")")
	l.exec("insert into wide values (" + values + ")")
	streamed, copied := rowsText(l.stream().rows[tab]), rowsText(l.copied(tab))
	if streamed[3:] != copied[3:] || !strings.Contains(streamed, `"Col-0":"0.250"`) || !strings.Contains(streamed, `"Col-199":"v199"}`) {
		t.Errorf("streamed %s\ncopied %s", streamed, copied)
	}
}
