package kafka

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
)

// Trim lets the log forget records before the given offset of each partition.
// The newest record of a partition always stays, whatever is asked: a log that
// is empty cannot tell after a crash where it ended.
func (c *Client) Trim(ctx context.Context, topic string, before []int64) error {
	t, err := c.Topic(ctx, topic)
	if err != nil {
		return err
	}
	if len(before) != len(t.End) {
		return fmt.Errorf("trim topic %s: %d offsets for %d partitions", topic, len(before), len(t.End))
	}
	offsets := kadm.Offsets{}
	for p, to := range before {
		if to = min(to, t.End[p]-1); to > t.Start[p] {
			offsets.AddOffset(topic, int32(p), to, -1)
		}
	}
	if len(offsets) == 0 {
		return nil
	}
	answers, err := c.adm.DeleteRecords(ctx, offsets)
	if err == nil {
		err = answers.Error()
	}
	if err != nil {
		return fmt.Errorf("trim topic %s: %w", topic, err)
	}
	return nil
}
