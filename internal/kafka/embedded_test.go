package kafka_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/kafka"
	"github.com/undrop/undrop/internal/kafka/kafkatest"
)

func TestEmbeddedLog(t *testing.T) { kafkatest.RunLog(t, kafkatest.StartEmbedded) }

func open(t *testing.T, cfg kafka.EmbeddedConfig) *kafka.Embedded {
	t.Helper()
	e, err := kafka.OpenEmbedded(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return e
}

func config(e *kafka.Embedded) kafka.Config { return kafka.Config{Brokers: e.Brokers()} }

// write produces n records of size bytes to partition 0 and waits for them.
func write(t *testing.T, c *kafka.Client, topic string, n, size int) {
	t.Helper()
	p, err := c.NewProducer(kafka.ProducerConfig{})
	require.NoError(t, err)
	defer p.Close()
	failed := make(chan error, n)
	for range n {
		p.Produce(kafkatest.Context(t), &kafka.Record{Topic: topic, Value: make([]byte, size)}, func(_ *kafka.Record, err error) { failed <- err })
	}
	for range n {
		require.NoError(t, <-failed)
	}
}

func TestLogIsTheSameAfterItWasClosed(t *testing.T) {
	dir := t.TempDir()
	e := open(t, kafka.EmbeddedConfig{Dir: dir})
	c := kafkatest.Dial(t, config(e))
	before, err := c.EnsureTopic(t.Context(), "a", 2, kafka.TopicOptions{})
	require.NoError(t, err)
	write(t, c, "a", 10, 100)
	require.NoError(t, c.Trim(t.Context(), "a", []int64{4, 0}))
	require.NoError(t, e.Close())
	require.NoError(t, e.Close(), "closing twice is no error")

	again := open(t, kafka.EmbeddedConfig{Dir: dir})
	require.Equal(t, e.ID(), again.ID())
	c = kafkatest.Dial(t, config(again))
	after, err := c.Topic(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, kafka.Topic{Name: "a", ID: before.ID, Start: []int64{4, 0}, End: []int64{10, 0}}, after)
	rs, err := c.ReadAll(t.Context(), "a")
	require.NoError(t, err)
	require.Len(t, rs, 6)
	require.Positive(t, again.Bytes())
}

func TestOtherLogHasAnotherIdentity(t *testing.T) {
	a, b := open(t, kafka.EmbeddedConfig{Dir: t.TempDir()}), open(t, kafka.EmbeddedConfig{Dir: t.TempDir()})
	require.NotEqual(t, a.ID(), b.ID())
}

func TestSecondOpenerIsRefusedAndToldWho(t *testing.T) {
	dir := t.TempDir()
	open(t, kafka.EmbeddedConfig{Dir: dir})
	_, err := kafka.OpenEmbedded(t.Context(), kafka.EmbeddedConfig{Dir: dir})
	require.Equal(t, undrop.Refused, undrop.CodeOf(err))
	require.ErrorContains(t, err, fmt.Sprintf("process %d", os.Getpid()))
}

func TestStrangeDirectoriesAreRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		put  map[string]string
		code undrop.Code
		says string
	}{
		{"a newer format", map[string]string{"log.json": `{"format":2,"log_id":"x"}`}, undrop.Refused, "format 2"},
		{"an identity that is none", map[string]string{"log.json": `{`}, undrop.Damaged, "not the identity"},
		{"data without identity", map[string]string{"data/meta.json": `{}`}, undrop.Damaged, "log.json is missing"},
		{"a list of topics that is none", map[string]string{"log.json": `{"format":1,"log_id":"x"}`, "data/topics.json": `[`}, undrop.Failed, "list of topics"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.MkdirAll(filepath.Join(dir, "data"), 0o755))
			for name, text := range c.put {
				require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
			}
			for range 2 { // the first refusal must not keep the lock
				_, err := kafka.OpenEmbedded(t.Context(), kafka.EmbeddedConfig{Dir: dir})
				require.Equal(t, c.code, undrop.CodeOf(err), err)
				require.ErrorContains(t, err, c.says)
			}
		})
	}
}

