package kafkatest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/undrop/undrop/internal/kafka"
)

func at(t kafka.Topic, partition int32, offset int64) kafka.Assignment {
	return kafka.Assignment{Topic: t.Name, TopicID: t.ID, Partition: partition, Offset: offset}
}

func exactStart(t *testing.T, b *bench) {
	topic := b.topic(1)
	b.fill(topic, 500)
	for _, start := range []int64{0, 1, 250, 499} {
		got := b.read(b.reader(at(topic, 0, start)), 500-int(start))
		require.Len(t, got, 500-int(start))
		require.Equal(t, start, got[0].Offset)
	}
	r := b.reader(at(topic, 0, 500)) // the end itself is a place to wait at
	b.fill(topic, 1)
	require.EqualValues(t, 500, b.read(r, 1)[0].Offset)
}

func beyondEnd(t *testing.T, b *bench) {
	topic := b.topic(2)
	b.fill(topic, 10)
	r, err := b.c.NewReader(kafka.ReaderConfig{})
	require.NoError(t, err)
	defer r.Close()
	var lost *kafka.OffsetLost
	require.ErrorAs(t, r.Add(b.ctx, []kafka.Assignment{at(topic, 0, 3), at(topic, 1, 17)}), &lost)
	require.Equal(t, kafka.OffsetLost{Topic: topic.Name, Partition: 1, Want: 17, Start: 0, End: 10}, *lost)
	require.ErrorContains(t, lost, "offsets 10 to 16 are lost")
	require.NoError(t, r.Add(b.ctx, []kafka.Assignment{at(topic, 0, 3)}), "nothing of the refused call may stay")
	require.Error(t, r.Add(b.ctx, []kafka.Assignment{at(topic, 0, 3)}), "a partition is read once")
	require.Error(t, r.Add(b.ctx, []kafka.Assignment{at(topic, 2, 0)}), "there is no partition 2")
}

func beforeStart(t *testing.T, b *bench) {
	topic := b.topic(1)
	b.fill(topic, 10)
	require.NoError(t, b.c.Trim(b.ctx, topic.Name, []int64{6}))
	r, err := b.c.NewReader(kafka.ReaderConfig{})
	require.NoError(t, err)
	defer r.Close()
	var lost *kafka.OffsetLost
	require.ErrorAs(t, r.Add(b.ctx, []kafka.Assignment{at(topic, 0, 2)}), &lost)
	require.Equal(t, kafka.OffsetLost{Topic: topic.Name, Want: 2, Start: 6, End: 10}, *lost)
	require.ErrorContains(t, lost, "offsets 2 to 5 are lost")
}

func recreatedBefore(t *testing.T, b *bench) {
	old := b.topic(1)
	b.fill(old, 10)
	now := b.recreate(old)
	b.fill(now, 20)
	r, err := b.c.NewReader(kafka.ReaderConfig{})
	require.NoError(t, err)
	defer r.Close()
	var re *kafka.TopicRecreated
	require.ErrorAs(t, r.Add(b.ctx, []kafka.Assignment{at(old, 0, 10)}), &re)
	require.Equal(t, kafka.TopicRecreated{Topic: old.Name, Want: old.ID, Have: now.ID}, *re)
}

func recreatedWhile(t *testing.T, b *bench) {
	old := b.topic(1)
	b.fill(old, 10)
	r := b.reader(at(old, 0, 0))
	b.read(r, 10)
	now := b.recreate(old)
	b.fill(now, 20) // so that the reader's offset exists in the new topic as well
	var re *kafka.TopicRecreated
	require.ErrorAs(t, b.pollError(r), &re)
	require.Equal(t, old.ID, re.Want)
	// The broker may have been seen between the deletion and the new topic.
	require.Contains(t, []string{"", now.ID}, re.Have)
	require.NoError(t, r.Add(b.ctx, []kafka.Assignment{at(now, 0, 0)}))
	require.Len(t, b.read(r, 20), 20)
}

