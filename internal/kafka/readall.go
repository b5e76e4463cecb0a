package kafka

import (
	"context"
	"slices"
)

// ReadAll reads a small topic from its start to the end that it has now, each
// partition in order, the partitions one after the other.
func (c *Client) ReadAll(ctx context.Context, topic string) ([]*Record, error) {
	t, err := c.Topic(ctx, topic)
	if err != nil {
		return nil, err
	}
	var as []Assignment
	left := map[int32]bool{}
	for p := range t.End {
		if t.Start[p] < t.End[p] {
			as = append(as, Assignment{Topic: topic, TopicID: t.ID, Partition: int32(p), Offset: t.Start[p]})
			left[int32(p)] = true
		}
	}
	if len(as) == 0 {
		return nil, nil
	}
	r, err := c.NewReader(ReaderConfig{})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if err := r.Add(ctx, as); err != nil {
		return nil, err
	}
	parts := make([][]*Record, len(t.End))
	for len(left) > 0 {
		fetched, err := r.Poll(ctx)
		if err != nil {
			return nil, err
		}
		for _, f := range fetched {
			end := t.End[f.Partition]
			for _, rec := range f.Records {
				if rec.Offset < end {
					parts[f.Partition] = append(parts[f.Partition], rec)
				}
			}
			if f.Next >= end {
				delete(left, f.Partition)
			}
		}
	}
	return slices.Concat(parts...), nil
}
