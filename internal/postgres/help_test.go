package postgres_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/postgres"
	"github.com/undrop/undrop/internal/postgres/postgrestest"
)

// childEnv makes this test binary start and stop one server and exit.
const childEnv = "UNDROP_TEST_SERVER_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(serverChild())
	}
	postgrestest.Main(m)
}

func serverChild() int {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := postgres.StartServer(ctx, postgres.ServerConfig{})
	if err == nil {
		_, err = os.Stdout.WriteString("started in " + s.Dir() + "\n")
		err = errors.Join(err, s.Stop())
	}
	if err != nil {
		_, _ = os.Stderr.WriteString(err.Error() + "\n")
		return 1
	}
	return 0
}

// wantHint checks that err says text and gives a next step that says hint.
func wantHint(t *testing.T, err error, text, hint string) {
	t.Helper()
	var e *undrop.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an error with a hint", err)
	}
	if !strings.Contains(e.Error(), text) || !strings.Contains(e.Hint, hint) {
		t.Errorf("error %q, hint %q; want %q and %q", e, e.Hint, text, hint)
	}
}

// open opens a source on dsn with fixed names.
func open(t *testing.T, dsn string) *postgres.Source {
	t.Helper()
	s, err := postgres.Open(t.Context(), postgres.Config{Name: "core", DSN: dsn, Publication: "undrop_core", Slot: slotFor(dsn)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// slotFor names a slot after the database: slots belong to the whole cluster.
func slotFor(dsn string) string {
	db := dsn[strings.LastIndexByte(dsn, '/')+1:]
	db, _, _ = strings.Cut(db, "?")
	return "s_" + db
}

// openFolder is a temporary folder that other users may enter, as the server's
// user must when root runs the tests.
func openFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
