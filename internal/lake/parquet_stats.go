package lake

import (
	"bytes"
	"encoding/binary"
	"math"
	"unicode/utf8"

	undrop "github.com/undrop/undrop"
)

const (
	boundLength  = 16 // code points of a string bound, bytes of a binary one
	prefixLength = utf8.UTFMax * boundLength
)

// leafStats is what a file's manifest entry says about one leaf. Files are pruned
// by the bounds, so a bound that is too narrow loses rows.
type leafStats struct {
	count, nulls, nans int64

	has        bool // there is a value that is not null and not NaN
	minI, maxI int64
	minF, maxF float64
	min, max   []byte // at most prefixLength bytes
	maxLong    bool   // a value with the prefix max is longer
	min8, max8 uint64
}

// observe takes in a run of values.
func (st *leafStats) observe(lf *leaf, v *values) {
	st.count += int64(v.n)
	st.nulls += int64(v.nulls)
	if lf.maxRep > 0 {
		return // bounds of repeated values mean nothing to readers
	}
	switch lf.phys {
	case physBool:
		for _, b := range v.bools {
			if b {
				st.addInt(1, 1)
			} else {
				st.addInt(0, 0)
			}
		}
	case phys32:
		if len(v.i32) > 0 {
			lo, hi := span(v.i32)
			st.addInt(int64(lo), int64(hi))
		}
	case phys64:
		if len(v.i64) > 0 {
			st.addInt(span(v.i64))
		}
	case physFloat:
		for _, f := range v.floats {
			st.addFloat(float64(f))
		}
	case physDouble:
		for _, f := range v.doubles {
			st.addFloat(f)
		}
	case physBytes:
		for i := range len(v.off) - 1 {
			st.addBytes(v.data[v.off[i]:v.off[i+1]])
		}
	case physFixed:
		for i := 0; i < len(v.data); i += lf.width {
			st.addFixed(lf, v.data[i:i+lf.width])
		}
	}
}

func span[T int32 | int64](v []T) (lo, hi T) {
	lo, hi = v[0], v[0]
	for _, x := range v {
		lo, hi = min(lo, x), max(hi, x)
	}
	return lo, hi
}

func (st *leafStats) addInt(lo, hi int64) {
	if !st.has {
		st.has, st.minI, st.maxI = true, lo, hi
		return
	}
	st.minI, st.maxI = min(st.minI, lo), max(st.maxI, hi)
}

func (st *leafStats) addFloat(f float64) {
	switch {
	case f != f:
		st.nans++
	case !st.has:
		st.has, st.minF, st.maxF = true, f, f
	case f < st.minF:
		st.minF = f
	case f > st.maxF:
		st.maxF = f
	}
}

// addBytes compares eight bytes at first: few values are near a bound.
func (st *leafStats) addBytes(v []byte) {
	p := v[:min(len(v), prefixLength)]
	k := first8(p)
	if !st.has {
		st.has = true
		st.min, st.max = append(st.min[:0], p...), append(st.max[:0], p...)
		st.min8, st.max8, st.maxLong = k, k, len(v) > len(p)
		return
	}
	if k <= st.min8 && bytes.Compare(p, st.min) < 0 {
		st.min, st.min8 = append(st.min[:0], p...), k
	}
	if k < st.max8 {
		return
	}
	switch bytes.Compare(p, st.max) {
	case 1:
		st.max, st.max8, st.maxLong = append(st.max[:0], p...), k, len(v) > len(p)
	case 0:
		st.maxLong = st.maxLong || len(v) > len(p)
	}
}

// first8 orders like the first bytes of p; equal numbers do not mean equal bytes.
func first8(p []byte) uint64 {
	if len(p) >= 8 {
		return binary.BigEndian.Uint64(p)
	}
	var b [8]byte
	copy(b[:], p)
	return binary.BigEndian.Uint64(b[:])
}

func (st *leafStats) addFixed(lf *leaf, v []byte) {
	if !st.has {
		st.has = true
		st.min, st.max = append(st.min[:0], v...), append(st.max[:0], v...)
		return
	}
	if fixedLess(lf, v, st.min) {
		st.min = append(st.min[:0], v...)
	}
	if fixedLess(lf, st.max, v) {
		st.max = append(st.max[:0], v...)
	}
}

// fixedLess orders decimals as numbers, UUIDs as bytes.
func fixedLess(lf *leaf, a, b []byte) bool {
	if lf.typ.Kind == undrop.Decimal && a[0] != b[0] {
		return int8(a[0]) < int8(b[0])
	}
	return bytes.Compare(a, b) < 0
}

