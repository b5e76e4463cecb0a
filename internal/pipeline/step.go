package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/catalog"
	"github.com/undrop/undrop/internal/crash"
	"github.com/undrop/undrop/internal/lake"
)

// span is rows [from,to) of a chunk.
type span struct {
	l        *lane
	c        *chunk
	from, to int
}

// step commits at the newest cut that has been read, if there is one.
func (a *Apply) step(ctx context.Context) error {
	if err := a.refresh(ctx); err != nil {
		return err
	}
	for _, t := range a.tables {
		if t.in != nil && t.state != stateHalted && a.newest != nil {
			if err := a.newTopics(ctx, t, a.newest); err != nil {
				return err
			}
		}
		a.noteHalt(t)
		if err := a.gatherStep(ctx, t); err != nil {
			return err
		}
	}
	groups := [][]*applied{a.tables}
	if a.PerTable {
		groups = nil
		for _, t := range a.tables {
			groups = append(groups, []*applied{t})
		}
	}
	done := true
	for _, g := range groups {
		committed, err := a.commitGroup(ctx, g)
		if err != nil {
			return err
		}
		done = done && committed
	}
	if done {
		a.lastRun = a.Now()
	}
	a.forgetCuts()
	a.publishStates()
	return nil
}

// noteHalt halts a table that has nothing left but a record it cannot take.
func (a *Apply) noteHalt(t *applied) {
	if t.in == nil || t.state == stateHalted {
		return
	}
	if g := a.gapOf(t); g != nil && t.state == stateLoading {
		a.wait(t)
		return
	} else if g != nil {
		a.halt(t, fmt.Sprintf("gap %s: changes after %s up to %s are missing; undrop table reload %s", g.ID, g.From, g.To, t.product.Table.TableName))
		return
	}
	err := t.in.halt()
	if err == nil {
		return
	}
	// A cut that the table has passed without a change is not one to wait for: the
	// others would wait with it.
	if c := a.pick([]*applied{t}); c != nil && a.wants(t, c) {
		return
	}
	a.halt(t, err.Error())
}

// pick returns the newest cut that every table of the group has read, newer than
// what they hold; nil if there is none. Tables that are loading do not hold the
// others back.
func (a *Apply) pick(group []*applied) *Control {
	for _, c := range slices.Backward(a.cuts) {
		ok, news := true, false
		for _, t := range group {
			switch t.state {
			case stateLive:
				if c.LSN < t.mark.LSN {
					return nil
				}
				ok = ok && t.reached(c)
				news = news || c.LSN > t.mark.LSN
			case stateLoading:
				news = news || !t.gathers() && t.reached(c)
			}
		}
		if ok && news {
			return c
		}
	}
	return nil
}

// reached reports whether everything up to c has been read, and nothing beyond it
// has been folded already.
func (t *applied) reached(c *Control) bool {
	for name, end := range c.Topics {
		if end.Table != t.product.Table.TableName {
			continue
		}
		lanes := t.in.lanes[name]
		if lanes == nil {
			return false
		}
		for p, next := range end.Next {
			if l := lanes[p]; l.next < next || l.taken > next || l.newestBefore(next) > c.LSN {
				return false
			}
		}
	}
	return true
}

// behind reports whether c holds records that the table does not have.
func (t *applied) behind(c *Control) bool {
	for name, end := range c.Topics {
		if end.Table != t.product.Table.TableName {
			continue
		}
		for p, next := range end.Next {
			if t.in.lanes[name][p].taken < next {
				return true
			}
		}
	}
	return t.folding != nil
}

