package drill

import (
	"encoding/json"
	"path/filepath"

	"github.com/stretchr/testify/require"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/kafka"
	"github.com/undrop/undrop/internal/kafka/kafkatest"
)

// held opens the log that a killed process left behind and holds the slot against
// it (I3): the source was never told to forget what the log does not have. The
// newest cut in it covers all that was acknowledged, and every partition reaches
// as far as the cut says.
//
// Seen to fail: with the slot acknowledged when a transaction is read and cuts
// written a second and a half later.
func (r *rig) held() {
	t := r.t
	t.Helper()
	acked := r.slot()
	log, err := kafka.OpenEmbedded(t.Context(), kafka.EmbeddedConfig{Dir: filepath.Join(r.dir, "state", "log")})
	require.NoError(t, err)
	defer func() { require.NoError(t, log.Close()) }()
	ctx := kafkatest.Context(t)
	client, err := kafka.Dial(ctx, kafka.Config{Brokers: log.Brokers()})
	require.NoError(t, err)
	defer client.Close()
	records, err := client.ReadAll(ctx, "undrop.control.core")
	if len(records) == 0 {
		// Killed before the first cut: the slot stands where it was made, and nothing
		// was acknowledged. A topic that is not there yet says so with an error.
		t.Logf("killed before the first cut (%v)", err)
		return
	}
	require.NoError(t, err)
	var cut undrop.Cut
	require.NoError(t, json.Unmarshal(records[len(records)-1].Value, &cut))
	if acked > cut.EndLSN {
		t.Errorf("the slot was acknowledged to %s, the newest cut in the log ends at %s", acked, cut.EndLSN)
	}
	for name, end := range cut.Topics {
		topic, err := client.Topic(ctx, name)
		require.NoError(t, err)
		require.Equal(t, end.ID, topic.ID, name)
		for p, next := range end.Next {
			if topic.End[p] < next {
				t.Errorf("the newest cut promises %s partition %d up to %d, the log ends at %d", name, p, next, topic.End[p])
			}
		}
	}
}
