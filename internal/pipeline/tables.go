package pipeline

import (
	"context"
	"errors"
	"fmt"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/catalog"
	"github.com/undrop/undrop/internal/kafka"
	"github.com/undrop/undrop/internal/lake"
)

// refresh moves tables that wait or load to their next state. What a table is
// doing is read from the table itself: it has main, a load branch, or nothing.
func (a *Apply) refresh(ctx context.Context) error {
	if a.newest == nil {
		return nil // no cut, no commit: and capture has to say first what an empty log means
	}
	for _, t := range a.tables {
		if t.state != stateWaiting {
			continue
		}
		if err := a.enter(ctx, t); err != nil {
			return err
		}
	}
	a.publishStates()
	return nil
}

// enter starts to read for a table that is live or has begun to load.
func (a *Apply) enter(ctx context.Context, t *applied) error {
	table, err := a.Lake.Load(ctx, t.product.Table.TableName)
	if errors.Is(err, catalog.ErrNoTable) {
		return nil
	}
	if err != nil {
		return err
	}
	t.table = table
	if head := table.Head(undrop.LoadBranch); head != nil {
		return a.enterLoad(ctx, t, head)
	}
	head := table.Head("main")
	if head == nil {
		return nil
	}
	own := lastOwn(table, "main", undrop.SummarySource)
	if own == nil {
		t.halt("the table's main branch was not written by undrop")
		return nil
	}
	if t.mark, err = sourceMark(own.Summary); err != nil {
		return err
	}
	if t.mark.Source != a.Name {
		t.halt(fmt.Sprintf("the table belongs to source %s", t.mark.Source))
		return nil
	}
	var offsets undrop.OffsetsMark
	if _, err := summaryValue(own.Summary, undrop.SummaryOffsets, &offsets); err != nil {
		return err
	}
	var acc undrop.AccountMark
	if _, err := summaryValue(own.Summary, undrop.SummaryAccount, &acc); err != nil {
		return err
	}
	t.total, t.snap, t.at = acc.Total, own.ID, own.Time
	if err := a.endless(t); err != nil || t.state == stateHalted {
		return err
	}
	if !a.decided(t) {
		return nil
	}
	if err := a.evolve(ctx, t); err != nil || t.state == stateHalted {
		return err
	}
	if err := a.read(ctx, t, offsets.Topics, t.mark.LSN); err != nil || t.state == stateHalted {
		return err
	}
	if err := a.loadParked(ctx, t); err != nil {
		return err
	}
	t.state = stateLive
	return nil
}

// enterLoad starts to read for a table whose rows come through the log, or are
// all there.
func (a *Apply) enterLoad(ctx context.Context, t *applied, head *lake.Snapshot) error {
	own := lastOwn(t.table, undrop.LoadBranch, undrop.SummaryLoad)
	if own == nil {
		return fmt.Errorf("table %s: branch %s was not written by undrop", t.product.Table.TableName, undrop.LoadBranch)
	}
	if _, err := summaryValue(own.Summary, undrop.SummaryLoad, &t.load); err != nil {
		return err
	}
	t.state = stateLoading
	gap := a.gapOf(t)
	t.state = stateWaiting
	if gap != nil {
		return nil // capture begins the load again
	}
	offsets := undrop.OffsetsMark{Topics: t.load.Offsets}
	if _, err := summaryValue(own.Summary, undrop.SummaryOffsets, &offsets); err != nil {
		return err
	}
	t.viaLog = false
	if a.newest != nil {
		l := a.newest.Loads[t.product.Table.TableName.String()]
		t.viaLog = !t.load.Complete && l != nil && l.First == t.load.First // not an earlier load's
	}
	if !t.viaLog && !t.load.Complete || offsets.Topics == nil {
		return nil // the direct lane is still at it: nothing to read yet
	}
	var acc undrop.AccountMark
	if _, err := summaryValue(head.Summary, undrop.SummaryAccount, &acc); err != nil {
		return err
	}
	t.total = acc.Total
	if _, _, err := a.Lake.Planned(t.table, t.product.Table); undrop.CodeOf(err) == undrop.Refused {
		t.halt(err.Error())
		return nil
	}
	if err := a.read(ctx, t, offsets.Topics, 0); err != nil || t.state == stateHalted {
		return err
	}
	if t.viaLog {
		t.in.gather = &t.load
	}
	if err := a.loadParked(ctx, t); err != nil {
		return err
	}
	if err := a.findOutdated(ctx, t); err != nil {
		return err
	}
	t.state = stateLoading
	return nil
}

// read assigns a table's partitions.
func (a *Apply) read(ctx context.Context, t *applied, marks []undrop.TopicMark, mark undrop.LSN) error {
	t.in = newInbox(t.product, a.Format, a.schema(ctx), a.DecodeRaw)
	for _, m := range marks {
		if t.state == stateHalted {
			return nil
		}
		next, err := nextOffsets(m)
		if err != nil {
			return err
		}
		t.in.start(m.Topic, m.ID, next, mark)
		if err := a.assign(ctx, m.Topic, m.ID, next); err != nil {
			return a.lost(err)
		}
	}
	return nil
}

func (a *Apply) assign(ctx context.Context, topic, id string, next []int64) error {
	as := make([]kafka.Assignment, len(next))
	for p, n := range next {
		as[p] = kafka.Assignment{Topic: topic, TopicID: id, Partition: int32(p), Offset: n}
	}
	return a.reader.Add(ctx, as)
}

// newTopics starts to read topics that a cut names and the table does not know
// yet: an aggregate type's first event made them.
func (a *Apply) newTopics(ctx context.Context, t *applied, c *Control) error {
	for name, end := range c.Topics {
		if end.Table != t.product.Table.TableName || t.state == stateHalted {
			continue
		}
		if lanes := t.in.lanes[name]; lanes != nil {
			if lanes[0].id != end.ID {
				return a.lost(&kafka.TopicRecreated{Topic: name, Want: lanes[0].id, Have: end.ID})
			}
			continue
		}
		next := make([]int64, len(end.Next))
		t.in.start(name, end.ID, next, t.mark.LSN)
		if err := a.assign(ctx, name, end.ID, next); err != nil {
			return a.lost(err)
		}
	}
	return nil
}

// schema finds schemas by id and waits for a registry that does not answer.
func (a *Apply) schema(ctx context.Context) func(int) (string, error) {
	return func(id int) (s string, err error) {
		err = retry(ctx, a.Log, "schema registry", func() error {
			s, err = a.Registry.Schema(ctx, id)
			var unknown *kafka.UnknownSchema
			if errors.As(err, &unknown) {
				return &undrop.Error{Code: undrop.Refused, Op: "decode", Err: err}
			}
			return err
		})
		return s, err
	}
}

// evolve brings the table's schema to the contract's version before any row of it.
func (a *Apply) evolve(ctx context.Context, t *applied) error {
	plan, err := a.Lake.Evolve(ctx, t.table, t.product.Table)
	if undrop.CodeOf(err) == undrop.Refused {
		t.halt(err.Error())
		return nil
	}
	if err != nil || len(plan) == 0 {
		return err
	}
	a.Log.Info("table schema evolved", "table", t.product.Table.TableName.String(), "plan", plan, "contract", t.product.Table.Contract.Version)
	t.table, err = a.Lake.Load(ctx, t.product.Table.TableName)
	return err
}
