package envelope

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// EventDecoder reads events back into rows of their outbox table. It is not safe
// for concurrent use.
type EventDecoder struct {
	eventPlan
	text scanner
}

// NewEventDecoder compiles a decoder for an outbox table.
func NewEventDecoder(t *undrop.Table) *EventDecoder {
	return &EventDecoder{eventPlan: newEventPlan(t)}
}

// Decode appends the row of one event to b, or nothing if it fails: with
// ErrTombstone or, when the record is not an event that undrop wrote, *Malformed.
// A column that the event does not know is null.
func (d *EventDecoder) Decode(b *batch.Batch, rec *kgo.Record) error {
	if rec.Value == nil {
		return ErrTombstone
	}
	row := b.Len()
	ev, err := readEvent(rec)
	if err == nil {
		err = d.columns(b, rec, ev.nulls)
	}
	if err == nil {
		err = readAside(rec.Headers).apply(b, row)
	}
	if err != nil {
		truncate(b, row)
		return err
	}
	b.AddRow(ev.op, ev.position, ev.at)
	return nil
}

// event is what the headers say about the change itself.
type event struct {
	op       undrop.Op
	position undrop.Position
	at       int64
	nulls    []string
}

func readEvent(rec *kgo.Record) (ev event, err error) {
	ev.op = undrop.Create
	var lsn, seq, at bool
	for _, h := range rec.Headers {
		switch h.Key {
		case HeaderLSN:
			ev.position.CommitLSN, err = undrop.ParseLSN(string(h.Value))
			lsn = true
		case HeaderSeq:
			ev.position.Seq, err = strconv.ParseInt(string(h.Value), 10, 64)
			seq = true
		case HeaderAt:
			ev.at, err = strconv.ParseInt(string(h.Value), 10, 64)
			at = true
		case HeaderNull:
			ev.nulls, err = parseJSONNames(h.Value)
		case HeaderOp:
			if len(h.Value) != 1 || !slices.Contains([]byte("rcudt"), h.Value[0]) {
				return ev, &Malformed{Reason: "header " + HeaderOp + ": none of r, c, u, d, t"}
			}
			ev.op = undrop.Op(h.Value[0])
		}
		if err != nil {
			return ev, &Malformed{Reason: fmt.Sprintf("header %s: %v", h.Key, err)}
		}
	}
	switch {
	case !lsn:
		return ev, &Malformed{Reason: "header " + HeaderLSN + " is missing"}
	case !seq:
		return ev, &Malformed{Reason: "header " + HeaderSeq + " is missing"}
	case !at:
		return ev, &Malformed{Reason: "header " + HeaderAt + " is missing"}
	}
	return ev, nil
}

func (d *EventDecoder) columns(b *batch.Batch, rec *kgo.Record, nulls []string) error {
	for i := range b.Cols {
		var v []byte
		var ok bool
		switch i {
		case d.key:
			v, ok = rec.Key, !slices.Contains(nulls, outboxKey)
		case d.payload:
			v, ok = rec.Value, !slices.Contains(nulls, outboxPayload)
		default:
			h := slices.IndexFunc(rec.Headers, func(h kgo.RecordHeader) bool { return h.Key == d.header[i] })
			if ok = h >= 0; ok {
				v = rec.Headers[h].Value
			}
		}
		if !ok {
			b.Cols[i].AppendNull()
			continue
		}
		if reason := d.text.bare(&b.Cols[i], v); reason != "" {
			return &Malformed{Column: d.table.Fields[i].Name, Reason: reason}
		}
	}
	return nil
}

// bare appends a value from the text that appendText writes.
func (s *scanner) bare(c *batch.Column, v []byte) (reason string) {
	switch c.Type.Kind {
	case undrop.String:
		if !validText(v) {
			return "text that is not UTF-8, or with U+0000"
		}
		c.AppendBytes(v)
	case undrop.Binary:
		c.AppendBytes(v)
	case undrop.Bool, undrop.List, undrop.Map, undrop.Struct:
		s.p, s.i, s.reason, s.column = v, 0, "", ""
		s.value(c)
		s.end()
		s.p = nil
		return s.reason
	default:
		return parseText(c, v)
	}
	return ""
}
