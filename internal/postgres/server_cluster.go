package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	undrop "github.com/undrop/undrop"
)

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// socketDir is where the server puts its socket: the kernel takes no path longer
// than 107 bytes, so a deep folder gets none.
func (s *Server) socketDir() string {
	if len(s.dir)+len("/.s.PGSQL.65535.lock") > 103 {
		return ""
	}
	return s.dir
}

const settingsFile = "undrop.conf"

// initCluster makes the cluster unless there is one.
func (s *Server) initCluster(ctx context.Context) error {
	secret := filepath.Join(s.dir, "password")
	if _, err := os.Stat(filepath.Join(s.data(), "PG_VERSION")); err == nil {
		b, err := os.ReadFile(secret)
		if err != nil {
			return fmt.Errorf("use the cluster in %s again: %w", s.dir, err)
		}
		s.password = strings.TrimSpace(string(b))
		return nil
	}
	s.password = strings.ToLower(rand.Text())
	if err := os.WriteFile(secret, []byte(s.password+"\n"), 0o600); err != nil {
		return fmt.Errorf("write password of the throwaway cluster: %w", err)
	}
	if err := s.owner.give(secret); err != nil {
		return err
	}
	out := &tail{also: s.cfg.Stdout}
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "initdb"), "-D", s.data(), "-U", serverUser, "--pwfile="+secret,
		"--auth-local=trust", "--auth-host=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions")
	cmd.Stdout, cmd.Stderr, cmd.Dir, cmd.Env = out, out, s.dir, serverEnv(s.dir)
	done := make(chan error, 1)
	err := runChild(cmd, s.owner, func(err error) { done <- err })
	if err == nil {
		err = <-done
	}
	if err != nil {
		return &undrop.Error{Code: undrop.Failed, Op: "make a throwaway PostgreSQL cluster in " + s.dir,
			Err: fmt.Errorf("%w: %s", err, out), Hint: "point UNDROP_POSTGRES_BIN at the bin folder of a working installation"}
	}
	conf, err := os.OpenFile(filepath.Join(s.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("add settings to the throwaway cluster: %w", err)
	}
	_, err = conf.WriteString("\ninclude '" + settingsFile + "'\n")
	if err := errors.Join(err, conf.Close()); err != nil {
		return fmt.Errorf("add settings to the throwaway cluster: %w", err)
	}
	return nil
}

// serverEnv is a small environment: PG* variables of the person who starts us
// must not reach the server.
func serverEnv(dir string) []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LC_ALL=C", "TZ=UTC", "TMPDIR=" + os.TempDir()}
}

func freePort() (int, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// writeSettings puts our settings into a file that the cluster includes: unlike
// those on the command line they give way to ALTER SYSTEM.
func (s *Server) writeSettings() error {
	all := maps.Clone(serverSettings)
	maps.Copy(all, s.cfg.Settings)
	var text strings.Builder
	for _, k := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&text, "%s = '%s'\n", k, strings.ReplaceAll(all[k], "'", "''"))
	}
	file := filepath.Join(s.data(), settingsFile)
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		return fmt.Errorf("write settings of the throwaway cluster: %w", err)
	}
	return s.owner.give(file)
}
