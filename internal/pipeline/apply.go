package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/envelope"
	"github.com/undrop/undrop/internal/kafka"
	"github.com/undrop/undrop/internal/lake"
)

// ApplyConfig is what an apply needs.
type ApplyConfig struct {
	Name       string // of the source
	Products   []*Product
	Client     *kafka.Client
	Registry   Registry
	Format     envelope.Format
	DecodeRaw  RawDecoder // reads rows that an earlier version of the contract could not; nil: they halt the table
	Lake       *lake.Lake
	Gaps       *Gaps
	Interval   time.Duration // between commits (1 s)
	PerTable   bool          // consistency: table
	Workers    int           // partitions decoded, tables written at the same time (2)
	SpillBytes int           // log bytes of one table that may wait in memory (64 MiB)
	IdleEvery  time.Duration // how often a table without changes names a newer position (10 min)
	Log        *slog.Logger
	Now        func() time.Time
}

// Apply moves one source's changes from the log to its tables.
type Apply struct {
	ApplyConfig

	control *controlLog
	reader  *kafka.Reader
	tables  []*applied
	cuts    []*Control // not committed, oldest first
	newest  *Control
	lastRun time.Time

	mu      sync.Mutex
	states  map[string]TableState
	demand  undrop.LSN // every table shall name a position of at least this
	through time.Time

	jobs chan applyJob
}

// TableState is what a running apply knows of a table.
type TableState struct {
	Name        undrop.TableName
	State       string // waiting, loading, live, halted
	Reason      string
	Mark        undrop.SourceMark
	SnapshotID  int64
	Total       undrop.Account
	Waiting     int64 // records read or known to be in the log, not yet committed
	CommittedAt time.Time
}

// applied is one table of a running apply.
type applied struct {
	product *Product
	in      *inbox
	table   *lake.Table
	state   string
	reason  string
	mark    undrop.SourceMark
	total   undrop.Account
	load    undrop.Load         // while loading
	viaLog  bool                // the load comes through the log
	parked  map[string][]string // open records of quarantined keys
	stale   []string            // open records that the load which is going on replaces
	folding *folder
	at      time.Time // of the newest commit
	snap    int64
}

const (
	stateWaiting = "waiting"
	stateLoading = "loading"
	stateLive    = "live"
	stateHalted  = "halted"
)

// NewApply checks the configuration.
func NewApply(c ApplyConfig) (*Apply, error) {
	if c.Interval <= 0 {
		c.Interval = time.Second
	}
	if c.Workers <= 0 {
		c.Workers = 2
	}
	if c.SpillBytes <= 0 {
		c.SpillBytes = 64 << 20
	}
	if c.IdleEvery <= 0 {
		c.IdleEvery = 10 * time.Minute
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	a := &Apply{ApplyConfig: c, states: map[string]TableState{}, jobs: make(chan applyJob)}
	for _, p := range c.Products {
		a.tables = append(a.tables, &applied{product: p, state: stateWaiting})
	}
	return a, nil
}

// States is a snapshot of every table's state.
func (a *Apply) States() []TableState {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []TableState
	for _, t := range a.tables {
		all = append(all, a.states[t.product.Table.TableName.String()])
	}
	return all
}

// Demand asks every table to name a position of at least lsn, even one without
// changes.
func (a *Apply) Demand(lsn undrop.LSN) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.demand = max(a.demand, lsn)
}

func (a *Apply) demanded() undrop.LSN {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.demand
}

