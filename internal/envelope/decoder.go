package envelope

import (
	"encoding/binary"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// Decoder reads the records of one table into batches. It compiles a plan for
// each writer schema that it meets and is not safe for concurrent use.
type Decoder struct {
	table  *undrop.Table
	format Format
	schema func(id int) (string, error)
	plans  map[uint32]*plan
	last   *plan // the plan of lastID; most records have the schema of the one before
	lastID uint32
	wire   reader
	text   scanner
}

// NewDecoder makes a decoder. schema gives the text of a registered schema; a
// failure of it is reported as *UnknownSchema and asked again with the next
// record. JSON does not use it.
func NewDecoder(t *undrop.Table, f Format, schema func(id int) (string, error)) *Decoder {
	return &Decoder{table: t, format: f, schema: schema, plans: map[uint32]*plan{}}
}

// change is what an envelope says beside the values.
type change struct {
	op            undrop.Op
	at, lsn, seq  int64
	hasAt         bool
	hasLSN        bool
	hasSeq        bool
	before, after bool // which of them is not null; the columns hold after if both
}

// Decode appends one row to b, a batch of the decoder's table, or nothing if it
// fails. The key only repeats columns of the value and is not read.
//
// Errors are ErrTombstone (skip the record), *Malformed (put this record into
// quarantine), *Incompatible and *UnknownSchema (halt the table).
func (d *Decoder) Decode(b *batch.Batch, key, value []byte, headers []kgo.RecordHeader) error {
	if value == nil {
		return ErrTombstone
	}
	row := b.Len()
	var c change
	var err error
	if d.format == JSON {
		err = d.decodeJSON(&c, b, value)
	} else {
		err = d.decodeAvro(&c, b, value)
	}
	if err == nil {
		err = c.check()
	}
	if err == nil {
		if !c.before && !c.after {
			for i := range b.Cols {
				b.Cols[i].AppendNull()
			}
		}
		if len(headers) > 0 {
			err = readAside(headers).apply(b, row)
		}
	}
	if err != nil {
		truncate(b, row)
		return err
	}
	b.AddRow(c.op, undrop.Position{CommitLSN: undrop.LSN(c.lsn), Seq: c.seq}, c.at)
	return nil
}

// truncate drops what an unfinished row left in the columns.
func truncate(b *batch.Batch, row int) {
	for i := range b.Cols {
		b.Cols[i].Truncate(row)
	}
}

// check refuses an envelope whose parts do not fit together.
func (c *change) check() error {
	switch c.op {
	case undrop.Read, undrop.Create, undrop.Update:
		if !c.after {
			return &Malformed{Reason: fmt.Sprintf("op %s without after", c.op)}
		}
	case undrop.Delete:
		if !c.before || c.after {
			return &Malformed{Reason: "op d needs before and no after"}
		}
	case undrop.Truncate:
		if c.before || c.after {
			return &Malformed{Reason: "op t with values"}
		}
	default:
		return &Malformed{Reason: "the op is none of r, c, u, d, t"}
	}
	switch {
	case !c.hasAt:
		return &Malformed{Reason: "source.ts_us is missing"}
	case !c.hasLSN:
		return &Malformed{Reason: "source.lsn is missing"}
	case !c.hasSeq:
		return &Malformed{Reason: "source.seq is missing"}
	}
	return nil
}

func (d *Decoder) decodeAvro(c *change, b *batch.Batch, value []byte) error {
	if len(value) < 5 || value[0] != 0 {
		return &Malformed{Reason: "the value has no schema id"}
	}
	id := binary.BigEndian.Uint32(value[1:])
	if d.last == nil || id != d.lastID {
		p, err := d.plan(id)
		if err != nil {
			return err
		}
		d.last, d.lastID = p, id
	}
	r := &d.wire
	r.p, r.i, r.reason, r.column = value, 5, "", ""
	d.last.run(r, c, b)
	r.p = nil
	if r.reason != "" {
		return &Malformed{Column: r.column, Reason: r.reason}
	}
	return nil
}

// plan finds or makes the plan of a schema.
func (d *Decoder) plan(id uint32) (*plan, error) {
	if p := d.plans[id]; p != nil {
		return p, nil
	}
	if d.schema == nil {
		return nil, &UnknownSchema{ID: int(id), Err: fmt.Errorf("no registry to ask")}
	}
	text, err := d.schema(int(id))
	if err != nil {
		return nil, &UnknownSchema{ID: int(id), Err: err}
	}
	p, err := compilePlan(int(id), text, d.table)
	if err != nil {
		return nil, err
	}
	d.plans[id] = p
	return p, nil
}
