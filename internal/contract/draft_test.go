package contract

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	undrop "github.com/undrop/undrop"
)

func column(name, typ string) undrop.RelationColumn {
	c := undrop.RelationColumn{Name: name, Type: typ, Base: typ, Class: "base", Looked: true}
	if base, ok := strings.CutSuffix(typ, "[]"); ok {
		c.Class, c.Base = "array", base
	}
	return c
}

// Each live type becomes the narrowest type that holds all its values, or text.
func TestDraftCarriesEveryTypeFamily(t *testing.T) {
	with := func(c undrop.RelationColumn, set func(*undrop.RelationColumn)) undrop.RelationColumn {
		set(&c)
		return c
	}
	nan := func(c *undrop.RelationColumn) { c.HasNaN = true }
	inf := func(c *undrop.RelationColumn) { c.HasInfinity = true }
	far := func(c *undrop.RelationColumn) { c.OutOfRange = true }
	nested := func(c *undrop.RelationColumn) { c.Nested = true }
	tests := []struct {
		col  undrop.RelationColumn
		want string
	}{
		{column("c", "boolean"), "boolean"},
		{column("c", "smallint"), "int"},
		{column("c", "integer"), "int"},
		{column("c", "bigint"), "long"},
		{column("c", "oid"), "long"},
		{column("c", "xid"), "long"},
		{column("c", "xid8"), "decimal(20,0)"},
		{column("c", "real"), "float"},
		{column("c", "double precision"), "double"},
		{with(column("c", "real"), nan), "string"},
		{with(column("c", "double precision"), inf), "string"},
		{column("c", "numeric(12,2)"), "decimal(12,2)"},
		{column("c", "numeric(38,38)"), "decimal(38,38)"},
		{column("c", "numeric(3,5)"), "decimal(5,5)"},
		{column("c", "numeric(5,-2)"), "decimal(7,0)"},
		{column("c", "numeric(39,0)"), "string"},
		{column("c", "numeric(30,-9)"), "string"},
		{column("c", "numeric(10,39)"), "string"},
		{column("c", "numeric"), "string"},
		{with(column("c", "numeric(12,2)"), nan), "string"},
		{column("c", "money"), "string"},
		{column("c", "text"), "string"},
		{column("c", "character varying(20)"), "string"},
		{column("c", "character varying"), "string"},
		{column("c", "character(3)"), "string"},
		{column("c", `"char"`), "string"},
		{column("c", "name"), "string"},
		{column("c", "citext"), "string"},
		{column("c", "bytea"), "binary"},
		{column("c", "uuid"), "uuid"},
		{column("c", "date"), "date"},
		{with(column("c", "date"), inf), "string"},
		{with(column("c", "date"), far), "string"},
		{column("c", "time without time zone"), "string"},
		{column("c", "time(3) without time zone"), "string"},
		{column("c", "time with time zone"), "string"},
		{column("c", "interval"), "string"},
		{column("c", "interval day to second(3)"), "string"},
		{column("c", "timestamp without time zone"), "timestamp"},
		{column("c", "timestamp(3) without time zone"), "timestamp"},
		{column("c", "timestamp with time zone"), "timestamptz"},
		{column("c", "timestamp(0) with time zone"), "timestamptz"},
		{with(column("c", "timestamp with time zone"), inf), "string"},
		{with(column("c", "timestamp without time zone"), far), "string"},
		{column("c", "json"), "string"},
		{column("c", "jsonb"), "string"},
		{column("c", "xml"), "string"},
		{column("c", "hstore"), "string"},
		{column("c", "inet"), "string"},
		{column("c", "cidr"), "string"},
		{column("c", "macaddr8"), "string"},
		{column("c", "tsvector"), "string"},
		{column("c", "point"), "string"},
		{column("c", "pg_lsn"), "string"},
		{column("c", "int4range"), "string"},
		{column("c", "nummultirange"), "string"},
		{column("c", "public.ltree"), "string"},
		{column("c", "public.vector(3)"), "string"},
		{column("c", "public.geometry(Point,4326)"), "string"},
		{column("c", "bit(1)"), "boolean"},
		{column("c", "bit(8)"), "string"},
		{column("c", "bit varying(8)"), "string"},
		{column("c", "bit varying"), "string"},
		{column("c", "integer[]"), "list<int>"},
		{column("c", "bigint[]"), "list<long>"},
		{column("c", "numeric(12,2)[]"), "list<decimal(12,2)>"},
		{column("c", "numeric[]"), "list<string>"},
		{with(column("c", "numeric(12,2)[]"), nan), "list<string>"},
		{column("c", "text[]"), "list<string>"},
		{column("c", "character varying(3)[]"), "list<string>"},
		{column("c", "uuid[]"), "list<uuid>"},
		{column("c", "timestamp(3) with time zone[]"), "list<timestamptz>"},
		{with(column("c", "date[]"), inf), "list<string>"},
		{with(column("c", "integer[]"), nested), "string"},
		{column("c", "int4range[]"), "string"},
		{column("c", "public.pair[]"), "string"},
		{undrop.RelationColumn{Name: "c", Type: "public.ids[]", Base: "integer[]", Class: "array"}, "string"},
		{undrop.RelationColumn{Name: "c", Type: "public.mood", Base: "public.mood", Class: "enum", Enum: []string{"sad", "it's ok", "true", "1"}}, "string"},
		{undrop.RelationColumn{Name: "c", Type: "public.mood[]", Base: "public.mood", Class: "array", Enum: []string{"sad", "ok"}}, "list<string>"},
		{undrop.RelationColumn{Name: "c", Type: "public.amount", Base: "numeric(10,2)", Class: "domain"}, "decimal(10,2)"},
		{undrop.RelationColumn{Name: "c", Type: "public.ids", Base: "integer[]", Class: "domain"}, "list<int>"},
		{undrop.RelationColumn{Name: "c", Type: "public.feeling", Base: "public.mood", Class: "domain", Enum: []string{"sad"}}, "string"},
		{undrop.RelationColumn{Name: "c", Type: "public.pair", Base: "public.pair", Class: "composite", Members: []undrop.RelationColumn{column("a", "integer")}}, "string"},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%s/%s", test.col.Type, test.want), func(t *testing.T) {
			rel := undrop.Relation{Schema: "public", Name: "t", Kind: "table", PrimaryKey: []string{"id"},
				Columns: []undrop.RelationColumn{{Name: "id", Type: "bigint", Base: "bigint", Class: "base", NotNull: true}, test.col}}
			o := parseDraft(t, rel, DraftOptions{Source: "core", Namespace: "bank"})
			if got := o.Table.Fields[1].Type.String(); got != test.want {
				t.Errorf("%s becomes %s, want %s", test.col.Type, got, test.want)
			}
			p := o.Properties[1]
			if p.Items != nil {
				p = p.Items
			}
			if !slices.Equal(p.Enum, test.col.Enum) {
				t.Errorf("enum labels %q, want %q", p.Enum, test.col.Enum)
			}
		})
	}
}

