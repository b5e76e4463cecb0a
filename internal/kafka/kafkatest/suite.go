package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/kafka"
)

// RunLog is what every log has to do, the embedded one and Apache Kafka alike.
// open starts or finds a broker; it is called once.
func RunLog(t *testing.T, open func(t testing.TB) kafka.Config) {
	cfg := open(t)
	for _, c := range []struct {
		name string
		run  func(*testing.T, *bench)
	}{
		{"a topic is made as asked and then found again", topicMade},
		{"a topic with other partitions or fewer replicas is refused", topicRefused},
		{"a compacted topic is refused", compactedRefused},
		{"a topic that is not there is said to be not there", topicMissing},
		{"records of a partition keep their order and get rising offsets", order},
		{"every codec brings records back unchanged", codecs},
		{"a record that is too large fails alone, with its sizes", tooLarge},
		{"reading begins exactly at the asked offset", exactStart},
		{"an offset behind the end is refused with its bounds", beyondEnd},
		{"an offset before the start is refused with its bounds", beforeStart},
		{"a topic made again is refused at the start", recreatedBefore},
		{"a topic made again is noticed while it is read", recreatedWhile},
		{"a topic that is deleted is noticed while it is read", deletedWhile},
		{"removed records that were not read are noticed while reading", trimmedWhile},
		{"a broken partition does not swallow what others brought", brokenBeside},
		{"a paused partition brings nothing and loses nothing", pause},
		{"a removed partition can be read again from elsewhere", readAgain},
		{"poll ends with its context", pollEnds},
		{"a small topic is read whole up to the end of now", readAll},
		{"trimming keeps the newest record", trimKeeps},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, &bench{t: t, ctx: Context(t), cfg: cfg, c: Dial(t, cfg)})
		})
	}
}

// bench is what a test of the suite works with.
type bench struct {
	t   *testing.T
	ctx context.Context
	cfg kafka.Config
	c   *kafka.Client
}

func (b *bench) topic(partitions int32) kafka.Topic {
	b.t.Helper()
	t, err := b.c.EnsureTopic(b.ctx, Name(b.t), partitions, kafka.TopicOptions{})
	require.NoError(b.t, err)
	b.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_, _ = Admin(b.t, b.cfg).DeleteTopics(ctx, t.Name)
	})
	return t
}

// fill writes n records "0", "1", ... to each partition.
func (b *bench) fill(t kafka.Topic, n int) {
	b.t.Helper()
	p, err := b.c.NewProducer(kafka.ProducerConfig{})
	require.NoError(b.t, err)
	defer p.Close()
	var mu sync.Mutex
	var failed error
	for part := range t.Partitions() {
		for i := range n {
			p.Produce(b.ctx, &kafka.Record{Topic: t.Name, Partition: part, Value: fmt.Append(nil, i)}, func(_ *kafka.Record, err error) {
				mu.Lock()
				defer mu.Unlock()
				failed = errors.Join(failed, err)
			})
		}
	}
	require.NoError(b.t, p.Flush(b.ctx))
	require.NoError(b.t, failed)
}

func (b *bench) reader(as ...kafka.Assignment) *kafka.Reader {
	b.t.Helper()
	r, err := b.c.NewReader(kafka.ReaderConfig{})
	require.NoError(b.t, err)
	b.t.Cleanup(r.Close)
	require.NoError(b.t, r.Add(b.ctx, as))
	return r
}

// read polls until n records came.
func (b *bench) read(r *kafka.Reader, n int) []*kafka.Record {
	b.t.Helper()
	var got []*kafka.Record
	for len(got) < n {
		fetched, err := r.Poll(b.ctx)
		require.NoError(b.t, err)
		for _, f := range fetched {
			got = append(got, f.Records...)
			require.Equal(b.t, f.Records[len(f.Records)-1].Offset+1, f.Next)
			require.GreaterOrEqual(b.t, f.HighWatermark, f.Next)
		}
	}
	return got
}

// pollError polls until an error comes.
func (b *bench) pollError(r *kafka.Reader) error {
	b.t.Helper()
	for {
		if _, err := r.Poll(b.ctx); err != nil {
			require.NoError(b.t, b.ctx.Err(), "no error came")
			return err
		}
	}
}

func (b *bench) recreate(t kafka.Topic) kafka.Topic {
	b.t.Helper()
	b.remove(t.Name)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for { // a broker may still be deleting
		n, err := b.c.EnsureTopic(b.ctx, t.Name, t.Partitions(), kafka.TopicOptions{})
		if err == nil && n.ID != t.ID {
			return n
		}
		select {
		case <-tick.C:
		case <-b.ctx.Done():
			b.t.Fatal("the topic was not made again: ", err)
		}
	}
}

