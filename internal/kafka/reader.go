package kafka

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ReaderConfig bounds how much a reader fetches ahead.
type ReaderConfig struct {
	MaxBytes          int32         // per broker, bytes in flight; 0 means 16 MiB
	MaxPartitionBytes int32         // per partition; 0 means 2 MiB
	MaxWait           time.Duration // how long a broker may hold a fetch without news; 0 means 100ms

	// AllowHoles reads on over missing offsets. Topics that others write may
	// have them (aborted transactions, compaction); ours never do, so a hole in
	// them is lost data.
	AllowHoles bool
}

// Assignment is a partition and where to begin in it.
type Assignment struct {
	Topic     string
	TopicID   string // the topic that Offset belongs to; empty takes the one that is there
	Partition int32
	Offset    int64 // the next offset to read
}

// Fetched is a run of records of one partition, in the order of their offsets.
type Fetched struct {
	Topic         string
	Partition     int32
	Records       []*Record
	Next          int64 // the offset after the run, also when what lies before it are no records but markers
	HighWatermark int64 // where the partition ended when this was fetched
}

// Reader reads partitions that it is told to read, from offsets that it is told,
// and never moves to another offset by itself. Add, Pause, Resume and Remove may
// be called while Poll waits; Poll itself is for one goroutine.
type Reader struct {
	client *Client
	kgo    *kgo.Client
	holes  bool

	edit   sync.Mutex // one Add or Remove at a time
	mu     sync.Mutex
	topics map[string]*readTopic
	failed []error // found together with good records; the next Poll returns them
}

// readTopic is what is read of a topic, and under which id.
type readTopic struct {
	id     string
	next   map[int32]int64
	gone   time.Time // since when the cluster says that there is no such topic; zero when it does not
	looked time.Time // when we last asked why a fetch failed
}

// NewReader makes a reader with its own connections and nothing to read.
func (c *Client) NewReader(cfg ReaderConfig) (*Reader, error) {
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = 16 << 20
	}
	if cfg.MaxPartitionBytes <= 0 {
		cfg.MaxPartitionBytes = 2 << 20
	}
	if cfg.MaxWait <= 0 {
		// A partition that is added or resumed joins the next fetch, so a long
		// wait would hold it back as well.
		cfg.MaxWait = 100 * time.Millisecond
	}
	opts := append(c.opts[:len(c.opts):len(c.opts)],
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // they take offsets; without them Next would stand before them for ever
		kgo.FetchMaxBytes(cfg.MaxBytes),
		kgo.FetchMaxPartitionBytes(min(cfg.MaxPartitionBytes, cfg.MaxBytes)),
		kgo.FetchMaxWait(cfg.MaxWait),
		kgo.MetadataMinAge(100*time.Millisecond), // Add waits for it
		// The library keeps errors that may pass to itself, among them that a
		// topic is gone, which it would then wait for in silence.
		kgo.KeepRetryableFetchErrors(),
	)
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("make reader: %w", err)
	}
	return &Reader{client: c, kgo: cl, holes: cfg.AllowHoles, topics: map[string]*readTopic{}}, nil
}

// Add starts to read partitions. It adds all of them or none: a *TopicRecreated
// or *OffsetLost says which one cannot be read from there, with exact bounds.
func (r *Reader) Add(ctx context.Context, as []Assignment) error {
	if len(as) == 0 {
		return nil
	}
	r.edit.Lock()
	defer r.edit.Unlock()
	names, seen := []string{}, map[string]bool{}
	for _, a := range as {
		if !seen[a.Topic] {
			seen[a.Topic] = true
			names = append(names, a.Topic)
		}
	}
	topics, err := r.client.Topics(ctx, names)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range as {
		if err := a.check(topics); err != nil {
			return err
		}
		if t := r.topics[a.Topic]; t != nil {
			if t.id != topics[a.Topic].ID {
				return &TopicRecreated{Topic: a.Topic, Want: t.id, Have: topics[a.Topic].ID}
			}
			if _, ok := t.next[a.Partition]; ok {
				return fmt.Errorf("read topic %s partition %d: it is read already", a.Topic, a.Partition)
			}
		}
	}
	add := map[string]map[int32]kgo.Offset{}
	for _, a := range as {
		t := r.topics[a.Topic]
		if t == nil {
			t = &readTopic{id: topics[a.Topic].ID, next: map[int32]int64{}}
			r.topics[a.Topic] = t
		}
		t.next[a.Partition] = a.Offset
		if add[a.Topic] == nil {
			add[a.Topic] = map[int32]kgo.Offset{}
		}
		add[a.Topic][a.Partition] = kgo.NewOffset().At(a.Offset)
	}
	r.kgo.AddConsumePartitions(add)
	return nil
}