func TestDraftChoosesHistoryWithoutAUsableKey(t *testing.T) {
	cols := []undrop.RelationColumn{column("a", "integer"), column("f", "double precision"), column("l", "integer[]")}
	odd := column("fn", "real")
	odd.HasNaN = true
	cols = append(cols, odd)
	gen := column("g", "integer")
	gen.Generated = true
	cols = append(cols, gen)
	tests := []struct {
		name string
		rel  undrop.Relation
		mode undrop.Mode
		key  string
	}{
		{"no key", undrop.Relation{Identity: "full"}, undrop.History, ""},
		{"primary key", undrop.Relation{PrimaryKey: []string{"a"}}, undrop.Mirror, "a"},
		{"float key", undrop.Relation{PrimaryKey: []string{"f"}}, undrop.History, ""},
		{"float key with NaN", undrop.Relation{PrimaryKey: []string{"fn"}}, undrop.History, ""},
		{"list key", undrop.Relation{PrimaryKey: []string{"l"}}, undrop.History, ""},
		{"generated key", undrop.Relation{PrimaryKey: []string{"g"}}, undrop.History, ""},
		{"replica identity index", undrop.Relation{Identity: "index", IdentityKey: []string{"a"}}, undrop.Mirror, "a"},
		{"identity index beside a primary key", undrop.Relation{PrimaryKey: []string{"f"}, Identity: "index", IdentityKey: []string{"a"}}, undrop.Mirror, "a"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.rel.Schema, test.rel.Name, test.rel.Kind, test.rel.Columns = "public", "t", "table", cols
			o := parseDraft(t, test.rel, DraftOptions{})
			var key []string
			for _, i := range o.Table.Key {
				key = append(key, o.Table.Fields[i].Name)
			}
			if o.Table.Mode != test.mode || strings.Join(key, ",") != test.key {
				t.Errorf("mode %s, key %v", o.Table.Mode, key)
			}
		})
	}
}

