package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
	"github.com/undrop/undrop/internal/crash"
	"github.com/undrop/undrop/internal/kafka"
	"github.com/undrop/undrop/internal/lake"
	"github.com/undrop/undrop/internal/postgres"
)

// SnapshotConfig says how the rows that exist already are read.
type SnapshotConfig struct {
	Lane             string // direct: into the table; log: through the log as op=r
	Connections      int
	MaxRowsPerSecond int    // 0: no cap
	RangePages       uint32 // heap pages per range (4096: 32 MiB)
	FileSize         int64  // a file is committed when it reaches this size (128 MiB)
}

// load reads the rows of every table that is not loaded yet. The stream runs
// meanwhile: rows are versioned by position, so what it brings first does no harm.
//
// A load that was interrupted cannot go on in its exported snapshot, which died
// with its connection. It takes a new one at X2: ranges that are done keep their
// rows, but what changed in them since the first snapshot is read again, since a
// row may have moved from a range that was not read into one that was. Everything
// the stream says below X2 is then older than the table, except its deletes.
func (c *Capture) load(ctx context.Context, o *opening, jobs []*loadJob) (err error) {
	if len(jobs) == 0 {
		return nil
	}
	snap := o.snapshot
	if snap == nil || slices.ContainsFunc(jobs, func(j *loadJob) bool { return j.repeat }) {
		if snap, err = c.Source.TemporarySnapshot(ctx, slotTimeout); err != nil {
			return err
		}
		defer func() { _ = snap.Close() }() // read only
	}
	for _, j := range jobs {
		if err := j.begin(ctx, snap); err != nil {
			return err
		}
	}
	if err := c.runLoads(ctx, snap, jobs); err != nil {
		return err
	}
	for _, j := range jobs {
		if err := j.finish(ctx); err != nil {
			return err
		}
		c.Log.Info("loaded", "table", j.product.Table.TableName.String(), "rows", j.load.Rows, "at", j.load.LSN)
	}
	// An idle source would not bring the cut at which the tables appear.
	_, err = c.Source.Barrier(ctx, "undrop.loaded", c.Name)
	return err
}

// loadJob is the load of one table.
type loadJob struct {
	c       *Capture
	product *Product
	rel     undrop.Relation
	table   *lake.Table
	sink    loadSink
	load    undrop.Load
	todo    []undrop.Range
	repeat  bool // rows were read in an earlier snapshot

	mu sync.Mutex
}

// loadSink is where a lane puts rows.
type loadSink interface {
	// begin clears what an earlier attempt left when it cannot be continued.
	begin(ctx context.Context, j *loadJob, snap *postgres.Snapshot) error
	// worker makes what one connection needs for the job.
	worker(j *loadJob) loadWorker
	// finish marks the load as complete.
	finish(ctx context.Context, j *loadJob) error
}

// loadWorker takes the rows of one connection.
type loadWorker interface {
	rows(ctx context.Context, b *batch.Batch) error
	// done is called after the last row of a range; flush when no range is left.
	done(ctx context.Context, r undrop.Range, rows int64) error
	flush(ctx context.Context) error
}

// plan lists the tables to load and their ranges that are left.
//
// Offsets are listed here, before any snapshot is taken in which the rows are
// read, or, with the slot's own snapshot, before the first change after it is
// published: every record before them is in the snapshot.
func (c *Capture) plan(ctx context.Context) ([]*loadJob, error) {
	var jobs []*loadJob
	for _, p := range c.Products {
		t, err := c.Lake.Ensure(ctx, p.Table, nil)
		if err != nil {
			return nil, err
		}
		j := &loadJob{c: c, product: p, table: t}
		viaLog := c.Snapshot.Lane == "log" && !p.events() // an outbox has many topics and few rows
		if viaLog {
			j.sink = &logLane{c: c}
		} else {
			j.sink = &directLane{c: c}
		}
		head := t.Head(undrop.LoadBranch)
		if head != nil {
			if _, err := summaryValue(head.Summary, undrop.SummaryLoad, &j.load); err != nil {
				return nil, err
			}
		}
		if l := c.pub.loads[p.Table.TableName.String()]; l != nil && viaLog && l.First == j.load.First {
			j.load = l.Load // further than the branch says; another First is an earlier load's
		}
		lost, err := c.lostLoad(ctx, p.Table, &j.load)
		if err != nil {
			return nil, err
		}
		if lost {
			c.Log.Warn("the load begins again: the log lacks what came after it", "table", p.Table.TableName.String(), "at", j.load.LSN)
			j.load = undrop.Load{}
		}
		if j.load.Complete || head == nil && t.Head("main") != nil {
			continue
		}
		if j.load.Offsets == nil {
			if j.load.Offsets, err = c.offsetsNow(ctx, p); err != nil {
				return nil, err
			}
		}
		j.repeat = len(j.load.Ranges) > 0
		if j.repeat && (p.Table.Mode != undrop.Mirror) {
			// Without a key a row that is read twice cannot be told from two rows.
			j.load.Ranges, j.load.Rows, j.repeat = nil, 0, false
		}
		if err := j.ranges(ctx); err != nil {
			return nil, err
		}
		jobs = append(jobs, j)
	}
	return jobs, nil
}

