package app

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/envelope"
	"github.com/undrop/undrop/internal/kafka"
	"github.com/undrop/undrop/internal/pipeline"
	"github.com/undrop/undrop/internal/postgres"
)

// session is what one Up runs. Its three groups end in order: what takes changes
// in, what puts them into tables, and what only looks on.
type session struct {
	a      *App
	has    map[string]bool
	ctx    context.Context //nolint:containedctx // the session is the scope of this context
	intake group
	sinks  group
	side   group
	fail   chan error // the first errors of any group
	caught chan error // the end of catching up
	opened []*sourceRun
}

// group is goroutines that are stopped together and waited for.
type group struct {
	errgroup.Group
	ctx  context.Context //nolint:containedctx // likewise
	stop context.CancelFunc
}

func newGroup(ctx context.Context) group {
	ctx, stop := context.WithCancel(ctx)
	return group{ctx: ctx, stop: stop}
}

func (g *group) end() error {
	g.stop()
	return g.Wait()
}

func newSession(ctx context.Context, a *App, has map[string]bool) *session {
	return &session{a: a, has: has, ctx: ctx, fail: make(chan error, 16), caught: make(chan error, 1),
		intake: newGroup(ctx), sinks: newGroup(context.WithoutCancel(ctx)), side: newGroup(ctx)}
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

// start brings up the roles of every source, and the console.
func (s *session) start(o UpOptions) error {
	for _, src := range s.a.cfg.Sources {
		switch {
		case !s.has["capture"] && !s.has["apply"]:
			continue
		case len(s.a.products[src.Name]) == 0:
			s.a.log.Warn("no contract names this source: nothing to do for it", "source", src.Name)
			continue
		}
		run, err := s.a.prepare(s.ctx, src.Name)
		if err != nil {
			return err
		}
		s.opened = append(s.opened, run)
		s.a.addRun(run)
		if s.has["capture"] {
			s.run(&s.intake, "capture "+src.Name, func(ctx context.Context) error { return s.a.runCapture(ctx, run) })
		}
		if s.has["apply"] {
			s.run(&s.sinks, "apply "+src.Name, func(ctx context.Context) error { return s.a.runApply(ctx, run) })
		}
	}
	if s.has["console"] {
		serve, err := s.a.serve(s.side.ctx)
		if err != nil {
			return err
		}
		s.side.Go(serve)
	}
	s.side.Go(func() error { s.a.janitor(s.side.ctx); return nil })
	if o.UntilCaughtUp {
		s.side.Go(func() error { s.caught <- s.a.catchUp(s.side.ctx, s.has); return nil })
	}
	if o.Progress != nil {
		s.side.Go(func() error { s.a.report(s.side.ctx, o.Progress); return nil })
	}
	return nil
}

// run keeps a role of a source running in a group.
func (s *session) run(g *group, what string, f func(context.Context) error) {
	g.Go(func() error {
		err := s.a.supervise(g.ctx, what, func() error { return f(g.ctx) })
		if err != nil {
			select {
			case s.fail <- err:
			default: // enough errors to tell
			}
		}
		return err
	})
}

// wait blocks until the person, an error or the goal ends the session, and stops it.
func (s *session) wait(o UpOptions) (err error) {
	select {
	case <-s.ctx.Done():
		s.a.log.Info("stopping: capture first, then what is in flight")
	case err = <-s.fail:
	case err = <-s.caught:
	}
	err = errors.Join(err, s.stop())
	for err == nil && len(s.fail) > 0 {
		err = <-s.fail
	}
	if err == nil && s.ctx.Err() != nil && o.UntilCaughtUp {
		return &undrop.Error{Code: undrop.Interrupted, Op: "catch up", Err: context.Cause(s.ctx)}
	}
	return err
}

// stop ends the groups in order. What the first two have to say went to fail.
func (s *session) stop() error {
	_ = s.intake.end()
	_ = s.sinks.end()
	return s.side.end()
}

// close releases connections; nothing uses them any more.
func (s *session) close() {
	if err := s.a.noteHalts(); err != nil {
		s.a.log.Warn("cannot note halted tables", "err", err)
	}
	s.a.dropRuns()
	for _, run := range s.opened {
		run.close()
	}
}

func (a *App) addRun(run *sourceRun) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running[run.name] = run
}

func (a *App) dropRuns() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.running)
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
		Full: a.embedded.full, Opened: func() error { return a.keepVersions(run.name) }, Lake: a.lake, Gaps: a.gaps, Version: Version, Log: a.log,
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
		Workers: a.cfg.Apply.Workers, DecodeRaw: decodeRaw, Log: a.log,
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
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			return nil // asked to stop in the middle of something
		}
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