func (b *bench) remove(name string) {
	b.t.Helper()
	answers, err := Admin(b.t, b.cfg).DeleteTopics(b.ctx, name)
	require.NoError(b.t, err)
	require.NoError(b.t, answers.Error())
}

func (b *bench) refused(err error, words ...string) {
	b.t.Helper()
	var e *undrop.Error
	require.ErrorAs(b.t, err, &e)
	require.Equal(b.t, undrop.Refused, e.Code)
	require.NotEmpty(b.t, e.Hint)
	for _, w := range words {
		require.ErrorContains(b.t, err, w)
	}
}

func order(t *testing.T, b *bench) {
	const parts, n = 4, 2000
	topic := b.topic(parts)
	p, err := b.c.NewProducer(kafka.ProducerConfig{})
	require.NoError(t, err)
	defer p.Close()
	var mu sync.Mutex
	acked := make([][]int64, parts)
	for i := range n * parts {
		r := &kafka.Record{Topic: topic.Name, Partition: int32(i % parts), Key: fmt.Append(nil, i%parts), Value: fmt.Append(nil, i/parts), Headers: []kafka.Header{{Key: "seq", Value: fmt.Append(nil, i)}}}
		p.Produce(b.ctx, r, func(r *kafka.Record, err error) {
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				acked[r.Partition] = append(acked[r.Partition], r.Offset)
			}
		})
	}
	require.NoError(t, p.Flush(b.ctx))
	var as []kafka.Assignment
	for part := range int32(parts) {
		as = append(as, kafka.Assignment{Topic: topic.Name, TopicID: topic.ID, Partition: part})
		require.Len(t, acked[part], n)
		for i, o := range acked[part] {
			require.EqualValues(t, i, o)
		}
	}
	next := make([]int, parts)
	for _, r := range b.read(b.reader(as...), n*parts) {
		require.Equal(t, fmt.Sprint(next[r.Partition]), string(r.Value))
		require.EqualValues(t, next[r.Partition], r.Offset)
		require.Equal(t, fmt.Sprint(r.Partition), string(r.Key))
		require.Equal(t, fmt.Sprint(next[r.Partition]*parts+int(r.Partition)), string(r.Headers[0].Value))
		next[r.Partition]++
	}
}

func codecs(t *testing.T, b *bench) {
	for _, codec := range []string{"none", "lz4", "snappy", "zstd", "gzip"} {
		topic := b.topic(1)
		p, err := b.c.NewProducer(kafka.ProducerConfig{Codec: codec})
		require.NoError(t, err)
		for i := range 100 {
			p.Produce(b.ctx, &kafka.Record{Topic: topic.Name, Value: fmt.Appendf(nil, "%0200d", i)}, func(*kafka.Record, error) {})
		}
		require.NoError(t, p.Flush(b.ctx))
		p.Close()
		for i, r := range b.read(b.reader(kafka.Assignment{Topic: topic.Name}), 100) {
			require.Equal(t, fmt.Sprintf("%0200d", i), string(r.Value), codec)
		}
	}
	_, err := b.c.NewProducer(kafka.ProducerConfig{Codec: "rar"})
	require.Equal(t, undrop.BadInput, undrop.CodeOf(err))
}

func tooLarge(t *testing.T, b *bench) {
	topic := b.topic(1)
	p, err := b.c.NewProducer(kafka.ProducerConfig{})
	require.NoError(t, err)
	defer p.Close()
	big := make(chan error, 1)
	p.Produce(b.ctx, &kafka.Record{Topic: topic.Name, Value: make([]byte, 5<<20)}, func(_ *kafka.Record, err error) { big <- err })
	require.NoError(t, <-big, "five megabytes are no unusual row")
	p.Produce(b.ctx, &kafka.Record{Topic: topic.Name, Value: make([]byte, 20<<20)}, func(_ *kafka.Record, err error) { big <- err })
	err = <-big
	var large *kafka.RecordTooLarge
	require.ErrorAs(t, err, &large)
	require.Equal(t, 20<<20, large.Bytes)
	require.Greater(t, large.Limit, 5<<20)
	p.Produce(b.ctx, &kafka.Record{Topic: topic.Name, Value: []byte("small")}, func(_ *kafka.Record, err error) { big <- err })
	require.NoError(t, <-big)
	got := b.read(b.reader(kafka.Assignment{Topic: topic.Name}), 2)
	require.Len(t, got[0].Value, 5<<20)
	require.Equal(t, "small", string(got[1].Value))
}
