package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/catalog"
	"github.com/undrop/undrop/internal/crash"
	"github.com/undrop/undrop/internal/lake"
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
	at, err := c.Source.InsertPosition(ctx)
	if err != nil {
		return nil, err
	}
	o := &opening{from: last.EndLSN, skip: last.LSN, last: last}
	switch {
	case last.System != c.identity.System:
		return c.anew(ctx, slot, o, "system_changed", fmt.Sprintf("this is another PostgreSQL cluster: system identifier %s, our newest cut %s is from %s", c.identity.System, last.LSN, last.System))
	case at < last.EndLSN:
		return c.anew(ctx, slot, o, "source_behind", fmt.Sprintf("the source writes at %s, our newest cut ends at %s: an older state was restored", at, last.EndLSN))
	case last.Timeline != c.identity.Timeline:
		return c.anew(ctx, slot, o, "timeline_changed", fmt.Sprintf("timeline %d, our newest cut is on timeline %d: the source was failed over or restored", c.identity.Timeline, last.Timeline))
	case !slot.Exists:
		return c.reopen(ctx, slot, o, "slot_lost", "the replication slot is gone")
	case republished(last, c.was):
		return c.reopen(ctx, slot, o, "publication_changed", "the publication was dropped, or made again")
	case slot.Lost():
		return c.reopen(ctx, slot, o, "slot_invalidated", "the server removed WAL that the slot still needed "+slot.Reason)
	case slot.ConfirmedFlush > last.EndLSN:
		return c.reopen(ctx, slot, o, "slot_ahead", fmt.Sprintf("the slot was acknowledged to %s, our newest cut ends at %s", slot.ConfirmedFlush, last.EndLSN))
	}
	return o, c.openPublicationGap(ctx, c.unpublished(last, c.was), last)
}

// first starts a source that has no cut yet. A slot of our name that exists
// already is taken over from where it stands: dropping it could destroy somebody
// else's.
func (c *Capture) first(ctx context.Context, slot postgres.SlotState) (*opening, error) {
	if err := c.noTables(ctx); err != nil {
		return nil, err
	}
	if slot.Lost() { // nobody can read from it any more
		if err := c.Source.DropSlot(ctx); err != nil {
			return nil, err
		}
		slot.Exists = false
	}
	if slot.Exists {
		c.Log.Warn("slot exists already and is taken over", "confirmed", slot.ConfirmedFlush)
		return c.begin(ctx, &opening{from: slot.ConfirmedFlush})
	}
	snap, err := c.Source.CreateSlot(ctx, slotTimeout)
	if err != nil {
		return nil, err
	}
	crash.Point("capture.slot.after")
	return c.begin(ctx, &opening{from: snap.LSN, snapshot: snap})
}

// begin publishes the first cut of a log.
func (c *Capture) begin(ctx context.Context, o *opening) (*opening, error) {
	if err := c.Gaps.Bound(c.Name, "log_lost", o.from); err != nil {
		o.close()
		return nil, err
	}
	return c.origin(ctx, o, o.from)
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
// source: their log is gone, and what lies between would be lost in silence. Tables
// that are to be loaded anew do not matter.
func (c *Capture) noTables(ctx context.Context) error {
	names, at, err := c.keeping(ctx)
	if err != nil || len(names) == 0 {
		return err
	}
	g, err := c.Gaps.Open(c.gap("log_lost", "the log holds no cut of this source, its tables do", at, 0, names))
	if err != nil {
		return err
	}
	return &undrop.Error{Code: undrop.Refused, Op: "start capture of source " + c.Name,
		Err:  fmt.Errorf("the log is empty but %s hold positions up to %s: everything after them is unknown (gap %s)", strings.Join(names, ", "), at, g.ID),
		Hint: "undrop gap show " + g.ID + "\nput the log back, or rebuild the tables: undrop table reload " + strings.Join(names, " ")}
}

// keeping lists the tables that hold rows of this source and are not to be loaded
// anew, and the lowest position that they name.
func (c *Capture) keeping(ctx context.Context) (names []string, low undrop.LSN, err error) {
	for _, p := range c.Products {
		t, err := c.Lake.Load(ctx, p.Table.TableName)
		if errors.Is(err, catalog.ErrNoTable) {
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		load, requested, err := loadOf(t)
		if err != nil {
			return nil, 0, err
		}
		mark, live, err := c.markOf(t)
		if err != nil {
			return nil, 0, err
		}
		switch {
		case requested && load.LSN == 0: // it begins after this
			continue
		case live && (low == 0 || mark < low):
			low = mark
		case !live && !requested:
			continue
		}
		names = append(names, p.Table.TableName.String())
	}
	return names, low, nil
}

// loadOf is the load that a table waits for or is in.
func loadOf(t *lake.Table) (load undrop.Load, ok bool, err error) {
	own := lastOwn(t, undrop.LoadBranch, undrop.SummaryLoad)
	if own == nil {
		return load, loadRequested(t), nil
	}
	_, err = summaryValue(own.Summary, undrop.SummaryLoad, &load)
	return load, true, err
}

// markOf is the LSN that a live table of this source names.
func (c *Capture) markOf(t *lake.Table) (undrop.LSN, bool, error) {
	own := lastOwn(t, "main", undrop.SummarySource)
	if own == nil {
		return 0, false, nil
	}
	m, err := sourceMark(own.Summary)
	return m.LSN, err == nil && m.Source == c.Name, err
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

// anew is for a source whose positions say nothing about those that we recorded:
// nothing of the tables can be kept. It refuses until a person has asked for all
// of them to be loaded anew; then it goes on from a new slot.
func (c *Capture) anew(ctx context.Context, slot postgres.SlotState, o *opening, reason, detail string) (*opening, error) {
	names, _, err := c.keeping(ctx)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return c.reopen(ctx, slot, o, reason, detail)
	}
	g, err := c.Gaps.Open(c.gap(reason, detail, o.last.LSN, 0, tableNames(c.tables())))
	if err != nil {
		return nil, err
	}
	return nil, &undrop.Error{Code: undrop.Refused, Op: "start capture of source " + c.Name, Err: fmt.Errorf("%s (gap %s)", detail, g.ID),
		Hint: "undrop gap show " + g.ID + "\npoint the source at the right cluster, or take it as it is: undrop table reload " + strings.Join(names, " ")}
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
