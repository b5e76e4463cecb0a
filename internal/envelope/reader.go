package envelope

import (
	"encoding/binary"
	"math/bits"
)

// reader walks the bytes of one Avro value. The first failure sticks: everything
// read after it is zero, and no more bytes are left.
type reader struct {
	p      []byte
	i      int
	reason string
	column string
}

const short = "the record ends too early"

func (r *reader) fail(reason string) {
	if r.reason == "" {
		r.reason = reason
	}
	r.i = len(r.p)
}

// long reads a zigzag number of up to 64 bits.
func (r *reader) long() int64 {
	if i := r.i; len(r.p)-i >= 8 {
		u := binary.LittleEndian.Uint64(r.p[i:])
		if u&0x80 == 0 {
			r.i = i + 1
			return int64(u>>1&0x3f) ^ -int64(u&1)
		}
		if stop := ^u & 0x8080808080808080; stop != 0 {
			n := bits.TrailingZeros64(stop)>>3 + 1
			r.i = i + n
			return gatherLong(u, n)
		}
	}
	return r.longSlow()
}

// longSlow reads a number near the end of the record, or of more than 56 bits.
func (r *reader) longSlow() int64 {
	var u uint64
	for shift, i := uint(0), r.i; i < len(r.p); i++ {
		b := r.p[i]
		if shift == 63 && b > 1 {
			r.fail("a number of more than 64 bits")
			return 0
		}
		u |= uint64(b&0x7f) << shift
		if b < 0x80 {
			r.i = i + 1
			return int64(u>>1) ^ -int64(u&1)
		}
		shift += 7
	}
	r.fail(short)
	return 0
}

// branch reads which branch of a union of two follows.
func (r *reader) branch() int {
	if r.i < len(r.p) {
		if b := r.p[r.i]; b == 0 || b == 2 {
			r.i++
			return int(b >> 1)
		}
		r.fail("no such branch of a union")
		return 0
	}
	r.fail(short)
	return 0
}

// length reads the length of text or bytes.
func (r *reader) length() int {
	n := r.long()
	if n < 0 || n > int64(len(r.p)-r.i) {
		r.fail(short)
		return 0
	}
	return int(n)
}

// bytes reads n bytes; valid as long as the record.
func (r *reader) bytes(n int) []byte {
	if n > len(r.p)-r.i {
		r.fail(short)
		return nil
	}
	v := r.p[r.i : r.i+n]
	r.i += n
	return v
}

// block reads how many values follow; 0 ends an array or map. Each takes at least
// a byte, so a count beyond the rest of the record is a lie.
func (r *reader) block() int {
	n := r.long()
	if n < 0 {
		n = -n
		r.long() // size in bytes
	}
	if n < 0 || n > int64(len(r.p)-r.i) {
		r.fail(short)
		return 0
	}
	return int(n)
}

// skip walks over a value.
func (r *reader) skip(t *avroType) {
	switch t.kind {
	case avroNull:
	case avroBoolean:
		r.bytes(1)
	case avroInt, avroLong, avroEnum:
		r.long()
	case avroFloat:
		r.bytes(4)
	case avroDouble:
		r.bytes(8)
	case avroBytes, avroString:
		r.bytes(r.length())
	case avroFixed:
		r.bytes(t.size)
	case avroArray, avroMap:
		for n := r.block(); n > 0; n = r.block() {
			for ; n > 0 && r.reason == ""; n-- {
				if t.kind == avroMap {
					r.bytes(r.length())
				}
				r.skip(t.items)
			}
		}
	case avroRecord:
		for i := range t.fields {
			r.skip(t.fields[i].typ)
		}
	case avroUnion:
		n := r.long()
		if n < 0 || n >= int64(len(t.branches)) {
			r.fail("no such branch of a union")
			return
		}
		r.skip(t.branches[n])
	}
}