// bounds are the bounds of the leaf in Iceberg's single-value form, nil where none
// can be given.
func (st *leafStats) bounds(lf *leaf) (lower, upper []byte) {
	if !st.has {
		return nil, nil
	}
	switch lf.typ.Kind {
	case undrop.Bool:
		return []byte{byte(st.minI)}, []byte{byte(st.maxI)}
	case undrop.Int32, undrop.Date:
		return binary.LittleEndian.AppendUint32(nil, uint32(st.minI)), binary.LittleEndian.AppendUint32(nil, uint32(st.maxI))
	case undrop.Float32:
		lo, hi := zeroes(st.minF, st.maxF)
		return binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(lo))), binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(hi)))
	case undrop.Float64:
		lo, hi := zeroes(st.minF, st.maxF)
		return binary.LittleEndian.AppendUint64(nil, math.Float64bits(lo)), binary.LittleEndian.AppendUint64(nil, math.Float64bits(hi))
	case undrop.Decimal:
		if lf.phys != physFixed {
			return shortDecimal(binary.BigEndian.AppendUint64(nil, uint64(st.minI))), shortDecimal(binary.BigEndian.AppendUint64(nil, uint64(st.maxI)))
		}
		return shortDecimal(bytes.Clone(st.min)), shortDecimal(bytes.Clone(st.max))
	case undrop.String:
		return lowerText(st.min), upperText(st.max, st.maxLong)
	case undrop.Binary:
		return lowerBinary(st.min), upperBinary(st.max, st.maxLong)
	case undrop.UUID:
		return wideUUID(st.min, st.max)
	default:
		return binary.LittleEndian.AppendUint64(nil, uint64(st.minI)), binary.LittleEndian.AppendUint64(nil, uint64(st.maxI))
	}
}

// zeroes covers both zeroes, which are equal but not to every reader.
func zeroes(lo, hi float64) (float64, float64) {
	if lo == 0 {
		lo = math.Copysign(0, -1)
	}
	if hi == 0 {
		hi = 0
	}
	return lo, hi
}

// shortDecimal drops the sign bytes that say nothing.
func shortDecimal(b []byte) []byte {
	for len(b) > 1 && (b[0] == 0 && b[1] < 0x80 || b[0] == 0xff && b[1] >= 0x80) {
		b = b[1:]
	}
	return b
}

// lowerText is the first code points of a string: not greater than it. The empty
// string excludes nothing, and some readers trip over it.
func lowerText(v []byte) []byte {
	if v = codePoints(v); len(v) == 0 {
		return nil
	}
	return bytes.Clone(v)
}

// upperText is the smallest string of so many code points that is not less than v,
// nil if there is none.
func upperText(v []byte, long bool) []byte {
	p := codePoints(v)
	if !utf8.Valid(p) || len(p) == 0 {
		return nil
	}
	if len(p) == len(v) && !long {
		return bytes.Clone(p)
	}
	for len(p) > 0 {
		r, n := utf8.DecodeLastRune(p)
		p = p[:len(p)-n]
		if r++; r == 0xd800 {
			r = 0xe000 // surrogates are no characters
		}
		if r <= utf8.MaxRune {
			return utf8.AppendRune(bytes.Clone(p), r)
		}
	}
	return nil
}

func codePoints(v []byte) []byte {
	n := 0
	for i := range string(v) {
		if n == boundLength {
			return v[:i]
		}
		n++
	}
	return v
}

func lowerBinary(v []byte) []byte {
	if len(v) == 0 {
		return nil
	}
	return bytes.Clone(v[:min(len(v), boundLength)])
}

func upperBinary(v []byte, long bool) []byte {
	if len(v) == 0 {
		return nil
	}
	if len(v) <= boundLength && !long {
		return bytes.Clone(v)
	}
	for p := v[:min(len(v), boundLength)]; len(p) > 0; p = p[:len(p)-1] {
		if last := len(p) - 1; p[last] < 0xff {
			p = bytes.Clone(p)
			p[last]++
			return p
		}
	}
	return nil
}

// wideUUID gives bounds that hold whether a reader compares UUIDs as bytes, as the
// specification says, or as two signed numbers, as Java does. Where that cannot be
// done there are none.
func wideUUID(lo, hi []byte) (lower, upper []byte) {
	a, b := binary.BigEndian.Uint64(lo), binary.BigEndian.Uint64(hi)
	if int64(a) < 0 != (int64(b) < 0) || a == 0 || a == 1<<63 || b == 1<<63-1 || b == math.MaxUint64 {
		return nil, nil
	}
	// One more or less in the first half, and the second half does not matter.
	lower, upper = make([]byte, 16), make([]byte, 16)
	binary.BigEndian.PutUint64(lower, a-1)
	binary.BigEndian.PutUint64(upper, b+1)
	return lower, upper
}
