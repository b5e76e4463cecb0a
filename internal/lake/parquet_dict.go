package lake

import (
	"errors"
	"fmt"
	"hash/maphash"
	"math/bits"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
)

const (
	dictEntries = 4096
	dictBytes   = 256 << 10
	dictSample  = 4096 // values after which a column has shown what it is like
)

// dictionary collects the values of one leaf of one row group. Parquet needs the
// whole dictionary before the first value, so rows wait as indices; when the
// values turn out to be too many, they are written plainly after all.
type dictionary struct {
	lf    *leaf
	idx   []int32 // one per row; 0 where it is null
	def   []int16 // of an optional leaf
	nulls int

	ints  []int64 // the entries of an integer leaf
	off   []int32 // of a bytes leaf: entries lie in data
	data  []byte
	slots []int32 // hash table of entry numbers from 1
	last  int32
}

var dictSeed = maphash.MakeSeed()

// dictionaries keeps the memory of dictionaries from file to file.
var dictionaries = sync.Pool{New: func() any { return &dictionary{} }}

func newDictionary(lf *leaf) *dictionary {
	d := dictionaries.Get().(*dictionary)
	d.lf = lf
	d.reset()
	return d
}

func (d *dictionary) reset() {
	d.idx, d.def, d.nulls, d.last = d.idx[:0], d.def[:0], 0, -1
	d.ints, d.data = d.ints[:0], d.data[:0]
	d.off = append(d.off[:0], 0)
	if d.slots == nil {
		d.slots = make([]int32, 64)
	}
	clear(d.slots)
}

func (d *dictionary) entries() int {
	if d.lf.phys == phys64 {
		return len(d.ints)
	}
	return len(d.off) - 1
}

// unlike reports whether the first values of a run are nearly all different. It
// spares most text columns the search in a dictionary.
func (d *dictionary) unlike(v *values) bool {
	const sample = 512
	if len(d.idx) > 0 || v.n-v.nulls < sample {
		return false
	}
	for i := range sample {
		if d.lf.phys == phys64 {
			d.intEntry(v.i64[i])
		} else {
			d.bytesEntry(v.data[v.off[i]:v.off[i+1]])
		}
	}
	return d.entries() > sample*3/4
}

// add takes in a run of values.
func (d *dictionary) add(v *values) {
	d.nulls += v.nulls
	if v.def != nil {
		d.def = append(d.def, v.def...)
	}
	next := 0
	for i := range v.n {
		if v.nulls > 0 && v.def[i] == 0 {
			d.idx = append(d.idx, 0)
			continue
		}
		var e int32
		if d.lf.phys == phys64 {
			e = d.intEntry(v.i64[next])
		} else {
			e = d.bytesEntry(v.data[v.off[next]:v.off[next+1]])
		}
		next++
		d.idx = append(d.idx, e)
	}
}

// repeat takes in n times the same value.
func (d *dictionary) repeat(value string, n int) {
	e := d.bytesEntry([]byte(value))
	for range n {
		d.idx = append(d.idx, e)
	}
}

func (d *dictionary) intEntry(x int64) int32 {
	if d.last >= 0 && d.ints[d.last] == x {
		return d.last
	}
	mask := uint64(len(d.slots) - 1)
	hi, lo := bits.Mul64(uint64(x)^0x9e3779b97f4a7c15, 0xa0761d6478bd642f)
	for at := (hi ^ lo) & mask; ; at = (at + 1) & mask {
		e := d.slots[at] - 1
		if e < 0 {
			d.ints = append(d.ints, x)
			d.last = int32(len(d.ints) - 1)
			d.slots[at] = d.last + 1
			d.grow()
			return d.last
		}
		if d.ints[e] == x {
			d.last = e
			return e
		}
	}
}

func (d *dictionary) bytesEntry(x []byte) int32 {
	if d.last >= 0 && string(d.entry(d.last)) == string(x) {
		return d.last
	}
	mask := uint64(len(d.slots) - 1)
	for at := maphash.Bytes(dictSeed, x) & mask; ; at = (at + 1) & mask {
		e := d.slots[at] - 1
		if e < 0 {
			d.data = append(d.data, x...)
			d.off = append(d.off, int32(len(d.data)))
			d.last = int32(len(d.off) - 2)
			d.slots[at] = d.last + 1
			d.grow()
			return d.last
		}
		if string(d.entry(e)) == string(x) {
			d.last = e
			return e
		}
	}
}

func (d *dictionary) entry(e int32) []byte { return d.data[d.off[e]:d.off[e+1]] }

// grow keeps half of the slots free.
func (d *dictionary) grow() {
	n := d.entries()
	if 2*n < len(d.slots) {
		return
	}
	d.slots = make([]int32, 4*len(d.slots))
	mask := uint64(len(d.slots) - 1)
	for e := range n {
		var at uint64
		if d.lf.phys == phys64 {
			hi, lo := bits.Mul64(uint64(d.ints[e])^0x9e3779b97f4a7c15, 0xa0761d6478bd642f)
			at = (hi ^ lo) & mask
		} else {
			at = maphash.Bytes(dictSeed, d.entry(int32(e))) & mask
		}
		for d.slots[at] != 0 {
			at = (at + 1) & mask
		}
		d.slots[at] = int32(e + 1)
	}
}

