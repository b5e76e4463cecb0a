package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/crash"
	"github.com/undrop/undrop/internal/envelope"
	"github.com/undrop/undrop/internal/kafka"
	"github.com/undrop/undrop/internal/lake"
	"github.com/undrop/undrop/internal/postgres"
)

// CaptureConfig is what a capture needs. All fields are required unless they say
// otherwise.
type CaptureConfig struct {
	Source     *postgres.Source
	Name       string // of the source
	Products   []*Product
	Client     *kafka.Client
	Registry   Registry
	Format     envelope.Format
	Codec      string // compression of records: none, lz4, snappy, zstd
	Partitions int32
	Full       func() bool // the log cannot take more; nil: never
	Lake       *lake.Lake
	Snapshot   SnapshotConfig
	Gaps       *Gaps
	Heartbeat  time.Duration // how often an idle source gets a heartbeat (10 s)
	Version    string
	Opened     func() error // called when the source has passed every check, before it is read; nil: nothing to do
	Log        *slog.Logger
	Now        func() time.Time
}

// Capture moves one source's changes to the log.
type Capture struct {
	CaptureConfig
	Stats CaptureStats

	identity  postgres.Identity
	was       postgres.Published // how tables were published when this run began
	published postgres.Published // and are, while it runs
	control   *controlLog
	pub       *publisher
}

// CaptureStats are counters that may be read at any time.
type CaptureStats struct {
	Changes  atomic.Int64  // row changes handed to the log
	Cut      atomic.Uint64 // LSN of the newest durable cut
	CutAt    atomic.Int64  // its source commit time, microseconds
	Acked    atomic.Uint64 // LSN that the slot was acknowledged to
	Loaded   atomic.Int64  // snapshot rows read
	LoadRows atomic.Int64  // the planner's estimate of all snapshot rows
	Streams  atomic.Bool   // the stream is running
}

// Inherit goes on counting where an earlier run of the same capture stopped.
func (s *CaptureStats) Inherit(old *CaptureStats) {
	s.Changes.Store(old.Changes.Load())
	s.Cut.Store(old.Cut.Load())
	s.CutAt.Store(old.CutAt.Load())
	s.Acked.Store(old.Acked.Load())
	s.Loaded.Store(old.Loaded.Load())
}

// NewCapture checks the configuration.
func NewCapture(c CaptureConfig) (*Capture, error) {
	if c.Heartbeat == 0 {
		c.Heartbeat = 10 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Opened == nil {
		c.Opened = func() error { return nil }
	}
	if c.Full == nil {
		c.Full = func() bool { return false }
	}
	if c.Partitions < 1 {
		return nil, fmt.Errorf("capture %s: partitions %d: want at least 1", c.Name, c.Partitions)
	}
	if len(c.Products) == 0 {
		return nil, &undrop.Error{Code: undrop.BadInput, Op: "capture source " + c.Name, Err: errors.New("no contract names this source"),
			Hint: "undrop contract import --source DSN TABLE > contracts/TABLE.odcs.yaml"}
	}
	return &Capture{CaptureConfig: c}, nil
}

// Run captures until ctx ends (nil: everything that was handed to the log is
// there), or until something needs a person or a retry.
func (c *Capture) Run(ctx context.Context) error {
	start, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer c.pub.producer.Close()
	if err := c.Opened(); err != nil {
		start.close()
		return err
	}
	// Before the stream is read: where apply begins to read a new table's topics
	// must lie before every change that its snapshot does not hold.
	jobs, err := c.plan(ctx)
	if err != nil {
		start.close()
		return err
	}
	stream, err := c.Source.Stream(ctx, postgres.StreamConfig{
		Start: start.from, SkipThrough: start.skip, Tables: c.tables(),
	})
	if err != nil {
		start.close()
		return err
	}
	defer func() { _ = stream.Close() }() // only reads; what it acknowledged is with the server
	c.Stats.Streams.Store(true)
	defer c.Stats.Streams.Store(false)

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.read(ctx, stream) })
	g.Go(func() error { return c.cut(ctx, stream) })
	g.Go(func() error { return c.heartbeat(ctx) })
	g.Go(func() error {
		defer start.close()
		return c.load(ctx, start, jobs)
	})
	err = g.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// opening is where a run of capture starts.
type opening struct {
	from     undrop.LSN         // where to ask the slot to start
	skip     undrop.LSN         // transactions up to here are in the log already
	snapshot *postgres.Snapshot // exported with a new slot; nil otherwise
	last     *Control
}

