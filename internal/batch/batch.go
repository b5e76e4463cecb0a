// Package batch holds rows in columns, typed by a contract. Every hot stage
// (COPY decoder, pgoutput decoder, envelope, contract check, Parquet writer)
// reads or fills the same buffers, so a value is converted once and a row costs
// no allocation. It knows no source, no log and no file format.
package batch

import (
	undrop "github.com/undrop/undrop"
)

// Batch is a run of changes of one table. Columns are parallel to Table.Fields,
// the change columns (Op, LSN, Seq, At) to the rows. A batch is not safe for
// concurrent use.
type Batch struct {
	Table *undrop.Table
	Cols  []Column

	Op  []undrop.Op
	LSN []undrop.LSN
	Seq []int64
	At  []int64 // source commit time, microseconds since 1970-01-01T00:00:00Z

	// What few rows have is kept aside, by row.
	Bad       map[int][]undrop.Violation // values that the contracted type cannot hold, then broken rules; the cell is null
	Unchanged map[int][]int              // columns whose TOASTed value the source did not send; the cell is null and means "as before"
	PrevKey   map[int][]byte             // Create after a key change: the key (AppendKey) that holds the unchanged values
	Raw       map[int]string             // the row as a JSON object of the source's own text values, for a row that could not be decoded
}

// Column is one typed column. Exactly one representation is used, see
// undrop.Kind: Ints for fixed kinds, Off+Data for bytes, Off+Elem (and Key for a
// map) for lists and maps, Fields for structs. A null row has a zero in Ints or
// an empty span in Off.
type Column struct {
	Type   undrop.Type
	Null   []bool // one per row
	Nulls  int    // how many are true
	Ints   []int64
	Off    []uint32 // rows+1 offsets into Data or Elem
	Data   []byte
	Key    *Column
	Elem   *Column
	Fields []Column
}

// New makes an empty batch for t.
func New(t *undrop.Table) *Batch {
	b := &Batch{Table: t, Cols: make([]Column, len(t.Fields))}
	for i, f := range t.Fields {
		b.Cols[i] = NewColumn(f.Type)
	}
	return b
}

// NewColumn makes an empty column of type t.
func NewColumn(t undrop.Type) Column {
	c := Column{Type: t}
	if !t.Fixed() && t.Kind != undrop.Struct {
		c.Off = append(c.Off, 0)
	}
	if t.Key != nil {
		k := NewColumn(*t.Key)
		c.Key = &k
	}
	if t.Elem != nil {
		e := NewColumn(*t.Elem)
		c.Elem = &e
	}
	for _, f := range t.Fields {
		c.Fields = append(c.Fields, NewColumn(f.Type))
	}
	return c
}

// Len is the number of rows.
func (b *Batch) Len() int { return len(b.Op) }

// Bytes estimates the memory that the batch's rows take.
func (b *Batch) Bytes() int {
	n := 25 * len(b.Op)
	for i := range b.Cols {
		n += b.Cols[i].bytes()
	}
	for _, raw := range b.Raw {
		n += len(raw)
	}
	return n
}

func (c *Column) bytes() int {
	n := len(c.Null) + 8*len(c.Ints) + 4*len(c.Off) + len(c.Data)
	if c.Key != nil {
		n += c.Key.bytes()
	}
	if c.Elem != nil {
		n += c.Elem.bytes()
	}
	for i := range c.Fields {
		n += c.Fields[i].bytes()
	}
	return n
}

// Reset empties the batch and keeps its memory.
func (b *Batch) Reset() {
	for i := range b.Cols {
		b.Cols[i].Reset()
	}
	b.Op, b.LSN, b.Seq, b.At = b.Op[:0], b.LSN[:0], b.Seq[:0], b.At[:0]
	clear(b.Bad)
	clear(b.Unchanged)
	clear(b.PrevKey)
	clear(b.Raw)
}

// Reset empties the column and keeps its memory.
func (c *Column) Reset() {
	c.Null, c.Nulls, c.Ints, c.Data = c.Null[:0], 0, c.Ints[:0], c.Data[:0]
	if len(c.Off) > 0 {
		c.Off = c.Off[:1]
	}
	if c.Key != nil {
		c.Key.Reset()
	}
	if c.Elem != nil {
		c.Elem.Reset()
	}
	for i := range c.Fields {
		c.Fields[i].Reset()
	}
}

// AddRow completes a row whose cells have been appended to every column.
func (b *Batch) AddRow(op undrop.Op, p undrop.Position, at int64) {
	b.Op = append(b.Op, op)
	b.LSN = append(b.LSN, p.CommitLSN)
	b.Seq = append(b.Seq, p.Seq)
	b.At = append(b.At, at)
}

// Position of row i.
func (b *Batch) Position(i int) undrop.Position {
	return undrop.Position{CommitLSN: b.LSN[i], Seq: b.Seq[i]}
}

// AddBad notes a violation of row i; i may be the row that is being appended.
func (b *Batch) AddBad(i int, v undrop.Violation) {
	if b.Bad == nil {
		b.Bad = map[int][]undrop.Violation{}
	}
	if len(v.Actual) > 256 {
		v.Actual = v.Actual[:256]
	}
	b.Bad[i] = append(b.Bad[i], v)
}

// AddUnchanged notes that column c of row i was not sent.
func (b *Batch) AddUnchanged(i, c int) {
	if b.Unchanged == nil {
		b.Unchanged = map[int][]int{}
	}
	b.Unchanged[i] = append(b.Unchanged[i], c)
}

