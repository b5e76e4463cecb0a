package postgres

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// Drift is a relation that does not, or no longer, fit its contract.
type Drift struct {
	Table    *undrop.Table
	Reason   string
	Position undrop.LSN // commit LSN of the first transaction whose rows are affected; 0 outside the stream
}

// Error is the reason.
func (d *Drift) Error() string { return d.Reason }

// TextDecoder fills batches of one contracted table from pgoutput's text tuples.
// It is not safe for concurrent use.
type TextDecoder struct {
	table  *undrop.Table
	cols   []RelColumn
	from   []int    // for each field, which column; -1 in a drifted relation
	codecs []codec  // for each field
	byCol  []*codec // for each column, nil where no field needs it
	isKey  []bool   // for each field
	drift  *Drift   // rows come as raw rows
	x      scratch
	cells  []cell
}

// NewTextDecoder compiles a decoder for the columns of a RELATION message. The
// error is a *Drift when the relation does not fit the contract.
func NewTextDecoder(t *undrop.Table, cols []RelColumn) (*TextDecoder, error) {
	d := newTextDecoder(t, cols)
	if d.drift != nil {
		return nil, d.drift
	}
	return d, nil
}

// newTextDecoder always makes a decoder; where the relation does not fit, it is
// one of raw rows, with the key as far as that still fits.
func newTextDecoder(t *undrop.Table, cols []RelColumn) *TextDecoder {
	d := &TextDecoder{table: t, cols: cols, from: make([]int, len(t.Fields)), codecs: make([]codec, len(t.Fields)),
		byCol: make([]*codec, len(cols)), isKey: make([]bool, len(t.Fields))}
	var reasons []string
	for i, f := range t.Fields {
		d.isKey[i] = t.IsKey(i)
		d.from[i] = -1
		name := sourceName(f)
		for j, c := range cols {
			if c.Name != name {
				continue
			}
			var err error
			if d.codecs[i], err = newCodec(f, c.form()); err != nil {
				reasons = append(reasons, fmt.Sprintf("column %s: %v", name, err))
				break
			}
			d.from[i], d.byCol[j] = j, &d.codecs[i]
		}
		if d.from[i] < 0 && (len(reasons) == 0 || !strings.HasPrefix(reasons[len(reasons)-1], "column "+name+":")) {
			reasons = append(reasons, "column "+name+" is gone")
		}
	}
	if reasons != nil {
		d.drift = &Drift{Table: t, Reason: strings.Join(reasons, "; ")}
	}
	return d
}

var errMessage = errors.New("pgoutput message is cut off")

// Append appends the cells of one TupleData; the caller completes the row with
// AddRow.
func (d *TextDecoder) Append(b *batch.Batch, tuple []byte) error {
	cells, _, err := tupleCells(d.cells[:0], tuple)
	d.cells = cells
	if err != nil {
		return err
	}
	if len(cells) != len(d.cols) {
		return fmt.Errorf("tuple of %s has %d columns for %d", d.table.SourceRelation(), len(cells), len(d.cols))
	}
	d.append(b, cells, nil, 0, false)
	return nil
}

// append appends the cells of one row. What the new tuple leaves out as
// unchanged is taken from the old one where that has it: its key columns (kind K)
// or all (kind O). With keyOnly, only the key must be carried; the rest is null
// where it cannot.
func (d *TextDecoder) append(b *batch.Batch, new, old []cell, oldKind byte, keyOnly bool) {
	row, bad := b.Len(), false
	if d.drift != nil {
		d.appendDrifted(b, new, old, oldKind)
		return
	}
	for i := range d.codecs {
		j := d.from[i]
		v, col := &new[j], &b.Cols[i]
		if v.kind == 'u' && old != nil && (oldKind == 'O' || d.cols[j].Key) {
			v = &old[j]
		}
		switch v.kind {
		case 't':
			if d.codecs[i].appendText(col, v.v, &d.x) {
				continue
			}
			col.AppendNull()
			if keyOnly && !d.isKey[i] {
				continue
			}
			b.AddBad(row, undrop.Violation{Rule: d.x.rule, Path: d.table.Fields[i].Name + d.x.path, Actual: d.x.actual, Detail: d.x.detail})
			bad = true
		case 'u':
			col.AppendNull()
			if d.isKey[i] {
				b.AddBad(row, undrop.Violation{Rule: "key.unchanged", Path: d.table.Fields[i].Name, Detail: "a key that the source sends"})
				bad = true
			}
			b.AddUnchanged(row, i)
		default:
			col.AppendNull()
		}
	}
	if bad {
		b.SetRaw(row, d.raw(new, old, oldKind))
	}
}

