package postgres_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/postgres"
	"github.com/undrop/undrop/internal/postgres/postgrestest"
)

// contracted makes a table by its columns, "name kind" each, key columns marked
// with a star: contracted("public.t", "*id int", "note string").
func contracted(relation string, columns ...string) *undrop.Table {
	schema, name, _ := strings.Cut(relation, ".")
	t := &undrop.Table{TableName: undrop.TableName{Namespace: "mart", Name: name}, Mode: undrop.Mirror, Source: "core", Schema: schema, Relation: name}
	for i, c := range columns {
		name, kind, _ := strings.Cut(c, " ")
		if strings.HasPrefix(name, "*") {
			name = name[1:]
			t.Key = append(t.Key, i)
		}
		t.Fields = append(t.Fields, undrop.Field{ID: i + 1, Name: name, Source: name, Type: parseType(kind)})
	}
	return t
}

// parseType reads the few spellings that these tests use.
func parseType(s string) undrop.Type {
	if elem, ok := strings.CutPrefix(s, "list:"); ok {
		e := parseType(elem)
		return undrop.Type{Kind: undrop.List, Elem: &e}
	}
	var t undrop.Type
	if _, err := fmt.Sscanf(s, "decimal(%d,%d)", &t.Precision, &t.Scale); err == nil {
		t.Kind = undrop.Decimal
		return t
	}
	for k := undrop.Bool; k <= undrop.TimestampTZ; k++ {
		if k.String() == s {
			return undrop.Type{Kind: k}
		}
	}
	panic("no kind " + s)
}

func history(t *undrop.Table) *undrop.Table {
	t.Mode = undrop.History
	return t
}

const publishT = "create publication undrop_core for table t with (publish_via_partition_root = true)"

