package demo

import (
	"context"
	"time"

	"github.com/undrop/undrop/internal/drill"
)

// How often a transaction is made: for the show, and while a kept demo goes on.
const (
	trafficPace = 3 * time.Millisecond
	keptPace    = 500 * time.Millisecond
)

// mix of the live traffic: inserts, updates, deletes, key changes and
// transactions that are rolled back are always in it.
var mix = drill.Mix{Bad: true, Toast: true}

// traffic is the bank at work.
type traffic struct {
	stop         func()
	done         chan struct{}
	err          error
	transactions int64 // committed, valid after wait
}

// traffic starts to make transactions, for a time (0: until it is stopped).
// Ctx ends it too, between two transactions.
func (s *stage) traffic(ctx context.Context, pace, d time.Duration) *traffic {
	run, cancel := context.WithCancel(ctx)
	t := &traffic{done: make(chan struct{})}
	t.stop = func() { cancel(); <-t.done }
	go func() {
		defer close(t.done)
		defer cancel()
		tick := time.NewTicker(pace)
		defer tick.Stop()
		rolled := s.bank.Rolled
		var made int64
		for began := time.Now(); d == 0 || time.Since(began) < d; {
			select {
			case <-run.Done():
				return
			case <-tick.C:
			}
			// Not with run: a transaction that was begun is finished.
			if t.err = s.bank.Step(context.WithoutCancel(ctx), mix); t.err != nil {
				return
			}
			made++
			t.transactions = made - int64(s.bank.Rolled-rolled)
		}
	}()
	return t
}

// wait returns when the last transaction has been answered.
func (t *traffic) wait() error {
	<-t.done
	return t.err
}
