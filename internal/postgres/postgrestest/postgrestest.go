// Package postgrestest gives tests a real PostgreSQL: one server for a test
// binary, a database of its own for each test. It is not for the product.
package postgrestest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/undrop/undrop/internal/postgres"
)

// ServerEnv names a variable with the URL of a running server (as a superuser, wal_level
// logical) to test against instead of a throwaway one.
const ServerEnv = "UNDROP_TEST_POSTGRES"

// RequiredEnv names a variable that, set to "required", turns a missing
// PostgreSQL from a skip into a failure.
const RequiredEnv = "UNDROP_ENGINES"

var shared struct {
	sync.Mutex
	main   bool
	server *postgres.Server
	err    error
}

var databases atomic.Int64

// Main runs the tests of a package and stops the shared server; call it from
// TestMain.
func Main(m *testing.M) {
	shared.main = true
	code := m.Run()
	if shared.server != nil {
		if err := shared.server.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stop the shared PostgreSQL:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// Start returns the shared server; with settings ("name=value"), a server of the
// test's own, which ends with the test. Where no PostgreSQL can be had the test
// is skipped, by name.
func Start(t testing.TB, settings ...string) *postgres.Server {
	t.Helper()
	if len(settings) > 0 {
		conf := postgres.ServerConfig{Settings: map[string]string{}}
		for _, s := range settings {
			k, v, _ := strings.Cut(s, "=")
			conf.Settings[k] = v
		}
		server, err := start(conf)
		missing(t, err)
		t.Cleanup(func() {
			if err := server.Stop(); err != nil {
				t.Errorf("stop PostgreSQL: %v", err)
			}
		})
		return server
	}
	shared.Lock()
	defer shared.Unlock()
	if !shared.main {
		t.Fatal("the package's TestMain must call postgrestest.Main, which stops the server")
	}
	if shared.server == nil && shared.err == nil {
		shared.server, shared.err = start(postgres.ServerConfig{})
	}
	missing(t, shared.err)
	return shared.server
}

func start(conf postgres.ServerConfig) (*postgres.Server, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	return postgres.StartServer(ctx, conf)
}

func missing(t testing.TB, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if os.Getenv(RequiredEnv) == "required" {
		t.Fatalf("%s needs PostgreSQL: %v", t.Name(), err)
	}
	t.Skipf("SKIPPED %s: no PostgreSQL: %v", t.Name(), err)
}

var notInNames = regexp.MustCompile(`[^a-z0-9]+`)

// NewDatabase makes an empty database on the shared server (or the one that
// UNDROP_TEST_POSTGRES names), runs setup in it and returns its URL. The database and
// its slots are dropped when the test ends.
func NewDatabase(t testing.TB, setup ...string) string {
	t.Helper()
	base := os.Getenv(ServerEnv)
	if base == "" {
		base = Start(t).DSN("postgres")
	}
	name := strings.Trim(notInNames.ReplaceAllString(strings.ToLower(t.Name()), "_"), "_")
	name = fmt.Sprintf("t%d_%.40s", databases.Add(1), name)
	Exec(t, base, "create database "+name)
	t.Cleanup(func() {
		Exec(t, base, `select pg_terminate_backend(active_pid) from pg_replication_slots where database = '`+name+`' and active_pid is not null`)
		deadline := time.Now().Add(10 * time.Second)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for try(base, `select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = '`+name+`'`) != nil && time.Now().Before(deadline) {
			<-tick.C // an ended walsender lets go of its slot a moment later
		}
		Exec(t, base, "drop database if exists "+name+" with (force)")
	})
	u, err := url.Parse(base)
	if err != nil {
		t.Fatalf("%s must be a postgres:// URL: %v", ServerEnv, err)
	}
	u.Path = "/" + name
	dsn := u.String()
	Exec(t, dsn, setup...)
	return dsn
}

// Exec runs statements, each of which may be several, on a connection of its own.
func Exec(t testing.TB, dsn string, statements ...string) {
	t.Helper()
	if len(statements) == 0 {
		return
	}
	for _, sql := range statements {
		if err := try(dsn, sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// Query returns the rows of a query as text, null as "<null>".
func Query(t testing.TB, dsn, sql string) [][]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	defer func() { _ = c.Close(context.Background()) }()
	results, err := c.PgConn().Exec(ctx, sql).ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	var out [][]string
	for _, r := range results {
		for _, row := range r.Rows {
			cells := make([]string, len(row))
			for i, v := range row {
				cells[i] = string(v)
				if v == nil {
					cells[i] = "<null>"
				}
			}
			out = append(out, cells)
		}
	}
	return out
}

func try(dsn, sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close(context.Background()) }()
	_, err = c.PgConn().Exec(ctx, sql).ReadAll()
	return err
}
