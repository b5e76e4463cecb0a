package postgres_test

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/postgres"
	"github.com/undrop/undrop/internal/postgres/postgrestest"
)

// asRole makes a role that may log in, and the URL with which it does.
func asRole(t *testing.T, dsn, name string) string {
	t.Helper()
	role := name + "_" + strings.TrimPrefix(slotFor(dsn), "s_")
	role = role[:min(len(role), 60)]
	postgrestest.Exec(t, dsn, "create role "+role+" login password 'se''cret:@/x'")
	t.Cleanup(func() { postgrestest.Exec(t, dsn, "drop owned by "+role+"; drop role "+role) })
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(role, "se'cret:@/x")
	return u.String()
}

// A role without rights is told each of them, with SQL for an owner that grants
// exactly that.
func TestPreflightOfRights(t *testing.T) {
	dsn := postgrestest.NewDatabase(t, `
create schema app;
create table app.t (id int primary key, note text);
alter table app.t enable row level security;
create table app.parted (id int primary key) partition by range (id);
create table app.parted_1 partition of app.parted default`)
	s := open(t, asRole(t, dsn, "reader"))
	tables := []*undrop.Table{contracted("app.t", "*id int", "note string"), contracted("app.parted", "*id int")}
	found := preflight(t, s, tables)
	for _, w := range [][2]string{
		{"replication_right", "may not replicate"}, {"select_right", "may not use schema app"}, {"select_right", "may not read app.t"},
		{"select_right", "may not read app.parted_1"}, {"row_security", "would hide rows"}, {"publication_right", "does not exist"},
	} {
		wantFinding(t, found, w[0], w[1])
	}
	if _, err := s.EnsurePublication(t.Context(), tables); err == nil {
		t.Error("a publication was made without the right to")
	} else {
		wantHint(t, err, "owner of its tables", `create publication "undrop_core" for table only app.t, app.parted with (publish_via_partition_root = true`)
	}
	for _, f := range found {
		if strings.Contains(f.SQL, "grant usage") && strings.Contains(f.Table, "parted") {
			continue // granted already, for the other table
		}
		runSQL(t, dsn, f.SQL)
	}
	if got := preflight(t, s, tables); len(got) != 0 {
		t.Errorf("after its SQL: %v", got)
	}
	if changed, err := s.EnsurePublication(t.Context(), tables); err != nil || changed {
		t.Errorf("with everything granted: %v, %v", changed, err)
	}
	postgrestest.Exec(t, dsn, "create table app.late (id int primary key)", "grant select on app.late to public")
	more := append(tables, contracted("app.late", "*id int"))
	f := wantFinding(t, preflight(t, s, more), "publication_right", "does not publish it")
	runSQL(t, dsn, f.SQL)
	if got := preflight(t, s, more); len(got) != 0 {
		t.Errorf("after its SQL: %v", got)
	}
	if err := s.DropPublication(t.Context()); err == nil {
		t.Error("a publication of another role was dropped")
	} else {
		wantHint(t, err, "must be owner", "drop publication")
	}
}

func TestPublicationIsMadeAndExtended(t *testing.T) {
	dsn := postgrestest.NewDatabase(t, "create table a (id int primary key); create table b (id int primary key, v int); create table bad (id int); create table kid () inherits (a)")
	s := open(t, dsn)
	a, b := contracted("public.a", "*id int"), contracted("public.b", "*id int", "v int")
	for _, step := range []struct {
		tables  []*undrop.Table
		changed bool
		want    string
	}{
		{[]*undrop.Table{a}, true, "a"},
		{[]*undrop.Table{a}, false, "a"},
		{[]*undrop.Table{b, a}, true, "a b"},
		{[]*undrop.Table{b}, false, "a b"}, // what is published stays published
	} {
		changed, err := s.EnsurePublication(t.Context(), step.tables)
		if err != nil || changed != step.changed {
			t.Fatalf("changed %v, %v", changed, err)
		}
		var got []string
		for _, row := range postgrestest.Query(t, dsn, "select tablename from pg_publication_tables where pubname = 'undrop_core' order by 1") {
			got = append(got, row[0])
		}
		if strings.Join(got, " ") != step.want {
			t.Errorf("published: %v, want %s", got, step.want)
		}
	}
	_, err := s.EnsurePublication(t.Context(), []*undrop.Table{a, history(contracted("public.bad", "id int"))})
	wantHint(t, err, "public.bad: replica_identity", "alter table public.bad replica identity full;")
	if undrop.CodeOf(err) != undrop.Refused {
		t.Errorf("code %s", undrop.CodeOf(err))
	}
	postgrestest.Exec(t, dsn, "update bad set id = 1") // was not published
	if err := s.DropPublication(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.DropPublication(t.Context()); err != nil {
		t.Errorf("dropping a publication that is gone: %v", err)
	}
}

// A publication for all tables or (15 and newer) a whole schema covers its tables.
func TestPublicationOfEverything(t *testing.T) {
	for _, what := range []string{"all tables", "tables in schema public"} {
		t.Run(what, func(t *testing.T) {
			dsn := postgrestest.NewDatabase(t, "create table a (id int primary key)")
			s := open(t, dsn)
			if s.Version() < 150000 && what != "all tables" {
				t.Skip("15 and newer")
			}
			postgrestest.Exec(t, dsn, "create publication undrop_core for "+what)
			tables := []*undrop.Table{contracted("public.a", "*id int")}
			if got := preflight(t, s, tables); len(got) != 0 {
				t.Errorf("found %v", got)
			}
			if changed, err := s.EnsurePublication(t.Context(), tables); err != nil || changed {
				t.Errorf("changed %v, %v", changed, err)
			}
		})
	}
}

// A standby cannot be captured from.
func TestPreflightOfStandby(t *testing.T) {
	postgrestest.Start(t)
	dir := filepath.Join(openFolder(t), "pg")
	start := func() *postgres.Server {
		s, err := postgres.StartServer(t.Context(), postgres.ServerConfig{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	stop := func(s *postgres.Server) {
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	stop(start())
	if err := os.WriteFile(filepath.Join(dir, "data", "standby.signal"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	server := start()
	defer stop(server)
	s := open(t, server.DSN("postgres"))
	if f := wantFinding(t, preflight(t, s, nil), "standby", "point the DSN at the primary"); !f.Fatal {
		t.Errorf("%s is not fatal", f)
	}
}