// lostLoad reports whether a load that was begun cannot become exact any more:
// changes after it lie in a gap, or the topics that it was to be read on from are
// not those that are there.
func (c *Capture) lostLoad(ctx context.Context, t *undrop.Table, load *undrop.Load) (bool, error) {
	if load.LSN == 0 {
		return false, nil
	}
	for _, g := range c.pub.gaps {
		if slices.Contains(g.Tables, t.TableName.String()) && load.LSN < g.To {
			return true, nil
		}
	}
	for _, m := range load.Offsets {
		topic, err := c.Client.Topic(ctx, m.Topic)
		if errors.Is(err, kafka.ErrNoTopic) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		next, err := nextOffsets(m)
		if err != nil {
			return false, err
		}
		for p, n := range next {
			if topic.ID != m.ID || p >= len(topic.End) || n > topic.End[p] || n < topic.Start[p] {
				return true, nil
			}
		}
	}
	return false, nil
}

// offsetsNow is where apply begins to read the product's topics.
func (c *Capture) offsetsNow(ctx context.Context, p *Product) ([]undrop.TopicMark, error) {
	var marks []undrop.TopicMark
	for name, t := range c.pub.topics {
		if t.table != p.Table.TableName {
			continue
		}
		topic, err := c.Client.Topic(ctx, name)
		if err != nil {
			return nil, err
		}
		marks = append(marks, topicMark(name, topic.ID, topic.End))
	}
	if marks == nil {
		marks = []undrop.TopicMark{} // an outbox whose topics do not exist yet
	}
	return marks, nil
}

// ranges plans what is left to read.
func (j *loadJob) ranges(ctx context.Context) error {
	rels, err := j.c.Source.Relations(ctx, []string{j.product.Table.SourceRelation()}, false)
	if err != nil {
		return err
	}
	if len(rels) != 1 {
		return fmt.Errorf("load %s: source relation %s: found %d", j.product.Table.TableName, j.product.Table.SourceRelation(), len(rels))
	}
	j.rel = rels[0]
	leaves, err := j.c.Source.Leaves(ctx, j.product.Table)
	if err != nil {
		return err
	}
	j.sameHeaps(leaves)
	step := j.c.Snapshot.RangePages
	for _, leaf := range leaves {
		for from := uint32(0); ; from += step {
			r := undrop.Range{Leaf: leaf.Name, From: from, To: from + step}
			if r.To >= leaf.Pages {
				r.To = 0 // the last range is open-ended: the table may have grown
			}
			if !covered(j.load.Ranges, r) {
				j.todo = append(j.todo, r)
			}
			if r.To == 0 {
				break
			}
		}
	}
	if rows := j.rel.Rows; rows > 0 {
		j.c.Stats.LoadRows.Add(rows)
	}
	return nil
}

// sameHeaps begins the load again when a heap of which ranges were read has been
// rewritten since (VACUUM FULL, CLUSTER, pg_repack): rows of ranges that are left
// may now lie in ranges that are done, and nothing in them says so.
func (j *loadJob) sameHeaps(leaves []postgres.Leaf) {
	files := map[string]uint32{}
	for _, l := range leaves {
		files[l.Name] = l.File
	}
	for _, r := range j.load.Ranges {
		if was, now := j.load.Files[r.Leaf], files[r.Leaf]; was != now {
			j.c.Log.Warn("the load begins again: the source table was rewritten", "table", j.product.Table.TableName.String(), "heap", r.Leaf)
			j.load.Ranges, j.load.Rows, j.repeat = nil, 0, false
			break
		}
	}
	j.load.Files = files
}

// covered reports whether r was read. A table that grew turns what was its
// open-ended last range into several: all of them are covered by it.
func covered(done []undrop.Range, r undrop.Range) bool {
	return slices.ContainsFunc(done, func(d undrop.Range) bool {
		return d.Leaf == r.Leaf && d.From <= r.From && (d.To == 0 || r.To != 0 && r.To <= d.To)
	})
}

