package kafka

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// An answer may leave only when every name that its request made is durable,
// also when another connection's answer leaves while the request is handled.
func TestNamesAreDurableBeforeAnAnswerLeaves(t *testing.T) {
	data := t.TempDir()
	n := newNameSync(data)
	var synced []string
	n.fsync = func(dir string) error {
		rel, err := filepath.Rel(data, dir)
		require.NoError(t, err)
		synced = append(synced, rel)
		return nil
	}
	answer := func() []string {
		synced = nil
		require.NoError(t, n.flush())
		return synced
	}
	produce := func(partition int32) kmsg.Request {
		return &kmsg.ProduceRequest{Topics: []kmsg.ProduceRequestTopic{{Topic: "t", Partitions: []kmsg.ProduceRequestTopicPartition{{Partition: partition}}}}}
	}
	dir := filepath.Join(data, "partitions", "t-3")

	n.before(produce(3))
	require.Empty(t, answer(), "another answer, while nothing is written yet")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "0.dat"), nil, 0o644))
	require.Equal(t, []string{"partitions/t-3", "partitions", "."}, answer())
	require.Empty(t, answer(), "nothing new")

	n.before(produce(3))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "0.dat"), []byte("more"), 0o644))
	require.Empty(t, answer(), "a file that grows has no new name")

	n.before(produce(3))
	require.Empty(t, answer())
	require.NoError(t, os.WriteFile(filepath.Join(dir, "9.dat"), nil, 0o644))
	n.before(produce(4)) // the next request is handled before the answer is written
	require.Equal(t, []string{"partitions/t-3"}, answer())
	require.Empty(t, answer())

	n.before(&kmsg.CreateTopicsRequest{})
	require.NoError(t, os.WriteFile(filepath.Join(data, "topics.json"), []byte("{}"), 0o644))
	require.Equal(t, []string{"."}, answer())

	n.fsync = func(string) error { return errors.New("disk gone") }
	n.before(produce(3))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "20.dat"), nil, 0o644))
	ours, theirs := net.Pipe()
	defer theirs.Close()
	defer ours.Close()
	_, err := (&syncConn{ours, n}).Write([]byte("ack"))
	require.ErrorContains(t, err, "disk gone", "no answer leaves")
}

// The same through a real connection, whose requests name topics by id.
func TestProducingSyncsTheDirectoryOfThePartition(t *testing.T) {
	e, err := OpenEmbedded(t.Context(), EmbeddedConfig{Dir: t.TempDir()})
	require.NoError(t, err)
	defer e.Close()
	c, err := Dial(t.Context(), Config{Brokers: e.Brokers()})
	require.NoError(t, err)
	defer c.Close()
	_, err = c.EnsureTopic(t.Context(), "a.b", 2, TopicOptions{})
	require.NoError(t, err)
	p, err := c.NewProducer(ProducerConfig{})
	require.NoError(t, err)
	defer p.Close()
	p.Produce(t.Context(), &Record{Topic: "a.b", Partition: 1}, func(*Record, error) {})
	require.NoError(t, p.Flush(t.Context()))
	e.names.mu.Lock()
	defer e.names.mu.Unlock()
	require.Contains(t, e.names.synced, filepath.Join(e.dataDir(), "partitions", "a.b-1"))
	require.Contains(t, e.names.synced, e.dataDir())
	require.NotContains(t, e.names.synced, filepath.Join(e.dataDir(), "partitions", "a.b-0"))
}
