package pipeline

import (
	"context"
	"encoding/json"
	"fmt"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/kafka"
)

// Control is one record of a source's control topic. Each is complete by
// itself, so that the newest is all that a reader needs.
type Control struct {
	undrop.Cut
	Gaps  []undrop.Gap        `json:"gaps,omitempty"`  // those not closed
	Loads map[string]*LogLoad `json:"loads,omitempty"` // log lane, by mart table
	// How tables were published when the cut was, see postgres.Published.
	Publication uint32            `json:"publication,omitempty"`
	Published   map[string]string `json:"published,omitempty"`
	// Contracts are the hashes of the contracts that capture runs, by mart table:
	// it has decided what becomes of the rows that were landed under earlier ones.
	Contracts map[string]string `json:"contracts,omitempty"`
}

// LogLoad says how far a load through the log is.
type LogLoad struct {
	undrop.Load
	Ends []int64 `json:"ends"` // per partition, the offset after the last snapshot row
}

// controlTopic is the topic of a source's cuts.
func controlTopic(source string) string { return "undrop.control." + source }

// controlLog reads and writes a source's control topic.
type controlLog struct {
	client *kafka.Client
	topic  kafka.Topic
}

func openControl(ctx context.Context, c *kafka.Client, source string) (*controlLog, error) {
	t, err := c.EnsureTopic(ctx, controlTopic(source), 1, kafka.TopicOptions{})
	if err != nil {
		return nil, err
	}
	return &controlLog{client: c, topic: t}, nil
}

// last reads the newest record; nil when the topic is empty. next is the offset
// at which a follower continues.
func (l *controlLog) last(ctx context.Context) (last *Control, next int64, err error) {
	t, err := l.client.Topic(ctx, l.topic.Name)
	if err != nil {
		return nil, 0, err
	}
	l.topic = t
	next = t.End[0]
	if next == t.Start[0] {
		return nil, next, nil
	}
	err = l.follow(ctx, next-1, func(c *Control) bool { last = c; return false })
	return last, next, err
}

// follow calls f with every record from offset on until f says false or ctx ends.
func (l *controlLog) follow(ctx context.Context, offset int64, f func(*Control) bool) error {
	r, err := l.client.NewReader(kafka.ReaderConfig{})
	if err != nil {
		return err
	}
	defer r.Close()
	if err := r.Add(ctx, []kafka.Assignment{{Topic: l.topic.Name, TopicID: l.topic.ID, Partition: 0, Offset: offset}}); err != nil {
		return err
	}
	for {
		fetched, err := r.Poll(ctx)
		if err != nil {
			return err
		}
		for _, p := range fetched {
			for _, rec := range p.Records {
				c := new(Control)
				if err := json.Unmarshal(rec.Value, c); err != nil {
					return fmt.Errorf("read control record %s at offset %d: %w", l.topic.Name, rec.Offset, err)
				}
				if !f(c) {
					return nil
				}
			}
		}
	}
}
