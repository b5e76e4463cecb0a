package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/envelope"
	"github.com/undrop/undrop/internal/kafka"
	"github.com/undrop/undrop/internal/pipeline"
	"github.com/undrop/undrop/internal/postgres"
)

// Roles that a process can have.
var Roles = []string{"capture", "apply", "catalog", "maintain", "console"}

// UpOptions say what of the configuration runs in this process.
type UpOptions struct {
	Only          []string // roles; none: all
	UntilCaughtUp bool     // stop once every table holds the position read at start
	Progress      func(Progress)
}

// Progress is what a running pipeline shows.
type Progress struct {
	Rows        int64 // snapshot rows read
	RowsTotal   int64 // the planner's estimate of them
	Changes     int64 // changes captured
	Applied     int64
	Quarantined int64
	Lag         time.Duration // between now and the source commit time of what is in the tables
	Tables      int
	Live        int
}

// sourceRun is a source while Up runs.
type sourceRun struct {
	name     string
	source   *postgres.Source
	capture  *pipeline.Capture
	apply    *pipeline.Apply
	client   *kafka.Client
	registry pipeline.Registry
}

// Up runs until ctx ends, then drains: capture stops first, apply commits what
// the newest cut holds, then log and catalog close.
func (a *App) Up(ctx context.Context, o UpOptions) error {
	has, err := roles(o.Only)
	if err != nil {
		return err
	}
	unlock, err := a.lockRoles(has)
	if err != nil {
		return err
	}
	defer unlock()
	if a.refused != nil {
		return a.refused
	}
	if err := a.keepVersions(); err != nil {
		return err
	}
	if err := a.connectLog(ctx, has); err != nil {
		return err
	}
	defer func() {
		if err := a.embedded.close(); err != nil {
			a.log.Error("close the log", "err", err)
		}
	}()

	captures, stopCaptures := context.WithCancel(ctx)
	applies, stopApplies := context.WithCancel(context.WithoutCancel(ctx))
	defer stopApplies()
	defer stopCaptures()
	var intake, sinks errgroup.Group
	fail := make(chan error, 16)
	for _, s := range a.cfg.Sources {
		name := s.Name
		if len(a.products[name]) == 0 {
			a.log.Warn("no contract names this source: nothing to do for it", "source", name)
			continue
		}
		run, err := a.prepare(ctx, name)
		if err != nil {
			stopCaptures()
			stopApplies()
			return errors.Join(err, intake.Wait(), sinks.Wait())
		}
		defer run.close()
		a.mu.Lock()
		a.running[name] = run
		a.mu.Unlock()
		if has["capture"] {
			intake.Go(func() error {
				return report(fail, a.supervise(captures, "capture "+name, func() error { return a.runCapture(captures, run) }))
			})
		}
		if has["apply"] {
			sinks.Go(func() error {
				return report(fail, a.supervise(applies, "apply "+name, func() error { return a.runApply(applies, run) }))
			})
		}
	}
	var side errgroup.Group
	sctx, stopSide := context.WithCancel(ctx)
	defer stopSide()
	if has["console"] {
		stop, err := a.serve(sctx)
		if err != nil {
			stopCaptures()
			stopApplies()
			return errors.Join(err, intake.Wait(), sinks.Wait())
		}
		side.Go(stop)
	}
	side.Go(func() error { a.janitor(sctx); return nil })
	caught := make(chan error, 1)
	if o.UntilCaughtUp {
		side.Go(func() error { caught <- a.catchUp(sctx, has); return nil })
	}
	if o.Progress != nil {
		side.Go(func() error { a.report(sctx, o.Progress); return nil })
	}

	select {
	case <-ctx.Done():
		a.log.Info("stopping: capture first, then what is in flight")
	case err = <-fail:
	case err = <-caught:
	}
	stopCaptures()
	_ = intake.Wait() // each error was reported to fail
	stopApplies()
	_ = sinks.Wait()
	stopSide()
	if serr := side.Wait(); err == nil {
		err = serr
	}
	for err == nil && len(fail) > 0 {
		err = <-fail
	}
	if err == nil && ctx.Err() != nil && o.UntilCaughtUp {
		return &undrop.Error{Code: undrop.Interrupted, Op: "catch up", Err: context.Cause(ctx)}
	}
	return err
}

func report(fail chan<- error, err error) error {
	if err != nil {
		select {
		case fail <- err:
		default:
		}
	}
	return err
}

