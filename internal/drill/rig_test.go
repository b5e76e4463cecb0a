package drill

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/app"
	"github.com/undrop/undrop/internal/config"
	"github.com/undrop/undrop/internal/crash"
	"github.com/undrop/undrop/internal/kafka"
	"github.com/undrop/undrop/internal/postgres"
	"github.com/undrop/undrop/internal/postgres/postgrestest"
)

// TestMain removes the binary that the tests share.
func TestMain(m *testing.M) {
	code := m.Run()
	if built.path != "" {
		_ = os.RemoveAll(filepath.Dir(built.path))
	}
	os.Exit(code)
}

// long asks for the loops that take minutes.
func long() bool { return os.Getenv("UNDROP_LONG") != "" }

// rounds is n, or many with UNDROP_LONG.
func rounds(n, many int) int {
	if long() {
		return many
	}
	return n
}

var built struct {
	sync.Once
	path string
	err  error
}

// binary builds the product once for all tests of the package.
func binary(t *testing.T) string {
	t.Helper()
	built.Do(func() {
		dir, err := os.MkdirTemp("", "undrop-drill-")
		if err != nil {
			built.err = err
			return
		}
		built.path = filepath.Join(dir, "undrop")
		out, err := exec.Command("go", "build", "-o", built.path, "github.com/undrop/undrop/cmd/undrop").CombinedOutput()
		if err != nil {
			built.err = fmt.Errorf("build undrop: %w\n%s", err, out)
		}
	})
	require.NoError(t, built.err)
	return built.path
}

// setup says how an installation differs from what init writes.
type setup struct {
	rows     int64             // payments before the first start
	config   map[string]string // text of undrop.yaml to replace
	contract map[string]string // text of the payments contract to replace
	seed     uint64
	mix      Mix
	pace     time.Duration // between transactions of the traffic (4 ms)
	cluster  bool          // the log is not the embedded one
}

// rig is a source with traffic, and an installation of the real binary.
type rig struct {
	t       *testing.T
	seed    uint64
	rng     *rand.Rand
	server  *postgres.Server
	dsn     string
	bank    *Bank
	dir     string
	mix     Mix
	pace    time.Duration
	cluster bool
	stop    func() // the traffic, once
	stories []*bytes.Buffer
}

// quick commits often, so that there are many snapshots to check, and listens
// nowhere that another test could.
var quick = map[string]string{
	"commit_interval: 1s":           "commit_interval: 100ms",
	"listen: 127.0.0.1:8080":        "listen: 127.0.0.1:0",
	`{listen: "127.0.0.1:8181", `:   `{listen: "127.0.0.1:0", `,
	"snapshot: {lane: direct, conn": "snapshot: {range_pages: 4, lane: direct, conn",
}

// status gives the payments' status an enum, so that "lost" breaks the contract.
const statusEnum = "        enum: [{value: new}, {value: paid}, {value: settled}]\n"

// newRig makes the source, the bank and the installation; nothing runs yet.
func newRig(t *testing.T, s setup) *rig {
	t.Helper()
	bin := binary(t)
	if s.seed == 0 {
		s.seed = uint64(time.Now().UnixNano())
	}
	if v := os.Getenv("UNDROP_SEED"); v != "" {
		_, err := fmt.Sscan(v, &s.seed)
		require.NoError(t, err)
	}
	if s.pace == 0 {
		s.pace = 4 * time.Millisecond
	}
	r := &rig{t: t, seed: s.seed, rng: rand.New(rand.NewPCG(s.seed, 1)), mix: s.mix, pace: s.pace, cluster: s.cluster, dir: filepath.Join(t.TempDir(), "bank"), stop: func() {}}
	t.Logf("seed %d (UNDROP_SEED repeats it)", s.seed)
	r.server = postgrestest.Start(t, "synchronous_commit=off", "fsync=off", "max_wal_size=2GB", "max_replication_slots=20")
	r.dsn = r.server.DSN("postgres")
	ctx := context.Background()
	var err error
	r.bank, err = OpenBank(ctx, r.dsn, s.seed)
	require.NoError(t, err)
	t.Cleanup(func() { _ = r.bank.Close(ctx) })
	require.NoError(t, r.bank.Create(ctx, s.rows))
	require.NoError(t, r.bank.Snapshot(ctx))

	out, err := exec.Command(bin, "init", "--source", r.dsn, "--source-name", "core", r.dir).CombinedOutput()
	require.NoError(t, err, string(out))
	replaceIn(t, filepath.Join(r.dir, "undrop.yaml"), quick)
	replaceIn(t, filepath.Join(r.dir, "undrop.yaml"), s.config)
	payments := filepath.Join(r.dir, "contracts", "bank.payments.odcs.yaml")
	replaceIn(t, payments, map[string]string{"      - name: status\n        logicalType: string\n": "      - name: status\n        logicalType: string\n" + statusEnum})
	replaceIn(t, payments, s.contract)
	t.Cleanup(func() {
		r.stop()
		if !t.Failed() {
			return
		}
		for i, b := range r.stories[max(0, len(r.stories)-3):] {
			t.Logf("--- run %d of the last:\n%s", i, tailOf(b.String(), 6000))
		}
	})
	return r
}

