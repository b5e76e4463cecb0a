// Package bench measures undrop against its floors, with the source on the same
// machine, and prints what a reader needs to judge a figure: rows, bytes, wall
// clock, CPU seconds of each side, peak memory, cores. It runs the product as a
// user would: a configuration, a contract, `up`.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/undrop/undrop/internal/app"
	"github.com/undrop/undrop/internal/config"
	"github.com/undrop/undrop/internal/postgres"
)

// Options of every measurement.
type Options struct {
	Rows    int64
	Changes int64
	Lane    string // direct, log
	Dir     string // kept afterwards; "": temporary
	Profile string // file for a CPU profile of the measured phase; "": none
	Log     *slog.Logger
	Story   io.Writer // progress for a person
}

// Result is one measured run.
type Result struct {
	What          string  `json:"what"`
	Rows          int64   `json:"rows"`
	WallSeconds   float64 `json:"wall_seconds"`
	RowsPerSecond float64 `json:"rows_per_second"`
	OurCPU        float64 `json:"our_cpu_seconds"`
	RowsPerCPU    float64 `json:"rows_per_our_cpu_second"`
	SourceCPU     float64 `json:"source_cpu_seconds"`
	CPURatio      float64 `json:"our_cpu_over_source_cpu"`
	RowBytes      float64 `json:"source_bytes_per_row"` // of the table's heap
	TableBytes    int64   `json:"table_bytes"`
	PeakRSS       int64   `json:"peak_rss_bytes"`
	Cores         int     `json:"cores"`
	Note          string  `json:"note,omitempty"`
}

// payments is the measured table: 8 columns, about 120 bytes a row, values that
// do not follow from each other.
const payments = `
create table payments (
  id bigint primary key, account_id bigint not null, amount numeric(12,2) not null, currency text not null,
  status text not null, created_at timestamptz not null, updated_at timestamptz not null, note text);
select setseed(0.42);
insert into payments select i, (random()*5e6)::bigint, (random()*1e6)::numeric(12,2), (array['EUR','USD','RUB','GBP'])[1+floor(random()*4)::int],
  (array['new','paid','settled','failed'])[1+floor(random()*4)::int], timestamptz '2026-01-01' + random()*interval '300 days',
  timestamptz '2026-01-01' + random()*interval '300 days', case when random() < 0.14 then null else 'note for payment ' || md5(i::text) end
  from generate_series(1, %d) i;
analyze payments;`

// bed is a source with the measured table and an installation that lands it.
type bed struct {
	dir    string
	temp   bool
	server *postgres.Server
	cfg    *config.Config
	conn   *pgx.Conn
	log    *slog.Logger

	profile  string
	rowBytes float64 // of the table's heap
}

func (b *bed) close() {
	ctx := context.Background()
	if b.conn != nil {
		_ = b.conn.Close(ctx)
	}
	if b.server != nil {
		_ = b.server.Stop()
	}
	if b.temp {
		_ = os.RemoveAll(b.dir)
	}
}

// prepare starts a source with n rows and writes a configuration for it.
func prepare(ctx context.Context, o Options) (_ *bed, err error) {
	b := &bed{dir: o.Dir, log: o.Log, profile: o.Profile}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	if b.dir == "" {
		if b.dir, err = os.MkdirTemp("", "undrop-bench-"); err != nil {
			return nil, fmt.Errorf("make a folder for the measurement: %w", err)
		}
		b.temp = true
	}
	fmt.Fprintf(o.Story, "source: starting PostgreSQL and filling payments with %d rows\n", o.Rows)
	if b.server, err = postgres.StartServer(ctx, postgres.ServerConfig{Settings: map[string]string{
		"synchronous_commit": "off", "max_wal_size": "8GB", "shared_buffers": "512MB", "checkpoint_timeout": "30min", "autovacuum": "off"}}); err != nil {
		return nil, err
	}
	dsn := b.server.DSN("postgres")
	if b.conn, err = pgx.Connect(ctx, dsn); err != nil {
		return nil, err
	}
	if _, err = b.conn.PgConn().Exec(ctx, fmt.Sprintf(payments, o.Rows)).ReadAll(); err != nil {
		return nil, fmt.Errorf("fill payments: %w", err)
	}
	if err = b.conn.QueryRow(ctx, "select pg_relation_size('payments') / greatest(count(*), 1)::float8 from payments").Scan(&b.rowBytes); err != nil {
		return nil, fmt.Errorf("measure payments: %w", err)
	}
	if _, err = app.Init(ctx, app.InitOptions{DSN: dsn, Tables: []string{"public.payments"}, Dir: b.dir, Source: "bench"}); err != nil {
		return nil, err
	}
	if b.cfg, err = config.Load(filepath.Join(b.dir, "undrop.yaml")); err != nil {
		return nil, err
	}
	b.cfg.Listen = ""
	if o.Lane != "" {
		b.cfg.Sources[0].Snapshot.Lane = o.Lane
	}
	return b, nil
}