func (o *opening) close() {
	if o.snapshot != nil {
		_ = o.snapshot.Close() // read only; the load reports its own errors
	}
}

// open does everything that must hold before the first change is read: preflight,
// publication, topics, and the comparison of the slot with our own record.
func (c *Capture) open(ctx context.Context) (*opening, error) {
	var err error
	findings, err := c.Source.Preflight(ctx, c.tables())
	if err != nil {
		return nil, err
	}
	// Only now: a role that may not replicate is told what it lacks by preflight.
	if c.identity, err = c.Source.Identity(ctx); err != nil {
		if refusal := c.refuse(findings); refusal != nil {
			return nil, refusal
		}
		return nil, err
	}
	if c.control, err = openControl(ctx, c.Client, c.Name); err != nil {
		return nil, err
	}
	last, _, err := c.control.last(ctx)
	if err != nil {
		return nil, err
	}
	if c.was, err = c.Source.Published(ctx, c.tables()); err != nil {
		return nil, err
	}
	// A slot that cannot decode what came before its publication is made again.
	if republished(last, c.was) {
		findings = slices.DeleteFunc(findings, func(f postgres.Finding) bool { return f.Rule == "publication_after_slot" })
	}
	if err := c.refuse(findings); err != nil {
		return nil, err
	}
	if err := c.addedColumns(ctx); err != nil {
		return nil, err
	}
	if err := c.publish(ctx, c.was); err != nil {
		return nil, err
	}
	producer, err := c.Client.NewProducer(kafka.ProducerConfig{Codec: c.Codec, MaxBufferedBytes: logBuffer})
	if err != nil {
		return nil, err
	}
	c.pub = newPublisher(c.Name, c.Client, producer, c.control, last)
	c.pub.gaps, c.pub.published = c.Gaps.StillOpen(c.pub.gaps), c.published
	if err := c.outlets(ctx, last); err != nil {
		producer.Close()
		return nil, err
	}
	err = c.sameOffsets(ctx, last)
	var o *opening
	if err == nil {
		o, err = c.continuity(ctx, last)
	}
	if err != nil {
		producer.Close()
		return nil, err
	}
	return o, nil
}

// refuse ends the start when a finding would hurt the application or lose data.
func (c *Capture) refuse(findings []postgres.Finding) error {
	for _, f := range findings {
		if !f.Fatal {
			c.Log.Warn("preflight", "table", f.Table, "rule", f.Rule, "message", f.Message, "sql", f.SQL)
		}
	}
	return postgres.Refusal("preflight of source "+c.Name, findings)
}

func (c *Capture) tables() []*undrop.Table {
	ts := make([]*undrop.Table, len(c.Products))
	for i, p := range c.Products {
		ts[i] = p.Table
	}
	return ts
}

// outlets prepares topics, schemas and encoders.
func (c *Capture) outlets(ctx context.Context, last *Control) error {
	info := envelope.SourceInfo{Name: c.Name, Database: c.identity.Database, Version: c.Version}
	for _, p := range c.Products {
		t := p.Table
		o := &outlet{product: p, n: c.Partitions}
		c.pub.hashes[t.TableName.String()] = t.Contract.Hash
		c.pub.outlets[t.TableName.String()] = o
		if p.events() {
			o.events = envelope.NewEventEncoder(t, info)
			continue
		}
		topic, err := c.Client.EnsureTopic(ctx, t.Topic, c.Partitions, kafka.TopicOptions{})
		if err != nil {
			return err
		}
		if err := c.sameTopic(ctx, topic, last); err != nil {
			return err
		}
		c.pub.addTopic(topic, t.TableName, last)
		keyID, valueID := 0, 0
		if c.Format == envelope.Avro {
			if len(t.Key) > 0 {
				if keyID, err = c.Registry.Register(ctx, t.Topic+"-key", envelope.KeySchema(t)); err != nil {
					return err
				}
			}
			if valueID, err = c.Registry.Register(ctx, t.Topic+"-value", envelope.ValueSchema(t)); err != nil {
				return err
			}
		}
		o.encoder = envelope.NewEncoder(t, c.Format, keyID, valueID, info)
	}
	if last != nil {
		return c.keepEventTopics(ctx, last)
	}
	return nil
}

// keepEventTopics takes over the topics of aggregate types that were seen before.
func (c *Capture) keepEventTopics(ctx context.Context, last *Control) error {
	for name, end := range last.Topics {
		o := c.pub.outlets[end.Table.String()]
		if o == nil || o.events == nil {
			continue
		}
		topic, err := c.Client.EnsureTopic(ctx, name, c.Partitions, kafka.TopicOptions{})
		if err != nil {
			return err
		}
		if err := c.sameTopic(ctx, topic, last); err != nil {
			return err
		}
		c.pub.addTopic(topic, end.Table, last)
	}
	return nil
}