func tailOf(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}

func replaceIn(t *testing.T, path string, texts map[string]string) {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	s := string(data)
	for from, to := range texts {
		require.Contains(t, s, from, path)
		s = strings.ReplaceAll(s, from, to)
	}
	require.NoError(t, os.WriteFile(path, []byte(s), 0o600))
}

// traffic runs transactions until the rig's stop is called. Transactions are
// serial and each is finished, so the ledger is never in doubt.
func (r *rig) traffic() {
	quit, done := make(chan struct{}), make(chan error, 1)
	go func() {
		tick := time.NewTicker(r.pace)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				done <- nil
				return
			case <-tick.C:
			}
			if err := r.bank.Step(context.Background(), r.mix); err != nil {
				done <- err
				return
			}
		}
	}()
	r.stop = sync.OnceFunc(func() {
		close(quit)
		if err := <-done; err != nil {
			r.t.Errorf("traffic: %v", err)
		}
	})
}

// process is one run of the binary.
type process struct {
	cmd   *exec.Cmd
	story *bytes.Buffer
	ended chan struct{}
	err   error
}

// start runs the binary with an environment and arguments.
func (r *rig) start(env []string, args ...string) *process {
	r.t.Helper()
	p := &process{cmd: exec.Command(binary(r.t), args...), story: new(bytes.Buffer), ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = p.story, p.story
	r.stories = append(r.stories, p.story)
	require.NoError(r.t, p.cmd.Start())
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	r.t.Cleanup(p.kill)
	return p
}

func (r *rig) up(env []string, more ...string) *process {
	return r.start(env, append([]string{"up", "-f", filepath.Join(r.dir, "undrop.yaml")}, more...)...)
}

// kill is the operating system's: nothing of the process runs after it.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// wait waits for the end, at most d.
func (p *process) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-p.ended:
		return true
	case <-timer.C:
		return false
	}
}

// killed says whether a signal ended the process.
func (p *process) killed() bool {
	var exit *exec.ExitError
	if !errors.As(p.err, &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// catchUp ends the traffic and runs until every table holds all of it.
func (r *rig) catchUp() {
	r.t.Helper()
	r.stop()
	p := r.up(nil, "--until-caught-up")
	if !p.wait(60 * time.Second) {
		_ = p.cmd.Process.Signal(syscall.SIGQUIT) // where it hangs
		p.wait(5 * time.Second)
		r.t.Fatalf("did not catch up within a minute (seed %d)", r.seed)
	}
	require.NoError(r.t, p.err, "catch up (seed %d)", r.seed)
}

// reload asks for tables to be loaded anew, while nothing runs.
func (r *rig) reload(tables ...string) {
	r.t.Helper()
	cfg, err := config.Load(filepath.Join(r.dir, "undrop.yaml"))
	require.NoError(r.t, err)
	a, err := app.Open(context.Background(), cfg, slog.New(slog.DiscardHandler))
	require.NoError(r.t, err)
	defer a.Close()
	_, err = a.Reload(context.Background(), tables)
	require.NoError(r.t, err)
}

// armed is the environment of a process that dies at a crash point.
func armed(point string, n int) []string {
	return []string{fmt.Sprintf("%s=%s:%d", crash.Env, point, n)}
}

// eventually polls until something holds.
func (r *rig) eventually(d time.Duration, what string, holds func() bool) {
	r.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(d); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			r.t.Fatalf("not within %s: %s (seed %d)", d, what, r.seed)
		}
	}
}

// addressWritten is when the process that hosts the log wrote down where.
func (r *rig) addressWritten() time.Time {
	info, err := os.Stat(filepath.Join(r.dir, "state", "log.json"))
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// marks is the position that each table names now; a table that is not live has
// none.
func (r *rig) marks() map[string]undrop.LSN {
	marks := map[string]undrop.LSN{}
	for name, m := range openMart(r.t, r.dir) {
		if len(m.mains()) > 0 {
			marks[name] = mark[undrop.SourceMark](r.t, m.newest(), undrop.SummarySource).LSN
		}
	}
	return marks
}

var kafkaDefaults kafka.TopicOptions

func kafkaAt(broker string) kafka.Config { return kafka.Config{Brokers: []string{broker}} }
