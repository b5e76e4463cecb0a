package pipeline

import (
	"errors"
	"fmt"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
	"github.com/undrop/undrop/internal/envelope"
	"github.com/undrop/undrop/internal/kafka"
)

// inbox holds what was read of one table's topics and is not committed yet. Lanes
// of different partitions may be filled at the same time; everything else happens
// on apply's own goroutine.
type inbox struct {
	product *Product
	format  envelope.Format
	schema  func(id int) (string, error)
	raw     RawDecoder
	lanes   map[string][]*lane // by topic, by partition
	gather  *undrop.Load       // only the rows of this load are taken; nil: everything
}

// lane is one partition: chunks of rows in offset order.
type lane struct {
	in      *inbox
	topic   string
	id      string
	part    int32
	next    int64           // offset after the newest decoded record
	taken   int64           // offset after the newest record that was folded
	last    undrop.Position // of the newest change, to notice what is read twice
	folded  undrop.LSN      // the newest position that was folded
	chunks  []*chunk
	bytes   int
	err     error // the record at next cannot be read as this table: the table halts here
	checker Checker
	decoder *envelope.Decoder
	events  *envelope.EventDecoder
}

// chunk is a batch with the offset of each row.
type chunk struct {
	b       *batch.Batch
	offsets []int64
	dup     []bool       // this change was read before: it counts, and is not applied again
	newest  []undrop.LSN // the lane's newest position at each row
	used    int          // rows before it are folded
	checked int          // rows before it were checked against the contract
}

const chunkRows = 16384

func newInbox(p *Product, format envelope.Format, schema func(int) (string, error), raw RawDecoder) *inbox {
	return &inbox{product: p, format: format, schema: schema, raw: raw, lanes: map[string][]*lane{}}
}

// start makes the lanes of a topic, to be read from next. Stream positions up to
// mark are in the table already.
func (in *inbox) start(topic, id string, next []int64, mark undrop.LSN) {
	lanes := make([]*lane, len(next))
	for p, n := range next {
		l := &lane{in: in, topic: topic, id: id, part: int32(p), next: n, taken: n, checker: in.product.NewChecker()}
		if mark > 0 {
			l.last, l.folded = undrop.Position{CommitLSN: mark, Seq: 1<<63 - 1}, mark
		}
		if in.product.events() {
			l.events = envelope.NewEventDecoder(in.product.Table)
		} else {
			l.decoder = envelope.NewDecoder(in.product.Table, in.format, in.schema)
		}
		lanes[p] = l
	}
	in.lanes[topic] = lanes
}

// bytes is the memory that waiting rows take, estimated.
func (in *inbox) bytes() int {
	n := 0
	for _, lanes := range in.lanes {
		for _, l := range lanes {
			n += l.bytes
		}
	}
	return n
}

// halt is the first reason why a lane cannot be read on.
func (in *inbox) halt() error {
	for _, lanes := range in.lanes {
		for _, l := range lanes {
			if l.err != nil {
				return l.err
			}
		}
	}
	return nil
}

// take decodes and checks the records of one fetch.
func (l *lane) take(records []*kafka.Record) {
	if l.err != nil {
		return
	}
	for _, rec := range records {
		if rec.Offset < l.next {
			continue
		}
		c := l.tail()
		at := c.b.Len()
		if err := l.decode(c, rec); err != nil {
			l.err = fmt.Errorf("topic %s partition %d offset %d: %w", l.topic, l.part, rec.Offset, err)
			break // what came before it is checked and applied
		}
		l.next = rec.Offset + 1
		if c.b.Len() == at {
			continue // a tombstone
		}
		if l.in.gather != nil && !l.in.gatherable(c.b, at) {
			c.b.Truncate(at)
			continue
		}
		c.offsets = append(c.offsets, rec.Offset)
		c.dup = append(c.dup, l.again(c.b, at))
		c.newest = append(c.newest, l.last.CommitLSN)
		l.bytes += len(rec.Key) + len(rec.Value) + 64
	}
	for _, c := range l.chunks {
		if c.checked < c.b.Len() {
			l.checker.Check(c.b, c.checked)
			c.checked = c.b.Len()
		}
	}
}

// tail is the chunk to append to.
func (l *lane) tail() *chunk {
	if n := len(l.chunks); n > 0 && l.chunks[n-1].b.Len() < chunkRows {
		return l.chunks[n-1]
	}
	c := &chunk{b: batch.New(l.in.product.Table)}
	l.chunks = append(l.chunks, c)
	return c
}

// again reports whether row i was read before. Stream changes of a partition
// come in the order of their positions, except where capture, started again,
// repeats what followed its newest cut.
func (l *lane) again(b *batch.Batch, i int) bool {
	p := b.Position(i)
	if unreadable(b, i) {
		return false // it does not say where it belongs
	}
	if b.Op[i] == undrop.Read {
		return p.CommitLSN <= l.last.CommitLSN && l.last.Seq == 1<<63-1
	}
	if p.Compare(l.last) <= 0 {
		return true
	}
	l.last = p
	return false
}

func (l *lane) decode(c *chunk, rec *kafka.Record) error {
	at := c.b.Len()
	var err error
	if l.events != nil {
		err = l.events.Decode(c.b, rec)
	} else {
		err = l.decoder.Decode(c.b, rec.Key, rec.Value, rec.Headers)
	}
	var malformed *envelope.Malformed
	switch {
	case errors.Is(err, envelope.ErrTombstone):
		return nil
	case errors.As(err, &malformed):
		for i := range c.b.Cols {
			c.b.Cols[i].Truncate(at)
			c.b.Cols[i].AppendNull()
		}
		c.b.AddRow(undrop.Update, l.last, rec.Timestamp.UnixMicro())
		c.b.AddBad(at, undrop.Violation{Rule: "record.malformed", Path: "", Actual: fmt.Sprintf("%x", rec.Value), Detail: malformed.Error()})
		return nil
	case err != nil:
		return err
	}
	return l.undrift(c.b, at, rec)
}