// commitGroup moves the tables of a group to one cut in one commit. It says false
// when a commit is due and has to wait for its cut.
func (a *Apply) commitGroup(ctx context.Context, group []*applied) (bool, error) {
	c := a.pick(group)
	if c == nil {
		return !slices.ContainsFunc(group, func(t *applied) bool { return t.in != nil && t.state != stateHalted && t.in.bytes() > 0 }), nil
	}
	var todo []*applied
	for _, t := range group {
		if a.wants(t, c) {
			todo = append(todo, t)
		}
	}
	if len(todo) == 0 {
		a.passed(c)
		return true, nil
	}
	stages := make([]*lake.Stage, len(todo))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(a.Workers)
	for i, t := range todo {
		g.Go(func() (err error) {
			stages[i], err = a.stage(gctx, t, c)
			if errors.Is(err, errHalted) {
				return nil
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return false, err
	}
	crash.Point("apply.files.after")
	if err := a.commit(ctx, todo, stages); err != nil {
		return false, err
	}
	a.passed(c)
	return true, nil
}

// passed notes that every table is complete up to c.
func (a *Apply) passed(c *Control) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.through = c.CommittedAt
}

// wants says whether a table takes part in a commit at c.
func (a *Apply) wants(t *applied, c *Control) bool {
	switch t.state {
	case stateLive:
		return c.LSN > t.mark.LSN && (t.behind(c) || t.mark.LSN < a.demanded() || a.Now().Sub(t.at) >= a.IdleEvery)
	case stateLoading:
		return !t.gathers() && t.reached(c) && t.exact(c)
	}
	return false
}

// exact reports whether a loading table holds at c what the source held.
func (t *applied) exact(c *Control) bool {
	return t.load.Complete && c.LSN+1 >= t.load.LSN
}

// stage folds a table's changes up to c and writes their files.
func (a *Apply) stage(ctx context.Context, t *applied, c *Control) (*lake.Stage, error) {
	f, err := a.folder(t)
	if err != nil {
		return nil, err
	}
	if err := a.foldWindow(ctx, f, t.window(c)); err != nil {
		return nil, a.haltInstead(t, err)
	}
	data, deletes, err := f.finish()
	if err != nil {
		return nil, err
	}
	s := &lake.Stage{Table: t.table, Branch: "main", ParentOf: "main", Data: data, Deletes: deletes, RemoveAll: f.removeAll, Summary: map[string]string{}}
	if t.state == stateLoading {
		s.ParentOf, s.Publish = undrop.LoadBranch, true
		f.closeOutdated(t)
		// The rows were written with the contract's present schema; readers get both
		// in one step.
		if _, s.Updates, err = a.Lake.Planned(t.table, t.product.Table); err != nil {
			return nil, err
		}
	}
	a.mark(s, t, f, c)
	return s, nil
}

// haltInstead turns what stops one table into its state; other errors stay.
func (a *Apply) haltInstead(t *applied, err error) error {
	var why haltError
	if !errors.As(err, &why) {
		return err
	}
	a.halt(t, err.Error())
	return errHalted
}

// mark writes what the snapshot says about itself.
func (a *Apply) mark(s *lake.Stage, t *applied, f *folder, c *Control) {
	a.markCommon(s, t, f)
	putSummary(s.Summary, undrop.SummaryOffsets, t.offsets())
	putSummary(s.Summary, undrop.SummarySource, undrop.SourceMark{Source: a.Name, System: c.System, Timeline: c.Timeline,
		LSN: c.LSN, CommittedAt: c.CommittedAt, Complete: true})
}

// markCommon writes what a snapshot of main and one of a load both say.
func (a *Apply) markCommon(s *lake.Stage, t *applied, f *folder) {
	putSummary(s.Summary, undrop.SummaryAccount, undrop.AccountMark{Commit: f.account, Total: t.total.Add(f.account)})
	putSummary(s.Summary, undrop.SummaryContract, t.product.Table.Contract)
	putSummary(s.Summary, undrop.SummaryLane, f.lane)
}

// offsets is where the next read of each topic of the table begins.
func (t *applied) offsets() undrop.OffsetsMark {
	offsets := undrop.OffsetsMark{Topics: []undrop.TopicMark{}}
	for _, name := range slices.Sorted(maps.Keys(t.in.lanes)) {
		lanes := t.in.lanes[name]
		next := make([]int64, len(lanes))
		for p, l := range lanes {
			next[p] = l.taken
		}
		offsets.Topics = append(offsets.Topics, topicMark(name, lanes[0].id, next))
	}
	return offsets
}

// commit publishes the stages and notes where the tables now stand.
func (a *Apply) commit(ctx context.Context, todo []*applied, stages []*lake.Stage) error {
	var live []*applied
	var all []*lake.Stage
	var qs []*quarantiner
	for i, t := range todo {
		if stages[i] == nil {
			continue
		}
		live, all, qs = append(live, t), append(all, stages[i]), append(qs, t.folding.q)
	}
	if len(live) == 0 {
		return nil
	}
	quarantines, err := stageQuarantines(ctx, a.Lake, qs...)
	if err != nil {
		return err
	}
	crash.Point("apply.commit.before")
	snaps, err := a.commitSettled(ctx, append(all, quarantines...))
	if err != nil {
		return err
	}
	crash.Point("apply.commit.after")
	for i, t := range live {
		f := t.folding
		t.total = t.total.Add(f.account)
		t.parked, t.folding, t.at, t.snap = f.parked, nil, a.Now(), snaps[i].ID
		if t.table, err = a.Lake.Load(ctx, t.product.Table.TableName); err != nil {
			return err
		}
		if all[i].Branch == undrop.LoadBranch {
			continue
		}
		if err := summaryMust(all[i].Summary, undrop.SummarySource, &t.mark); err != nil {
			return err
		}
		if t.state == stateLoading {
			t.state, t.stale = stateLive, nil
			a.Log.Info("table is live", "table", t.product.Table.TableName.String(), "at", t.mark.LSN)
			a.closeGaps(t)
		}
	}
	return nil
}

// commitSettled commits; an outcome that is not known is asked for until it is.
func (a *Apply) commitSettled(ctx context.Context, stages []*lake.Stage) ([]lake.Snapshot, error) {
	snaps, err := commitStages(ctx, a.Lake, stages)
	if errors.Is(err, catalog.ErrUnknown) {
		// Nothing is deleted and nothing is written again: the next start reads what
		// the table says, and goes on from there.
		return nil, &undrop.Error{Code: undrop.Unknown, Op: "commit source " + a.Name, Err: err, Hint: "undrop up: it settles the outcome by reading the tables"}
	}
	return snaps, err
}

func summaryMust(summary map[string]string, key string, v any) error {
	ok, err := summaryValue(summary, key, v)
	if err == nil && !ok {
		err = fmt.Errorf("snapshot has no %s", key)
	}
	return err
}

// closeGaps closes the gaps of the source that no table lies in any more.
func (a *Apply) closeGaps(*applied) {
	all, err := a.Gaps.List()
	if err != nil {
		a.Log.Error("cannot list gaps", "err", err)
		return
	}
	for _, g := range all {
		if g.State != "open" || g.Source != a.Name {
			continue
		}
		open := slices.ContainsFunc(a.tables, func(t *applied) bool {
			return slices.Contains(g.Tables, t.product.Table.TableName.String()) && (t.state != stateLive || inside(&g, t.mark.LSN))
		})
		if open {
			continue
		}
		if err := a.Gaps.Close(g.ID, a.Now()); err != nil {
			a.Log.Error("cannot close gap", "gap", g.ID, "err", err)
			continue
		}
		a.Log.Info("gap closed: every table of it was loaded again", "gap", g.ID)
	}
}

// forgetCuts drops cuts that every table has passed.
func (a *Apply) forgetCuts() {
	low := undrop.LSN(1<<64 - 1)
	for _, t := range a.tables {
		switch t.state {
		case stateLive:
			low = min(low, t.mark.LSN)
		case stateLoading, stateWaiting:
			low = 0
		}
	}
	a.cuts = slices.DeleteFunc(a.cuts, func(c *Control) bool { return c != a.newest && c.LSN <= low })
}