func roles(only []string) (map[string]bool, error) {
	has := map[string]bool{}
	for _, r := range Roles {
		has[r] = len(only) == 0
	}
	for _, r := range only {
		if !slices.Contains(Roles, r) {
			return nil, &undrop.Error{Code: undrop.BadInput, Op: "start", Err: fmt.Errorf("role %q: want one of %s", r, strings.Join(Roles, ", ")), Hint: "undrop up --help"}
		}
		has[r] = true
	}
	return has, nil
}

// connectLog hosts the embedded log where capture runs, and finds it elsewhere.
func (a *App) connectLog(ctx context.Context, has map[string]bool) (err error) {
	if !a.needsHost() {
		return nil
	}
	if has["capture"] {
		a.embedded, err = a.hostLog(ctx)
		return err
	}
	if has["apply"] {
		a.embedded, err = a.findLog()
	}
	return err
}

// prepare opens what a source's roles need.
func (a *App) prepare(ctx context.Context, name string) (*sourceRun, error) {
	run := &sourceRun{name: name}
	var err error
	if run.client, run.registry, err = a.openLog(ctx); err != nil {
		return nil, err
	}
	if run.source, err = a.openSource(ctx, name); err != nil {
		run.close()
		return nil, err
	}
	return run, nil
}

func (r *sourceRun) close() {
	if r.source != nil {
		r.source.Close()
	}
	if r.client != nil {
		r.client.Close()
	}
}

func (a *App) runCapture(ctx context.Context, run *sourceRun) error {
	s := a.cfg.Source(run.name)
	c, err := pipeline.NewCapture(pipeline.CaptureConfig{
		Source: run.source, Name: run.name, Products: a.products[run.name], Client: run.client, Registry: run.registry,
		Format: envelope.Format(a.cfg.Log.Format), Codec: a.codec(), Partitions: int32(a.cfg.Log.Partitions),
		Full: a.embedded.full, Lake: a.lake, Gaps: a.gaps, Version: Version, Log: a.log,
		Snapshot: pipeline.SnapshotConfig{Lane: s.Snapshot.Lane, Connections: s.Snapshot.Connections, MaxRowsPerSecond: int(s.Snapshot.MaxRowsPerSecond),
			RangePages: uint32(s.Snapshot.RangePages), FileSize: a.cfg.Apply.TargetFileSize},
	})
	if err != nil {
		return err
	}
	a.mu.Lock()
	if old := run.capture; old != nil {
		c.Stats.Inherit(&old.Stats)
	}
	run.capture = c
	a.mu.Unlock()
	return c.Run(ctx)
}

// codec compresses what crosses a network; the embedded log is a local file.
func (a *App) codec() string {
	if a.cfg.Log.Kafka != nil {
		return "snappy"
	}
	return "none"
}

func (a *App) runApply(ctx context.Context, run *sourceRun) error {
	p, err := pipeline.NewApply(pipeline.ApplyConfig{
		Name: run.name, Products: a.products[run.name], Client: run.client, Registry: run.registry, Format: envelope.Format(a.cfg.Log.Format),
		Lake: a.lake, Gaps: a.gaps, Interval: a.cfg.Apply.CommitInterval, PerTable: a.cfg.Apply.Consistency == "table",
		Workers: a.cfg.Apply.Workers, Log: a.log,
	})
	if err != nil {
		return err
	}
	a.mu.Lock()
	if old := run.apply; old != nil {
		p.Demand(old.Demanded())
	}
	run.apply = p
	a.mu.Unlock()
	return p.Run(ctx)
}

// supervise keeps a role running through what passes by itself: a lost
// connection, a broker that restarts. A refusal, damage or bad input ends it. A
// commit whose outcome is unknown is settled by starting again: apply then reads
// where the tables stand.
func (a *App) supervise(ctx context.Context, what string, f func() error) error {
	wait := 200 * time.Millisecond
	for {
		began := time.Now()
		err := f()
		if err == nil || ctx.Err() != nil {
			return err
		}
		if code := undrop.CodeOf(err); code != undrop.Failed && code != undrop.Unknown {
			return err
		}
		if time.Since(began) > time.Minute {
			wait = 200 * time.Millisecond
		}
		a.log.Warn("stopped, will start again", "role", what, "err", err, "in", wait)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = min(2*wait, 15*time.Second)
	}
}
