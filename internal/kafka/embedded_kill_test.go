package kafka_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/undrop/undrop/internal/kafka"
	"github.com/undrop/undrop/internal/kafka/kafkatest"
)

// TestMain lets the test binary be the process that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("KAFKA_TEST_BROKER"); dir != "" {
		e, err := kafka.OpenEmbedded(context.Background(), kafka.EmbeddedConfig{Dir: dir, Listen: os.Getenv("KAFKA_TEST_LISTEN")})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(e.Brokers()[0])
		_, _ = io.Copy(io.Discard, os.Stdin) // until the parent is gone
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// broker is an embedded broker in another process.
type broker struct {
	addr string
	cmd  *exec.Cmd
}

func startBroker(t testing.TB, dir, listen string) *broker {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "KAFKA_TEST_BROKER="+dir, "KAFKA_TEST_LISTEN="+listen)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	_, err = cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_ = cmd.Wait()
		t.Fatal("the broker did not start: ", stderr.String())
	}
	b := &broker{addr: strings.TrimSpace(addr), cmd: cmd}
	t.Cleanup(b.kill)
	return b
}

// kill is kill -9: nothing of the process runs on.
func (b *broker) kill() {
	if b.cmd.ProcessState == nil {
		_ = b.cmd.Process.Kill()
		_ = b.cmd.Wait()
	}
}

func TestNoAcknowledgedRecordIsLostWhenTheBrokerIsKilled(t *testing.T) {
	dir := t.TempDir()
	b := startBroker(t, dir, "")
	outlive(t, kafka.Config{Brokers: []string{b.addr}}, 10, func() {
		b.kill()
		b = startBroker(t, dir, b.addr)
	})
}

func TestNoAcknowledgedRecordIsLostWhenApacheKafkaIsKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: Apache Kafka is not started in short mode")
	}
	a := kafkatest.StartApache(t)
	outlive(t, a.Config, 1, func() {
		a.Stop()
		a.Restart(t)
	})
}

// outlive lets one producer live through kills of its broker. Every record that
// was acknowledged must be at the offset that it was acknowledged with, and the
// first appearances of the records of a partition must be in the order of
// Produce.
func outlive(t *testing.T, cfg kafka.Config, kills int, restart func()) {
	const parts = 4
	ctx := kafkatest.Context(t)
	c := kafkatest.Dial(t, cfg)
	topic, err := c.EnsureTopic(ctx, "t", parts, kafka.TopicOptions{})
	require.NoError(t, err)
	p, err := c.NewProducer(kafka.ProducerConfig{})
	require.NoError(t, err)
	defer p.Close()

	var mu sync.Mutex
	acked := make([]map[int64]uint64, parts) // by partition: offset to number
	for i := range acked {
		acked[i] = map[int64]uint64{}
	}
	count, failures := 0, []error(nil)
	ack := func(r *kafka.Record, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			failures = append(failures, err)
			return
		}
		acked[r.Partition][r.Offset] = binary.BigEndian.Uint64(r.Value)
		count++
	}
	stop, produced := make(chan struct{}), make(chan uint64)
	go func() {
		var n uint64
		for {
			select {
			case <-stop:
				produced <- n
				return
			default:
			}
			value := binary.BigEndian.AppendUint64(make([]byte, 0, 208), n)
			p.Produce(ctx, &kafka.Record{Topic: "t", Partition: int32(n % parts), Value: value[:208]}, ack)
			n++
			if n%500 == 0 { // not so much that opening again takes longer than the rest
				pause := time.NewTimer(5 * time.Millisecond)
				<-pause.C
			}
		}
	}()
	for range kills {
		mu.Lock()
		want := count + 2000
		mu.Unlock()
		require.Eventually(t, func() bool { mu.Lock(); defer mu.Unlock(); return count >= want }, 30*time.Second, time.Millisecond)
		restart()
	}
	close(stop)
	total := <-produced
	require.NoError(t, p.Flush(ctx))
	require.Empty(t, failures)
	require.EqualValues(t, total, count)

	after, err := c.Topic(ctx, "t")
	require.NoError(t, err)
	require.Equal(t, topic.ID, after.ID)
	records, err := c.ReadAll(ctx, "t")
	require.NoError(t, err)
	next, repeated := make([]uint64, parts), 0
	for i := range next {
		next[i] = uint64(i)
	}
	for _, r := range records {
		n := binary.BigEndian.Uint64(r.Value)
		if want, ok := acked[r.Partition][r.Offset]; ok {
			require.Equal(t, want, n, "partition %d offset %d", r.Partition, r.Offset)
			delete(acked[r.Partition], r.Offset)
		}
		if n < next[r.Partition] {
			repeated++
			continue
		}
		require.Equal(t, next[r.Partition], n, "partition %d offset %d", r.Partition, r.Offset)
		next[r.Partition] += parts
	}
	for part := range acked {
		require.Empty(t, acked[part], "acknowledged offsets that are not there")
	}
	t.Logf("%d kills, %d records acknowledged, none lost, %d repeated", kills, total, repeated)
}

