package kafka

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"

	undrop "github.com/undrop/undrop"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"
)

// ErrNoTopic says that the log has no topic of that name.
var ErrNoTopic = errors.New("no such topic")

// Topic is what a topic holds at the moment of asking.
type Topic struct {
	Name  string
	ID    string  // as Kafka's own tools print it; a topic made again has another
	Start []int64 // per partition, the first offset that can be read
	End   []int64 // per partition, the offset that the next record gets
}

// Partitions is how many partitions the topic has.
func (t Topic) Partitions() int32 { return int32(len(t.End)) }

// Topic asks for one topic; ErrNoTopic when there is none.
func (c *Client) Topic(ctx context.Context, name string) (Topic, error) {
	m, err := c.Topics(ctx, []string{name})
	if err != nil {
		return Topic{}, err
	}
	t, ok := m[name]
	if !ok {
		return Topic{}, fmt.Errorf("topic %s: %w", name, ErrNoTopic)
	}
	return t, nil
}

// Topics asks for several topics at once. A topic that does not exist is not in
// the answer.
func (c *Client) Topics(ctx context.Context, names []string) (map[string]Topic, error) {
	if len(names) == 0 {
		return map[string]Topic{}, nil
	}
	// The id is asked for before and after the offsets, so that the bounds of a
	// topic that is made again in between are not taken for the old topic's.
	for range 3 {
		m, stable, err := c.topics(ctx, names)
		if err != nil || stable {
			return m, err
		}
	}
	return nil, fmt.Errorf("describe topics %v: they are being deleted and made again while we look", names)
}

func (c *Client) topics(ctx context.Context, names []string) (m map[string]Topic, stable bool, err error) {
	before, err := c.describe(ctx, names)
	if err != nil || len(before) == 0 {
		return map[string]Topic{}, true, err
	}
	var starts, ends map[string][]int64
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) { starts, err = c.offsets(gctx, before, earliest); return err })
	g.Go(func() (err error) { ends, err = c.offsets(gctx, before, latest); return err })
	if err := g.Wait(); err != nil {
		return nil, false, err
	}
	after, err := c.describe(ctx, names)
	if err != nil {
		return nil, false, err
	}
	m = make(map[string]Topic, len(before))
	for name, d := range before {
		if after[name].id != d.id {
			return nil, false, nil
		}
		m[name] = Topic{Name: name, ID: topicID(d.id), Start: starts[name], End: ends[name]}
	}
	return m, true, nil
}

// described is what the cluster's metadata say of a topic.
type described struct {
	id         [16]byte
	partitions int
	replicas   int // the fewest of any partition
}

// describe asks a broker, never a cache: a cached id would hide a topic that was
// made again. Topics that do not exist are left out.
func (c *Client) describe(ctx context.Context, names []string) (map[string]described, error) {
	req := kmsg.NewPtrMetadataRequest()
	for _, n := range names {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(n)
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, c.kgo)
	if err != nil {
		return nil, fmt.Errorf("describe topics %v: %w", names, err)
	}
	m := make(map[string]described, len(resp.Topics))
	for _, t := range resp.Topics {
		name := ""
		if t.Topic != nil {
			name = *t.Topic
		}
		err := kerr.ErrorForCode(t.ErrorCode)
		switch {
		case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.UnknownTopicID):
			continue
		case errors.Is(err, kerr.LeaderNotAvailable):
			// Said of a partition as well, where it matters.
		case err != nil:
			return nil, fmt.Errorf("describe topic %s: %w", name, err)
		case t.TopicID == [16]byte{}:
			return nil, &undrop.Error{Code: undrop.Refused, Op: "describe topic " + name,
				Err:  errors.New("the cluster gives topics no id, so a topic that was deleted and made again could not be noticed"),
				Hint: "use Apache Kafka 2.8 or newer"}
		}
		d := described{id: t.TopicID, partitions: len(t.Partitions)}
		for i, p := range t.Partitions {
			if i == 0 || len(p.Replicas) < d.replicas {
				d.replicas = len(p.Replicas)
			}
		}
		m[name] = d
	}
	return m, nil
}

// The two ends of a partition in the words of the protocol.
const (
	earliest int64 = -2
	latest   int64 = -1
)

// offsets asks the leaders for one end of every partition.
func (c *Client) offsets(ctx context.Context, topics map[string]described, which int64) (map[string][]int64, error) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	m := make(map[string][]int64, len(topics))
	for name, d := range topics {
		t := kmsg.NewListOffsetsRequestTopic()
		t.Topic = name
		for p := range d.partitions {
			rp := kmsg.NewListOffsetsRequestTopicPartition()
			rp.Partition, rp.Timestamp = int32(p), which
			t.Partitions = append(t.Partitions, rp)
		}
		req.Topics = append(req.Topics, t)
		m[name] = make([]int64, d.partitions)
		for p := range m[name] {
			m[name][p] = -1
		}
	}
	resp, err := req.RequestWith(ctx, c.kgo)
	if err != nil {
		return nil, fmt.Errorf("list offsets: %w", err)
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return nil, fmt.Errorf("list offsets of topic %s partition %d: %w", t.Topic, p.Partition, err)
			}
			if ends := m[t.Topic]; int(p.Partition) < len(ends) {
				ends[p.Partition] = p.Offset
			}
		}
	}
	for name, offsets := range m {
		for p, o := range offsets {
			if o < 0 {
				return nil, fmt.Errorf("list offsets of topic %s partition %d: no answer: %w", name, p, kerr.LeaderNotAvailable)
			}
		}
	}
	return m, nil
}

// topicID writes an id the way Kafka's tools do.
func topicID(id [16]byte) string { return base64.RawURLEncoding.EncodeToString(id[:]) }
