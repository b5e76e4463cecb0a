package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// ServerConfig describes a throwaway server for the demo and for tests. Its zero
// value starts one in a temporary folder that Stop removes.
type ServerConfig struct {
	Dir      string            // cluster and socket; empty: temporary, removed by Stop. A cluster that is there is used again
	Cache    string            // where downloaded binaries are kept; empty: the user's cache folder
	Settings map[string]string // over the settings below
	Stdout   io.Writer         // the server's own log; nil: only its last lines, in errors
	BinDir   string            // folder with postgres and initdb; empty: searched for
	Version  string            // of a download, for example "17.11.0"; empty: the pinned one
}

// serverSettings make a small server that can be captured from. Nothing here
// waits for the disk: what such a server holds is not meant to outlive the machine.
var serverSettings = map[string]string{
	"wal_level":                 "logical",
	"max_replication_slots":     "20",
	"max_wal_senders":           "20",
	"listen_addresses":          "127.0.0.1",
	"shared_buffers":            "128MB",
	"fsync":                     "off",
	"full_page_writes":          "off",
	"logging_collector":         "off",
	"log_min_messages":          "warning",
	"max_prepared_transactions": "4",
}

// serverUser is the superuser of a throwaway cluster.
const serverUser = "undrop"

// Server is a running throwaway PostgreSQL.
type Server struct {
	cfg      ServerConfig
	bin      string
	dir      string
	password string
	port     int
	answered bool   // on this port: it is known to others and stays
	owner    *owner // who the processes run as; nil: whoever we are

	mu   sync.Mutex
	proc *serverProcess // nil: not running
}

// serverProcess is one run of the postmaster.
type serverProcess struct {
	process *os.Process
	tail    *tail
	exited  chan struct{} // closed when it is gone
	err     error         // why, valid after exited
}

// StartServer starts a server and returns when it answers. Started by root, the
// server's processes run as an unprivileged user, since PostgreSQL refuses root.
func StartServer(ctx context.Context, cfg ServerConfig) (_ *Server, err error) {
	s := &Server{cfg: cfg, dir: cfg.Dir}
	if s.owner, err = serverOwner(); err != nil {
		return nil, err
	}
	if s.dir == "" {
		if s.dir, err = os.MkdirTemp("", "undrop-pg-"); err != nil {
			return nil, fmt.Errorf("make a folder for PostgreSQL: %w", err)
		}
		defer func() {
			if err != nil {
				_ = os.RemoveAll(s.dir) // the first error is the one that counts
			}
		}()
	} else if s.dir, err = filepath.Abs(cfg.Dir); err != nil {
		return nil, fmt.Errorf("find folder for PostgreSQL: %w", err)
	}
	if err := s.owner.give(s.dir); err != nil {
		return nil, err
	}
	if s.bin, err = findBinaries(ctx, cfg, s.owner, s.dir); err != nil {
		return nil, err
	}
	if err := s.initCluster(ctx); err != nil {
		return nil, err
	}
	if err := s.Restart(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// DSN is the URL of a database of the server, as its superuser.
func (s *Server) DSN(db string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(serverUser, s.password),
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)), Path: "/" + db, RawQuery: "sslmode=disable"}
	return u.String()
}

// Dir is the folder that holds the cluster.
func (s *Server) Dir() string { return s.dir }

// Restart stops the server if it runs and starts it again on the same port.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.halt(interrupt); err != nil {
		return err
	}
	for try := 1; ; try++ {
		if s.port == 0 {
			port, err := freePort()
			if err != nil {
				return err
			}
			s.port = port
		}
		err := s.start(ctx)
		if err == nil {
			s.answered = true
			return nil
		}
		// Two causes pass by themselves: another process took the port between our
		// look and the server's, and children of a killed postmaster still hold its
		// shared memory.
		if try == 5 || ctx.Err() != nil || !strings.Contains(err.Error(), "in use") {
			return err
		}
		if !s.answered {
			s.port = 0 // nobody knows it yet
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// Stop ends the server in order (connections are cut, everything is written) and
// removes its folder if it was a temporary one.
func (s *Server) Stop() error {
	err := s.halt(interrupt)
	if s.cfg.Dir == "" {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return err
}

// Kill ends the server as a power cut would end its processes; Restart starts
// it again.
func (s *Server) Kill() {
	_ = s.halt(os.Kill) // a killed process always reports that it was killed
}

// halt sends a signal and waits for the end.
func (s *Server) halt(sig os.Signal) error {
	s.mu.Lock()
	p := s.proc
	s.proc = nil
	s.mu.Unlock()
	if p == nil {
		return nil
	}
	if err := p.process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop PostgreSQL: %w", err)
	}
	select {
	case <-p.exited:
	case <-time.After(30 * time.Second):
		_ = p.process.Kill() // it did not listen
		<-p.exited
		return errors.New("stop PostgreSQL: it did not end within 30 s and was killed")
	}
	if p.err != nil && sig != os.Kill {
		return fmt.Errorf("stop PostgreSQL: %w: %s", p.err, p.tail)
	}
	return nil
}

// start runs the postmaster and waits until it answers.
func (s *Server) start(ctx context.Context) error {
	if err := s.writeSettings(); err != nil {
		return err
	}
	args := []string{"-D", s.data(), "-c", "port=" + strconv.Itoa(s.port), "-c", "unix_socket_directories=" + s.socketDir()}
	//nolint:noctx // it outlives this call, and is stopped by pid
	cmd := exec.Command(filepath.Join(s.bin, "postgres"), args...)
	p := &serverProcess{tail: &tail{also: s.cfg.Stdout}, exited: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.tail, p.tail
	cmd.WaitDelay = time.Second // children of a killed postmaster keep the pipe open a moment longer
	cmd.Dir = s.dir
	cmd.Env = serverEnv(s.dir)
	if err := runChild(cmd, s.owner, func(err error) {
		p.err = err
		close(p.exited)
	}); err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	p.process = cmd.Process
	s.mu.Lock()
	s.proc = p
	s.mu.Unlock()
	if err := s.ready(ctx, p); err != nil {
		_ = s.halt(os.Kill) // what failed is in err
		return err
	}
	return nil
}

// ready asks until the server answers or ends.
func (s *Server) ready(ctx context.Context, p *serverProcess) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		select {
		case <-p.exited:
			return fmt.Errorf("start PostgreSQL from %s: %w: %s", s.bin, orErr(p.err, errors.New("it ended at once")), p.tail)
		case <-ctx.Done():
			return fmt.Errorf("start PostgreSQL from %s: %w (%w): %s", s.bin, ctx.Err(), orErr(last, errors.New("no answer")), p.tail)
		case <-tick.C:
		}
		c, err := pgconn.Connect(ctx, s.DSN("postgres"))
		if err != nil {
			last = err
			continue
		}
		closeConn(c)
		return nil
	}
}

func orErr(err, otherwise error) error {
	if err == nil {
		return otherwise
	}
	return err
}

// tail keeps the last lines that a process wrote and hands them on.
type tail struct {
	mu   sync.Mutex
	buf  []byte
	also io.Writer
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if over := len(t.buf) - 4096; over > 0 {
		t.buf = t.buf[over:]
	}
	if t.also != nil {
		return t.also.Write(b)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.buf))
}
