//go:build unix

package postgres_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/undrop/undrop/internal/postgres"
	"github.com/undrop/undrop/internal/postgres/postgrestest"
)

// A throwaway server must start for root, whom PostgreSQL refuses, and for a
// user without a home; the shared server shows the first when tests run as root.
func TestServerStartsAsUnprivilegedUser(t *testing.T) {
	postgrestest.Start(t)
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user; the shared server ran as an ordinary one")
	}
	dir, err := os.MkdirTemp("", "undrop-child-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "child")
	copyFile(t, os.Args[0], binary)
	cmd := exec.Command(binary)
	cmd.Dir = "/"
	cmd.Env = []string{childEnv + "=1", "PATH=" + os.Getenv("PATH"), postgres.BinEnv + "=" + os.Getenv(postgres.BinEnv)}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("as uid 65534: %v: %s", err, out)
	}
	made := strings.TrimSpace(strings.TrimPrefix(string(out), "started in "))
	if _, err := os.Stat(made); !os.IsNotExist(err) {
		t.Errorf("its temporary folder %q is still there (%v)", made, err)
	}
}

// What was committed must be there after an ordinary stop and after a kill.
func TestServerRestarts(t *testing.T) {
	ctx := t.Context()
	s := postgrestest.Start(t, "max_connections=20")
	dsn := s.DSN("postgres")
	postgrestest.Exec(t, dsn, "create table t (a int)", "insert into t values (1)")
	if err := s.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	postgrestest.Exec(t, dsn, "insert into t values (2)", "checkpoint")
	s.Kill()
	if err := s.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	if got := postgrestest.Query(t, s.DSN("postgres"), "select count(*) from t"); got[0][0] != "2" {
		t.Errorf("rows after restart and kill: %s, want 2", got[0][0])
	}
}

// A cluster in a named folder is kept and used again.
func TestServerFolderIsUsedAgain(t *testing.T) {
	postgrestest.Start(t)
	dir := filepath.Join(openFolder(t), "deep", strings.Repeat("folder", 20))
	for run := range 2 {
		s, err := postgres.StartServer(t.Context(), postgres.ServerConfig{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if run == 0 {
			postgrestest.Exec(t, s.DSN("postgres"), "create table kept (a int)")
		}
		postgrestest.Exec(t, s.DSN("postgres"), "select from kept")
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// A folder that the server's user may not enter is refused with a way out.
func TestServerRefusesClosedFolder(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root starts servers as somebody else")
	}
	closed := filepath.Join(openFolder(t), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := postgres.StartServer(t.Context(), postgres.ServerConfig{Dir: filepath.Join(closed, "pg")})
	wantHint(t, err, "may not enter", "choose a folder")
}

func TestServerRefusesWrongBinaries(t *testing.T) {
	_, err := postgres.StartServer(t.Context(), postgres.ServerConfig{BinDir: t.TempDir()})
	wantHint(t, err, "no initdb", postgres.BinEnv)
}

// A server that cannot start says why, in its own words.
func TestServerSaysWhyItDidNotStart(t *testing.T) {
	postgrestest.Start(t)
	_, err := postgres.StartServer(t.Context(), postgres.ServerConfig{Settings: map[string]string{"wal_level": "sideways"}})
	if err == nil || !strings.Contains(err.Error(), "sideways") {
		t.Errorf("got %v, want the server's own words about wal_level", err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}
