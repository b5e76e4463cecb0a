package pipeline

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
	"github.com/undrop/undrop/internal/catalog"
	"github.com/undrop/undrop/internal/envelope"
	"github.com/undrop/undrop/internal/lake"
)

// RawDecoder appends a row from a JSON object of the source's own text values.
type RawDecoder func(b *batch.Batch, op undrop.Op, p undrop.Position, at int64, raw string) error

// Replayer puts quarantined changes through the contract once more.
type Replayer struct {
	Lake      *lake.Lake
	DecodeRaw RawDecoder
	Now       func() time.Time
}

// Replayed is what became of a replay, per table.
type Replayed struct {
	Table      string `json:"table"`
	Selected   int    `json:"selected"`
	Replayed   int    `json:"replayed"`
	Superseded int    `json:"superseded"`
	Still      int    `json:"still_rejected"`
	Waits      int    `json:"waits_for_earlier"` // an earlier change of the same key is still rejected
}

// Replay re-evaluates the selected open records of a product under its present
// contract. The changes of a key are replayed in order, and only up to the first
// that is still rejected; a row of the table that is newer is never overwritten
// (invariant I8). dry: say what would happen, change nothing.
//
// It must not run beside an apply of the same table in another goroutine.
func (r *Replayer) Replay(ctx context.Context, p *Product, selected func(*Rejected) bool, dry bool) (Replayed, error) {
	out := Replayed{Table: p.Table.TableName.String()}
	all, err := ReadQuarantine(ctx, r.Lake, p.Table.Namespace)
	if err != nil {
		return out, err
	}
	table, err := r.Lake.Load(ctx, p.Table.TableName)
	if errors.Is(err, catalog.ErrNoTable) || err == nil && table.Head("main") == nil {
		return out, &undrop.Error{Code: undrop.Refused, Op: "replay " + out.Table, Err: errors.New("the table is not live yet"), Hint: "undrop status"}
	}
	if err != nil {
		return out, err
	}
	f := newFolder(p, r.Lake.WriterConfig(table, p.Table, p.Table.Source))
	f.lane, f.now = undrop.LaneReplay, r.Now()
	f.bases = &bases{lake: r.Lake, table: table, from: table.Head("main")}
	defer f.abort()

	c, checker := &chunk{b: batch.New(p.Table)}, p.NewChecker()
	var records []*Rejected
	blocked := map[string]bool{}
	for _, rec := range all {
		if rec.Status != StatusOpen || rec.Table != out.Table {
			continue
		}
		key := string(rec.keyBytes)
		if !selected(rec) {
			blocked[key] = blocked[key] || p.Table.Mode == undrop.Mirror // an earlier change of the key stays
			continue
		}
		out.Selected++
		if blocked[key] {
			out.Waits++
			continue
		}
		at := c.b.Len()
		if err := r.decode(p, c.b, rec); err != nil {
			return out, err
		}
		checker.Check(c.b, at)
		if len(c.b.Bad[at]) > 0 {
			dropFrom(c.b, at)
			out.Still++
			blocked[key] = blocked[key] || p.Table.Mode == undrop.Mirror
			continue
		}
		records = append(records, rec)
		c.offsets, c.dup = append(c.offsets, rec.Offset), append(c.dup, false)
	}
	newer, err := r.newerRows(ctx, table, p, c.b)
	if err != nil {
		return out, err
	}
	if err := f.bases.prefetch(ctx, p.Table, []span{{c: c, to: c.b.Len()}}); err != nil {
		return out, err
	}
	for i, rec := range records {
		c.dup[i] = p.Table.Mode == undrop.Mirror && newer[string(rec.keyBytes)].Compare(rec.Position()) >= 0
		refused := f.account.Quarantined
		if err := f.add(c, i, i+1, nil); err != nil {
			return out, err
		}
		switch {
		case f.account.Quarantined > refused: // what it relies on is not to be had: it stays open
			out.Still++
		case c.dup[i]:
			out.Superseded++
			f.q.resolve(rec.RecordID, StatusSuperseded, "", r.Now())
		default:
			out.Replayed++
			f.q.resolve(rec.RecordID, StatusReplayed, "", r.Now())
		}
	}
	if dry || out.Replayed+out.Superseded == 0 {
		return out, nil
	}
	return out, r.commit(ctx, table, f)
}

