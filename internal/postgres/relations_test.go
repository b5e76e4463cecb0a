package postgres_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/postgres/postgrestest"
)

const everyRelation = `
create schema "Odd.Schema";
create type mood as enum ('sad', 'it''s ok', 'happy');
create type point3 as (x numeric(5,2), y float8, label text);
create domain positive as numeric(12,2) check (value > 0);
create domain small_positive as positive;
create domain tags as text[];
create table plain (
	id bigint generated always as identity primary key,
	"Mixed Case" varchar(10) not null default 'x',
	m mood, ms mood[], p point3, d small_positive, ds small_positive[], t tags,
	n numeric(12,2)[], r int4range, v int2vector,
	twice bigint generated always as (id * 2) stored
);
comment on table plain is 'a plain table';
comment on column plain.m is 'a mood';
alter table plain drop column r;
create table parted (id int, at date, primary key (id, at)) partition by range (at);
create table parted_2024 partition of parted for values from ('2024-01-01') to ('2025-01-01');
create table parted_2025 partition of parted for values from ('2025-01-01') to ('2026-01-01') partition by list (id);
create table parted_2025_1 partition of parted_2025 for values in (1);
create unlogged table "Odd.Schema"."Select" (a int not null, b text);
create unique index odd_key on "Odd.Schema"."Select" (a) include (b);
alter table "Odd.Schema"."Select" replica identity using index odd_key;
create table late (id int primary key deferrable initially deferred);
create table whole (a int);
alter table whole replica identity full;
create view v_plain as select id from plain;
create materialized view m_plain as select id from plain;
insert into parted values (1, '2024-02-02'), (1, '2025-02-02');
`