// catchUp runs the pipeline until the table holds all that the source has now.
func (b *bed) catchUp(ctx context.Context) error {
	a, err := app.Open(ctx, b.cfg, b.log)
	if err != nil {
		return err
	}
	defer func() { _ = a.Close() }() // only read from
	return a.Up(ctx, app.UpOptions{UntilCaughtUp: true})
}

// measure runs f and fills in what both sides spent.
func (b *bed) measure(what string, rows int64, f func() error) (*Result, error) {
	stop, err := profile(b.profile)
	if err != nil {
		return nil, err
	}
	forgetPeak()
	ours, source := selfCPU(), treeCPU(b.server.PID())
	began := time.Now()
	err = f()
	r := &Result{What: what, Rows: rows, WallSeconds: time.Since(began).Seconds(), OurCPU: selfCPU() - ours,
		SourceCPU: treeCPU(b.server.PID()) - source, PeakRSS: peakRSS(), Cores: runtime.NumCPU(), TableBytes: folderBytes(b.cfg.Warehouse), RowBytes: b.rowBytes}
	if err = errors.Join(err, stop()); err != nil {
		return nil, err
	}
	r.RowsPerSecond, r.RowsPerCPU, r.CPURatio = float64(rows)/r.WallSeconds, float64(rows)/r.OurCPU, r.OurCPU/r.SourceCPU
	return r, nil
}

// Snapshot measures the first load.
func Snapshot(ctx context.Context, o Options) (*Result, error) {
	b, err := prepare(ctx, o)
	if err != nil {
		return nil, err
	}
	defer b.close()
	lane := b.cfg.Sources[0].Snapshot.Lane
	fmt.Fprintf(o.Story, "measuring: snapshot, lane %s\n", lane)
	r, err := b.measure("snapshot, lane "+lane, o.Rows, func() error { return b.catchUp(ctx) })
	if err != nil {
		return nil, err
	}
	return r, b.verify(ctx)
}

// Stream measures how fast a backlog of updates, 100 to a transaction, reaches
// the table.
func Stream(ctx context.Context, o Options) (*Result, error) {
	b, err := prepare(ctx, o)
	if err != nil {
		return nil, err
	}
	defer b.close()
	fmt.Fprintf(o.Story, "loading the table first\n")
	if err := b.catchUp(ctx); err != nil {
		return nil, err
	}
	fmt.Fprintf(o.Story, "writing %d updates, 100 to a transaction, to the source\n", o.Changes)
	// The call stands alone: only then may the procedure commit.
	for _, sql := range []string{updates, fmt.Sprintf("call make_updates(%d, %d)", o.Rows, o.Changes)} {
		if _, err := b.conn.Exec(ctx, sql); err != nil {
			return nil, fmt.Errorf("write updates: %w", err)
		}
	}
	fmt.Fprintf(o.Story, "measuring: stream\n")
	r, err := b.measure("stream of updates", o.Changes, func() error { return b.catchUp(ctx) })
	if err != nil {
		return nil, err
	}
	return r, b.verify(ctx)
}

// updates runs in the server, so that writing costs nothing while we measure.
const updates = `
create or replace procedure make_updates(rows bigint, n bigint) language plpgsql as $$
declare s bigint;
begin
  for t in 1 .. n / 100 loop
    s := floor(random() * rows)::bigint;
    update payments set status = (array['new','paid','settled','failed'])[1+floor(random()*4)::int], amount = (random()*1e6)::numeric(12,2), updated_at = clock_timestamp()
      where id = any (array(select 1 + (s + k * 7919) % rows from generate_series(0, 99) k));
    commit;
  end loop;
end $$`
