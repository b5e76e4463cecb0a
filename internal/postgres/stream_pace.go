package postgres

import (
	"context"
	"time"
)

const (
	streamBuffer = 1 << 20
	shortRead    = 64 << 10

	// The walsender sends each change by itself, and each small TCP segment costs
	// both sides more than the change does. A reader that lets them gather makes
	// the server's kernel merge them.
	backlogNap = 20 * time.Millisecond // while old transactions are being caught up
	quietNap   = 5 * time.Millisecond  // for few changes: what gathering may add to their latency
	oldAfter   = 500 * time.Millisecond
	manyRows   = 200 // of a chunk: not few changes any more
)

// pace decides how long a chunk gathers.
type pace struct {
	start    time.Time     // of Next
	first    time.Time     // when the chunk got its first content; zero: it has none
	short    bool          // the newest read emptied the socket
	dry      bool          // nothing came after a nap
	behind   time.Duration // age of the newest commit when it was sent, by the server's clock
	lastRows int           // of the chunk before
}

func (p *pace) begin() {
	p.start, p.first, p.dry = time.Now(), time.Time{}, false
}

func (p *pace) now() time.Time { return time.Now() }

// age notes how old a commit was when the server sent it (microseconds since
// 2000).
func (p *pace) age(sent int64, committed time.Time) {
	p.behind = timeOf(sent + epochShift).Sub(committed)
}

// content notes that the chunk holds something to deliver.
func (p *pace) content() {
	if p.first.IsZero() {
		p.first = time.Now()
	}
}

// gather is how long a chunk may gather from its first content on.
func (p *pace) gather() time.Duration {
	if p.behind > oldAfter || p.lastRows >= manyRows {
		return backlogNap
	}
	return quietNap
}

// ready reports whether the chunk should be delivered as it is; otherwise until
// is when that must be asked again.
func (s *Stream) ready(now time.Time) (ready bool, until time.Time) {
	p := &s.pace
	limit := p.start.Add(s.cfg.MaxWait)
	switch {
	case s.inTxn:
		// The rest of a transaction is on its way: a chunk that ends inside one
		// cannot be acknowledged, so it gets a second wait.
		limit = p.start.Add(2 * s.cfg.MaxWait)
	case !p.first.IsZero() && p.behind <= oldAfter:
		if end := p.first.Add(p.gather()); end.Before(limit) {
			limit = end
		}
	}
	return !now.Before(limit) || p.dry && !s.inTxn, limit
}

// read waits for more, and lets it gather. It returns at until at the latest.
func (s *Stream) read(ctx context.Context, until time.Time) error {
	p := &s.pace
	now := time.Now()
	napped := false
	if p.short && (!p.first.IsZero() || s.inTxn) {
		nap := p.gather()
		if p.behind <= oldAfter && !p.first.IsZero() {
			nap = min(nap, p.first.Add(nap).Sub(now))
		}
		if nap = min(nap, until.Sub(now)); nap > 0 {
			t := time.NewTimer(nap)
			select {
			case <-t.C:
			case <-ctx.Done():
				t.Stop()
				return context.Cause(ctx)
			}
			napped, now = true, now.Add(nap)
		}
	}
	// After a nap whatever came is there: the short wait only gives the read a
	// chance to look.
	deadline := until
	if napped && !s.inTxn {
		deadline = now.Add(time.Millisecond)
	}
	if soonest := now.Add(200 * time.Microsecond); deadline.Before(soonest) {
		deadline = soonest
	}
	if err := s.wire.net.SetReadDeadline(deadline); err != nil {
		return err
	}
	n, err := s.wire.fill()
	if n > 0 {
		p.short, p.dry = n < shortRead, false
		return nil
	}
	if isTimeout(err) {
		p.short = true
		p.dry = napped
		return ctx.Err()
	}
	return err
}
