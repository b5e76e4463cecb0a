package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/catalog"
	"github.com/undrop/undrop/internal/kafka"
)

// sameTopic opens a gap when a topic is not the one of the newest cut, or ends
// before it. Its table is halted until it is loaded anew; the others go on.
func (c *Capture) sameTopic(ctx context.Context, t kafka.Topic, last *Control) error {
	if last == nil {
		return nil
	}
	known, ok := last.Topics[t.Name]
	if !ok {
		return nil
	}
	reason, detail, offsets := "", "", []int64(nil)
	switch {
	case known.ID != t.ID:
		reason, detail = "topic_recreated", fmt.Sprintf("topic %s has id %s, our newest cut knows %s: it was deleted and made again", t.Name, t.ID, known.ID)
	default:
		for p, next := range known.Next {
			if p < len(t.End) && t.End[p] < next {
				reason = "offsets_lost"
				detail = fmt.Sprintf("topic %s partition %d ends at %d, our newest cut at %d", t.Name, p, t.End[p], next)
				offsets = []int64{t.End[p], next}
			}
		}
	}
	if reason == "" {
		return nil
	}
	table, err := c.Lake.Load(ctx, known.Table)
	if errors.Is(err, catalog.ErrNoTable) {
		return nil
	}
	if err != nil {
		return err
	}
	if load, requested, err := loadOf(table); err != nil || requested && load.LSN == 0 {
		return err // it is loaded anew: what the topic held does not matter
	}
	from, _, err := c.markOf(table)
	if err != nil {
		return err
	}
	g := c.gap(reason, detail, from, last.EndLSN, []string{known.Table.String()})
	g.Topic, g.Offsets = t.Name, offsets
	return c.openGap(g)
}

// sameOffsets opens a gap for a table that has read further than its topic goes:
// the log was set back. It is asked before anything is written, since new records
// would take the offsets that the table believes to have.
func (c *Capture) sameOffsets(ctx context.Context, last *Control) error {
	if last == nil {
		return nil
	}
	for _, p := range c.Products {
		table, err := c.Lake.Load(ctx, p.Table.TableName)
		if errors.Is(err, catalog.ErrNoTable) {
			continue
		}
		if err != nil {
			return err
		}
		mark, live, err := c.markOf(table)
		if err != nil {
			return err
		}
		if !live || loadRequested(table) {
			continue
		}
		if err := c.topicsReach(ctx, p, mark, last, CommittedOffsets(table)); err != nil {
			return err
		}
	}
	return nil
}

func (c *Capture) topicsReach(ctx context.Context, p *Product, mark undrop.LSN, last *Control, committed map[string][]int64) error {
	for _, name := range slices.Sorted(maps.Keys(committed)) {
		topic, err := c.Client.Topic(ctx, name)
		if errors.Is(err, kafka.ErrNoTopic) {
			continue // apply notices
		}
		if err != nil {
			return err
		}
		for part, next := range committed[name] {
			if part >= len(topic.End) || topic.End[part] >= next {
				continue
			}
			g := c.gap("offsets_lost", fmt.Sprintf("topic %s partition %d ends at %d, the table has read it up to %d", name, part, topic.End[part], next),
				mark, max(last.EndLSN, mark+1), []string{p.Table.TableName.String()})
			g.Topic, g.Offsets = name, []int64{topic.End[part], next}
			if err := c.openGap(g); err != nil {
				return err
			}
			break
		}
	}
	return nil
}
