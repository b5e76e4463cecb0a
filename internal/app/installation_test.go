package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/app"
	"github.com/undrop/undrop/internal/config"
	"github.com/undrop/undrop/internal/kafka"
	"github.com/undrop/undrop/internal/postgres/postgrestest"
)

// site is an installation over a database, run inside the test.
type site struct {
	t      *testing.T
	dsn    string
	dir    string
	source string
	story  story
}

// story keeps what was logged, for a test that fails.
type story struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *story) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(b)
}

func (s *story) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// twoTables is what most of these tests have.
const twoTables = `
create table payments(id bigint primary key, note text);
create table cards(id bigint primary key, note text);
insert into payments select g, 'p' || g from generate_series(1, 3) g;
insert into cards select g, 'c' || g from generate_series(1, 3) g;`

// newSite initialises an installation for a database of its own.
func newSite(t *testing.T, setup ...string) *site {
	t.Helper()
	if len(setup) == 0 {
		setup = []string{twoTables}
	}
	return siteOf(t, postgrestest.NewDatabase(t, setup...))
}

func siteOf(t *testing.T, dsn string) *site {
	t.Helper()
	// The slot's name is the server's, not the database's: each source has its own.
	name := "s" + postgrestest.Query(t, dsn, "select oid from pg_database where datname = current_database()")[0][0]
	s := &site{t: t, dsn: dsn, dir: filepath.Join(t.TempDir(), "site"), source: name}
	_, err := app.Init(t.Context(), app.InitOptions{DSN: dsn, Dir: s.dir, Source: name})
	require.NoError(t, err)
	s.edit("undrop.yaml", "commit_interval: 1s", "commit_interval: 50ms", "listen: 127.0.0.1:8080", `listen: ""`, `listen: "127.0.0.1:8181"`, `listen: ""`)
	t.Cleanup(func() {
		if t.Failed() {
			text := s.story.String()
			t.Logf("log:\n%s", text[max(0, len(text)-8000):])
		}
	})
	return s
}