// appendDrifted appends a raw row.
func (d *TextDecoder) appendDrifted(b *batch.Batch, new, old []cell, oldKind byte) {
	row := b.Len()
	for i := range d.codecs {
		col := &b.Cols[i]
		if j := d.from[i]; j >= 0 && d.isKey[i] {
			v := &new[j]
			if v.kind == 'u' && old != nil {
				v = &old[j]
			}
			if v.kind == 't' && d.codecs[i].appendText(col, v.v, &d.x) {
				continue
			}
		}
		col.AppendNull()
	}
	b.AddBad(row, undrop.Violation{Rule: "schema.drift", Detail: d.drift.Reason})
	b.SetRaw(row, d.raw(new, old, oldKind))
}

// raw is the raw form of a row: of the contracted columns, or of all when the
// relation drifted.
func (d *TextDecoder) raw(new, old []cell, oldKind byte) string {
	dst := []byte{'{'}
	one := func(j int) {
		v := new[j]
		if v.kind == 'u' && old != nil && (oldKind == 'O' || d.cols[j].Key) {
			v = old[j]
		}
		if v.kind == 'u' {
			return
		}
		dst = appendRawName(dst, d.cols[j].Name)
		if v.kind == 't' {
			dst = d.byCol[j].appendRaw(dst, v.v, &d.x)
		} else {
			dst = append(dst, "null"...)
		}
	}
	if d.drift != nil {
		for j := range d.cols {
			one(j)
		}
	} else {
		for _, j := range d.from {
			one(j)
		}
	}
	return string(append(dst, '}'))
}

// keyChanged reports whether an update moved the row to another key.
func (d *TextDecoder) keyChanged(new, old []cell, oldKind byte) bool {
	for _, k := range d.table.Key {
		j := d.from[k]
		if j < 0 || new[j].kind == 'u' || oldKind != 'O' && !d.cols[j].Key {
			continue
		}
		if new[j].kind != old[j].kind || string(new[j].v) != string(old[j].v) {
			return true
		}
	}
	return false
}

// tupleCells reads one TupleData; the values stay where they are.
func tupleCells(dst []cell, b []byte) (cells []cell, rest []byte, err error) {
	if len(b) < 2 {
		return dst, nil, errMessage
	}
	n := int(binary.BigEndian.Uint16(b))
	at := 2
	for range n {
		if at >= len(b) {
			return dst, nil, errMessage
		}
		kind := b[at]
		at++
		switch kind {
		case 'n', 'u':
			dst = append(dst, cell{kind: kind})
		case 't':
			if len(b)-at < 4 {
				return dst, nil, errMessage
			}
			size := int(binary.BigEndian.Uint32(b[at:]))
			at += 4
			if len(b)-at < size {
				return dst, nil, errMessage
			}
			dst = append(dst, cell{'t', b[at : at+size]})
			at += size
		default:
			return dst, nil, fmt.Errorf("tuple holds a value of kind %q", kind)
		}
	}
	return dst, b[at:], nil
}

// cursor reads the fields of a message; after the end it reads zeros and is bad.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) take(n int) []byte {
	if len(c.b) < n {
		c.b, c.bad = nil, true
		return make([]byte, n)
	}
	v := c.b[:n]
	c.b = c.b[n:]
	return v
}

func (c *cursor) byte() byte     { return c.take(1)[0] }
func (c *cursor) uint16() uint16 { return binary.BigEndian.Uint16(c.take(2)) }
func (c *cursor) uint32() uint32 { return binary.BigEndian.Uint32(c.take(4)) }
func (c *cursor) uint64() uint64 { return binary.BigEndian.Uint64(c.take(8)) }
func (c *cursor) lsn() undrop.LSN {
	return undrop.LSN(c.uint64())
}

func (c *cursor) text() string {
	for i, ch := range c.b {
		if ch == 0 {
			s := string(c.b[:i])
			c.b = c.b[i+1:]
			return s
		}
	}
	c.b, c.bad = nil, true
	return ""
}

// micros reads a time of the server, as microseconds since 1970.
func (c *cursor) micros() int64 { return int64(c.uint64()) + epochShift }

func timeOf(micros int64) time.Time { return time.UnixMicro(micros).UTC() }