func TestEndSurvivesAKillAfterEverythingWasTrimmed(t *testing.T) {
	dir := t.TempDir()
	b := startBroker(t, dir, "")
	c := kafkatest.Dial(t, kafka.Config{Brokers: []string{b.addr}})
	ctx := kafkatest.Context(t)
	_, err := c.EnsureTopic(ctx, "t", 1, kafka.TopicOptions{})
	require.NoError(t, err)
	write(t, c, "t", 1000, 10)
	require.NoError(t, c.Trim(ctx, "t", []int64{1000}))
	b.kill()
	c = kafkatest.Dial(t, kafka.Config{Brokers: []string{startBroker(t, dir, "").addr}})
	got, err := c.Topic(ctx, "t")
	require.NoError(t, err)
	require.Equal(t, []int64{1000}, got.End)
}

func TestKilledBrokerHoldsNoLock(t *testing.T) {
	dir := t.TempDir()
	b := startBroker(t, dir, "")
	_, err := kafka.OpenEmbedded(t.Context(), kafka.EmbeddedConfig{Dir: dir})
	require.ErrorContains(t, err, fmt.Sprintf("process %d", b.cmd.Process.Pid))
	b.kill()
	open(t, kafka.EmbeddedConfig{Dir: dir})
}

// Bytes that rot in the middle of the log are cut away by the broker without a
// word. The reader sees the hole.
func TestDamageInsideTheLogIsNoticedByTheReader(t *testing.T) {
	dir := t.TempDir()
	e := open(t, kafka.EmbeddedConfig{Dir: dir, MaxBytes: 64 << 20})
	c := kafkatest.Dial(t, config(e))
	topic, err := c.EnsureTopic(t.Context(), "t", 64, kafka.TopicOptions{}) // many partitions: small segments
	require.NoError(t, err)
	for range 8 {
		write(t, c, "t", 1, 300<<10)
	}
	require.NoError(t, e.Close())
	segments, err := filepath.Glob(filepath.Join(dir, "data", "partitions", "t-0", "*.dat"))
	require.NoError(t, err)
	require.Greater(t, len(segments), 3)
	second := filepath.Join(dir, "data", "partitions", "t-0", "2.dat")
	text, err := os.ReadFile(second)
	require.NoError(t, err)
	text[len(text)/2] ^= 1
	require.NoError(t, os.WriteFile(second, text, 0o644))

	e = open(t, kafka.EmbeddedConfig{Dir: dir, MaxBytes: 64 << 20})
	c = kafkatest.Dial(t, config(e))
	r, err := c.NewReader(kafka.ReaderConfig{})
	require.NoError(t, err)
	defer r.Close()
	ctx := kafkatest.Context(t)
	require.NoError(t, r.Add(ctx, []kafka.Assignment{{Topic: "t", TopicID: topic.ID}}))
	for {
		if _, err = r.Poll(ctx); err != nil {
			break
		}
	}
	var lost *kafka.OffsetLost
	require.ErrorAs(t, err, &lost)
	require.EqualValues(t, 2, lost.Want)
	require.Greater(t, lost.Start, lost.Want)
	require.EqualValues(t, 8, lost.End)
}