func TestPortInUseIsSaid(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	_, err = kafka.OpenEmbedded(t.Context(), kafka.EmbeddedConfig{Dir: t.TempDir(), Listen: l.Addr().String()})
	var e *undrop.Error
	require.ErrorAs(t, err, &e)
	require.ErrorContains(t, err, "address already in use")
	require.Contains(t, e.Hint, "port")
}

func TestTooSmallACapIsRefused(t *testing.T) {
	_, err := kafka.OpenEmbedded(t.Context(), kafka.EmbeddedConfig{Dir: t.TempDir(), MaxBytes: 1})
	require.Equal(t, undrop.BadInput, undrop.CodeOf(err))
}

// What a client can ask for and the broker would not survive is answered with no.
func TestUnsafeRequestsAreRefused(t *testing.T) {
	e := open(t, kafka.EmbeddedConfig{Dir: t.TempDir()})
	adm := kafkatest.Admin(t, config(e))
	ctx := kafkatest.Context(t)
	for name, configs := range map[string]map[string]*string{
		"compaction":         {"cleanup.policy": kadm.StringPtr("compact,delete")},
		"retention by time":  {"retention.ms": kadm.StringPtr("1000")},
		"retention by bytes": {"retention.bytes": kadm.StringPtr("1000")},
	} {
		_, err := adm.CreateTopic(ctx, 1, 1, configs, "t")
		require.ErrorIs(t, err, kerr.PolicyViolation, name)
	}
	_, err := adm.CreateTopic(ctx, 1, 1, nil, "t")
	require.NoError(t, err)
	altered, err := adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Name: "retention.ms", Value: kadm.StringPtr("1")}}, "t")
	require.NoError(t, err)
	require.ErrorIs(t, altered[0].Err, kerr.PolicyViolation)
	altered, err = adm.AlterTopicConfigsState(ctx, []kadm.AlterConfig{{Name: "cleanup.policy", Value: kadm.StringPtr("compact")}}, "t")
	require.NoError(t, err)
	require.ErrorIs(t, altered[0].Err, kerr.PolicyViolation)

	tx, err := kgo.NewClient(kgo.SeedBrokers(e.Brokers()...), kgo.TransactionalID("x"))
	require.NoError(t, err)
	defer tx.Close()
	require.ErrorIs(t, tx.BeginTransaction(), kerr.TransactionalIDAuthorizationFailed)
}

// An emptied partition would begin at offset 0 again after a crash.
func TestForeignDeletionLeavesTheNewestRecord(t *testing.T) {
	e := open(t, kafka.EmbeddedConfig{Dir: t.TempDir()})
	c := kafkatest.Dial(t, config(e))
	_, err := c.EnsureTopic(t.Context(), "t", 1, kafka.TopicOptions{})
	require.NoError(t, err)
	write(t, c, "t", 10, 10)
	for _, to := range []int64{10, -1, 10} {
		offsets := kadm.Offsets{}
		offsets.AddOffset("t", 0, to, -1)
		answer, err := kafkatest.Admin(t, config(e)).DeleteRecords(t.Context(), offsets)
		require.NoError(t, err)
		require.NoError(t, answer.Error())
		got, err := c.Topic(t.Context(), "t")
		require.NoError(t, err)
		require.Equal(t, []int64{9}, got.Start)
		require.Equal(t, []int64{10}, got.End)
	}
}

