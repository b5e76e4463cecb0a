package kafkatest

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/kafka"
)

func topicMade(t *testing.T, b *bench) {
	made := b.topic(3)
	require.Equal(t, []int64{0, 0, 0}, made.Start)
	require.Equal(t, []int64{0, 0, 0}, made.End)
	require.Len(t, made.ID, 22)
	b.fill(made, 5)
	again, err := b.c.EnsureTopic(b.ctx, made.Name, 3, kafka.TopicOptions{})
	require.NoError(t, err)
	require.Equal(t, made.ID, again.ID)
	require.Equal(t, []int64{5, 5, 5}, again.End)
	other := b.topic(1)
	all, err := b.c.Topics(b.ctx, []string{made.Name, other.Name, Name(t)})
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, again, all[made.Name])
	require.NotEqual(t, all[made.Name].ID, all[other.Name].ID)
}

func topicRefused(t *testing.T, b *bench) {
	made := b.topic(3)
	_, err := b.c.EnsureTopic(b.ctx, made.Name, 4, kafka.TopicOptions{})
	b.refused(err, made.Name, "3 partitions", "4 are wanted")
	cfg := b.cfg
	cfg.ReplicationFactor = 2
	_, err = Dial(t, cfg).EnsureTopic(b.ctx, made.Name, 3, kafka.TopicOptions{})
	b.refused(err, made.Name, "1 replicas", "2 are wanted")
	_, err = b.c.EnsureTopic(b.ctx, "no spaces", 1, kafka.TopicOptions{})
	require.Equal(t, undrop.BadInput, undrop.CodeOf(err))
}

func compactedRefused(t *testing.T, b *bench) {
	name := Name(t)
	_, err := Admin(t, b.cfg).CreateTopic(b.ctx, 1, 1, map[string]*string{"cleanup.policy": kadm.StringPtr("compact")}, name)
	if errors.Is(err, kerr.PolicyViolation) {
		return // the broker itself refuses to make one
	}
	require.NoError(t, err)
	_, err = b.c.EnsureTopic(b.ctx, name, 1, kafka.TopicOptions{})
	b.refused(err, name, `"compact"`, `"delete"`)
	b.remove(name)
}

func topicMissing(t *testing.T, b *bench) {
	name := Name(t)
	_, err := b.c.Topic(b.ctx, name)
	require.ErrorIs(t, err, kafka.ErrNoTopic)
	r, err := b.c.NewReader(kafka.ReaderConfig{})
	require.NoError(t, err)
	defer r.Close()
	require.ErrorIs(t, r.Add(b.ctx, []kafka.Assignment{{Topic: name}}), kafka.ErrNoTopic)
	var gone *kafka.TopicRecreated
	require.ErrorAs(t, r.Add(b.ctx, []kafka.Assignment{{Topic: name, TopicID: "x"}}), &gone)
	require.Equal(t, kafka.TopicRecreated{Topic: name, Want: "x"}, *gone)
	_, err = b.c.Topic(b.ctx, name)
	require.ErrorIs(t, err, kafka.ErrNoTopic, "looking must not make the topic")
}

func readAll(t *testing.T, b *bench) {
	topic := b.topic(2)
	got, err := b.c.ReadAll(b.ctx, topic.Name)
	require.NoError(t, err)
	require.Empty(t, got)
	b.fill(topic, 300)
	require.NoError(t, b.c.Trim(b.ctx, topic.Name, []int64{100, 0}))
	got, err = b.c.ReadAll(b.ctx, topic.Name)
	require.NoError(t, err)
	require.Len(t, got, 500)
	require.EqualValues(t, 100, got[0].Offset)
	require.EqualValues(t, 299, got[199].Offset)
	require.EqualValues(t, 0, got[200].Offset)
	_, err = b.c.ReadAll(b.ctx, Name(t))
	require.ErrorIs(t, err, kafka.ErrNoTopic)
}

func trimKeeps(t *testing.T, b *bench) {
	topic := b.topic(3)
	require.NoError(t, b.c.Trim(b.ctx, topic.Name, []int64{5, 0, 0}), "nothing to trim is no error")
	b.fill(topic, 10)
	require.NoError(t, b.c.Trim(b.ctx, topic.Name, []int64{4, 1000, 0}))
	got, err := b.c.Topic(b.ctx, topic.Name)
	require.NoError(t, err)
	require.Equal(t, []int64{4, 9, 0}, got.Start)
	require.Equal(t, []int64{10, 10, 10}, got.End)
	require.NoError(t, b.c.Trim(b.ctx, topic.Name, []int64{2, 2, 0}), "an older offset is no error")
	require.Error(t, b.c.Trim(b.ctx, topic.Name, []int64{2}))
}
