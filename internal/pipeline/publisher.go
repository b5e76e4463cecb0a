package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
	"github.com/undrop/undrop/internal/crash"
	"github.com/undrop/undrop/internal/envelope"
	"github.com/undrop/undrop/internal/kafka"
	"github.com/undrop/undrop/internal/postgres"
)

// publisher turns batches into log records and knows, for each cut, when every
// record up to it is durable and where each partition then ends.
//
// Records belong to epochs; sealing an epoch gives it a cut. Only when an epoch
// and all before it are acknowledged does its cut become due, and only a due cut
// may be published: so a published cut never promises a record that the log
// might still lose.
type publisher struct {
	source   string
	client   *kafka.Client
	producer *kafka.Producer
	control  *controlLog
	outlets  map[string]*outlet // by mart table
	hashes   map[string]string  // of the contracts, by mart table

	published postgres.Published // what every cut says of the publication

	mu     sync.Mutex
	topics map[string]*topicState
	open   *epoch
	sealed []*epoch      // oldest first
	due    chan struct{} // signalled when the oldest sealed epoch may be due
	err    error
	gaps   []undrop.Gap
	loads  map[string]*LogLoad
}

// logBuffer is how many bytes of records may be on their way to the log: of the
// stream, and of all connections of a load together. A record takes some three
// times its bytes until it is acknowledged, and larger requests are no faster.
const logBuffer = 32 << 20

// topicState is what is known of one topic that the source writes.
type topicState struct {
	id     string
	table  undrop.TableName
	ends   []int64 // at the newest due cut
	loaded []int64 // after the newest acknowledged record of the log lane
}

// epoch is the run of records between two possible cuts.
type epoch struct {
	p       *publisher
	pending int
	ends    map[string][]int64
	cut     *undrop.Cut // nil while open
}

// outlet is how one product's rows reach the log.
type outlet struct {
	product *Product
	encoder *envelope.Encoder      // nil for an outbox
	events  *envelope.EventEncoder // only for an outbox
	n       int32                  // partitions
	key     []byte
	arena   []byte
}

// clone gives another goroutine its own buffers and encoder.
func (o *outlet) clone() *outlet {
	n := &outlet{product: o.product, n: o.n, events: o.events}
	if o.encoder != nil {
		n.encoder = o.encoder.Clone()
	}
	return n
}

func newPublisher(source string, client *kafka.Client, producer *kafka.Producer, control *controlLog, last *Control) *publisher {
	p := &publisher{source: source, client: client, producer: producer, control: control,
		outlets: map[string]*outlet{}, hashes: map[string]string{}, topics: map[string]*topicState{}, due: make(chan struct{}, 1), loads: map[string]*LogLoad{}}
	p.open = &epoch{p: p, ends: map[string][]int64{}}
	if last != nil {
		p.gaps = last.Gaps
		for t, l := range last.Loads {
			p.loads[t] = l
		}
	}
	return p
}

