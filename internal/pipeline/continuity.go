package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/crash"
	"github.com/undrop/undrop/internal/kafka"
	"github.com/undrop/undrop/internal/postgres"
)

// slotTimeout bounds the wait for transactions that were running when a slot is
// made.
const slotTimeout = 2 * time.Minute

// continuity compares the slot, the system and the timeline with our own record,
// the newest cut. Where they do not meet it opens a gap with exact bounds: it
// never skips ahead in silence (invariant I6).
func (c *Capture) continuity(ctx context.Context, last *Control) (*opening, error) {
	slot, err := c.Source.SlotState(ctx)
	if err != nil {
		return nil, err
	}
	if last == nil {
		return c.first(ctx, slot)
	}
	o := &opening{from: last.EndLSN, skip: last.LSN, last: last}
	switch {
	case last.System != c.identity.System:
		return nil, c.refuseSystem(last)
	case last.Timeline != c.identity.Timeline:
		return c.reopen(ctx, slot, o, "timeline_changed", fmt.Sprintf("timeline %d, our newest cut is on timeline %d: the source was failed over or restored", c.identity.Timeline, last.Timeline))
	case !slot.Exists:
		return c.reopen(ctx, slot, o, "slot_lost", "the replication slot is gone")
	case slot.WALStatus == "lost" || slot.Reason != "":
		return c.reopen(ctx, slot, o, "slot_invalidated", "the server removed WAL that the slot still needed "+slot.Reason)
	case slot.ConfirmedFlush > last.EndLSN:
		return c.reopen(ctx, slot, o, "slot_ahead", fmt.Sprintf("the slot was acknowledged to %s, our newest cut ends at %s", slot.ConfirmedFlush, last.EndLSN))
	}
	at, err := c.Source.InsertPosition(ctx)
	if err != nil {
		return nil, err
	}
	if at < last.EndLSN {
		return c.reopen(ctx, slot, o, "source_behind", fmt.Sprintf("the source writes at %s, our newest cut ends at %s: an older state was restored", at, last.EndLSN))
	}
	return o, nil
}

// first starts a source that has no cut yet. A slot of our name that exists
// already is taken over from where it stands: dropping it could destroy somebody
// else's.
func (c *Capture) first(ctx context.Context, slot postgres.SlotState) (*opening, error) {
	if err := c.noTables(); err != nil {
		return nil, err
	}
	if slot.Exists {
		c.Log.Warn("slot exists already and is taken over", "slot", slot, "confirmed", slot.ConfirmedFlush)
		return c.origin(ctx, &opening{from: slot.ConfirmedFlush}, slot.ConfirmedFlush)
	}
	snap, err := c.Source.CreateSlot(ctx, slotTimeout)
	if err != nil {
		return nil, err
	}
	crash.Point("capture.slot.after")
	return c.origin(ctx, &opening{from: snap.LSN, snapshot: snap}, snap.LSN)
}

// origin publishes the cut before the first change, so that every later start has
// a record to compare with.
func (c *Capture) origin(ctx context.Context, o *opening, x undrop.LSN) (*opening, error) {
	o.skip = x - 1
	if err := c.writeNow(ctx, x-1, x); err != nil {
		o.close()
		return nil, err
	}
	crash.Point("capture.origin.after")
	return o, nil
}

// writeNow publishes a cut outside the stream, when nothing is in flight.
func (c *Capture) writeNow(ctx context.Context, lsn, end undrop.LSN) error {
	c.seal(lsn, end, c.Now())
	ctl, err := c.pub.take()
	if err != nil {
		return err
	}
	if err := c.pub.write(ctx, ctl); err != nil {
		return err
	}
	c.noteCut(ctl)
	return nil
}

// noTables refuses to begin anew over tables that already name positions of this
// source: their log is gone, and what lies between would be lost in silence.
func (c *Capture) noTables() error {
	var at undrop.LSN
	var names []string
	for _, p := range c.Products {
		mark, ok := c.tableMark(p)
		if !ok {
			continue
		}
		names = append(names, p.Table.TableName.String())
		if at == 0 || mark < at {
			at = mark
		}
	}
	if len(names) == 0 {
		return nil
	}
	g := c.gap("log_lost", "the log holds no cut of this source, its tables do", at, 0, names)
	g, err := c.Gaps.Open(g)
	if err != nil {
		return err
	}
	return &undrop.Error{Code: undrop.Refused, Op: "start capture of source " + c.Name,
		Err:  fmt.Errorf("the log is empty but %s hold positions up to %s: everything after them is unknown (gap %s)", strings.Join(names, ", "), at, g.ID),
		Hint: "undrop gap show " + g.ID + "\nput the log back, or rebuild the tables: undrop table reload " + strings.Join(names, " ")}
}

// tableMark is the LSN that a product's table names, if it is live.
func (c *Capture) tableMark(p *Product) (undrop.LSN, bool) {
	t, err := c.Lake.Load(context.Background(), p.Table.TableName)
	if err != nil {
		return 0, false
	}
	head := t.Head("main")
	if head == nil {
		return 0, false
	}
	m, err := sourceMark(head.Summary)
	if err != nil || m.Source != c.Name {
		return 0, false
	}
	return m.LSN, true
}

func (c *Capture) gap(reason, detail string, from, to undrop.LSN, tables []string) undrop.Gap {
	now := c.Now().UTC()
	return undrop.Gap{ID: fmt.Sprintf("%s-%s-%s", c.Name, reason, now.Format("20060102T150405.000")),
		Source: c.Name, Tables: tables, Reason: reason, Detail: strings.TrimSpace(detail), From: from, To: to, OpenedAt: now, State: "open"}
}

