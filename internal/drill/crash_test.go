package drill

import (
	"cmp"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/undrop/undrop/internal/kafka/kafkatest"
)

// TestKills is the heart of what undrop promises: the real binary, killed at
// random moments under traffic, and every snapshot that it ever committed is a
// state that the source had.
//
// Seen to fail: with loads planned while the stream was being read (changes were
// lost), and with commits at cuts that lie inside what a dead capture left behind
// (snapshots ran ahead of the position that they named); held says how for the slot.
func TestKills(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{rows: 400, mix: Mix{Bad: true}})
	r.traffic()
	r.killLoop(rounds(5, 100), 200*time.Millisecond, 2500*time.Millisecond)
	// The slot is told every five seconds: some runs live well beyond that, also where
	// a start takes its time.
	before := r.slot()
	r.killLoop(rounds(1, 10), 8*time.Second, 12*time.Second)
	require.Greater(t, r.slot(), before, "the slot was never acknowledged, so nothing was shown of that")
	r.catchUp()
	t.Logf("checked %+v", r.verify())
}

// TestKillsOnApacheKafka is the same on the log that a cluster has.
func TestKillsOnApacheKafka(t *testing.T) {
	if os.Getenv("UNDROP_ENGINES") == "" && os.Getenv(kafkatest.Env) == "" {
		t.Skipf("SKIPPED: set UNDROP_ENGINES=DIR to run Apache Kafka %s, or %s=host:port", kafkatest.ApacheVersion, kafkatest.Env)
	}
	broker := kafkatest.Kafka(t).Brokers[0]
	r := newRig(t, setup{rows: 400, cluster: true, mix: Mix{Bad: true, Toast: true}, config: map[string]string{
		"embedded: {max_bytes: 2GiB}": fmt.Sprintf("kafka: {brokers: [%q], replication_factor: 1}", broker)}})
	r.traffic()
	r.killLoop(rounds(8, 100), 200*time.Millisecond, 2500*time.Millisecond)
	r.catchUp()
	t.Logf("checked %+v", r.verify())
}

// TestKillsWhileLoading kills undrop in the first load and in loads that were asked
// for, with ranges of four pages, while rows change, move and grow out of line.
// UNDROP_LANE=log takes the other lane.
func TestKillsWhileLoading(t *testing.T) {
	t.Parallel()
	lane := cmp.Or(os.Getenv("UNDROP_LANE"), "direct")
	r := newRig(t, setup{rows: 15000, mix: Mix{Bad: true, Toast: true}, config: map[string]string{
		"lane: direct":           "lane: " + lane,
		"max_rows_per_second: 0": "max_rows_per_second: 6000",
		"consistency: source}":   "consistency: source, target_file_size: 64KiB}",
		"{max_bytes: 2GiB}":      "{max_bytes: 512MiB}",
	}})
	r.traffic()
	for i := range rounds(2, 12) {
		if i > 0 { // what readers see stays exact until the new rows are
			r.catchUp()
			r.traffic()
			r.reload("bank.payments")
		}
		r.killLoop(3, 350*time.Millisecond, 1500*time.Millisecond)
	}
	r.catchUp()
	t.Logf("checked %+v", r.verify())
}

// TestKillsInLargeTransactions kills undrop while transactions of 20,000 changes
// are under way, and values that updates do not repeat.
func TestKillsInLargeTransactions(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{rows: 3000, mix: Mix{Bad: true, Toast: true, Large: 20000}, pace: 10 * time.Millisecond})
	r.traffic()
	r.killLoop(rounds(5, 60), 500*time.Millisecond, 2500*time.Millisecond)
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
		if !r.cluster {
			r.held()
		}
	}
}