// Names of a database are anything; the draft keeps them, and says where it could not.
func TestDraftKeepsNamesExactly(t *testing.T) {
	names := []string{"id", "Order", "order", "select", "true", "1st", "Имя", "a b", `quo"te`, "back\\slash", "new\nline", "colon: x", "# hash", "ORDER_2",
		"_undrop_lsn", "- dash", "{x}", "tab\tx", "émoji😀", strings.Repeat("x", 63), " lead", "null", "0x10", "*a", "&b", "!c", "%d", "@e", "`f`"}
	rel := undrop.Relation{Schema: "My.Schema", Name: `Ta"ble`, Kind: "table", PrimaryKey: []string{"Order", "id"}, Comment: "line one\n# line two\u2028: end"}
	for _, n := range names {
		rel.Columns = append(rel.Columns, undrop.RelationColumn{Name: n, Type: "text", Base: "text", Class: "base", NotNull: n == "id", Comment: n})
	}
	o := parseDraft(t, rel, DraftOptions{Source: "core", Namespace: "bank"})
	if o.Table.Schema != rel.Schema || o.Table.Relation != rel.Name {
		t.Errorf("relation %q.%q", o.Table.Schema, o.Table.Relation)
	}
	if o.Table.TableName.String() != "bank.my_schema_ta_ble" {
		t.Errorf("table %s", o.Table.TableName)
	}
	for i, n := range names {
		f := o.Table.Fields[i]
		if f.Source != n || f.Doc != n || f.ID != i+1 {
			t.Errorf("column %q: source %q, doc %q, id %d", n, f.Source, f.Doc, f.ID)
		}
		if renamed := n == "order" || n == "_undrop_lsn"; (f.Name != n) != renamed {
			t.Errorf("column %q is called %q", n, f.Name)
		}
	}
	if got := fmt.Sprint(o.Table.Key); got != "[1 0]" {
		t.Errorf("key order %s", got)
	}
	_, notes := Draft(rel, DraftOptions{})
	if s := strings.Join(notes, "\n"); !strings.Contains(s, "column order is called order_3") || !strings.Contains(s, "_undrop_lsn is called source_undrop_lsn") || strings.Count(s, "\n") != len(notes)-1 {
		t.Errorf("notes:\n%s", s)
	}
}

func TestDraftLeavesNothingOutInSilence(t *testing.T) {
	gen := column("total", "numeric")
	gen.Generated = true
	data, notes := Draft(undrop.Relation{Schema: "s", Name: "t", Kind: "table", PrimaryKey: []string{"id"}, Columns: []undrop.RelationColumn{column("id", "uuid"), gen}}, DraftOptions{})
	if !strings.Contains(string(data), "# left out: total") || !strings.Contains(strings.Join(notes, "\n"), "column total is left out") {
		t.Errorf("%s\n%v", data, notes)
	}
	data, notes = Draft(undrop.Relation{Schema: "s", Name: "t", Kind: "table", Columns: []undrop.RelationColumn{gen}}, DraftOptions{})
	if c, _ := Parse("t", data); c != nil || !strings.Contains(strings.Join(notes, "\n"), "cannot be landed") {
		t.Errorf("a table without columns: %v", notes)
	}
	_, notes = Draft(undrop.Relation{Schema: "s", Name: "v", Kind: "view", Columns: []undrop.RelationColumn{column("id", "uuid")}}, DraftOptions{})
	if !strings.Contains(strings.Join(notes, "\n"), "cannot be captured") {
		t.Errorf("a view: %v", notes)
	}
}

func TestDraftOfAnOutboxIsEvents(t *testing.T) {
	rel := undrop.Relation{Schema: "public", Name: "outbox", Kind: "table", PrimaryKey: []string{"id"}}
	for _, n := range OutboxColumns {
		rel.Columns = append(rel.Columns, column(n, "text"))
	}
	o := parseDraft(t, rel, DraftOptions{Namespace: "bank"})
	o.Bind("core")
	if o.Table.Mode != undrop.Events || o.Table.Topic != "outbox.event." {
		t.Errorf("mode %s, topic %s", o.Table.Mode, o.Table.Topic)
	}
}

func TestDraftOfAPaymentsTable(t *testing.T) {
	rel := undrop.Relation{Schema: "public", Name: "payments", Kind: "table", Comment: "money moved", PrimaryKey: []string{"id"}, Identity: "default",
		Columns: []undrop.RelationColumn{
			{Name: "id", Type: "bigint", Base: "bigint", Class: "base", NotNull: true},
			{Name: "amount", Type: "numeric(12,2)", Base: "numeric(12,2)", Class: "base", NotNull: true, Looked: true, Comment: "in major units"},
			{Name: "rate", Type: "numeric", Base: "numeric", Class: "base"},
			{Name: "status", Type: "public.status", Base: "public.status", Class: "enum", Enum: []string{"new", "paid"}},
			{Name: "tags", Type: "text[]", Base: "text", Class: "array", Looked: true},
			{Name: "at", Type: "timestamp with time zone", Base: "timestamp with time zone", Class: "base"},
			{Name: "total", Type: "numeric", Base: "numeric", Class: "base", Generated: true},
		}}
	data, notes := Draft(rel, DraftOptions{Source: "core", Namespace: "bank"})
	golden(t, "testdata/draft.golden", string(data)+"---\n"+strings.Join(notes, "\n")+"\n")
}

func parseDraft(t *testing.T, rel undrop.Relation, opts DraftOptions) *Object {
	t.Helper()
	data, _ := Draft(rel, opts)
	c, problems := Parse("draft.odcs.yaml", data)
	if c == nil {
		t.Fatalf("%v\n%s", problems, data)
	}
	for _, p := range problems {
		t.Errorf("a draft has a warning: %v", p)
	}
	return c.Objects[0]
}