func (j *loadJob) begin(ctx context.Context, snap *postgres.Snapshot) error {
	j.load.LSN = snap.LSN
	if !j.repeat {
		j.load.First, j.load.Xmin, j.load.At = snap.LSN, snap.Xmin, snap.At
	}
	return j.sink.begin(ctx, j, snap)
}

func (j *loadJob) finish(ctx context.Context) error { return j.sink.finish(ctx, j) }

// stamp is the position of every row of the load's newest snapshot: newer than
// all that is in it, older than all that is not.
func (j *loadJob) stamp() postgres.RowStamp {
	return postgres.RowStamp{Position: undrop.Position{CommitLSN: j.load.LSN - 1}, At: j.load.At.UnixMicro()}
}

// noteRange adds a finished range to the progress.
func (j *loadJob) noteRange(r undrop.Range, rows int64) {
	j.load.Ranges = append(j.load.Ranges, r)
	j.load.Rows += rows
}

// runLoads spreads the ranges of all jobs over the connections.
func (c *Capture) runLoads(ctx context.Context, snap *postgres.Snapshot, jobs []*loadJob) error {
	type task struct {
		j *loadJob
		r undrop.Range
	}
	var tasks []task
	for _, j := range jobs {
		for _, r := range j.todo {
			tasks = append(tasks, task{j, r})
		}
	}
	limit := rate.NewLimiter(rate.Inf, 0)
	if n := c.Snapshot.MaxRowsPerSecond; n > 0 {
		limit = rate.NewLimiter(rate.Limit(n), max(n, 8192))
	}
	next := make(chan task)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(next)
		for _, t := range tasks {
			select {
			case next <- t:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	for range min(c.Snapshot.Connections, max(1, len(tasks))) {
		g.Go(func() error {
			w, err := c.Source.Worker(ctx, snap.ID)
			if err != nil {
				return err
			}
			defer func() { _ = w.Close() }() // read only
			var job *loadJob
			var sink loadWorker
			for t := range next {
				if job != t.j {
					if sink != nil {
						if err := sink.flush(ctx); err != nil {
							return err
						}
					}
					job, sink = t.j, t.j.sink.worker(t.j)
				}
				rows, err := w.CopyRange(ctx, job.product.Table, job.rel, t.r, job.stamp(), 0, func(b *batch.Batch) error {
					if err := limit.WaitN(ctx, b.Len()); err != nil {
						return err
					}
					c.Stats.Loaded.Add(int64(b.Len()))
					return sink.rows(ctx, b)
				})
				if err != nil {
					return err
				}
				if err := sink.done(ctx, t.r, rows); err != nil {
					return err
				}
			}
			if sink != nil {
				return sink.flush(ctx)
			}
			return nil
		})
	}
	return g.Wait()
}

// changed reads, in the job's new snapshot, what changed since the first one in
// the given ranges.
func (j *loadJob) changed(ctx context.Context, snap *postgres.Snapshot, ranges []undrop.Range, f func(*batch.Batch) error) error {
	w, err := j.c.Source.Worker(ctx, snap.ID)
	if err != nil {
		return err
	}
	defer func() { _ = w.Close() }() // read only
	for _, r := range ranges {
		if _, err := w.CopyRange(ctx, j.product.Table, j.rel, r, j.stamp(), j.load.Xmin, f); err != nil {
			return err
		}
	}
	return nil
}

func init() {
	crash.Register("load.files.after", "load.commit.before", "load.commit.after", "load.log.acked")
}

// RequestLoad marks a table to be loaded anew by the next capture: an empty load
// branch. What readers see stays until the new rows are exact.
func RequestLoad(ctx context.Context, l *lake.Lake, p *Product) error {
	t, err := l.Ensure(ctx, p.Table, nil)
	if err != nil {
		return err
	}
	s := &lake.Stage{Table: t, Branch: undrop.LoadBranch, Summary: map[string]string{}}
	putSummary(s.Summary, undrop.SummaryLoad, undrop.Load{})
	putSummary(s.Summary, undrop.SummaryContract, p.Table.Contract)
	putSummary(s.Summary, undrop.SummaryLane, undrop.LaneSnapshot)
	_, err = l.Commit(ctx, []*lake.Stage{s})
	return err
}

// loadRequested reports whether a table waits for a load, or is in one.
func loadRequested(t *lake.Table) bool { return t.Head(undrop.LoadBranch) != nil }