// Every finding is seen where it should be, and its SQL makes it go away. {slot}
// in the setup is the slot's name.
func TestPreflightFindings(t *testing.T) {
	plain := contracted("public.t", "*id int", "note string")
	for _, c := range []struct {
		name    string
		setup   []string
		table   *undrop.Table
		rule    string
		text    string // in the message
		warning bool
		noSQL   bool // nothing that undrop may suggest puts it right
		since   int  // server version that knows it
		until   int  // first server version that does not
	}{
		{name: "missing", table: contracted("public.gone", "*id int"), rule: "relation_missing", text: "no such table", noSQL: true},
		{name: "case", setup: []string{`create table "T" (id int primary key)`}, table: contracted("public.t", "*id int"), rule: "relation_missing", noSQL: true},
		{name: "view", setup: []string{"create view t as select 1 as id"}, table: plain, rule: "relation_kind", text: "it is a view", noSQL: true},
		{name: "matview", setup: []string{"create materialized view t as select 1 as id"}, table: plain, rule: "relation_kind", text: "materialized", noSQL: true},
		{name: "partition", setup: []string{"create table p (id int primary key, note text) partition by range (id)", "create table t partition of p default"},
			table: plain, rule: "relation_kind", text: "partition of public.p", noSQL: true},
		{name: "foreign partition", setup: []string{"create extension postgres_fdw", "create server elsewhere foreign data wrapper postgres_fdw",
			"create table t (id int not null, note text) partition by range (id)", "alter table t replica identity full",
			"create foreign table far partition of t for values from (0) to (10) server elsewhere"},
			table: history(contracted("public.t", "id int")), rule: "relation_kind", text: "public.far is not a table of this server"},
		{name: "unlogged", setup: []string{"create unlogged table t (id int primary key, note text)"}, table: plain, rule: "unlogged"},
		{name: "unlogged leaf", setup: []string{"create table t (id int primary key, note text) partition by range (id)", "create unlogged table t_1 partition of t default"},
			table: plain, rule: "unlogged", text: "t_1"},
		{name: "no identity", setup: []string{"create table t (id int, note text)"}, table: history(contracted("public.t", "id int")), rule: "replica_identity", text: "UPDATE and DELETE fail"},
		{name: "identity nothing", setup: []string{"create table t (id int primary key, note text)", "alter table t replica identity nothing"}, table: plain, rule: "replica_identity"},
		{name: "deferrable key", setup: []string{"create table t (id int not null, note text, primary key (id) deferrable)", "create unique index on t (id)"}, table: plain, rule: "replica_identity"},
		{name: "dropped identity index", setup: []string{"create table t (id int not null, note text, k int primary key)", "create unique index t_id on t (id)",
			"alter table t replica identity using index t_id", "drop index t_id", "create unique index on t (id)"}, table: plain, rule: "replica_identity"},
		{name: "leaf without identity", setup: []string{"create table t (id int not null, note text) partition by range (id)", "create table t_1 partition of t default",
			"alter table t replica identity full"}, table: history(contracted("public.t", "id int")), rule: "replica_identity", text: "t_1"},
		{name: "leaf with another identity", setup: []string{"create table t (id int primary key, note text) partition by range (id)", "create table t_1 partition of t default",
			"alter table t replica identity full"}, table: plain, rule: "replica_identity", text: "t_1 differs"},
		{name: "contract without key", setup: []string{"create table t (id int primary key, note text)"}, table: history(contracted("public.t", "id int")), rule: "replica_identity", text: "names no key"},
		{name: "another key", setup: []string{"create table t (id int primary key, note text not null unique)"}, table: contracted("public.t", "id int", "*note string"), rule: "key_identity", text: "needs note"},
		{name: "key not unique", setup: []string{"create table t (id int, sub int, note text, primary key (id, sub))"}, table: plain, rule: "key_unique", text: "(id)"},
		{name: "partial unique index", setup: []string{"create table t (id int, note text)", "create unique index on t (id) where id > 0", "alter table t replica identity full"}, table: plain, rule: "key_unique"},
		{name: "missing column", setup: []string{"create table t (id int primary key)"}, table: plain, rule: "column_missing", text: "note is not there; the table has id", noSQL: true},
		{name: "generated column", setup: []string{"create table t (id int primary key, note text generated always as (id::text) stored)"}, table: plain, rule: "column_generated", noSQL: true, until: 180000},
		{name: "virtual column", setup: []string{"create table t (id int primary key, note int generated always as (id * 2) virtual)"}, table: plain, rule: "column_generated", noSQL: true, since: 180000},
		{name: "generated column not published", setup: []string{"create table t (id int primary key, note text generated always as (id::text) stored)", publishT}, table: plain, rule: "publication_generated", since: 180000},
		{name: "wider type", setup: []string{"create table t (id bigint primary key, note text)"}, table: plain, rule: "column_type", text: "id is bigint, and the contract's int", noSQL: true},
		{name: "inheritance", setup: []string{"create table t (id int primary key, note text)", "create table kid () inherits (t)"}, table: plain, rule: "inheritance", text: "kid", warning: true, noSQL: true},

		{name: "row filter", setup: []string{"create table t (id int primary key, note text)", "create publication undrop_core for table t where (id > 10)"}, table: plain, rule: "publication_row_filter", text: "id > 10", since: 150000},
		{name: "column list", setup: []string{"create table t (id int primary key, note text)", "create publication undrop_core for table t (id)"}, table: plain, rule: "publication_column_list", text: "note", since: 150000},
		{name: "fewer operations", setup: []string{"create table t (id int primary key, note text)", "create publication undrop_core for table t with (publish = 'insert, update')"}, table: plain, rule: "publication_operations", text: "delete, truncate"},
		{name: "partitions by name", setup: []string{"create table t (id int primary key, note text) partition by range (id)", "create publication undrop_core for table t"}, table: plain, rule: "publication_root"},

		{name: "other plugin", setup: []string{"select pg_create_logical_replication_slot('{slot}', 'test_decoding')"}, rule: "slot_plugin", text: "test_decoding"},
		{name: "physical slot", setup: []string{"select pg_create_physical_replication_slot('{slot}')"}, rule: "slot_plugin", text: "physical"},
		{name: "publication after slot", setup: []string{"create table t (id int primary key, note text)", "select pg_create_logical_replication_slot('{slot}', 'pgoutput')",
			"insert into t values (1)", publishT}, table: plain, rule: "publication_after_slot"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dsn := postgrestest.NewDatabase(t)
			slot := slotFor(dsn)
			s := open(t, dsn)
			if s.Version() < c.since || c.until > 0 && s.Version() >= c.until {
				t.Skipf("not on PostgreSQL %d", s.Version())
			}
			for _, sql := range c.setup {
				postgrestest.Exec(t, dsn, strings.ReplaceAll(sql, "{slot}", slot))
			}
			t.Cleanup(func() { // a physical slot belongs to no database
				postgrestest.Exec(t, dsn, "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = '"+slot+"' and not active")
			})
			var tables []*undrop.Table
			if c.table != nil {
				tables = append(tables, c.table)
			}
			f := wantFinding(t, preflight(t, s, tables), c.rule, c.text)
			if f.Fatal == c.warning {
				t.Errorf("%s: fatal is %v", f, f.Fatal)
			}
			if c.noSQL {
				if f.SQL != "" {
					t.Errorf("%s suggests %s", f, f.SQL)
				}
				return
			}
			runSQL(t, dsn, f.SQL)
			for _, f := range preflight(t, s, tables) {
				if f.Rule == c.rule || f.Fatal {
					t.Errorf("after its SQL still: %s", f)
				}
			}
		})
	}
}