// check compares an assignment with what the log holds.
func (a Assignment) check(topics map[string]Topic) error {
	t, ok := topics[a.Topic]
	switch {
	case !ok && a.TopicID != "":
		return &TopicRecreated{Topic: a.Topic, Want: a.TopicID}
	case !ok:
		return fmt.Errorf("read topic %s: %w", a.Topic, ErrNoTopic)
	case a.TopicID != "" && a.TopicID != t.ID:
		return &TopicRecreated{Topic: a.Topic, Want: a.TopicID, Have: t.ID}
	case a.Partition < 0 || int(a.Partition) >= len(t.End):
		return fmt.Errorf("read topic %s partition %d: it has %d partitions", a.Topic, a.Partition, len(t.End))
	case a.Offset < t.Start[a.Partition] || a.Offset > t.End[a.Partition]:
		return &OffsetLost{Topic: a.Topic, Partition: a.Partition, Want: a.Offset, Start: t.Start[a.Partition], End: t.End[a.Partition]}
	}
	return nil
}

// Poll waits for records and returns when some came, or with ctx's error when it
// ends. A partition that can no longer be read gives a *TopicRecreated or
// *OffsetLost once, and is not read any more; what came of other partitions is
// returned first.
func (r *Reader) Poll(ctx context.Context) ([]Fetched, error) {
	for {
		if err := r.failure(); err != nil {
			return nil, err
		}
		fetches := r.kgo.PollFetches(ctx)
		if fetches.IsClientClosed() {
			return nil, fmt.Errorf("poll: the reader is closed: %w", kgo.ErrClientClosed)
		}
		got, bad := r.sort(fetches)
		for _, b := range bad {
			r.fail(ctx, b)
		}
		if len(got) > 0 {
			return got, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}

// failure takes the oldest error that was kept back.
func (r *Reader) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.failed) == 0 {
		return nil
	}
	err := r.failed[0]
	r.failed = r.failed[1:]
	return err
}

// Pause stops fetching a partition until Resume. Poll returns nothing of it.
func (r *Reader) Pause(topic string, partition int32) {
	r.kgo.PauseFetchPartitions(map[string][]int32{topic: {partition}})
}

// Resume goes on with a paused partition where Poll left it.
func (r *Reader) Resume(topic string, partition int32) {
	r.kgo.ResumeFetchPartitions(map[string][]int32{topic: {partition}})
}

// Remove stops reading a partition. It may be added again at any offset.
func (r *Reader) Remove(topic string, partition int32) {
	r.edit.Lock()
	defer r.edit.Unlock()
	r.mu.Lock()
	t := r.topics[topic]
	if t == nil {
		r.mu.Unlock()
		return
	}
	delete(t.next, partition)
	last := len(t.next) == 0
	if last {
		delete(r.topics, topic)
	}
	r.mu.Unlock()
	r.kgo.ResumeFetchPartitions(map[string][]int32{topic: {partition}})
	r.kgo.RemoveConsumePartitions(map[string][]int32{topic: {partition}})
	if last {
		// The library keeps a topic's id until it forgets the topic; only then
		// can a topic that was made again be read.
		r.kgo.PurgeTopicsFromConsuming(topic)
	}
}

// Close ends the reader; a Poll that waits returns an error.
func (r *Reader) Close() { r.kgo.Close() }
