package pipeline

import (
	"context"
	"errors"
	"maps"
	"slices"

	undrop "github.com/undrop/undrop"
)

// window is what a table takes of its lanes to reach c, and marks it as taken.
// With c nil it is all that was read.
func (t *applied) window(c *Control) []span {
	var spans []span
	for _, name := range slices.Sorted(maps.Keys(t.in.lanes)) {
		for p, l := range t.in.lanes[name] {
			upto := l.next
			if c != nil {
				upto = l.taken
				if end, known := c.Topics[name]; known {
					upto = max(upto, end.Next[p])
				}
			}
			spans = append(spans, l.cut(upto)...)
		}
	}
	return spans
}

// cut takes the rows before an offset out of the lane.
func (l *lane) cut(upto int64) []span {
	var spans []span
	l.folded = l.newestBefore(upto)
	total := 0
	for _, c := range l.chunks {
		total += len(c.offsets) - c.used
	}
	took := 0
	for len(l.chunks) > 0 {
		c := l.chunks[0]
		to, _ := slices.BinarySearch(c.offsets, upto)
		if to > c.used {
			spans = append(spans, span{l: l, c: c, from: c.used, to: to})
			took += to - c.used
			c.used = to
		}
		if to < len(c.offsets) || len(l.chunks) == 1 && len(c.offsets) < chunkRows {
			break
		}
		l.chunks = l.chunks[1:]
	}
	if took == total {
		// Nothing is left: the next record begins a chunk of its own, so that the
		// taken rows' memory goes with them.
		l.chunks, l.bytes = nil, 0
	} else {
		l.bytes -= int(int64(l.bytes) * int64(took) / int64(total))
	}
	l.taken = max(l.taken, upto)
	return spans
}

// folder is the one that a spill began, or a new one.
func (a *Apply) folder(t *applied) (*folder, error) {
	if t.folding != nil {
		return t.folding, nil
	}
	table, _, err := a.Lake.Planned(t.table, t.product.Table)
	if err != nil {
		return nil, err
	}
	f := newFolder(t.product, a.Lake.WriterConfig(table, t.product.Table, a.Name))
	parent := "main"
	if t.state == stateLoading {
		parent = undrop.LoadBranch
		f.horizon = t.load.LSN
	}
	if t.gathers() {
		f.lane = undrop.LaneSnapshot
	}
	f.parked, f.now = maps.Clone(t.parked), a.Now()
	head := t.table.Head(parent)
	f.fresh = t.gathers() && lastValue(t.table, parent, undrop.SummaryOffsets) == ""
	f.bases = &bases{lake: a.Lake, table: table, from: head}
	t.folding = f
	return f, nil
}

// foldWindow folds the rows of a window. Partitions are folded one after the
// other: a key's changes are all in one. Only where a key changed and the new
// row relies on the old one for TOASTed values does the order across partitions
// matter.
func (a *Apply) foldWindow(ctx context.Context, f *folder, window []span) error {
	if err := f.bases.prefetch(ctx, f.product.Table, window); err != nil {
		return err
	}
	for _, w := range window {
		if err := f.findTruncate(w); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(window, func(w span) bool { return len(w.c.b.PrevKey) > 0 }) {
		return f.addOrdered(window)
	}
	for _, w := range window {
		if err := f.add(w.c, w.from, w.to, w.l); err != nil {
			return err
		}
	}
	return nil
}

// findTruncate voids what is older than a TRUNCATE before anything of its window
// is folded: it is written to one partition and concerns all.
func (f *folder) findTruncate(w span) error {
	for i := w.from; i < w.to; i++ {
		if w.c.b.Op[i] == undrop.Truncate && !w.c.dup[i] {
			if err := f.truncate(w.c.b.Position(i)); err != nil {
				return err
			}
		}
	}
	return nil
}

// addOrdered folds the rows of a window in the order of their positions.
func (f *folder) addOrdered(window []span) error {
	type ref struct {
		w span
		i int
	}
	var refs []ref
	for _, w := range window {
		for i := w.from; i < w.to; i++ {
			refs = append(refs, ref{w, i})
		}
	}
	slices.SortStableFunc(refs, func(x, y ref) int { return x.w.c.b.Position(x.i).Compare(y.w.c.b.Position(y.i)) })
	for _, r := range refs {
		if err := f.add(r.w.c, r.i, r.i+1, r.w.l); err != nil {
			return err
		}
	}
	return nil
}

// crowded reports whether some table's waiting rows should be taken out of memory
// now.
func (a *Apply) crowded() bool {
	return slices.ContainsFunc(a.tables, func(t *applied) bool { return t.in != nil && t.in.bytes() > a.SpillBytes })
}

// spill takes the rows of tables that wait for a cut out of memory: a transaction
// may be larger than memory. They go into files that the table's next commit adds.
func (a *Apply) spill(ctx context.Context) error {
	for _, t := range a.tables {
		if t.in == nil || t.in.bytes() <= a.SpillBytes || t.state != stateLive && t.state != stateLoading {
			continue
		}
		if t.gathers() {
			continue // see gatherStep
		}
		f, err := a.folder(t)
		if err != nil {
			return err
		}
		err = a.foldWindow(ctx, f, t.window(nil))
		if err == nil {
			err = f.spill()
		}
		if err != nil {
			if err := a.haltInstead(t, err); !errors.Is(err, errHalted) {
				return err
			}
		}
	}
	return nil
}
