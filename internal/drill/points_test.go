package drill

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/undrop/undrop/internal/crash"
)

// firstRun are the points that lie before the first row of a source is live, so
// that each needs an installation of its own. Every other point is passed over
// and over, and one installation can die at all of them.
var firstRun = []string{"capture.slot.after", "capture.origin.after", "catalog.create.written",
	"load.files.after", "load.commit.before", "load.commit.after"}

// once are points that a life passes once: a second pass cannot be armed.
var once = []string{"capture.slot.after", "capture.origin.after"}

// logLane are points of the other lane of a load, which is not on this road: it is
// taken with snapshot.lane log only. UNDROP_LANE=log dies at them too.
var logLane = []string{"load.log.acked"}

// TestCrashPoints kills undrop before and after every durable step, by name. A
// point that is registered and never reached fails the test: so did the three of
// apply, which were passed and not registered.
func TestCrashPoints(t *testing.T) {
	t.Parallel()
	names := crash.Names()
	require.NotEmpty(t, names)
	passes := rounds(1, 2)
	t.Run("first run", func(t *testing.T) {
		points := firstRun
		if os.Getenv("UNDROP_LANE") == "log" {
			points = append(slices.Clone(points), logLane...)
		}
		for _, name := range points {
			require.Contains(t, names, name)
			for n := 1; n <= passes; n++ {
				if n > 1 && slices.Contains(once, name) {
					continue
				}
				t.Run(fmt.Sprintf("%s:%d", name, n), func(t *testing.T) { firstRunDies(t, name, n) })
			}
		}
	})
	t.Run("under way", func(t *testing.T) {
		r := newRig(t, setup{rows: 300, mix: Mix{Bad: true}})
		r.traffic()
		for _, name := range names {
			if slices.Contains(firstRun, name) || slices.Contains(logLane, name) {
				continue
			}
			for n := 1; n <= passes; n++ {
				r.diesAt(name, n)
			}
		}
		r.catchUp()
		t.Logf("checked %+v", r.verify())
	})
}

func firstRunDies(t *testing.T, name string, n int) {
	lane := "direct"
	if slices.Contains(logLane, name) {
		lane = "log"
	}
	// Rows change while they are loaded; in the other lane they do not, so that this
	// is about the point alone.
	r := newRig(t, setup{rows: 300, config: map[string]string{"lane: direct": "lane: " + lane}})
	if lane == "direct" {
		r.traffic()
	}
	r.diesAt(name, n)
	r.catchUp()
	r.verify()
}

// diesAt runs undrop until it dies at the nth pass of a point.
func (r *rig) diesAt(name string, n int) {
	r.t.Helper()
	p := r.up(armed(name, n))
	if !p.wait(20 * time.Second) {
		p.kill()
		r.t.Fatalf("%s was not passed %d times in 20 seconds: say in this test why, or arrange for it", name, n)
	}
	require.True(r.t, p.killed(), "%s:%d ended otherwise: %v\n%s", name, n, p.err, tailOf(p.story.String(), 2000))
	require.NotContains(r.t, strings.ToLower(p.story.String()), "panic")
	r.held()
}
