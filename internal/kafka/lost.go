package kafka

import "fmt"

// OffsetLost says that a partition does not hold the offset where reading is to
// go on. Want above End: the log ends before what was read from it already, so
// it lost records or was set back. Want below Start: records that nobody has
// read were removed, before what is left of the log or inside it.
type OffsetLost struct {
	Topic      string
	Partition  int32
	Want       int64 // the next offset that a reader needs
	Start, End int64 // what the log holds from Want on: Start is the first offset that is there, End what the next record gets
}

// Error gives the bounds of what is missing.
func (e *OffsetLost) Error() string {
	if e.Want > e.End {
		return fmt.Sprintf("topic %s partition %d ends at offset %d, but offsets up to %d were read from it before: offsets %d to %d are lost", e.Topic, e.Partition, e.End, e.Want, e.End, e.Want-1)
	}
	if e.Want < e.Start {
		return fmt.Sprintf("topic %s partition %d goes on at offset %d, but offset %d was not read yet: offsets %d to %d are lost", e.Topic, e.Partition, e.Start, e.Want, e.Want, e.Start-1)
	}
	return fmt.Sprintf("topic %s partition %d lost offset %d for a moment; it now holds %d to %d", e.Topic, e.Partition, e.Want, e.Start, e.End-1)
}

// TopicRecreated says that a topic is not the one that was read before.
type TopicRecreated struct {
	Topic      string
	Want, Have string // topic ids; Have is empty when the topic is gone
}

// Error names both ids.
func (e *TopicRecreated) Error() string {
	if e.Have == "" {
		return fmt.Sprintf("topic %s (id %s) was deleted", e.Topic, e.Want)
	}
	return fmt.Sprintf("topic %s was deleted and made again: its id is %s, what was read before has %s", e.Topic, e.Have, e.Want)
}

// Unwrap makes a topic that is gone also ErrNoTopic.
func (e *TopicRecreated) Unwrap() error {
	if e.Have == "" {
		return ErrNoTopic
	}
	return nil
}
