package envelope

import (
	"fmt"
	"hash/fnv"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// The headers of an event beside those of a change. The first three are those of
// Debezium's outbox event router.
const (
	HeaderEventID   = "id"
	HeaderEventType = "eventType"
	HeaderAggregate = "aggregatetype"
	HeaderAt        = "undrop.at"     // commit time, microseconds since 1970-01-01T00:00:00Z, decimal
	HeaderOp        = "undrop.op"     // absent: c
	HeaderNull      = "undrop.null"   // JSON array: which of aggregateid and payload are null
	HeaderOrigin    = "undrop.source" // name in the configuration's sources
	HeaderColumn    = "undrop.col."   // followed by the name of any other column; the value as text
)

// The columns of an outbox table that have a place of their own in an event.
const (
	outboxID        = "id"
	outboxAggregate = "aggregatetype"
	outboxKey       = "aggregateid"
	outboxType      = "type"
	outboxPayload   = "payload"
)

// eventPlan is what encoder and decoder of an outbox table share.
type eventPlan struct {
	table     *undrop.Table
	aggregate int      // index of the column, -1 if the table has none
	key       int      // likewise
	payload   int      // likewise
	header    []string // by column: the header that carries it; "" for key and payload
}

func newEventPlan(t *undrop.Table) eventPlan {
	p := eventPlan{table: t, aggregate: -1, key: -1, payload: -1, header: make([]string, len(t.Fields))}
	for i, f := range t.Fields {
		switch f.Name {
		case outboxID:
			p.header[i] = HeaderEventID
		case outboxType:
			p.header[i] = HeaderEventType
		case outboxAggregate:
			p.aggregate, p.header[i] = i, HeaderAggregate
		case outboxKey:
			p.key = i
		case outboxPayload:
			p.payload = i
		default:
			p.header[i] = HeaderColumn + f.Name
		}
	}
	return p
}

// EventEncoder turns rows of an outbox table into events: the payload as it is,
// with everything else in key and headers. It is safe for concurrent use.
type EventEncoder struct {
	eventPlan
	fixed  fixedHeaders
	origin kgo.RecordHeader
}

// NewEventEncoder compiles an encoder for an outbox table.
func NewEventEncoder(t *undrop.Table, src SourceInfo) *EventEncoder {
	return &EventEncoder{eventPlan: newEventPlan(t), fixed: newFixedHeaders(t),
		origin: kgo.RecordHeader{Key: HeaderOrigin, Value: []byte(src.Name)}}
}

const topicMax = 249 // what Kafka takes

// Topic is where the event of a row goes: the table's prefix and the aggregate
// type. Characters that Kafka does not take become "_"; the header always has the
// type as it was written. A row that does not know its type goes to "_".
func (e *EventEncoder) Topic(b *batch.Batch, row int) string {
	name := append(make([]byte, 0, 64), e.table.Topic...)
	at := len(name)
	if e.aggregate >= 0 && !b.Cols[e.aggregate].Null[row] {
		name = appendText(name, &b.Cols[e.aggregate], row)
	}
	if len(name) == at {
		name = append(name, '_')
	}
	full := name[at:]
	h := fnv.New64a()
	h.Write(full)
	for i, c := range full {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
		default:
			full[i] = '_'
		}
	}
	if len(name) > topicMax {
		name = fmt.Appendf(name[:topicMax-17], "-%016x", h.Sum64())
	}
	return string(name)
}

// AppendKey appends the aggregate id as text; nothing if it is null.
func (e *EventEncoder) AppendKey(dst []byte, b *batch.Batch, row int) []byte {
	if e.key < 0 || b.Cols[e.key].Null[row] {
		return dst
	}
	return appendText(dst, &b.Cols[e.key], row)
}

// AppendValue appends the payload as it is; "null" if it is null, since a record
// without a value would be a tombstone.
func (e *EventEncoder) AppendValue(dst []byte, b *batch.Batch, row int) []byte {
	if e.payload < 0 || b.Cols[e.payload].Null[row] {
		return append(dst, "null"...)
	}
	return appendText(dst, &b.Cols[e.payload], row)
}

// Headers appends the headers of an event: with key and value, all that the batch
// knows about the row.
func (e *EventEncoder) Headers(dst []kgo.RecordHeader, b *batch.Batch, row int) []kgo.RecordHeader {
	if dst == nil {
		dst = make([]kgo.RecordHeader, 0, 7+len(b.Cols))
	}
	text := make([]byte, 0, 256)
	add := func(name string, from int) {
		dst = append(dst, kgo.RecordHeader{Key: name, Value: text[from:len(text):len(text)]})
	}
	var nulls []int
	for i := range b.Cols {
		null := b.Cols[i].Null[row]
		if e.header[i] == "" {
			if null {
				nulls = append(nulls, i)
			}
			continue
		}
		if !null {
			from := len(text)
			text = appendText(text, &b.Cols[i], row)
			add(e.header[i], from)
		}
	}
	dst = append(dst, e.fixed.contract, e.fixed.version)
	from := len(text)
	text = appendLSN(text, b.LSN[row])
	add(HeaderLSN, from)
	from = len(text)
	text = strconv.AppendInt(text, b.Seq[row], 10)
	add(HeaderSeq, from)
	from = len(text)
	text = strconv.AppendInt(text, b.At[row], 10)
	add(HeaderAt, from)
	dst = append(dst, e.origin)
	if op := b.Op[row]; op != undrop.Create {
		dst = append(dst, kgo.RecordHeader{Key: HeaderOp, Value: []byte{byte(op)}})
	}
	if len(nulls) > 0 {
		dst = append(dst, kgo.RecordHeader{Key: HeaderNull, Value: appendJSONNames(nil, e.table, nulls)})
	}
	return appendAside(dst, b, row)
}