// SetPrevKey notes the key under which row i was known before.
func (b *Batch) SetPrevKey(i int, key []byte) {
	if b.PrevKey == nil {
		b.PrevKey = map[int][]byte{}
	}
	b.PrevKey[i] = key
}

// SetRaw keeps the source's own text of row i.
func (b *Batch) SetRaw(i int, raw string) {
	if b.Raw == nil {
		b.Raw = map[int]string{}
	}
	b.Raw[i] = raw
}

// Rows is the number of rows that have been appended to the column.
func (c *Column) Rows() int { return len(c.Null) }

// AppendNull appends a null.
func (c *Column) AppendNull() {
	c.Null = append(c.Null, true)
	c.Nulls++
	switch {
	case c.Type.Kind == undrop.Struct:
		for i := range c.Fields {
			c.Fields[i].AppendNull()
		}
	case c.Type.Fixed():
		c.Ints = append(c.Ints, 0)
	default:
		c.Off = append(c.Off, c.Off[len(c.Off)-1])
	}
}

// AppendInt appends a value of a fixed kind.
func (c *Column) AppendInt(v int64) {
	c.Null = append(c.Null, false)
	c.Ints = append(c.Ints, v)
}

// AppendBytes appends a copy of v to a column of a byte kind.
func (c *Column) AppendBytes(v []byte) {
	c.Null = append(c.Null, false)
	c.Data = append(c.Data, v...)
	c.Off = append(c.Off, uint32(len(c.Data)))
}

// AppendString is AppendBytes for a string.
func (c *Column) AppendString(v string) {
	c.Null = append(c.Null, false)
	c.Data = append(c.Data, v...)
	c.Off = append(c.Off, uint32(len(c.Data)))
}

// EndData completes a byte value whose bytes the caller appended to Data.
func (c *Column) EndData() {
	c.Null = append(c.Null, false)
	c.Off = append(c.Off, uint32(len(c.Data)))
}

// EndList completes a list or map whose children were appended to Elem (and Key).
func (c *Column) EndList() {
	c.Null = append(c.Null, false)
	c.Off = append(c.Off, uint32(c.Elem.Rows()))
}

// EndStruct completes a struct whose Fields were each appended to.
func (c *Column) EndStruct() { c.Null = append(c.Null, false) }

// Bytes is the value of row i of a byte column; valid until the next append.
func (c *Column) Bytes(i int) []byte { return c.Data[c.Off[i]:c.Off[i+1]] }

// AppendFrom appends row i of src, a column of the same type.
func (c *Column) AppendFrom(src *Column, i int) {
	if src.Null[i] {
		c.AppendNull()
		return
	}
	switch c.Type.Kind {
	case undrop.List, undrop.Map:
		for j := src.Off[i]; j < src.Off[i+1]; j++ {
			if c.Key != nil {
				c.Key.AppendFrom(src.Key, int(j))
			}
			c.Elem.AppendFrom(src.Elem, int(j))
		}
		c.EndList()
	case undrop.Struct:
		for f := range c.Fields {
			c.Fields[f].AppendFrom(&src.Fields[f], i)
		}
		c.EndStruct()
	default:
		if c.Type.Fixed() {
			c.AppendInt(src.Ints[i])
		} else {
			c.AppendBytes(src.Bytes(i))
		}
	}
}

// Truncate drops every row from n on.
func (c *Column) Truncate(n int) {
	for _, null := range c.Null[n:] {
		if null {
			c.Nulls--
		}
	}
	c.Null = c.Null[:n]
	switch {
	case c.Type.Kind == undrop.Struct:
		for i := range c.Fields {
			c.Fields[i].Truncate(n)
		}
	case c.Type.Fixed():
		c.Ints = c.Ints[:n]
	default:
		c.Off = c.Off[:n+1]
		if c.Elem == nil {
			c.Data = c.Data[:c.Off[n]]
			return
		}
		c.Elem.Truncate(int(c.Off[n]))
		if c.Key != nil {
			c.Key.Truncate(int(c.Off[n]))
		}
	}
}

// Truncate drops every row from n on, with everything that is known about it.
func (b *Batch) Truncate(n int) {
	for i := n; i < b.Len(); i++ {
		delete(b.Bad, i)
		delete(b.Unchanged, i)
		delete(b.PrevKey, i)
		delete(b.Raw, i)
	}
	for c := range b.Cols {
		b.Cols[c].Truncate(n)
	}
	b.Op, b.LSN, b.Seq, b.At = b.Op[:n], b.LSN[:n], b.Seq[:n], b.At[:n]
}

// AppendRow appends row i of src, a batch of the same table, with everything
// that is known about it.
func (b *Batch) AppendRow(src *Batch, i int) {
	at := b.Len()
	for c := range b.Cols {
		b.Cols[c].AppendFrom(&src.Cols[c], i)
	}
	b.AddRow(src.Op[i], src.Position(i), src.At[i])
	for _, v := range src.Bad[i] {
		b.AddBad(at, v)
	}
	for _, c := range src.Unchanged[i] {
		b.AddUnchanged(at, c)
	}
	if k, ok := src.PrevKey[i]; ok {
		b.SetPrevKey(at, k)
	}
	if raw, ok := src.Raw[i]; ok {
		b.SetRaw(at, raw)
	}
}