func (r *Replayer) commit(ctx context.Context, table *lake.Table, f *folder) error {
	data, deletes, err := f.finish()
	if err != nil {
		return err
	}
	own := lastOwn(table, "main", undrop.SummarySource)
	if own == nil {
		return fmt.Errorf("table %s: main was not written by undrop", table.Name)
	}
	var acc undrop.AccountMark
	if _, err := summaryValue(own.Summary, undrop.SummaryAccount, &acc); err != nil {
		return err
	}
	s := &lake.Stage{Table: table, Branch: "main", ParentOf: "main", Data: data, Deletes: deletes, Summary: map[string]string{
		undrop.SummarySource: own.Summary[undrop.SummarySource], undrop.SummaryOffsets: own.Summary[undrop.SummaryOffsets]}}
	putSummary(s.Summary, undrop.SummaryAccount, undrop.AccountMark{Commit: f.account, Total: acc.Total.Add(f.account)})
	putSummary(s.Summary, undrop.SummaryContract, f.product.Table.Contract)
	putSummary(s.Summary, undrop.SummaryLane, f.lane)
	quarantines, err := stageQuarantines(ctx, r.Lake, f.q)
	if err != nil {
		return err
	}
	_, err = commitStages(ctx, r.Lake, append([]*lake.Stage{s}, quarantines...))
	return err
}

// newerRows is the position of the row that the table holds for each key of b.
func (r *Replayer) newerRows(ctx context.Context, table *lake.Table, p *Product, b *batch.Batch) (map[string]undrop.Position, error) {
	newer := map[string]undrop.Position{}
	if b.Len() == 0 || p.Table.Mode != undrop.Mirror {
		return newer, nil
	}
	rows, _, err := r.Lake.Lookup(ctx, table, table.Head("main").ID, b, nil)
	if err != nil {
		return nil, err
	}
	for i := range rows.Len() {
		newer[string(rows.AppendKey(nil, i))] = rows.Position(i)
	}
	return newer, nil
}

// decode turns a record into a row of the present contract. The source's own text
// is preferred: it says what the earlier contract could not.
func (r *Replayer) decode(p *Product, b *batch.Batch, rec *Rejected) error {
	var headers []kgo.RecordHeader
	raw := ""
	for k, v := range rec.Headers {
		value, err := hex.DecodeString(v)
		if err != nil {
			return fmt.Errorf("record %s: header %s: %w", rec.RecordID, k, err)
		}
		switch k {
		case envelope.HeaderBad:
			continue // judged anew
		case envelope.HeaderRaw:
			raw = string(value)
			continue
		}
		headers = append(headers, kgo.RecordHeader{Key: k, Value: value})
	}
	if raw != "" && r.DecodeRaw != nil {
		return r.DecodeRaw(b, undrop.Op(rec.Op[0]), rec.Position(), rec.At.UnixMicro(), raw)
	}
	d := envelope.NewDecoder(p.Table, envelope.JSON, nil)
	if err := d.Decode(b, rec.Key, rec.Value, headers); err != nil {
		return fmt.Errorf("record %s: %w", rec.RecordID, err)
	}
	return nil
}

// Discard closes open records for good, with the reason that a person gives.
func (r *Replayer) Discard(ctx context.Context, p *Product, ids []string, reason string) (int, error) {
	all, err := ReadQuarantine(ctx, r.Lake, p.Table.Namespace)
	if err != nil {
		return 0, err
	}
	q := newQuarantiner(p.Table)
	n := 0
	for _, rec := range all {
		if rec.Status == StatusOpen && rec.Table == p.Table.TableName.String() && slices.Contains(ids, rec.RecordID) {
			q.resolve(rec.RecordID, StatusDiscarded, reason, r.Now())
			n++
		}
	}
	if n == 0 {
		return 0, nil
	}
	stages, err := stageQuarantines(ctx, r.Lake, q)
	if err != nil {
		return 0, err
	}
	_, err = commitStages(ctx, r.Lake, stages)
	return n, err
}

// Do runs f on apply's own goroutine, between commits, and afterwards reads where
// the tables stand again.
func (a *Apply) Do(ctx context.Context, f func(context.Context) error) error {
	job := applyJob{f: f, done: make(chan error, 1)}
	select {
	case a.jobs <- job:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-job.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

type applyJob struct {
	f    func(context.Context) error
	done chan error
}

// runJobs does what other goroutines asked for.
func (a *Apply) runJobs(ctx context.Context) error {
	for {
		select {
		case job := <-a.jobs:
			job.done <- job.f(ctx)
			for _, t := range a.tables {
				if t.state != stateLive {
					continue
				}
				var err error
				if t.table, err = a.Lake.Load(ctx, t.product.Table.TableName); err != nil {
					return err
				}
				own := lastOwn(t.table, "main", undrop.SummarySource)
				if own == nil {
					continue
				}
				var acc undrop.AccountMark
				if _, err := summaryValue(own.Summary, undrop.SummaryAccount, &acc); err != nil {
					return err
				}
				t.total, t.snap = acc.Total, own.ID
				if err := a.loadParked(ctx, t); err != nil {
					return err
				}
			}
		default:
			return nil
		}
	}
}
