package pipeline

import (
	"encoding/json"
	"fmt"
	"strconv"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/lake"
)

// summaryValue reads one of undrop's keys of a snapshot summary into v. It says
// false when the key is absent.
func summaryValue(summary map[string]string, key string, v any) (bool, error) {
	s, ok := summary[key]
	if !ok {
		return false, nil
	}
	if err := json.Unmarshal([]byte(s), v); err != nil {
		return false, fmt.Errorf("read %s of a snapshot: %w", key, err)
	}
	return true, nil
}

func sourceMark(summary map[string]string) (m undrop.SourceMark, err error) {
	ok, err := summaryValue(summary, undrop.SummarySource, &m)
	if err == nil && !ok {
		err = fmt.Errorf("snapshot has no %s", undrop.SummarySource)
	}
	return m, err
}

func putSummary(summary map[string]string, key string, v any) {
	data, err := json.Marshal(v)
	if err != nil { // marks are plain structs
		panic(err)
	}
	summary[key] = string(data)
}

// topicMark is the offsets of one topic as a snapshot writes them.
func topicMark(topic, id string, next []int64) undrop.TopicMark {
	m := undrop.TopicMark{Topic: topic, ID: id, Next: make(map[string]int64, len(next))}
	for p, n := range next {
		m.Next[strconv.Itoa(p)] = n
	}
	return m
}

// nextOffsets is the inverse of topicMark.
func nextOffsets(m undrop.TopicMark) ([]int64, error) {
	next := make([]int64, len(m.Next))
	for k, n := range m.Next {
		p, err := strconv.Atoi(k)
		if err != nil || p < 0 || p >= len(next) {
			return nil, fmt.Errorf("offsets of topic %s: partition %q of %d", m.Topic, k, len(next))
		}
		next[p] = n
	}
	return next, nil
}

// CommittedOffsets is, per topic, what a live table no longer needs of the log.
// A table that is loading still needs everything.
func CommittedOffsets(t *lake.Table) map[string][]int64 {
	own := lastOwn(t, "main", undrop.SummaryOffsets)
	if own == nil || t.Head(undrop.LoadBranch) != nil {
		return nil
	}
	var m undrop.OffsetsMark
	if _, err := summaryValue(own.Summary, undrop.SummaryOffsets, &m); err != nil {
		return nil
	}
	all := map[string][]int64{}
	for _, topic := range m.Topics {
		if next, err := nextOffsets(topic); err == nil {
			all[topic.Topic] = next
		}
	}
	return all
}