// addTopic makes a topic part of every later cut. Its end at the newest cut is
// taken from last when last knows the topic, so that records which a dead
// incarnation left behind the cut stay behind it.
func (p *publisher) addTopic(t kafka.Topic, table undrop.TableName, last *Control) {
	ends := make([]int64, len(t.End))
	if last != nil {
		if known, ok := last.Topics[t.Name]; ok && known.ID == t.ID {
			for p := range min(len(ends), len(known.Next)) {
				ends[p] = min(known.Next[p], t.End[p])
			}
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.topics[t.Name] = &topicState{id: t.ID, table: table, ends: ends}
}

// publish hands the rows of b to the producer. The records are in the epoch
// that is open when publish is called.
func (p *publisher) publish(ctx context.Context, b *batch.Batch) error {
	o := p.outlets[b.Table.TableName.String()]
	e := p.expect(b.Len())
	skipped := 0
	for i := range b.Len() {
		if o.events != nil && b.Op[i] != undrop.Create && b.Op[i] != undrop.Read {
			skipped++
			continue // an outbox event happened when it was inserted; tidying up is not an event
		}
		rec, err := p.record(ctx, o, b, i)
		if err != nil {
			return err // the epoch waits for records that do not come: its cut is never due
		}
		p.producer.Produce(ctx, rec, e.acknowledged)
	}
	p.expect(-skipped)
	return p.failure()
}

// expect makes the open epoch wait for n records more. Publish and seal are called
// by one goroutine, so no cut comes between the records of a batch.
func (p *publisher) expect(n int) *epoch {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open.pending += n
	return p.open
}

// record encodes row i of b.
func (p *publisher) record(ctx context.Context, o *outlet, b *batch.Batch, i int) (*kafka.Record, error) {
	const arenaSize = 1 << 20
	if cap(o.arena)-len(o.arena) < 64<<10 {
		o.arena = make([]byte, 0, arenaSize)
	}
	rec := &kafka.Record{Topic: o.product.Table.Topic}
	at := len(o.arena)
	if o.events != nil {
		rec.Topic = o.events.Topic(b, i)
		if err := p.ensureEventTopic(ctx, o, rec.Topic); err != nil {
			return nil, err
		}
		o.arena = o.events.AppendKey(o.arena, b, i)
		mid := len(o.arena)
		o.arena = o.events.AppendValue(o.arena, b, i)
		rec.Key, rec.Value = o.arena[at:mid:mid], o.arena[mid:len(o.arena):len(o.arena)]
		rec.Headers = o.events.Headers(nil, b, i)
		rec.Partition = kafka.Partition(rec.Key, o.n)
		return rec, nil
	}
	o.arena = o.encoder.AppendKey(o.arena, b, i)
	mid := len(o.arena)
	o.arena = o.encoder.AppendValue(o.arena, b, i)
	rec.Value = o.arena[mid:len(o.arena):len(o.arena)]
	rec.Headers = o.encoder.Headers(nil, b, i)
	switch {
	case b.Op[i] == undrop.Truncate:
		// One record for the whole table: partition 0. Apply orders it by position.
	case len(b.Table.Key) == 0:
		// Rows without a key have no order of their own: spread equal rows alike.
		o.key = b.AppendKey(o.key[:0], i)
		rec.Partition = kafka.Partition(o.key, o.n)
	default:
		rec.Key = o.arena[at:mid:mid]
		rec.Partition = kafka.Partition(rec.Key, o.n)
	}
	return rec, nil
}

// ensureEventTopic makes the topic of an aggregate type when it is first seen.
func (p *publisher) ensureEventTopic(ctx context.Context, o *outlet, name string) error {
	p.mu.Lock()
	_, known := p.topics[name]
	p.mu.Unlock()
	if known {
		return nil
	}
	t, err := p.client.EnsureTopic(ctx, name, o.n, kafka.TopicOptions{})
	if err != nil {
		return err
	}
	p.addTopic(t, o.product.Table.TableName, nil)
	return nil
}

func (e *epoch) acknowledged(r *kafka.Record, err error) {
	p := e.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		if p.err == nil {
			p.err = writeError(r, err)
		}
		p.signal()
		return
	}
	ends := e.ends[r.Topic]
	if ends == nil {
		ends = make([]int64, len(p.topics[r.Topic].ends))
		e.ends[r.Topic] = ends
	}
	if next := r.Offset + 1; next > ends[r.Partition] {
		ends[r.Partition] = next
	}
	if e.pending--; e.pending == 0 && e.cut != nil {
		p.signal()
	}
}

// writeError says what to do about a record that can never be written; everything
// else passes by itself.
func writeError(r *kafka.Record, err error) error {
	err = fmt.Errorf("write to topic %s partition %d: %w", r.Topic, r.Partition, err)
	var large *kafka.RecordTooLarge
	if !errors.As(err, &large) {
		return err
	}
	return &undrop.Error{Code: undrop.Refused, Op: "publish a change", Err: err,
		Hint: fmt.Sprintf("kafka-configs.sh --alter --entity-type topics --entity-name %s --add-config max.message.bytes=%d", r.Topic, 2*large.Bytes)}
}

func (p *publisher) signal() {
	select {
	case p.due <- struct{}{}:
	default:
	}
}

func (p *publisher) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// seal makes everything published so far part of cut. What the log lane has had
// acknowledged by now is part of it too: any stream record after the cut is
// produced later and so lies behind those offsets.
func (p *publisher) seal(cut undrop.Cut) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.open
	cut.Topics = nil
	e.cut = &cut
	for name, t := range p.topics {
		if t.loaded == nil {
			continue
		}
		ends := e.ends[name]
		if ends == nil {
			ends = make([]int64, len(t.ends))
			e.ends[name] = ends
		}
		for i, n := range t.loaded {
			ends[i] = max(ends[i], n)
		}
	}
	p.sealed = append(p.sealed, e)
	p.open = &epoch{p: p, ends: map[string][]int64{}}
	if e.pending == 0 {
		p.signal()
	}
}