func TestRelationsAreDescribed(t *testing.T) {
	s := open(t, postgrestest.NewDatabase(t, everyRelation))
	all, err := s.Relations(t.Context(), nil, false)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range all {
		got = append(got, fmt.Sprintf("%s.%s %s unlogged=%v identity=%s%v key=%v", r.Schema, r.Name, r.Kind, r.Unlogged, r.Identity, r.IdentityKey, r.PrimaryKey))
	}
	want := []string{
		"Odd.Schema.Select table unlogged=true identity=index[a] key=[]",
		"public.late table unlogged=false identity=nothing[] key=[id]",
		"public.m_plain matview unlogged=false identity=default[] key=[]",
		"public.parted partitioned unlogged=false identity=default[] key=[id at]",
		"public.plain table unlogged=false identity=default[] key=[id]",
		"public.v_plain view unlogged=false identity=nothing[] key=[]",
		"public.whole table unlogged=false identity=full[] key=[]",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	plain := all[4]
	if plain.Comment != "a plain table" || plain.Rows != -1 {
		t.Errorf("comment %q, rows %d", plain.Comment, plain.Rows)
	}
	got = nil
	for _, c := range plain.Columns {
		got = append(got, fmt.Sprintf("%d %s|%s|%s|%s|%d enum, %d members|null=%v gen=%v ident=%v|%s|%s", c.Attnum, c.Name, c.Type, c.Class, c.Base,
			len(c.Enum), len(c.Members), !c.NotNull, c.Generated, c.Identity, c.Default, c.Comment))
	}
	want = []string{
		"1 id|bigint|base|bigint|0 enum, 0 members|null=false gen=false ident=true||",
		"2 Mixed Case|character varying(10)|base|character varying(10)|0 enum, 0 members|null=false gen=false ident=false|'x'::character varying|",
		"3 m|public.mood|enum|public.mood|3 enum, 0 members|null=true gen=false ident=false||a mood",
		"4 ms|public.mood[]|array|public.mood|3 enum, 0 members|null=true gen=false ident=false||",
		"5 p|public.point3|composite|public.point3|0 enum, 3 members|null=true gen=false ident=false||",
		"6 d|public.small_positive|domain|numeric(12,2)|0 enum, 0 members|null=true gen=false ident=false||",
		"7 ds|public.small_positive[]|array|numeric(12,2)|0 enum, 0 members|null=true gen=false ident=false||",
		"8 t|public.tags|domain|text[]|0 enum, 0 members|null=true gen=false ident=false||",
		"9 n|numeric(12,2)[]|array|numeric(12,2)|0 enum, 0 members|null=true gen=false ident=false||",
		"11 v|int2vector|base|int2vector|0 enum, 0 members|null=true gen=false ident=false||",
		"12 twice|bigint|base|bigint|0 enum, 0 members|null=true gen=true ident=false||",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if m := plain.Columns[4].Members; len(m) != 3 || m[0].Base != "numeric(5,2)" || m[2].Name != "label" {
		t.Errorf("members of point3: %+v", m)
	}
}

func TestRelationPatterns(t *testing.T) {
	s := open(t, postgrestest.NewDatabase(t, everyRelation))
	for _, c := range []struct {
		patterns []string
		want     string
		text     string // of the error
		hint     string
	}{
		{patterns: []string{"plain"}, want: "public.plain"},
		{patterns: []string{"public.p*", "plain"}, want: "public.parted public.plain"},
		{patterns: []string{"Odd*.*"}, want: "Odd.Schema.Select"},
		{patterns: []string{"*.*plain"}, want: "public.m_plain public.plain public.v_plain"},
		{patterns: []string{"plain", "plane"}, text: "no table has that name", hint: "public.plain"},
		{patterns: []string{"parted_2024"}, text: "is a partition of public.parted", hint: "public.parted"},
		{patterns: []string{"pg_catalog.pg_class"}, text: "no table", hint: "public.plain"},
		{patterns: []string{"select"}, text: "no table", hint: "Odd.Schema.Select"},
	} {
		t.Run(strings.Join(c.patterns, ","), func(t *testing.T) {
			rels, err := s.Relations(t.Context(), c.patterns, false)
			if c.text != "" {
				wantHint(t, err, c.text, c.hint)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range rels {
				got = append(got, r.Schema+"."+r.Name)
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("got %v, want %s", got, c.want)
			}
		})
	}
}

// A look finds the values that a narrower type would lose, in columns, arrays and
// domains, and says of which columns it knows nothing.
func TestLookFindsWhatIcebergCannotHold(t *testing.T) {
	s := open(t, postgrestest.NewDatabase(t, `
create domain amount as numeric;
create type pair as (a float8, b int);
create table clean (id int primary key, n numeric, f float8, d date, ts timestamp, tz timestamptz, tm time, a int[], na float4[], dom amount, txt text);
insert into clean values (1, 1, 1, '0001-01-01', '9999-12-31 23:59:59.999999', '9999-12-31 23:59:59.999999Z', '23:59:59.999999', '{1,null}', '{1.5}', 3, 'NaN');
insert into clean (id) values (2);
create table dirty (like clean);
alter table dirty alter id drop not null;
insert into dirty (n) values ('NaN'), ('-Infinity');
insert into dirty (f) values ('Infinity');
insert into dirty (d) values ('infinity'), ('0001-01-01 BC');
insert into dirty (ts) values ('10000-01-01');
insert into dirty (tz) values ('-infinity');
insert into dirty (tm) values ('24:00:00');
insert into dirty (a) values ('{{1},{2}}'), ('{}');
insert into dirty (na) values ('{1,NaN}');
insert into dirty (dom) values ('NaN');
create table dimmed (a int[], p pair);
insert into dimmed values ('[0:1]={1,2}', (1, 2));
`))
	flags := func(name string) string {
		rels, err := s.Relations(t.Context(), []string{name}, true)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, c := range rels[0].Columns {
			f := c.Name
			for _, n := range []struct {
				on   bool
				text string
			}{{!c.Looked, "?"}, {c.HasNaN, "nan"}, {c.HasInfinity, "inf"}, {c.OutOfRange, "range"}, {c.Nested, "nested"}} {
				if n.on {
					f += ":" + n.text
				}
			}
			out = append(out, f)
		}
		return strings.Join(out, " ")
	}
	for name, want := range map[string]string{
		"clean":  "id n f d ts tz tm a na dom txt",
		"dirty":  "id n:nan:inf f:inf d:inf:range ts:range tz:inf tm:range a:nested na:nan dom:nan txt",
		"dimmed": "a:nested p:?",
	} {
		if got := flags(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestLeaves(t *testing.T) {
	dsn := postgrestest.NewDatabase(t, everyRelation, "insert into plain (m) select 'sad' from generate_series(1, 5000)")
	s := open(t, dsn)
	for _, c := range []struct{ relation, want string }{
		{"plain", " of pages"},
		{"parted", "public.parted_2024 of 1, public.parted_2025_1 of 1"},
		{"v_plain", "size up public.v_plain: it is not a table (relkind v)"},
		{"gone", "size up public.gone: no rows in result set"},
	} {
		leaves, err := s.Leaves(t.Context(), &undrop.Table{Schema: "public", Relation: c.relation})
		var got []string
		for _, l := range leaves {
			if c.relation == "plain" {
				if l.Pages < 10 {
					t.Errorf("plain has %d pages", l.Pages)
				}
				got = append(got, l.Name+" of pages")
				continue
			}
			got = append(got, fmt.Sprintf("%s of %d", l.Name, l.Pages))
		}
		if err != nil {
			got = append(got, err.Error())
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%s: got %q, want %q", c.relation, got, c.want)
		}
	}
}
