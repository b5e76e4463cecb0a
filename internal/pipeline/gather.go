package pipeline

import (
	"context"
	"errors"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
	"github.com/undrop/undrop/internal/lake"
)

// A load through the log is taken in two passes. The first gathers only the rows
// of the snapshot (op=r) into the load branch; stream changes lie between them in
// the topic, and one that came to the branch before the older row of its key would
// be undone by it. When every row is there, the branch is what the direct lane
// would have made, and the second pass is the same: the topic is read from where
// the load began, what is below the horizon counts only for its deletions, and the
// rows of the snapshot are passed over.

// gathers reports whether the table is in the first pass.
func (t *applied) gathers() bool { return t.state == stateLoading && t.viaLog }

// gatherable reports whether row i belongs to the first pass. Where a row that is
// read twice cannot be told from two rows, only those of the newest attempt do.
func (in *inbox) gatherable(b *batch.Batch, i int) bool {
	if b.Op[i] != undrop.Read {
		return false
	}
	return in.product.Table.Mode == undrop.Mirror || b.LSN[i] == in.gather.LSN-1
}

// gatherStep moves the first pass of a table on: to the branch when enough has
// come, and to the second pass when all has.
func (a *Apply) gatherStep(ctx context.Context, t *applied) error {
	if !t.gathers() || a.newest == nil {
		return nil
	}
	l := a.newest.Loads[t.product.Table.TableName.String()]
	if l == nil || l.First != t.load.First {
		a.wait(t) // capture began the load again
		return nil
	}
	complete := l.Complete && t.gathered(l)
	if !complete && t.in.bytes() <= a.SpillBytes {
		return nil
	}
	f, err := a.folder(t)
	if err != nil {
		return err
	}
	if err := a.foldWindow(ctx, f, t.window(nil)); err != nil {
		if err := a.haltInstead(t, err); !errors.Is(err, errHalted) {
			return err
		}
		return nil
	}
	data, deletes, err := f.finish()
	if err != nil {
		return err
	}
	s := &lake.Stage{Table: t.table, Branch: undrop.LoadBranch, ParentOf: undrop.LoadBranch, Data: data, Deletes: deletes, Summary: map[string]string{}}
	load := l.Load
	load.Complete = complete
	putSummary(s.Summary, undrop.SummaryLoad, load)
	if !complete { // where to go on; the second pass begins at load.Offsets
		putSummary(s.Summary, undrop.SummaryOffsets, t.offsets())
	}
	a.markCommon(s, t, f)
	if err := a.commit(ctx, []*applied{t}, []*lake.Stage{s}); err != nil {
		return err
	}
	if complete {
		a.wait(t)
	}
	return nil
}

// gathered reports whether every row of a complete load has been read.
func (t *applied) gathered(l *LogLoad) bool {
	lanes := t.in.lanes[t.product.Table.Topic]
	for p, n := range l.Ends {
		if p >= len(lanes) || lanes[p].next < n {
			return false
		}
	}
	return true
}
