package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	undrop "github.com/undrop/undrop"
)

// catchUp waits until every table holds the source position read at start. That
// position comes from a message that we write into the source's log: the flush
// position may lie before commits that were already acknowledged.
func (a *App) catchUp(ctx context.Context, has map[string]bool) error {
	goals := map[string]undrop.LSN{}
	for _, run := range a.runs() {
		lsn, err := a.barrier(ctx, run)
		if err != nil {
			return err
		}
		goals[run.name] = lsn - 1
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		done := true
		var halted []string
		for _, run := range a.runs() {
			reached, stuck := a.reached(run, goals[run.name], has)
			done = done && reached
			halted = append(halted, stuck...)
		}
		if done {
			if len(halted) > 0 {
				return &undrop.Error{Code: undrop.Refused, Op: "catch up", Err: errors.New(joinLines(halted)), Hint: "undrop status"}
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// barrier asks the source for a position, waiting until capture streams: a
// message before that could be older than the slot.
func (a *App) barrier(ctx context.Context, run *sourceRun) (undrop.LSN, error) {
	for {
		lsn, err := run.source.Barrier(ctx, "undrop.barrier", run.name)
		if err == nil {
			return lsn, nil
		}
		a.log.Warn("cannot write a barrier message, will try again", "source", run.name, "err", err)
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// reached reports whether a source's tables hold goal; a halted table never will,
// and is named.
func (a *App) reached(run *sourceRun, goal undrop.LSN, has map[string]bool) (bool, []string) {
	a.mu.Lock()
	apply, capture := run.apply, run.capture
	a.mu.Unlock()
	// A table may name a higher position than a source that was set back: only what
	// capture has compared and read counts.
	done := !has["capture"] || capture != nil && undrop.LSN(capture.Stats.Cut.Load()) >= goal
	if !has["apply"] {
		return done, nil
	}
	if apply == nil {
		return false, nil
	}
	apply.Demand(goal)
	var halted []string
	for _, s := range apply.States() {
		switch {
		case s.State == "halted":
			halted = append(halted, fmt.Sprintf("%s is halted: %s", s.Name, s.Reason))
		case s.State != "live" || s.Mark.LSN < goal:
			done = false
		}
	}
	return done, halted
}

func (a *App) runs() []*sourceRun {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []*sourceRun
	for _, name := range slices.Sorted(maps.Keys(a.running)) {
		all = append(all, a.running[name])
	}
	return all
}

// report calls f twice a second with what is going on.
func (a *App) report(ctx context.Context, f func(Progress)) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f(a.Progress())
		}
	}
}

// Progress sums up what the running sources have done.
func (a *App) Progress() (p Progress) {
	oldest := time.Now()
	for _, run := range a.runs() {
		a.mu.Lock()
		apply, capture := run.apply, run.capture
		a.mu.Unlock()
		if capture != nil {
			p.Rows += capture.Stats.Loaded.Load()
			p.RowsTotal += capture.Stats.LoadRows.Load()
			p.Changes += capture.Stats.Changes.Load()
		}
		if apply == nil {
			continue
		}
		for _, s := range apply.States() {
			p.Tables++
			if s.State == "live" {
				p.Live++
			}
			p.Applied += s.Total.Applied
			p.Quarantined += s.Total.Quarantined
		}
		if at, ok := apply.Through(); ok && at.Before(oldest) {
			oldest = at
		}
	}
	p.Lag = time.Since(oldest)
	return p
}
