package contract

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/big"
	"slices"
	"unicode/utf8"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// run is the inner loop: one promise over one column. Nulls pass every test but
// required; a null holds a zero or an empty span, so most loops test the value
// first and look at Null only for one that fails.
func (c *Checker) run(k *check, col *batch.Column, from, to int) {
	if from >= to {
		return
	}
	null := col.Null[:to]
	switch k.test {
	case testRequired:
		if col.Nulls == 0 {
			return
		}
		for i := from; i < len(null); i++ {
			if null[i] {
				c.fail(k, col, i)
			}
		}
	case testInts:
		lo, hi := k.lo, k.hi
		for i, v := range col.Ints[from:to] {
			if (v < lo || v > hi) && !null[from+i] {
				c.fail(k, col, from+i)
			}
		}
	case testFloats:
		for i, v := range col.Ints[from:to] {
			f := math.Float64frombits(uint64(v))
			if !(f >= k.flo && f <= k.fhi) && !null[from+i] {
				c.fail(k, col, from+i)
			}
		}
	case testMultiple:
		for i, v := range col.Ints[from:to] {
			if v%k.lo != 0 && !null[from+i] {
				c.fail(k, col, from+i)
			}
		}
	case testIntSet:
		c.intSet(k, col, from, to)
	case testByteSet:
		c.byteSet(k, col, from, to)
	case testLength:
		c.length(k, col, from, to)
	case testItems:
		for i := from; i < to; i++ {
			if n := int64(col.Off[i+1] - col.Off[i]); (n < k.lo || n > k.hi) && !null[i] {
				c.fail(k, col, i)
			}
		}
	default:
		c.slow(k, col, from, to)
	}
}

func (c *Checker) intSet(k *check, col *batch.Column, from, to int) {
	set := k.ints
	var last int64
	hit := false
	for i, v := range col.Ints[from:to] {
		if hit && v == last { // columns with a set of values repeat them
			continue
		}
		if slices.Contains(set, v) != k.not {
			last, hit = v, true
			continue
		}
		if !col.Null[from+i] {
			c.fail(k, col, from+i)
		}
	}
}

// byteSet compares with the allowed values of the same length, which are few.
func (c *Checker) byteSet(k *check, col *batch.Column, from, to int) {
	off, data := col.Off[:to+1], col.Data
	start := off[from]
	for i := from; i < to; i++ {
		end := off[i+1]
		v := data[start:end]
		start = end
		found := false
		if len(v) < len(k.bytes) {
			for _, s := range k.bytes[len(v)] {
				if string(v) == s {
					found = true
					break
				}
			}
		}
		if found == k.not && !col.Null[i] {
			c.fail(k, col, i)
		}
	}
}

// length counts characters only where the number of bytes leaves a doubt.
func (c *Checker) length(k *check, col *batch.Column, from, to int) {
	text := col.Type.Kind == undrop.String
	for i := from; i < to; i++ {
		n := int64(col.Off[i+1] - col.Off[i])
		if n <= k.hi && (n >= 4*k.lo || !text && n >= k.lo) {
			continue
		}
		if text {
			n = int64(utf8.RuneCount(col.Bytes(i)))
		}
		if (n < k.lo || n > k.hi) && !col.Null[i] {
			c.fail(k, col, i)
		}
	}
}

// slow runs the tests that cost more than a few nanoseconds.
func (c *Checker) slow(k *check, col *batch.Column, from, to int) {
	for i := from; i < to; i++ {
		if col.Null[i] {
			continue
		}
		ok := true
		switch k.test {
		case testPattern:
			ok = k.re.Match(col.Bytes(i))
		case testBig:
			v := col.Bytes(i)
			hi, lo := binary.BigEndian.Uint64(v)^1<<63, binary.BigEndian.Uint64(v[8:])
			ok = !less(hi, lo, k.blo) && !more(hi, lo, k.bhi)
		case testMultipleBig:
			ok = c.multipleBig(k, col.Bytes(i))
		case testDistinct:
			ok = c.distinct(col, i)
		}
		if !ok {
			c.fail(k, col, i)
		}
	}
}

func less(hi, lo uint64, b [16]byte) bool {
	bh, bl := binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
	return hi < bh || hi == bh && lo < bl
}

func more(hi, lo uint64, b [16]byte) bool {
	bh, bl := binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
	return hi > bh || hi == bh && lo > bl
}

// multipleBig divides the magnitude: the sign does not matter for a multiple.
func (c *Checker) multipleBig(k *check, v []byte) bool {
	c.num.SetBytes(v)
	if v[0]&0x80 != 0 {
		c.num.Sub(two128, &c.num)
	}
	return c.rem.Rem(&c.num, k.big).Sign() == 0
}

var two128 = new(big.Int).Lsh(big.NewInt(1), 128)

// distinct compares the self-delimiting forms of all elements of list i. Two
// nulls are equal.
func (c *Checker) distinct(col *batch.Column, i int) bool {
	lo, hi := int(col.Off[i]), int(col.Off[i+1])
	if hi-lo < 2 {
		return true
	}
	c.scratch, c.marks = c.scratch[:0], c.marks[:0]
	for j := lo; j < hi; j++ {
		c.marks = append(c.marks, len(c.scratch))
		c.scratch = col.Elem.AppendValue(c.scratch, j)
	}
	c.marks = append(c.marks, len(c.scratch))
	n := hi - lo
	item := func(j int) []byte { return c.scratch[c.marks[j]:c.marks[j+1]] }
	if n > 32 {
		return distinctMany(n, item)
	}
	for a := range n {
		for b := a + 1; b < n; b++ {
			if bytes.Equal(item(a), item(b)) {
				return false
			}
		}
	}
	return true
}

func distinctMany(n int, item func(int) []byte) bool {
	seen := make(map[string]struct{}, n)
	for j := range n {
		v := item(j)
		if _, ok := seen[string(v)]; ok {
			return false
		}
		seen[string(v)] = struct{}{}
	}
	return true
}