func TestFullLogMakesProducersWaitUntilItIsTrimmed(t *testing.T) {
	e := open(t, kafka.EmbeddedConfig{Dir: t.TempDir(), MaxBytes: 64 << 20})
	c := kafkatest.Dial(t, config(e))
	ctx := kafkatest.Context(t)
	_, err := c.EnsureTopic(ctx, "t", 1, kafka.TopicOptions{})
	require.NoError(t, err)
	require.False(t, e.Full())
	write(t, c, "t", 70, 1<<20)
	require.True(t, e.Full(), "the cap is reached")

	p, err := c.NewProducer(kafka.ProducerConfig{})
	require.NoError(t, err)
	defer p.Close()
	acked := make(chan error, 40)
	for range 40 { // more than the quarter that is let in over the cap
		p.Produce(ctx, &kafka.Record{Topic: "t", Value: make([]byte, 1<<20)}, func(_ *kafka.Record, err error) { acked <- err })
	}
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	require.ErrorIs(t, p.Flush(short), context.DeadlineExceeded, "there is no room for all of them")
	require.LessOrEqual(t, e.Bytes(), int64(80<<20))

	done := make(chan struct{})
	defer func() { <-done }()
	trimming, stop := context.WithCancel(ctx)
	defer stop()
	go func() { // apply, committing as it goes
		defer close(done)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-trimming.Done():
				return
			case <-tick.C:
				if now, err := c.Topic(trimming, "t"); err == nil {
					_ = c.Trim(trimming, "t", []int64{now.End[0] - 5})
				}
			}
		}
	}()
	require.NoError(t, p.Flush(ctx))
	for range 40 {
		require.NoError(t, <-acked)
	}
	now, err := c.Topic(ctx, "t")
	require.NoError(t, err)
	require.Equal(t, []int64{110}, now.End, "waiting neither lost nor repeated a record")
	require.Eventually(t, func() bool { return !e.Full() && e.Bytes() < 40<<20 }, 10*time.Second, 20*time.Millisecond)
}

func TestManyPartitionsFitIntoASmallLog(t *testing.T) {
	dir := t.TempDir()
	e := open(t, kafka.EmbeddedConfig{Dir: dir, MaxBytes: 64 << 20})
	adm := kafkatest.Admin(t, config(e))
	for i := range 4 {
		_, err := kafkatest.Dial(t, config(e)).EnsureTopic(t.Context(), fmt.Sprint("t", i), 8, kafka.TopicOptions{})
		require.NoError(t, err)
	}
	got, err := adm.DescribeTopicConfigs(t.Context(), "t0", "t3")
	require.NoError(t, err)
	size := map[string]string{}
	for _, r := range got {
		for _, kv := range r.Configs {
			if kv.Key == "segment.bytes" {
				size[r.Name] = kv.MaybeValue()
			}
		}
	}
	require.Equal(t, map[string]string{"t0": "932067", "t3": "262144"}, size)
}

// A kill in the middle of a deletion leaves a partition without a topic.
func TestDeletedTopicsDoNotComeBack(t *testing.T) {
	dir := t.TempDir()
	e := open(t, kafka.EmbeddedConfig{Dir: dir})
	c := kafkatest.Dial(t, config(e))
	_, err := c.EnsureTopic(t.Context(), "t", 1, kafka.TopicOptions{})
	require.NoError(t, err)
	write(t, c, "t", 10, 10)
	part := filepath.Join(dir, "data", "partitions", "t-0")
	saved := filepath.Join(t.TempDir(), "saved")
	require.NoError(t, os.CopyFS(saved, os.DirFS(part)))
	_, err = kafkatest.Admin(t, config(e)).DeleteTopics(t.Context(), "t")
	require.NoError(t, err)
	require.NoError(t, e.Close())
	require.NoError(t, os.CopyFS(part, os.DirFS(saved)))

	e = open(t, kafka.EmbeddedConfig{Dir: dir})
	c = kafkatest.Dial(t, config(e))
	_, err = c.Topic(t.Context(), "t")
	require.ErrorIs(t, err, kafka.ErrNoTopic)
	made, err := c.EnsureTopic(t.Context(), "t", 1, kafka.TopicOptions{})
	require.NoError(t, err)
	require.Equal(t, []int64{0}, made.End)
}
