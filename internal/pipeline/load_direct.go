package pipeline

import (
	"context"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
	"github.com/undrop/undrop/internal/crash"
	"github.com/undrop/undrop/internal/lake"
	"github.com/undrop/undrop/internal/postgres"
)

// directLane writes snapshot rows to the table's load branch, without the log.
// Files and the ranges that they hold are committed together.
type directLane struct {
	c *Capture
}

func (d *directLane) begin(ctx context.Context, j *loadJob, snap *postgres.Snapshot) error {
	if !j.repeat {
		// Whatever an earlier attempt left is replaced: it had finished no range.
		return d.commit(ctx, j, &lake.Stage{ParentOf: ""}, nil)
	}
	return d.catchUp(ctx, j, snap)
}

// catchUp brings what earlier attempts loaded to the new snapshot, in one commit
// before any of its ranges: equality deletes reach only files that are older than
// themselves, so they take the old version of every row that changed and none of
// the new ones.
func (d *directLane) catchUp(ctx context.Context, j *loadJob, snap *postgres.Snapshot) error {
	data, err := d.c.newWriter(j.table, j.product.Table)
	if err != nil {
		return err
	}
	defer data.Abort()
	keys := batch.New(j.product.Table)
	q, checker := newQuarantiner(j.product.Table), j.product.NewChecker()
	collect := func(b *batch.Batch) {
		for i := range b.Len() {
			keys.AppendRow(b, i)
		}
	}
	err = j.changed(ctx, snap, j.load.Ranges, func(b *batch.Batch) error {
		collect(b)
		checker.Check(b, 0)
		good, err := q.split(b)
		if err != nil {
			return err
		}
		return data.Write(b, good, undrop.LaneSnapshot)
	})
	if err != nil {
		return err
	}
	if err := j.changed(ctx, snap, j.todo, func(b *batch.Batch) error { collect(b); return nil }); err != nil {
		return err
	}
	files, err := data.Close()
	if err != nil {
		return err
	}
	stage := &lake.Stage{ParentOf: undrop.LoadBranch, Data: files}
	if keys.Len() > 0 {
		if stage.Deletes, err = d.c.equalityDeletes(j.table, keys, nil); err != nil {
			return err
		}
	}
	return d.commit(ctx, j, stage, q)
}

func (d *directLane) worker(j *loadJob) loadWorker {
	return &directWorker{d: d, j: j, q: newQuarantiner(j.product.Table), checker: j.product.NewChecker()}
}

func (d *directLane) finish(ctx context.Context, j *loadJob) error {
	j.load.Complete = true
	return d.commit(ctx, j, &lake.Stage{ParentOf: undrop.LoadBranch}, nil)
}

// commit moves the load branch, with the rows that were refused, in one step.
func (d *directLane) commit(ctx context.Context, j *loadJob, s *lake.Stage, q *quarantiner) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return d.commitLocked(ctx, j, s, q)
}

func (d *directLane) commitLocked(ctx context.Context, j *loadJob, s *lake.Stage, q *quarantiner) error {
	t, err := d.c.Lake.Load(ctx, j.product.Table.TableName)
	if err != nil {
		return err
	}
	j.table = t
	s.Table, s.Branch = t, undrop.LoadBranch
	s.Summary = map[string]string{}
	acc := undrop.AccountMark{}
	if q != nil {
		acc.Commit.Quarantined = q.count
	}
	for _, f := range s.Data {
		acc.Commit.Applied += f.Rows
	}
	acc.Commit.Read = acc.Commit.Applied + acc.Commit.Quarantined
	acc.Total = acc.Commit
	if s.ParentOf != "" {
		if head := t.Head(s.ParentOf); head != nil {
			var before undrop.AccountMark
			if _, err := summaryValue(head.Summary, undrop.SummaryAccount, &before); err != nil {
				return err
			}
			acc.Total = before.Total.Add(acc.Commit)
		}
	}
	putSummary(s.Summary, undrop.SummaryAccount, acc)
	putSummary(s.Summary, undrop.SummaryLoad, j.load)
	putSummary(s.Summary, undrop.SummaryContract, j.product.Table.Contract)
	putSummary(s.Summary, undrop.SummaryLane, undrop.LaneSnapshot)
	stages := []*lake.Stage{s}
	qs, err := stageQuarantines(ctx, d.c.Lake, q)
	if err != nil {
		return err
	}
	stages = append(stages, qs...)
	crash.Point("load.commit.before")
	if _, err := commitStages(ctx, d.c.Lake, stages); err != nil {
		return err
	}
	crash.Point("load.commit.after")
	return nil
}

// directWorker writes the rows of one connection.
type directWorker struct {
	d       *directLane
	j       *loadJob
	q       *quarantiner
	checker Checker
	writer  *lake.Writer
	written int64
	done_   []undrop.Range
	rowsIn  []int64
}

func (w *directWorker) rows(_ context.Context, b *batch.Batch) error {
	if w.writer == nil {
		var err error
		if w.writer, err = w.d.c.newWriter(w.j.table, w.j.product.Table); err != nil {
			return err
		}
	}
	w.checker.Check(b, 0)
	good, err := w.q.split(b)
	if err != nil {
		return err
	}
	w.written += int64(b.Bytes())
	return w.writer.Write(b, good, undrop.LaneSnapshot)
}

func (w *directWorker) done(ctx context.Context, r undrop.Range, rows int64) error {
	w.done_, w.rowsIn = append(w.done_, r), append(w.rowsIn, rows)
	// Rows in memory are about five times their size in a file.
	if w.written < 5*w.d.c.Snapshot.FileSize {
		return nil
	}
	return w.flush(ctx)
}

func (w *directWorker) flush(ctx context.Context) error {
	if len(w.done_) == 0 {
		return nil
	}
	var files []lake.File
	if w.writer != nil {
		var err error
		if files, err = w.writer.Close(); err != nil {
			return err
		}
		w.writer = nil
	}
	crash.Point("load.files.after")
	w.j.mu.Lock()
	defer w.j.mu.Unlock()
	before := w.j.load
	before.Ranges = append([]undrop.Range(nil), before.Ranges...)
	for i, r := range w.done_ {
		w.j.noteRange(r, w.rowsIn[i])
	}
	if err := w.d.commitLocked(ctx, w.j, &lake.Stage{ParentOf: undrop.LoadBranch, Data: files}, w.q); err != nil {
		w.j.load = before
		return err
	}
	w.done_, w.rowsIn, w.written = nil, nil, 0
	w.q = newQuarantiner(w.j.product.Table)
	return nil
}

// newWriter makes a writer of data files for a table.
func (c *Capture) newWriter(t *lake.Table, p *undrop.Table) (*lake.Writer, error) {
	t, _, err := c.Lake.Planned(t, p)
	if err != nil {
		return nil, err
	}
	return lake.NewWriter(c.Lake.WriterConfig(t, p, c.Name))
}

func (c *Capture) equalityDeletes(t *lake.Table, b *batch.Batch, rows []int32) ([]lake.File, error) {
	t, _, err := c.Lake.Planned(t, b.Table)
	if err != nil {
		return nil, err
	}
	return lake.WriteEqualityDeletes(c.Lake.WriterConfig(t, b.Table, c.Name), b, rows)
}