// reopen opens a gap from the newest cut to where the source can be read again,
// and goes on from there: the log stays complete after the gap, and apply holds
// every table of the source at its last exact state until it is reloaded.
func (c *Capture) reopen(ctx context.Context, slot postgres.SlotState, o *opening, reason, detail string) (*opening, error) {
	if slot.Active {
		return nil, &undrop.Error{Code: undrop.Refused, Op: "start capture of source " + c.Name,
			Err: fmt.Errorf("%s, and the slot is in use by process %d", detail, slot.ActivePID), Hint: "stop the other reader of the slot"}
	}
	if slot.Exists && reason != "slot_ahead" {
		if err := c.Source.DropSlot(ctx); err != nil {
			return nil, err
		}
		slot.Exists = false
	}
	to := slot.ConfirmedFlush
	if !slot.Exists {
		snap, err := c.Source.CreateSlot(ctx, slotTimeout)
		if err != nil {
			return nil, err
		}
		o.snapshot, to = snap, snap.LSN
	}
	if err := c.openGap(c.gap(reason, detail, o.last.LSN, to, tableNames(c.tables()))); err != nil {
		o.close()
		return nil, err
	}
	o.from = to
	return c.origin(ctx, o, to)
}

func (c *Capture) refuseSystem(last *Control) error {
	g := c.gap("system_changed", fmt.Sprintf("system identifier %s, our record says %s", c.identity.System, last.System), last.LSN, 0, tableNames(c.tables()))
	g, err := c.Gaps.Open(g)
	if err != nil {
		return err
	}
	return &undrop.Error{Code: undrop.Refused, Op: "start capture of source " + c.Name,
		Err:  fmt.Errorf("this is another PostgreSQL cluster: system identifier %s, our newest cut %s is from %s (gap %s)", c.identity.System, last.LSN, last.System, g.ID),
		Hint: "point the source's DSN at the right cluster, or name this one as a new source in undrop.yaml"}
}

// sameTopic refuses a topic that is not the one of the newest cut, or that ends
// before it.
func (c *Capture) sameTopic(ctx context.Context, t kafka.Topic, last *Control) error {
	if last == nil {
		return nil
	}
	known, ok := last.Topics[t.Name]
	if !ok {
		return nil
	}
	reason, detail, offsets := "", "", []int64(nil)
	switch {
	case known.ID != t.ID:
		reason, detail = "topic_recreated", fmt.Sprintf("topic %s has id %s, our newest cut knows %s: it was deleted and made again", t.Name, t.ID, known.ID)
	default:
		for p, next := range known.Next {
			if p < len(t.End) && t.End[p] < next {
				reason = "offsets_lost"
				detail = fmt.Sprintf("topic %s partition %d ends at %d, our newest cut at %d", t.Name, p, t.End[p], next)
				offsets = []int64{t.End[p], next}
			}
		}
	}
	if reason == "" {
		return nil
	}
	g := c.gap(reason, detail, 0, last.LSN, []string{known.Table.String()})
	if t, err := c.Lake.Load(ctx, known.Table); err == nil && loadRequested(t) {
		return nil // it is loaded anew: what the topic held does not matter
	}
	if m, ok := c.tableMark(c.pub.outlets[known.Table.String()].product); ok {
		g.From = m
	}
	g.Topic, g.Offsets = t.Name, offsets
	g, err := c.Gaps.Open(g)
	if err != nil {
		return err
	}
	return &undrop.Error{Code: undrop.Refused, Op: "start capture of source " + c.Name,
		Err:  fmt.Errorf("%s (gap %s: changes after %s up to %s may be missing from %s)", detail, g.ID, g.From, g.To, known.Table),
		Hint: "undrop gap show " + g.ID + "\nundrop table reload " + known.Table.String()}
}

// checkPublication notices tables that were taken out of the publication while
// we run: their changes since the last good check may be missing. Capture stops;
// its next start opens the gap.
func (c *Capture) checkPublication(ctx context.Context) error {
	missing, err := c.Source.Unpublished(ctx, c.tables())
	if err != nil || len(missing) == 0 {
		return err
	}
	return fmt.Errorf("publication no longer holds %s", strings.Join(tableNames(missing), " "))
}

// wasUnpublished opens a gap for tables that were captured before and that the
// publication did not hold when this start found it.
func (c *Capture) wasUnpublished(ctx context.Context, missing []*undrop.Table, last *Control) error {
	if last == nil {
		return nil
	}
	missing = slices.DeleteFunc(missing, func(t *undrop.Table) bool {
		for _, end := range last.Topics {
			if end.Table == t.TableName {
				return false
			}
		}
		return true // never captured: it will be loaded
	})
	if len(missing) == 0 {
		return nil
	}
	to, err := c.Source.InsertPosition(ctx)
	if err != nil {
		return err
	}
	names := tableNames(missing)
	g := c.gap("publication_changed", "was taken out of the publication: "+strings.Join(names, " "), last.LSN, to, names)
	return c.openGap(g)
}

// openGap records a gap; every later cut carries it, and apply holds its tables.
func (c *Capture) openGap(g undrop.Gap) error {
	g, err := c.Gaps.Open(g)
	if err != nil {
		return err
	}
	c.pub.addGap(g)
	c.Log.Error("gap opened: tables stay at their last exact state until they are loaded again",
		"gap", g.ID, "reason", g.Reason, "from", g.From, "to", g.To, "tables", strings.Join(g.Tables, " "))
	return nil
}

func tableNames(tables []*undrop.Table) []string {
	names := make([]string, len(tables))
	for i, t := range tables {
		names[i] = t.TableName.String()
	}
	return names
}

var errHalted = errors.New("table is halted")
