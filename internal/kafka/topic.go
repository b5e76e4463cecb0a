package kafka

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	undrop "github.com/undrop/undrop"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
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
	if err != nil {
		return nil, false, err
	}
	known := make([]string, 0, len(before))
	for _, d := range before {
		known = append(known, d.Topic)
	}
	if len(known) == 0 {
		return map[string]Topic{}, true, nil
	}
	slices.Sort(known)
	var starts, ends kadm.ListedOffsets
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) { starts, err = c.adm.ListStartOffsets(gctx, known...); return err })
	g.Go(func() (err error) { ends, err = c.adm.ListEndOffsets(gctx, known...); return err })
	if err := g.Wait(); err != nil {
		return nil, false, fmt.Errorf("list offsets of %v: %w", known, err)
	}
	after, err := c.describe(ctx, names)
	if err != nil {
		return nil, false, err
	}
	m = make(map[string]Topic, len(before))
	for name, d := range before {
		if a, ok := after[name]; !ok || a.ID != d.ID {
			return nil, false, nil
		}
		t := Topic{Name: name, ID: topicID(d.ID), Start: make([]int64, len(d.Partitions)), End: make([]int64, len(d.Partitions))}
		for p := range t.End {
			if t.Start[p], err = offsetOf(starts, name, int32(p)); err != nil {
				return nil, false, err
			}
			if t.End[p], err = offsetOf(ends, name, int32(p)); err != nil {
				return nil, false, err
			}
		}
		m[name] = t
	}
	return m, true, nil
}

// describe asks the cluster for its topics; those that do not exist are left out.
func (c *Client) describe(ctx context.Context, names []string) (map[string]kadm.TopicDetail, error) {
	meta, err := c.adm.Metadata(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("describe topics %v: %w", names, err)
	}
	m := make(map[string]kadm.TopicDetail, len(meta.Topics))
	for _, d := range meta.Topics {
		switch {
		case errors.Is(d.Err, kerr.UnknownTopicOrPartition), errors.Is(d.Err, kerr.UnknownTopicID):
			continue
		case d.Err != nil:
			return nil, fmt.Errorf("describe topic %s: %w", d.Topic, d.Err)
		case d.ID == kadm.TopicID{}:
			return nil, &undrop.Error{Code: undrop.Refused, Op: "describe topic " + d.Topic,
				Err:  errors.New("the cluster gives topics no id, so a topic that was deleted and made again could not be noticed"),
				Hint: "use Apache Kafka 2.8 or newer"}
		}
		m[d.Topic] = d
	}
	return m, nil
}

func offsetOf(l kadm.ListedOffsets, topic string, partition int32) (int64, error) {
	o, ok := l.Lookup(topic, partition)
	if !ok {
		return 0, fmt.Errorf("list offsets of topic %s: no answer for partition %d", topic, partition)
	}
	if o.Err != nil {
		return 0, fmt.Errorf("list offsets of topic %s partition %d: %w", topic, partition, o.Err)
	}
	return o.Offset, nil
}

// topicID writes an id the way Kafka's tools do.
func topicID(id [16]byte) string { return base64.RawURLEncoding.EncodeToString(id[:]) }