// backlog is the number of sealed epochs that are not yet cut.
func (p *publisher) backlog() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.sealed)
}

// take merges every epoch that is due and returns the newest cut of them; nil if
// none is.
func (p *publisher) take() (*Control, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return nil, p.err
	}
	var cut *undrop.Cut
	for len(p.sealed) > 0 && p.sealed[0].pending == 0 {
		e := p.sealed[0]
		p.sealed = p.sealed[1:]
		cut = e.cut
		for name, ends := range e.ends {
			t := p.topics[name]
			for i, n := range ends {
				t.ends[i] = max(t.ends[i], n)
			}
		}
	}
	if cut == nil {
		return nil, nil
	}
	return p.stamp(*cut), nil
}

// stamp completes a cut with the state that every control record carries.
func (p *publisher) stamp(cut undrop.Cut) *Control {
	c := &Control{Cut: cut, Gaps: p.gaps, Publication: p.published.Publication, Published: p.published.Tables, Contracts: p.hashes, Loads: map[string]*LogLoad{}}
	c.Topics = make(map[string]undrop.TopicEnd, len(p.topics))
	for name, t := range p.topics {
		c.Topics[name] = undrop.TopicEnd{ID: t.id, Table: t.table, Next: append([]int64(nil), t.ends...)}
	}
	for name, l := range p.loads {
		c.Loads[name] = l
	}
	return c
}

// write makes a control record durable.
func (p *publisher) write(ctx context.Context, c *Control) error {
	value, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("encode cut %s: %w", c.LSN, err)
	}
	crash.Point("capture.cut.before")
	done := make(chan error, 1)
	p.producer.Produce(ctx, &kafka.Record{Topic: p.control.topic.Name, Value: value, Timestamp: time.Now()},
		func(_ *kafka.Record, err error) { done <- err })
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("publish cut %s: %w", c.LSN, err)
		}
		crash.Point("capture.cut.after")
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// setLoad notes how far the log-lane load of a table is; the next cut says so.
func (p *publisher) setLoad(t *undrop.Table, l *LogLoad) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if topic := p.topics[t.Topic]; topic != nil {
		l.Ends = append([]int64(nil), topic.loaded...)
	}
	p.loads[t.TableName.String()] = l
}

// addLoaded notes acknowledged records of the log lane.
func (p *publisher) addLoaded(topic string, ends []int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.topics[topic]
	if t.loaded == nil {
		t.loaded = make([]int64, len(t.ends))
	}
	for i, n := range ends {
		t.loaded[i] = max(t.loaded[i], n)
	}
}

// addGap makes a gap part of every later control record.
func (p *publisher) addGap(g undrop.Gap) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.ContainsFunc(p.gaps, func(k undrop.Gap) bool { return k.ID == g.ID }) {
		p.gaps = append(p.gaps, g)
	}
}