// read moves chunks from the stream to the log.
func (c *Capture) read(ctx context.Context, stream *postgres.Stream) error {
	var sealed undrop.LSN // end of the newest sealed epoch
	var sealedAt time.Time
	inside := false // a transaction
	for {
		if err := c.waitForRoom(ctx, inside); err != nil {
			return err
		}
		chunk, err := stream.Next(ctx)
		if err != nil {
			return err
		}
		for _, d := range chunk.Drifts {
			c.Log.Error("source table no longer fits its contract; its rows are kept in the log as text until a contract fits",
				"table", d.Table.TableName.String(), "reason", d.Reason)
		}
		for _, b := range chunk.Batches {
			if err := c.pub.publish(ctx, b); err != nil {
				return err
			}
			c.Stats.Changes.Add(int64(b.Len()))
		}
		inside = chunk.Commit == nil && (inside || len(chunk.Batches) > 0)
		if chunk.Commit != nil {
			c.seal(chunk.Commit.LSN, chunk.Commit.EndLSN, chunk.Commit.At)
			sealed, sealedAt = chunk.Commit.EndLSN, c.Now()
		}
		// Nothing of ours happened between the newest cut and Position. Somebody waits
		// for the position of a message, also when it came right behind a commit.
		idle := len(chunk.Batches) == 0 && c.pub.backlog() == 0 && c.Now().Sub(sealedAt) > time.Second
		if chunk.Position > sealed && (len(chunk.Messages) > 0 || idle) {
			// A commit record could begin exactly there, so the cut is the byte before.
			c.seal(chunk.Position-1, chunk.Position, c.Now())
			sealed, sealedAt = chunk.Position, c.Now()
		}
	}
}

func (c *Capture) seal(lsn, end undrop.LSN, at time.Time) {
	c.pub.seal(undrop.Cut{Source: c.Name, System: c.identity.System, Timeline: c.identity.Timeline,
		LSN: lsn, EndLSN: end, CommittedAt: at.UTC()})
}

// waitForRoom pauses reading while the embedded log is at its size cap. The
// source keeps its WAL meanwhile; nothing is lost.
//
// Inside a transaction that is alone in the log no room can come: apply commits at
// cuts only, and the cut is at its end.
func (c *Capture) waitForRoom(ctx context.Context, inside bool) error {
	warned, since := false, c.Now()
	for c.Full() {
		if inside && c.pub.backlog() == 0 && c.Now().Sub(since) > time.Minute {
			return &undrop.Error{Code: undrop.Refused, Op: "capture source " + c.Name,
				Err:  errors.New("one transaction is larger than the log may become: nothing of it can be applied before its end is in the log"),
				Hint: "log: {embedded: {max_bytes: …}}   # in undrop.yaml, larger than the transaction; the source keeps it meanwhile"}
		}
		if !warned {
			c.Log.Warn("log is full: capture waits until apply has made room", "source", c.Name)
			warned = true
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
	return nil
}

// cut publishes due cuts and acknowledges the slot after each, never before.
func (c *Capture) cut(ctx context.Context, stream *postgres.Stream) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.pub.due:
		}
		ctl, err := c.pub.take()
		if err != nil {
			return err
		}
		if ctl == nil {
			continue
		}
		if err := c.stillPublished(ctx); err != nil {
			return err
		}
		if err := c.pub.write(ctx, ctl); err != nil {
			return err
		}
		c.noteCut(ctl)
		crash.Point("capture.ack.before")
		stream.Ack(ctl.EndLSN)
		c.Stats.Acked.Store(uint64(ctl.EndLSN))
		crash.Point("capture.ack.after")
	}
}

func (c *Capture) noteCut(ctl *Control) {
	c.Stats.Cut.Store(uint64(ctl.LSN))
	c.Stats.CutAt.Store(ctl.CommittedAt.UnixMicro())
}

// heartbeat keeps an idle slot moving while other databases of the cluster write.
func (c *Capture) heartbeat(ctx context.Context) error {
	t := time.NewTicker(c.Heartbeat)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
			if _, err := c.Source.Barrier(ctx, "undrop.heartbeat", c.Name); err != nil {
				return err
			}
		}
	}
}

func init() {
	crash.Register("capture.slot.after", "capture.origin.after", "capture.cut.before", "capture.cut.after",
		"capture.ack.before", "capture.ack.after")
}
