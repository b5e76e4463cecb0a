package postgres_test

import (
	"strings"
	"testing"
	"time"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/postgres"
	"github.com/undrop/undrop/internal/postgres/postgrestest"
)

// What is wrong with a DSN is said with the next step, and never with the password.
func TestOpenSaysWhatIsWrong(t *testing.T) {
	dsn := postgrestest.NewDatabase(t)
	good := strings.SplitN(dsn, "@", 2)
	for _, c := range []struct {
		name, dsn, slot string
		text, hint      string
		code            undrop.Code
	}{
		{"password", "postgres://undrop:hunter2@" + good[1], "", "password authentication failed", "check user and password", undrop.BadInput},
		{"database", good[0] + "@" + strings.SplitN(good[1], "/", 2)[0] + "/nowhere?sslmode=disable", "", "nowhere", "psql -l", undrop.BadInput},
		{"no server", "postgres://u:hunter2@127.0.0.1:1/db", "", "refused", "pg_isready -h 127.0.0.1 -p 1", undrop.Failed},
		{"bad url", "postgres://u:hunter2@host:port/db", "", "port", "postgres://user:password@host", undrop.BadInput},
		{"bad words", "host=x password=hunter2 port", "", "", "postgres://user:password@host", undrop.BadInput},
		{"bad option", "host=x password='hunter2' sslmode=hunter2", "", "", "postgres://user:password@host", undrop.BadInput},
		{"slot name", dsn, "Undrop-Core", "only lower-case", "undrop_core", undrop.BadInput},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := postgres.Open(t.Context(), postgres.Config{Name: "core", DSN: c.dsn, Publication: "p", Slot: c.slot})
			wantHint(t, err, c.text, c.hint)
			if got := undrop.CodeOf(err); got != c.code {
				t.Errorf("code %s, want %s", got, c.code)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the password is in %q", err)
			}
		})
	}
}

// Values must read the same whichever connection they come by, whatever the
// database's defaults are.
func TestConnectionsAgreeOnSettings(t *testing.T) {
	dsn := postgrestest.NewDatabase(t)
	name := strings.TrimPrefix(slotFor(dsn), "s_")
	for _, set := range []string{"datestyle to 'German'", "intervalstyle to 'postgres_verbose'", "timezone to 'Asia/Tokyo'", "extra_float_digits to 0",
		"bytea_output to 'escape'", "search_path to public", "statement_timeout to '1s'", "idle_in_transaction_session_timeout to '1s'", "row_security to on"} {
		postgrestest.Exec(t, dsn, "alter database "+name+" set "+set)
	}
	postgrestest.Exec(t, dsn, "create type mood as enum ('ok')")
	s := open(t, dsn)
	want := "ISO, MDY|iso_8601|UTC|3|hex||0|0|off|UTF8|undrop"
	for _, replication := range []bool{false, true} {
		c, err := s.Connect(t.Context(), replication)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, name := range []string{"datestyle", "intervalstyle", "timezone", "extra_float_digits", "bytea_output", "search_path", "statement_timeout",
			"idle_in_transaction_session_timeout", "row_security", "client_encoding", "application_name"} {
			rows, err := c.Exec(t.Context(), "show "+name).ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(rows[0].Rows[0][0]))
		}
		got[0] = strings.Replace(got[0], "DMY", "MDY", 1) // how input is read does not matter
		if strings.Join(got, "|") != want {
			t.Errorf("replication %v: %s, want %s", replication, strings.Join(got, "|"), want)
		}
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestIdentity(t *testing.T) {
	dsn := postgrestest.NewDatabase(t)
	s := open(t, dsn)
	id, err := s.Identity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := postgrestest.Query(t, dsn, "select system_identifier, current_database(), current_setting('server_version_num') from pg_control_system()")[0]
	if id.System != want[0] || id.Timeline != 1 || id.Database != want[1] || id.Version != s.Version() || id.Version < 140000 {
		t.Errorf("identity %+v, want %v", id, want)
	}
}

// A barrier lies after everything that was acknowledged before, and is flushed
// at once: a stream must not wait for the WAL writer.
func TestBarrierIsFlushedBehindCommits(t *testing.T) {
	dsn := postgrestest.NewDatabase(t, "create table t (a int)", "create publication undrop_core for table t")
	s := open(t, dsn)
	postgrestest.Exec(t, dsn, "select pg_create_logical_replication_slot('"+slotFor(dsn)+"', 'pgoutput')")
	for range 5 {
		postgrestest.Exec(t, dsn, "set synchronous_commit = off; insert into t values (1)")
		before, err := s.InsertPosition(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		at, err := s.Barrier(t.Context(), "undrop", `{"it's":"a \\ barrier"}`)
		if err != nil {
			t.Fatal(err)
		}
		flushed, err := undrop.ParseLSN(postgrestest.Query(t, dsn, "select pg_current_wal_flush_lsn()")[0][0])
		if err != nil {
			t.Fatal(err)
		}
		if at <= before || flushed < at {
			t.Errorf("insert position %s, barrier %s, flushed to %s: want them in this order", before, at, flushed)
		}
		messages := postgrestest.Query(t, dsn, "select lsn from pg_logical_slot_get_binary_changes('"+slotFor(dsn)+
			"', null, null, 'proto_version', '1', 'publication_names', 'undrop_core', 'messages', 'true') where get_byte(data, 0) = ascii('M')")
		if len(messages) != 1 {
			t.Fatalf("the stream has %d messages, want 1", len(messages))
		}
		streamed, err := undrop.ParseLSN(messages[0][0])
		if err != nil {
			t.Fatal(err)
		}
		if streamed != at {
			t.Errorf("the stream has the barrier at %s, want %s", streamed, at)
		}
	}
}

// The shared connection comes back by itself after the server was restarted.
func TestSourceOutlivesRestart(t *testing.T) {
	server := postgrestest.Start(t, "max_connections=15")
	s := open(t, server.DSN("postgres"))
	if _, err := s.InsertPosition(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.InsertPosition(t.Context()); err != nil {
		t.Errorf("after restart: %v", err)
	}
	server.Kill()
	start := time.Now()
	_, err := s.InsertPosition(t.Context())
	wantHint(t, err, "connect", "pg_isready")
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("noticing that the server is gone took %s", took)
	}
}