// Nothing is found about tables that are fine, before and after publication and slot.
func TestPreflightPassesGoodTables(t *testing.T) {
	dsn := postgrestest.NewDatabase(t, `
create table t (id int primary key, note varchar(10), extra jsonb);
create table "Odd Name" ("Key" uuid primary key);
create table parted (id int, at date, amount numeric(12,2), primary key (id, at)) partition by range (at);
create table parted_1 partition of parted for values from ('2024-01-01') to ('2025-01-01');
create table whole (a int, b text);
alter table whole replica identity full;
create table picked (a text not null, b int not null, primary key (b));
create unique index picked_a on picked (a);
alter table picked replica identity using index picked_a`)
	tables := []*undrop.Table{
		contracted("public.t", "*id int", "note string"),
		contracted("public.Odd Name", "*Key uuid"),
		contracted("public.parted", "*id int", "*at date", "amount decimal(14,2)"),
		history(contracted("public.whole", "a int", "b string")),
		contracted("public.picked", "*a string", "b long"),
	}
	s := open(t, dsn)
	check := func(when string) {
		t.Helper()
		if got := preflight(t, s, tables); len(got) != 0 {
			t.Errorf("%s: %v", when, got)
		}
	}
	check("before anything was made")
	if changed, err := s.EnsurePublication(t.Context(), tables); err != nil || !changed {
		t.Fatalf("make publication: %v, %v", changed, err)
	}
	check("with publication")
	snap, err := s.CreateSlot(t.Context(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	check("with slot")
	if err := snap.Close(); err != nil {
		t.Fatal(err)
	}
	postgrestest.Exec(t, dsn, "insert into t values (1)", "update whole set a = 1", `insert into parted values (1, '2024-05-05')`, "update parted set amount = 1")
	check("with changes")
}

// What belongs to the whole server needs servers of its own.
func TestPreflightOfServerSettings(t *testing.T) {
	for _, c := range []struct{ name, setting, rule, fix string }{
		{"wal level", "wal_level=replica", "wal_level", "wal_level"},
		{"no slots", "max_replication_slots=0", "replication_slots", "max_replication_slots"},
		{"few senders", "max_wal_senders=1", "wal_senders", "max_wal_senders"},
		{"slots may be lost", "max_slot_wal_keep_size=100MB", "slot_wal_keep_size", "max_slot_wal_keep_size"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := postgrestest.Start(t, c.setting)
			s := open(t, server.DSN("postgres"))
			f := wantFinding(t, preflight(t, s, nil), c.rule, c.fix)
			if f.Fatal == (c.rule == "slot_wal_keep_size") {
				t.Errorf("fatal is %v", f.Fatal)
			}
			runSQL(t, server.DSN("postgres"), f.SQL)
			if err := server.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := preflight(t, s, nil); len(got) != 0 {
				t.Errorf("after its SQL: %v", got)
			}
		})
	}
}

// A slot of another database, and a slot that is read from.
func TestPreflightOfSlotsInUse(t *testing.T) {
	other := postgrestest.NewDatabase(t)
	dsn := postgrestest.NewDatabase(t, slotTable)
	s := open(t, dsn)
	postgrestest.Exec(t, other, "select pg_create_logical_replication_slot('"+slotFor(dsn)+"', 'pgoutput')")
	f := wantFinding(t, preflight(t, s, nil), "slot_database", "belongs to database")
	runSQL(t, other, f.SQL)
	snap, err := s.CreateSlot(t.Context(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if err := snap.Close(); err != nil {
		t.Fatal(err)
	}
	reader, err := s.Connect(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		_, err := reader.Exec(t.Context(), `START_REPLICATION SLOT `+slotFor(dsn)+` LOGICAL 0/0 (proto_version '1', publication_names 'undrop_core')`).ReadAll()
		done <- err
	}()
	eventually(t, "somebody reads from the slot", func() bool { return state(t, s).Active })
	f = wantFinding(t, preflight(t, s, nil), "slot_active", fmt.Sprintf("pid %d", reader.PID()))
	if err := s.DropSlot(t.Context()); err == nil {
		t.Error("a slot in use was dropped")
	} else {
		wantHint(t, err, "is active", "stop the process")
	}
	runSQL(t, dsn, f.SQL)
	<-done
	eventually(t, "nobody reads from the slot", func() bool { return !state(t, s).Active })
	if got := preflight(t, s, nil); len(got) != 0 {
		t.Errorf("after its SQL: %v", got)
	}
}

func preflight(t *testing.T, s *postgres.Source, tables []*undrop.Table) []postgres.Finding {
	t.Helper()
	found, err := s.Preflight(t.Context(), tables)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func wantFinding(t *testing.T, found []postgres.Finding, rule, text string) postgres.Finding {
	t.Helper()
	at := slices.IndexFunc(found, func(f postgres.Finding) bool { return f.Rule == rule && strings.Contains(f.Message, text) })
	if at < 0 {
		t.Fatalf("no finding %s with %q in %v", rule, text, found)
	}
	return found[at]
}

// runSQL runs statements one by one, as a person with psql would.
func runSQL(t *testing.T, dsn, sql string) {
	t.Helper()
	if sql == "" {
		t.Fatal("the finding has no SQL")
	}
	for _, one := range strings.Split(sql, ";") {
		if one = strings.TrimSpace(one); one != "" && !strings.HasPrefix(one, "--") {
			postgrestest.Exec(t, dsn, one)
		}
	}
}