// Run applies until ctx ends, then commits what it can at the newest cut it has
// read (nil), or until something needs a person or a retry.
func (a *Apply) Run(ctx context.Context) error {
	if err := a.open(ctx); err != nil {
		return err
	}
	defer a.reader.Close()
	for _, t := range a.tables {
		if t.folding != nil {
			t.folding.abort()
		}
		t.folding = nil
	}
	a.lastRun = a.Now()
	for {
		if err := a.poll(ctx); err != nil {
			if ctx.Err() != nil {
				return a.drain(context.WithoutCancel(ctx))
			}
			return err
		}
		if err := a.runJobs(ctx); err != nil {
			return err
		}
		if a.Now().Sub(a.lastRun) < a.Interval && !a.crowded() {
			continue
		}
		err := a.step(ctx)
		if err == nil {
			err = a.spill(ctx)
		}
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// drain makes a last commit when the process is asked to stop.
func (a *Apply) drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	return a.step(ctx)
}

// open finds the control topic and where each table stands.
func (a *Apply) open(ctx context.Context) error {
	var err error
	if a.control, err = openControl(ctx, a.Client, a.Name); err != nil {
		return err
	}
	last, next, err := a.control.last(ctx)
	if err != nil {
		return err
	}
	if a.reader, err = a.Client.NewReader(kafka.ReaderConfig{}); err != nil {
		return err
	}
	if last != nil {
		a.see(last)
	}
	err = a.reader.Add(ctx, []kafka.Assignment{{Topic: a.control.topic.Name, TopicID: a.control.topic.ID, Partition: 0, Offset: next}})
	if err == nil {
		err = a.refresh(ctx)
	}
	if err != nil {
		a.reader.Close()
	}
	return err
}

// see takes note of a newer cut.
func (a *Apply) see(c *Control) {
	a.newest = c
	a.cuts = append(a.cuts, c)
	if len(a.cuts) > 256 { // the newer ones include what an older one has
		a.cuts = slices.Delete(a.cuts, 0, len(a.cuts)/2)
	}
}

// poll reads what has come, decodes it, and notes new cuts.
func (a *Apply) poll(ctx context.Context) error {
	wait := a.Interval - a.Now().Sub(a.lastRun)
	// When a commit is due and its cut is not there yet, look often.
	wait = max(10*time.Millisecond, min(wait, 100*time.Millisecond))
	pctx, cancel := context.WithTimeout(ctx, wait)
	fetched, err := a.reader.Poll(pctx)
	cancel()
	if err != nil && pctx.Err() == nil {
		if err := a.lost(err); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	taken := map[*lane][]*kafka.Record{}
	for _, f := range fetched {
		if f.Topic == a.control.topic.Name {
			for _, rec := range f.Records {
				c := new(Control)
				if err := json.Unmarshal(rec.Value, c); err != nil {
					return fmt.Errorf("read control record at offset %d: %w", rec.Offset, err)
				}
				a.see(c)
			}
			continue
		}
		l := a.lane(f.Topic, f.Partition)
		if l == nil {
			continue
		}
		taken[l] = append(taken[l], f.Records...)
	}
	g := new(errgroup.Group)
	g.SetLimit(a.Workers)
	for l, records := range taken {
		g.Go(func() error { l.take(records); return nil })
	}
	return g.Wait()
}

func (a *Apply) lane(topic string, partition int32) *lane {
	for _, t := range a.tables {
		if t.in == nil || t.state == stateHalted {
			continue
		}
		if lanes := t.in.lanes[topic]; lanes != nil && int(partition) < len(lanes) {
			return lanes[partition]
		}
	}
	return nil
}

func (t *applied) halt(reason string) {
	t.state, t.reason = stateHalted, reason
}

// publishStates lets other goroutines see where the tables stand.
func (a *Apply) publishStates() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range a.tables {
		s := TableState{Name: t.product.Table.TableName, State: t.state, Reason: t.reason, Mark: t.mark, SnapshotID: t.snap, Total: t.total, CommittedAt: t.at}
		if a.newest != nil && t.in != nil {
			for topic, lanes := range t.in.lanes {
				end := a.newest.Topics[topic]
				for p, l := range lanes {
					if p < len(end.Next) {
						s.Waiting += max(0, end.Next[p]-l.taken)
					}
				}
			}
		}
		a.states[s.Name.String()] = s
	}
}

// Demanded is the position that Demand asked for.
func (a *Apply) Demanded() undrop.LSN { return a.demanded() }

// Through is the source commit time up to which every live table is complete:
// that of the newest cut that the tables have passed, whether it changed them or
// not.
func (a *Apply) Through() (time.Time, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.through, !a.through.IsZero()
}