// edit replaces pairs of texts in a file of the installation.
func (s *site) edit(file string, pairs ...string) {
	s.t.Helper()
	path := filepath.Join(s.dir, file)
	data, err := os.ReadFile(path)
	require.NoError(s.t, err)
	text := string(data)
	for i := 0; i < len(pairs); i += 2 {
		require.Contains(s.t, text, pairs[i], path)
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	require.NoError(s.t, os.WriteFile(path, []byte(text), 0o600))
}

func (s *site) slot() string        { return "undrop_" + s.source }
func (s *site) publication() string { return "undrop_" + s.source }

func (s *site) exec(sql ...string) {
	s.t.Helper()
	postgrestest.Exec(s.t, s.dsn, sql...)
}

func (s *site) query(sql string) string {
	s.t.Helper()
	rows := postgrestest.Query(s.t, s.dsn, sql)
	require.NotEmpty(s.t, rows, sql)
	return rows[0][0]
}

// lsn is where the source writes now.
func (s *site) lsn() undrop.LSN {
	s.t.Helper()
	l, err := undrop.ParseLSN(s.query("select pg_current_wal_insert_lsn()"))
	require.NoError(s.t, err)
	return l
}

// open runs f with the installation open.
func (s *site) open(f func(ctx context.Context, a *app.App) error) error {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	cfg, err := config.Load(filepath.Join(s.dir, "undrop.yaml"))
	if err != nil {
		return err
	}
	a, err := app.Open(ctx, cfg, slog.New(slog.NewTextHandler(&s.story, &slog.HandlerOptions{Level: slog.LevelInfo})))
	if err != nil {
		return err
	}
	defer func() { require.NoError(s.t, a.Close()) }()
	return f(ctx, a)
}

// up runs until every table holds what the source holds now, or until it is
// refused.
func (s *site) up(o ...app.UpOptions) error {
	s.t.Helper()
	return s.open(func(ctx context.Context, a *app.App) error {
		opts := app.UpOptions{UntilCaughtUp: true}
		if len(o) > 0 {
			opts = o[0]
		}
		err := a.Up(ctx, opts)
		if ctx.Err() != nil {
			return fmt.Errorf("did not end within a minute: %w", ctx.Err())
		}
		return err
	})
}

// running is an installation that is up in the background.
type running struct {
	s      *site
	app    *app.App
	cancel context.CancelFunc
	done   chan error
}

// start brings the installation up until stop.
func (s *site) start(o ...app.UpOptions) *running {
	s.t.Helper()
	r := &running{s: s, done: make(chan error, 1)}
	opts := app.UpOptions{}
	if len(o) > 0 {
		opts = o[0]
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	ready := make(chan *app.App, 1)
	go func() {
		r.done <- s.open(func(_ context.Context, a *app.App) error {
			ready <- a
			return a.Up(ctx, opts)
		})
	}()
	s.t.Cleanup(func() { _ = r.stop() })
	select {
	case r.app = <-ready:
	case err := <-r.done:
		s.t.Fatalf("open: %v", err)
	}
	return r
}

// stop asks for an orderly end and waits for it.
func (r *running) stop() error {
	r.cancel()
	err := <-r.done
	r.done <- err // for who asks again
	return err
}

// until polls what must become true.
func (s *site) until(what string, f func() bool) {
	s.t.Helper()
	deadline := time.Now().Add(45 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !f() {
		if time.Now().After(deadline) {
			s.t.Fatalf("not within 45 s: %s", what)
		}
		<-tick.C
	}
}

// rows reads a mart table as "id=note", sorted.
func (s *site) rows(table string) []string {
	s.t.Helper()
	out := []string{}
	require.NoError(s.t, s.open(func(ctx context.Context, a *app.App) error {
		answer, err := a.Rows(ctx, "public."+table, app.RowsOptions{})
		if err != nil {
			return err
		}
		for _, r := range answer.Rows {
			var row struct {
				ID   int64  `json:"id"`
				Note string `json:"note"`
			}
			if err := json.Unmarshal(r, &row); err != nil {
				return err
			}
			out = append(out, fmt.Sprintf("%d=%s", row.ID, row.Note))
		}
		return nil
	}))
	slices.Sort(out)
	return out
}

// truth reads the source as rows reads the mart.
func (s *site) truth(table string) []string {
	s.t.Helper()
	out := []string{}
	for _, r := range postgrestest.Query(s.t, s.dsn, "select id || '=' || coalesce(note, '') from "+table) {
		out = append(out, r[0])
	}
	slices.Sort(out)
	return out
}

// same requires that tables hold what the source holds.
func (s *site) same(tables ...string) {
	s.t.Helper()
	for _, table := range tables {
		require.Equal(s.t, s.truth(table), s.rows(table), table)
	}
}

// marks is the LSN that each mart table names.
func (s *site) marks() map[string]undrop.LSN {
	s.t.Helper()
	out := map[string]undrop.LSN{}
	require.NoError(s.t, s.open(func(ctx context.Context, a *app.App) error {
		marks, err := a.Marks(ctx)
		for name, m := range marks {
			out[strings.TrimPrefix(name, "public.")] = m.LSN
		}
		return err
	}))
	return out
}

// stayed requires that the tables of a gap are at their last exact state.
func (s *site) stayed(at map[string]undrop.LSN, g undrop.Gap) {
	s.t.Helper()
	now := s.marks()
	for _, name := range g.Tables {
		table := strings.TrimPrefix(name, "public.")
		require.True(s.t, now[table] >= at[table] && now[table] <= g.From, "%s was at %s and is at %s, the gap begins at %s", table, at[table], now[table], g.From)
	}
}

// gaps lists the open gaps.
func (s *site) gaps() (gaps []undrop.Gap) {
	s.t.Helper()
	require.NoError(s.t, s.open(func(_ context.Context, a *app.App) (err error) {
		gaps, err = a.OpenGaps()
		return err
	}))
	return gaps
}

// gap is the only open gap.
func (s *site) gap() undrop.Gap {
	s.t.Helper()
	gaps := s.gaps()
	require.Len(s.t, gaps, 1)
	return gaps[0]
}

// reload asks for tables to be loaded anew.
func (s *site) reload(tables ...string) {
	s.t.Helper()
	names := make([]string, len(tables))
	for i, t := range tables {
		names[i] = "public." + t
	}
	require.NoError(s.t, s.open(func(ctx context.Context, a *app.App) error {
		_, err := a.Reload(ctx, names)
		return err
	}))
}

// heals requires that a reload of the tables closes every gap and brings the
// source's rows.
func (s *site) heals(tables ...string) {
	s.t.Helper()
	s.reload(tables...)
	require.NoError(s.t, s.up())
	require.Empty(s.t, s.gaps())
	s.same("payments", "cards")
}

// refused requires an error that a guard gave, with a next step.
func refused(t *testing.T, err error, texts ...string) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, undrop.Refused, undrop.CodeOf(err), err.Error())
	for _, text := range texts {
		require.ErrorContains(t, err, text)
	}
}

func sorted(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return s
}

func replaced(sql, slot string) string { return strings.ReplaceAll(sql, "SLOT", slot) }

// broker runs f with a client of the installation's embedded log.
func (s *site) broker(f func(ctx context.Context, admin *kadm.Client)) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer cancel()
	e, err := kafka.OpenEmbedded(ctx, kafka.EmbeddedConfig{Dir: filepath.Join(s.dir, "state", "log")})
	require.NoError(s.t, err)
	cl, err := kgo.NewClient(kgo.SeedBrokers(e.Brokers()...))
	require.NoError(s.t, err)
	f(ctx, kadm.NewClient(cl))
	cl.Close()
	require.NoError(s.t, e.Close())
}
