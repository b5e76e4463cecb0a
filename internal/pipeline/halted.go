package pipeline

import (
	"errors"
	"fmt"
	"slices"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/kafka"
)

// errHalted says that a table was halted instead of failing everybody.
var errHalted = errors.New("table is halted")

// haltError is a reason why one table cannot go on; other errors stop, and start
// again, the whole of apply.
type haltError string

func (e haltError) Error() string { return string(e) }

func haltf(format string, args ...any) error { return haltError(fmt.Sprintf(format, args...)) }

// halt stops a table at its last exact state; the others go on.
func (a *Apply) halt(t *applied, reason string) {
	a.detach(t)
	t.halt(reason)
	a.Log.Error("table halted", "table", t.product.Table.TableName.String(), "reason", reason)
}

// detach stops reading for a table and frees what was read and is not committed.
func (a *Apply) detach(t *applied) {
	if t.folding != nil {
		t.folding.abort()
		t.folding = nil
	}
	if t.in == nil {
		return
	}
	for topic, lanes := range t.in.lanes {
		for _, l := range lanes {
			a.reader.Remove(topic, l.part)
			l.chunks, l.bytes = nil, 0
		}
	}
}

// wait puts a loading table back to where it waits for capture: its load lies in a
// gap, and capture begins it again.
func (a *Apply) wait(t *applied) {
	a.detach(t)
	t.state, t.in = stateWaiting, nil
}

// lost opens a gap for what the log no longer has, and halts the tables that it
// feeds.
func (a *Apply) lost(err error) error {
	var gone *kafka.OffsetLost
	var recreated *kafka.TopicRecreated
	g := undrop.Gap{Source: a.Name, OpenedAt: a.Now().UTC(), State: "open"}
	switch {
	case errors.As(err, &gone):
		g.Reason, g.Topic, g.Offsets = "offsets_lost", gone.Topic, []int64{gone.Want, gone.Start}
		if gone.Want > gone.End {
			g.Offsets = []int64{gone.End, gone.Want} // where it ends in the source, capture knows
		} else if a.newest != nil {
			g.To = a.newest.LSN // the newest cut's records are there
		}
	case errors.As(err, &recreated):
		g.Reason, g.Topic = "topic_recreated", recreated.Topic
	default:
		return err
	}
	g.Detail = err.Error()
	var hit []*applied
	for _, t := range a.tables {
		if t.state != stateHalted && (t.in != nil && t.in.lanes[g.Topic] != nil || t.product.Table.Topic == g.Topic) {
			hit = append(hit, t)
			g.Tables = append(g.Tables, t.product.Table.TableName.String())
			g.From = t.mark.LSN
		}
	}
	if len(hit) == 0 {
		if a.control.topic.Name == g.Topic {
			return err // capture says what that means
		}
		return nil // the table is halted already
	}
	if g.To <= g.From {
		g.To = 0
	}
	g.ID = fmt.Sprintf("%s-%s-%s", a.Name, g.Reason, g.OpenedAt.Format("20060102T150405.000"))
	g, oerr := a.Gaps.Open(g)
	if oerr != nil {
		return oerr
	}
	a.Log.Error("gap opened in the log", "gap", g.ID, "reason", g.Reason, "topic", g.Topic, "tables", g.Tables, "from", g.From)
	for _, t := range hit {
		a.halt(t, fmt.Sprintf("gap %s: %v; undrop table reload %s", g.ID, err, t.product.Table.TableName))
	}
	a.publishStates()
	return nil
}

// gapOf is an open gap that the table lies before or in.
func (a *Apply) gapOf(t *applied) *undrop.Gap {
	if a.newest == nil {
		return nil
	}
	for _, g := range a.newest.Gaps {
		if !slices.Contains(g.Tables, t.product.Table.TableName.String()) {
			continue
		}
		if t.state == stateLoading && a.loadLSN(t) < g.To || t.state != stateLoading && inside(&g, t.mark.LSN) {
			return &g
		}
	}
	return nil
}

// endless halts a table that lies in a gap whose end nobody knows.
func (a *Apply) endless(t *applied) error {
	all, err := a.Gaps.List()
	if err != nil {
		return err
	}
	for _, g := range all {
		if g.State == "open" && g.Source == a.Name && g.To == 0 && slices.Contains(g.Tables, t.product.Table.TableName.String()) && inside(&g, t.mark.LSN) {
			a.halt(t, fmt.Sprintf("gap %s: %s; undrop table reload %s", g.ID, g.Detail, t.product.Table.TableName))
			return nil
		}
	}
	return nil
}

// loadLSN is the position of the newest snapshot that a table is loaded from.
func (a *Apply) loadLSN(t *applied) undrop.LSN {
	if l := a.newest.Loads[t.product.Table.TableName.String()]; l != nil && l.First == t.load.First {
		return max(l.LSN, t.load.LSN)
	}
	return t.load.LSN
}