// hopeless reports whether the leaf has too many different values for a
// dictionary, now and in the row groups to come.
func (d *dictionary) hopeless() bool {
	n, values := d.entries(), len(d.idx)-d.nulls
	return n > dictEntries || len(d.data) > dictBytes || values >= dictSample && 4*n > values
}

// flush writes the row group's values, with a dictionary if that pays.
func (d *dictionary) flush(w file.ColumnChunkWriter, v *values) error {
	if n := d.entries(); n == 0 || 2*n > len(d.idx)-d.nulls {
		w.FallbackToPlain()
		return d.plain(w, v)
	}
	return d.always(w)
}

// always writes the row group's values with a dictionary.
func (d *dictionary) always(w file.ColumnChunkWriter) error {
	enc, ok := w.CurrentEncoder().(interface{ PutDictionary(arrow.Array) error })
	if !ok {
		return errors.New("the column has no dictionary")
	}
	dict := d.array()
	defer dict.Release()
	if err := enc.PutDictionary(dict); err != nil {
		return fmt.Errorf("put dictionary: %w", err)
	}
	d.stats(w)
	idx := array.NewInt32Data(array.NewData(arrow.PrimitiveTypes.Int32, len(d.idx),
		[]*memory.Buffer{d.valid(), memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(d.idx))}, nil, d.nulls, 0))
	defer idx.Release()
	var def []int16
	if !d.lf.required {
		def = d.def
	}
	if err := w.WriteDictIndices(idx, def, nil); err != nil {
		return fmt.Errorf("write dictionary indices: %w", err)
	}
	return nil
}

func (d *dictionary) array() arrow.Array {
	if d.lf.phys == phys64 {
		return array.NewInt64Data(array.NewData(arrow.PrimitiveTypes.Int64, len(d.ints),
			[]*memory.Buffer{nil, memory.NewBufferBytes(arrow.Int64Traits.CastToBytes(d.ints))}, nil, 0, 0))
	}
	return array.NewBinaryData(array.NewData(arrow.BinaryTypes.Binary, d.entries(),
		[]*memory.Buffer{nil, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(d.off)), memory.NewBufferBytes(d.data)}, nil, 0, 0))
}

// valid is the bitmap of rows that are not null, nil if all are.
func (d *dictionary) valid() *memory.Buffer {
	if d.nulls == 0 {
		return nil
	}
	bitmap := make([]byte, (len(d.def)+7)/8)
	for i, l := range d.def {
		bitmap[i/8] |= byte(l) << (i % 8)
	}
	return memory.NewBufferBytes(bitmap)
}

// stats fills the page statistics, which indices alone do not.
func (d *dictionary) stats(w file.ColumnChunkWriter) {
	st := w.PageStatistics()
	if st == nil {
		return
	}
	switch st := st.(type) {
	case *metadata.Int64Statistics:
		st.SetMinMax(span(d.ints))
	case *metadata.ByteArrayStatistics:
		lo, hi := d.entry(0), d.entry(0)
		for e := range int32(d.entries()) {
			if x := d.entry(e); string(x) < string(lo) {
				lo = x
			} else if string(x) > string(hi) {
				hi = x
			}
		}
		st.SetMinMax(parquet.ByteArray(lo), parquet.ByteArray(hi))
	}
	st.IncNulls(int64(d.nulls))
	st.IncNumValues(int64(len(d.idx) - d.nulls))
}

// plain writes the values that waited, without a dictionary.
func (d *dictionary) plain(w file.ColumnChunkWriter, v *values) error {
	for from := 0; from < len(d.idx); from += chunkRows {
		idx := d.idx[from:min(from+chunkRows, len(d.idx))]
		v.n, v.def, v.rep = len(idx), nil, nil
		if !d.lf.required {
			v.def = d.def[from : from+len(idx)]
		}
		v.i64Buf, v.dataBuf, v.offBuf = v.i64Buf[:0], v.dataBuf[:0], append(v.offBuf[:0], 0)
		for i, e := range idx {
			switch {
			case v.def != nil && v.def[i] == 0:
			case d.lf.phys == phys64:
				v.i64Buf = append(v.i64Buf, d.ints[e])
			default:
				v.dataBuf = append(v.dataBuf, d.entry(e)...)
				v.offBuf = append(v.offBuf, int32(len(v.dataBuf)))
			}
		}
		v.i64, v.data, v.off = v.i64Buf, v.dataBuf, v.offBuf
		if err := v.write(d.lf, w); err != nil {
			return err
		}
	}
	return nil
}

// observe takes the entries into the statistics of the file.
func (d *dictionary) observe(st *leafStats) {
	st.count += int64(len(d.idx))
	st.nulls += int64(d.nulls)
	if d.entries() == 0 {
		return
	}
	if d.lf.phys == phys64 {
		st.addInt(span(d.ints))
		return
	}
	for e := range int32(d.entries()) {
		st.addBytes(d.entry(e))
	}
}
