package lake

import (
	"errors"
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/parquet/file"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// chunkRows is how many rows go through the columns at once: the values of a
// column stay in the cache.
const chunkRows = 8192

// selection is n rows of a batch: rows, or from the row from on if rows is nil.
type selection struct {
	from, n int
	rows    []int32
}

// slice is rows [from, from+n) of s. Rows that follow each other become a range,
// which needs no gathering.
func (s selection) slice(from, n int) selection {
	if s.rows == nil {
		return selection{from: s.from + from, n: n}
	}
	rows := s.rows[from : from+n]
	for i, r := range rows {
		if r != rows[0]+int32(i) {
			return selection{n: n, rows: rows}
		}
	}
	return selection{from: int(rows[0]), n: n}
}

// values is a run of one leaf, ready for Parquet: levels for every row (or item),
// and the values that are not null, in the one slice that the leaf's type uses.
type values struct {
	n        int // levels
	nulls    int
	def, rep []int16 // nil where the leaf has no such levels

	bools   []bool
	i32     []int32
	i64     []int64
	floats  []float32
	doubles []float64
	data    []byte  // of bytes and fixed values
	off     []int32 // of bytes values: one more than there are

	// Memory for the above, which may also alias a batch.
	defBuf, repBuf []int16
	i64Buf         []int64
	dataBuf        []byte
	offBuf         []int32
}

var errNull = errors.New("a required value is null")

// present are the definition levels of an optional column without nulls.
var present = func() (l [chunkRows]int16) {
	for i := range l {
		l[i] = 1
	}
	return l
}()

// take reads the rows of a flat column.
func (v *values) take(lf *leaf, c *batch.Column, s selection) error {
	v.n, v.rep = s.n, nil
	if err := v.levels(lf, c, s); err != nil {
		return err
	}
	if c.Type.Fixed() {
		v.takeInts(c, s)
		return v.convert(lf)
	}
	if v.takeBytes(c, s); len(v.data) > math.MaxInt32 {
		return errors.New("values of more than 2 GiB in a row of values")
	}
	if lf.phys == physFixed {
		return v.fix(lf)
	}
	return nil
}

// levels sets the definition levels and the number of nulls.
func (v *values) levels(lf *leaf, c *batch.Column, s selection) error {
	v.nulls, v.def = 0, nil
	if c.Nulls == 0 {
		if !lf.required {
			v.def = present[:s.n]
		}
		return nil
	}
	if v.defBuf == nil {
		v.defBuf = make([]int16, chunkRows)
	}
	def := v.defBuf[:s.n]
	if s.rows == nil {
		for i, null := range c.Null[s.from : s.from+s.n] {
			def[i] = 1
			if null {
				def[i] = 0
				v.nulls++
			}
		}
	} else {
		for i, r := range s.rows {
			def[i] = 1
			if c.Null[r] {
				def[i] = 0
				v.nulls++
			}
		}
	}
	if lf.required {
		if v.nulls > 0 {
			return errNull
		}
		return nil
	}
	v.def = def
	return nil
}

// takeInts sets i64 to the values that are not null.
func (v *values) takeInts(c *batch.Column, s selection) {
	if s.rows == nil && v.nulls == 0 {
		v.i64 = c.Ints[s.from : s.from+s.n]
		return
	}
	out := v.i64Buf[:0]
	switch {
	case s.rows == nil:
		for i, x := range c.Ints[s.from : s.from+s.n] {
			if v.def == nil || v.def[i] != 0 {
				out = append(out, x)
			}
		}
	case v.nulls == 0:
		for _, r := range s.rows {
			out = append(out, c.Ints[r])
		}
	default:
		for i, r := range s.rows {
			if v.def[i] != 0 {
				out = append(out, c.Ints[r])
			}
		}
	}
	v.i64, v.i64Buf = out, out
}

// takeBytes sets data and off to the values that are not null.
func (v *values) takeBytes(c *batch.Column, s selection) {
	off := append(v.offBuf[:0], 0)
	if s.rows == nil {
		// A null has no bytes, so the others lie behind each other.
		base := c.Off[s.from]
		v.data = c.Data[base:c.Off[s.from+s.n]]
		ends := c.Off[s.from+1 : s.from+s.n+1]
		if v.nulls == 0 {
			for _, end := range ends {
				off = append(off, int32(end-base))
			}
		} else {
			for i, end := range ends {
				if v.def[i] != 0 {
					off = append(off, int32(end-base))
				}
			}
		}
	} else {
		data := v.dataBuf[:0]
		for i, r := range s.rows {
			if v.nulls == 0 || v.def[i] != 0 {
				data = append(data, c.Data[c.Off[r]:c.Off[r+1]]...)
				off = append(off, int32(len(data)))
			}
		}
		v.data, v.dataBuf = data, data
	}
	v.off, v.offBuf = off, off
}

// convert brings i64 into the leaf's own form. A value that it cannot hold is an
// error: nothing may be cut.
func (v *values) convert(lf *leaf) error {
	switch lf.phys {
	case physBool:
		v.bools = v.bools[:0]
		for _, x := range v.i64 {
			v.bools = append(v.bools, x != 0)
		}
	case phys32:
		v.i32 = v.i32[:0]
		for _, x := range v.i64 {
			if int64(int32(x)) != x {
				return fmt.Errorf("%d does not fit %s", x, lf.typ)
			}
			v.i32 = append(v.i32, int32(x))
		}
	case physFloat:
		v.floats = v.floats[:0]
		for _, x := range v.i64 {
			d := math.Float64frombits(uint64(x))
			f := float32(d)
			if float64(f) != d && d == d {
				return fmt.Errorf("%v does not fit %s", d, lf.typ)
			}
			v.floats = append(v.floats, f)
		}
	case physDouble:
		v.doubles = v.doubles[:0]
		for _, x := range v.i64 {
			v.doubles = append(v.doubles, math.Float64frombits(uint64(x)))
		}
	}
	return nil
}

// fix checks the widths of fixed values and, for decimals, drops the sign bytes
// that the leaf has no room for.
func (v *values) fix(lf *leaf) error {
	n := len(v.off) - 1
	if len(v.data) != 16*n {
		return fmt.Errorf("a %s is not 16 bytes long", lf.typ)
	}
	if lf.width == 16 {
		return nil
	}
	drop := 16 - lf.width
	out := v.dataBuf[:0]
	for i := range n {
		x := v.data[16*i : 16*i+16]
		sign := byte(int8(x[drop]) >> 7)
		for _, b := range x[:drop] {
			if b != sign {
				return fmt.Errorf("a value does not fit %s", lf.typ)
			}
		}
		out = append(out, x[drop:]...) // never overtakes x, should they share memory
	}
	v.data, v.dataBuf = out, out
	return nil
}

// write appends the run to a column chunk.
func (v *values) write(lf *leaf, w file.ColumnChunkWriter) (err error) {
	switch w := w.(type) {
	case *file.BooleanColumnChunkWriter:
		_, err = w.WriteBatch(v.bools, v.def, v.rep)
	case *file.Int32ColumnChunkWriter:
		_, err = w.WriteBatch(v.i32, v.def, v.rep)
	case *file.Int64ColumnChunkWriter:
		_, err = w.WriteBatch(v.i64, v.def, v.rep)
	case *file.Float32ColumnChunkWriter:
		_, err = w.WriteBatch(v.floats, v.def, v.rep)
	case *file.Float64ColumnChunkWriter:
		_, err = w.WriteBatch(v.doubles, v.def, v.rep)
	case *file.ByteArrayColumnChunkWriter:
		_, err = w.WriteBatchArrow(v.data, v.off, v.def, v.rep)
	case *file.FixedLenByteArrayColumnChunkWriter:
		_, err = w.WriteBatchArrow(v.data, v.def, v.rep)
	default:
		err = fmt.Errorf("no writer for %s", lf.typ)
	}
	return err
}

// isNaN reports whether the bits of a float are no number.
func isNaN(bits int64) bool {
	f := math.Float64frombits(uint64(bits))
	return f != f
}

// opNames are the values of the operation column.
var opNames = func() (names [256]string) {
	for i := range names {
		names[i] = undrop.Op(i).String()
	}
	return names
}()
