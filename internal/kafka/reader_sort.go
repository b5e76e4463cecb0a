package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// trouble is a partition whose fetch brought an error. Partition -1 stands for
// every partition of the topic, an empty topic for all.
type trouble struct {
	topic     string
	partition int32
	err       error
}

// sort splits what the library fetched into records that we want and trouble.
func (r *Reader) sort(fetches kgo.Fetches) (got []Fetched, bad []trouble) {
	r.mu.Lock()
	defer r.mu.Unlock()
	broken := map[string]map[int32]bool{}
	for _, e := range fetches.Errors() {
		if errors.Is(e.Err, context.Canceled) || errors.Is(e.Err, context.DeadlineExceeded) {
			continue // Poll's own context
		}
		bad = append(bad, trouble{e.Topic, e.Partition, e.Err})
		if broken[e.Topic] == nil {
			broken[e.Topic] = map[int32]bool{}
		}
		broken[e.Topic][e.Partition] = true
	}
	for i := range fetches {
		for j := range fetches[i].Topics {
			ft := &fetches[i].Topics[j]
			t := r.topics[ft.Topic]
			if t == nil {
				continue // removed while this fetch was on its way
			}
			// The library learnt the topic's id after we had checked it. A fetch
			// under another id is of another topic, whatever its offsets say.
			if ft.TopicID != [16]byte{} && topicID(ft.TopicID) != t.id {
				bad = append(bad, trouble{ft.Topic, -1, &TopicRecreated{Topic: ft.Topic, Want: t.id, Have: topicID(ft.TopicID)}})
				continue
			}
			for k := range ft.Partitions {
				fp := &ft.Partitions[k]
				if len(fp.Records) == 0 || broken[ft.Topic][fp.Partition] || broken[ft.Topic][-1] {
					continue
				}
				want, ok := t.next[fp.Partition]
				if !ok {
					continue
				}
				f := Fetched{Topic: ft.Topic, Partition: fp.Partition, Records: fp.Records, HighWatermark: fp.HighWatermark}
				f.Next = f.Records[len(f.Records)-1].Offset + 1
				if !r.holes && f.Next-want != int64(len(f.Records)) {
					bad = append(bad, trouble{ft.Topic, fp.Partition, hole(&f, want)})
					continue
				}
				f.Records = withoutMarkers(f.Records)
				t.next[fp.Partition], t.gone = f.Next, time.Time{}
				got = append(got, f)
			}
		}
	}
	return got, bad
}

// hole finds the first offset that is not where it must be.
func hole(f *Fetched, want int64) error {
	for _, rec := range f.Records {
		if rec.Offset > want {
			return &OffsetLost{Topic: f.Topic, Partition: f.Partition, Want: want, Start: rec.Offset, End: max(f.HighWatermark, f.Next)}
		}
		want++
	}
	return fmt.Errorf("read topic %s partition %d: offset %d came again", f.Topic, f.Partition, f.Records[0].Offset)
}

// withoutMarkers drops transaction markers, which are no records of anybody.
func withoutMarkers(rs []*Record) []*Record {
	for i, rec := range rs {
		if !rec.Attrs.IsControl() {
			continue
		}
		kept := rs[:i]
		for _, rec := range rs[i:] {
			if !rec.Attrs.IsControl() {
				kept = append(kept, rec)
			}
		}
		return kept
	}
	return rs
}

const (
	// A broker that has just started, or has not heard yet of a topic just made,
	// says that it does not exist. Only what is said for this long is believed.
	believeGone = 3 * time.Second
	// lookEvery bounds how often we ask why fetches of a topic fail.
	lookEvery = 250 * time.Millisecond
)

// fail finds out what a trouble means. An error that passes by itself is left to
// the library, which keeps trying; any other is kept for the caller, and the
// partition is not read any more.
func (r *Reader) fail(ctx context.Context, b trouble) {
	r.mu.Lock()
	var parts []int32
	wants := map[int32]int64{}
	id := ""
	if t := r.topics[b.topic]; t != nil {
		id = t.id
		for p, next := range t.next {
			if b.partition == p || b.partition < 0 {
				parts, wants[p] = append(parts, p), next
			}
		}
	}
	r.mu.Unlock()
	if b.topic != "" && len(parts) == 0 {
		return // removed in the meantime
	}
	err := r.explain(ctx, b, id, wants)
	if err == nil {
		r.client.log.Debug("reading goes on after an error", "topic", b.topic, "partition", b.partition, "error", b.err)
		return
	}
	for _, p := range parts {
		r.Remove(b.topic, p)
	}
	r.mu.Lock()
	r.failed = append(r.failed, err)
	r.mu.Unlock()
}

// explain turns a library error into the typed error with its bounds; nil when
// it is of the kind that passes.
func (r *Reader) explain(ctx context.Context, b trouble, id string, wants map[int32]int64) error {
	var recreated *TopicRecreated
	var lost *OffsetLost
	if errors.As(b.err, &recreated) || errors.As(b.err, &lost) {
		return b.err
	}
	var loss *kgo.ErrDataLoss
	moved := errors.Is(b.err, kerr.OffsetOutOfRange) || errors.As(b.err, &loss)
	gone := errors.Is(b.err, kerr.UnknownTopicID) || errors.Is(b.err, kerr.UnknownTopicOrPartition)
	if !moved && !gone {
		var e *kerr.Error
		if errors.As(b.err, &e) && e.Retriable || kgo.IsRetryableBrokerErr(b.err) {
			return nil
		}
		return fmt.Errorf("read topic %s partition %d: %w", b.topic, b.partition, b.err)
	}
	if gone && !r.due(b.topic) {
		return nil
	}
	// When Poll's context ends just now the answer is still wanted: a partition
	// that is out of range is not fetched again.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	t, err := r.client.Topic(ctx, b.topic)
	if err != nil && !errors.Is(err, ErrNoTopic) {
		if gone {
			return nil // asked again with the next error
		}
		return fmt.Errorf("read topic %s partition %d: %w (and its bounds cannot be had: %v)", b.topic, b.partition, b.err, err) //nolint:errorlint // the first error is the cause
	}
	if err != nil || t.ID != id {
		if !r.believe(b.topic) {
			return nil
		}
		return &TopicRecreated{Topic: b.topic, Want: id, Have: t.ID}
	}
	if !moved {
		r.unbelieve(b.topic)
		return nil // the same topic is there: a broker had not heard of it yet
	}
	for p, want := range wants {
		lost = &OffsetLost{Topic: b.topic, Partition: p, Want: want, Start: t.Start[p], End: t.End[p]}
		if loss != nil && loss.Partition == p {
			// After a leader without all records took over, the log may have grown
			// past the place again: what lies between is another history.
			lost.End = min(lost.End, loss.ResetTo)
		}
	}
	return lost
}

// due says whether it is time to ask about a topic again.
func (r *Reader) due(topic string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.topics[topic]
	if t == nil || time.Since(t.looked) < lookEvery {
		return false
	}
	t.looked = time.Now()
	return true
}

// believe says whether a topic has been gone for long enough.
func (r *Reader) believe(topic string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.topics[topic]
	if t == nil {
		return false
	}
	if t.gone.IsZero() {
		t.gone = time.Now()
	}
	return time.Since(t.gone) >= believeGone
}

func (r *Reader) unbelieve(topic string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.topics[topic]; t != nil {
		t.gone = time.Time{}
	}
}
