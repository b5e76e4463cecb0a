package drill

import (
	"testing"
	"time"
)

// TestKills is the heart of what undrop promises: the real binary, killed at
// random moments under traffic, and every snapshot that it ever committed is a
// state that the source had.
func TestKills(t *testing.T) {
	r := newRig(t, setup{rows: 400, mix: Mix{Bad: true}})
	r.traffic()
	r.killLoop(rounds(8, 100), 200*time.Millisecond, 2500*time.Millisecond)
	r.catchUp()
	t.Logf("checked %+v", r.verify())
}

// killLoop starts undrop n times and kills it after a random time.
func (r *rig) killLoop(n int, least, most time.Duration) {
	r.t.Helper()
	for i := range n {
		p := r.up(nil)
		after := least + time.Duration(r.rng.Int64N(int64(most-least)))
		if p.wait(after) {
			r.t.Fatalf("run %d ended by itself: %v\n%s", i, p.err, tailOf(p.story.String(), 3000))
		}
		p.kill()
	}
}
