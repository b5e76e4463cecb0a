package drill

import (
	"testing"
	"time"
)

// TestKillsOfSplitRoles runs capture and apply as two processes and kills either.
// Capture hosts the log, so apply loses its broker with it and has to find the
// next one, which listens elsewhere.
func TestKillsOfSplitRoles(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{rows: 400, mix: Mix{Bad: true}})
	r.traffic()
	capture, apply := r.capture(), r.up(nil, "--only", "apply")
	for i := range rounds(6, 60) {
		if apply.wait(500*time.Millisecond + time.Duration(r.rng.Int64N(int64(1500*time.Millisecond)))) {
			t.Fatalf("round %d: apply ended by itself: %v\n%s", i, apply.err, tailOf(apply.story.String(), 2000))
		}
		if r.rng.IntN(2) == 0 {
			capture.kill()
			capture = r.capture()
		} else {
			apply.kill()
			apply = r.up(nil, "--only", "apply")
		}
	}
	// Both go on by themselves: what apply commits after the last kill names later
	// positions than before it.
	before := r.slot()
	r.eventually(30*time.Second, "apply goes on", func() bool { return r.marks()["bank.payments"] > before })
	apply.kill()
	capture.kill()
	r.catchUp()
	t.Logf("checked %+v", r.verify())
}

// capture starts a process that captures and waits until its log is open: it
// writes down where.
func (r *rig) capture() *process {
	r.t.Helper()
	was := r.addressWritten()
	p := r.up(nil, "--only", "capture")
	r.eventually(20*time.Second, "capture hosts the log", func() bool {
		select {
		case <-p.ended:
			r.t.Fatalf("capture ended: %v\n%s", p.err, tailOf(p.story.String(), 2000))
		default:
		}
		return r.addressWritten().After(was)
	})
	return p
}
