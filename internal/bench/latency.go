package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/app"
)

// LatencyResult is commit to visible: from the moment at which the source told its
// client that a transaction is committed to the moment at which a reader who asks
// the catalog every 5 ms is given a snapshot that holds it.
type LatencyResult struct {
	What        string  `json:"what"`
	Changes     int64   `json:"changes"`
	PerSecond   float64 `json:"changes_per_second"`
	P50         float64 `json:"p50_seconds"`
	P99         float64 `json:"p99_seconds"`
	Max         float64 `json:"max_seconds"`
	LastRow     float64 `json:"last_row_seconds"`
	OurCPU      float64 `json:"our_cpu_seconds"`
	SourceCPU   float64 `json:"source_cpu_seconds"` // writing the changes is in it
	PeakRSS     int64   `json:"peak_rss_bytes"`
	Cores       int     `json:"cores"`
	CommitEvery string  `json:"commit_interval"`
}

const (
	latencyRate = 1000 // changes per second
	latencyTxn  = 10   // changes per transaction
)

// sent is one transaction: committed before the client saw at.
type sent struct {
	lsn undrop.LSN
	at  time.Time
}

// Latency measures a trickle of 1,000 changes per second for the given time.
func Latency(ctx context.Context, o Options, d time.Duration) (*LatencyResult, error) {
	b, err := prepare(ctx, o)
	if err != nil {
		return nil, err
	}
	defer b.close()
	if err := b.catchUp(ctx); err != nil {
		return nil, err
	}
	a, err := app.Open(ctx, b.cfg, b.log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = a.Close() }() // only read from
	fmt.Fprintf(o.Story, "measuring: %d changes/s for %s\n", latencyRate, d)

	run, stop := context.WithCancel(ctx)
	defer stop()
	var g errgroup.Group
	g.Go(func() error { return a.Up(run, app.UpOptions{}) })
	forgetPeak()
	cpu, source := selfCPU(), treeCPU(b.server.PID())
	endProfile, err := profile(b.profile)
	if err != nil {
		return nil, err
	}
	var all []sent
	done := make(chan struct{})
	g.Go(func() (err error) { defer close(done); all, err = b.trickle(run, o.Rows, d); return err })
	seen, err := watch(run, a, done)
	spent, sourceSpent := selfCPU()-cpu, treeCPU(b.server.PID())-source
	stop()
	if werr := g.Wait(); err == nil {
		err = werr
	}
	err = errors.Join(err, endProfile())
	if err != nil {
		return nil, err
	}
	r := &LatencyResult{What: "commit to visible", Changes: int64(len(all)) * latencyTxn, PerSecond: float64(len(all)) * latencyTxn / d.Seconds(),
		OurCPU: spent, SourceCPU: sourceSpent, PeakRSS: peakRSS(), Cores: runtime.NumCPU(), CommitEvery: b.cfg.Apply.CommitInterval.String()}
	if err := r.fill(all, seen); err != nil {
		return nil, err
	}
	return r, b.verify(ctx)
}

// fill pairs every transaction with the first snapshot that holds it.
func (r *LatencyResult) fill(all, seen []sent) error {
	var delays []float64
	next := 0
	for _, t := range all {
		for next < len(seen) && seen[next].lsn < t.lsn {
			next++
		}
		if next == len(seen) {
			return fmt.Errorf("transaction at %s never became visible", t.lsn)
		}
		delays = append(delays, seen[next].at.Sub(t.at).Seconds())
	}
	if len(delays) == 0 {
		return fmt.Errorf("no transaction was made")
	}
	r.LastRow = delays[len(delays)-1]
	slices.Sort(delays)
	r.P50, r.P99, r.Max = delays[len(delays)/2], delays[len(delays)*99/100], delays[len(delays)-1]
	return nil
}

// trickle updates random rows at the rate.
func (b *bed) trickle(ctx context.Context, rows int64, d time.Duration) ([]sent, error) {
	tick := time.NewTicker(time.Second * latencyTxn / latencyRate)
	defer tick.Stop()
	var all []sent
	for end := time.Now().Add(d); time.Now().Before(end); {
		select {
		case <-ctx.Done():
			return all, nil
		case <-tick.C:
		}
		var at string
		err := pgx.BeginFunc(ctx, b.conn, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, `update payments set amount = (random()*1e6)::numeric(12,2), updated_at = clock_timestamp()
				where id = any (array(select 1 + ($1::bigint + k * 7919) % $2::bigint from generate_series(1, $3::int) k))`, time.Now().UnixNano(), rows, latencyTxn)
			if err != nil {
				return err
			}
			return tx.QueryRow(ctx, "select pg_current_wal_insert_lsn()::text").Scan(&at)
		})
		if err != nil {
			return nil, fmt.Errorf("write: %w", err)
		}
		lsn, err := undrop.ParseLSN(at)
		if err != nil {
			return nil, err
		}
		all = append(all, sent{lsn, time.Now()})
	}
	return all, nil
}

// watch notes when each newer position became visible, until ten seconds after
// done.
func watch(ctx context.Context, a *app.App, done <-chan struct{}) ([]sent, error) {
	var seen []sent
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var end <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return seen, nil
		case <-done:
			done, end = nil, time.After(10*time.Second)
		case <-end:
			return seen, nil
		case <-tick.C:
		}
		marks, err := a.Marks(ctx)
		if err != nil {
			return nil, err
		}
		for _, m := range marks {
			if len(seen) == 0 || m.LSN > seen[len(seen)-1].lsn {
				seen = append(seen, sent{m.LSN, time.Now()})
			}
		}
	}
}