func deletedWhile(t *testing.T, b *bench) {
	topic := b.topic(1)
	b.fill(topic, 10)
	r := b.reader(at(topic, 0, 0))
	b.read(r, 10)
	b.remove(topic.Name)
	err := b.pollError(r)
	var re *kafka.TopicRecreated
	require.ErrorAs(t, err, &re)
	require.Equal(t, kafka.TopicRecreated{Topic: topic.Name, Want: topic.ID}, *re)
	require.ErrorIs(t, err, kafka.ErrNoTopic)
}

func trimmedWhile(t *testing.T, b *bench) {
	topic := b.topic(1)
	b.fill(topic, 10)
	r := b.reader()
	r.Pause(topic.Name, 0) // so that nothing is fetched before the trim
	require.NoError(t, r.Add(b.ctx, []kafka.Assignment{at(topic, 0, 4)}))
	require.NoError(t, b.c.Trim(b.ctx, topic.Name, []int64{8}))
	r.Resume(topic.Name, 0)
	err := b.pollError(r)
	var lost *kafka.OffsetLost
	require.ErrorAs(t, err, &lost)
	require.Equal(t, kafka.OffsetLost{Topic: topic.Name, Want: 4, Start: 8, End: 10}, *lost)
}

func brokenBeside(t *testing.T, b *bench) {
	good, bad := b.topic(1), b.topic(1)
	b.fill(good, 10)
	r := b.reader(at(good, 0, 0), at(bad, 0, 0))
	b.remove(bad.Name)
	var got int
	var re *kafka.TopicRecreated
	for got < 10 || re == nil {
		fetched, err := r.Poll(b.ctx)
		require.NoError(t, b.ctx.Err())
		if err != nil {
			require.ErrorAs(t, err, &re)
			require.Equal(t, bad.Name, re.Topic)
		}
		for _, f := range fetched {
			require.Equal(t, good.Name, f.Topic)
			got += len(f.Records)
		}
	}
	b.fill(good, 5)
	require.Len(t, b.read(r, 5), 5, "the good one is read on")
}

func pause(t *testing.T, b *bench) {
	topic := b.topic(2)
	r := b.reader(at(topic, 0, 0), at(topic, 1, 0))
	r.Pause(topic.Name, 1)
	b.fill(topic, 200)
	for _, rec := range b.read(r, 200) {
		require.EqualValues(t, 0, rec.Partition)
	}
	ctx, cancel := context.WithTimeout(b.ctx, 300*time.Millisecond)
	defer cancel()
	_, err := r.Poll(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	r.Resume(topic.Name, 1)
	got := b.read(r, 200)
	require.Len(t, got, 200)
	for i, rec := range got {
		require.EqualValues(t, 1, rec.Partition)
		require.EqualValues(t, i, rec.Offset)
	}
}

func readAgain(t *testing.T, b *bench) {
	topic := b.topic(2)
	b.fill(topic, 50)
	r := b.reader(at(topic, 0, 0), at(topic, 1, 0))
	b.read(r, 100)
	r.Remove(topic.Name, 0)
	require.NoError(t, r.Add(b.ctx, []kafka.Assignment{at(topic, 0, 20)}))
	got := b.read(r, 30)
	require.Len(t, got, 30)
	require.EqualValues(t, 20, got[0].Offset)
	r.Remove(topic.Name, 0)
	r.Remove(topic.Name, 1)
	require.NoError(t, r.Add(b.ctx, []kafka.Assignment{at(topic, 1, 49)}))
	require.Len(t, b.read(r, 1), 1)
	r.Remove(topic.Name, 7)
	r.Remove(Name(t), 0)
}

func pollEnds(t *testing.T, b *bench) {
	topic := b.topic(1)
	r := b.reader(at(topic, 0, 0))
	ctx, cancel := context.WithTimeout(b.ctx, 50*time.Millisecond)
	defer cancel()
	begin := time.Now()
	got, err := r.Poll(ctx)
	require.Empty(t, got)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Less(t, time.Since(begin), 5*time.Second)
	b.fill(topic, 3)
	require.Len(t, b.read(r, 3), 3, "an ended poll loses nothing")
	closed := make(chan error, 1)
	go func() {
		for {
			if _, err := r.Poll(b.ctx); err != nil {
				closed <- err
				return
			}
		}
	}()
	r.Close()
	require.False(t, errors.Is(<-closed, context.DeadlineExceeded))
}
