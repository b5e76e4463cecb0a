package envelope

import (
	"encoding/binary"
	"math"
	"math/bits"
	"unicode/utf8"

	"github.com/undrop/undrop/internal/batch"
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

func (r *reader) longSlow() int64 {
	u, n := binary.Uvarint(r.p[r.i:])
	switch {
	case n > 0:
		r.i += n
		return int64(u>>1) ^ -int64(u&1)
	case n < 0:
		r.fail("a number of more than 64 bits")
	default:
		r.fail(short)
	}
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

// row runs the steps of a record into columns.
func (r *reader) row(steps []step, cols []batch.Column) {
	for k := range steps {
		s := &steps[k]
		if s.col < 0 {
			r.skip(s.typ)
		} else {
			r.optional(s, &cols[s.col])
		}
		if r.reason != "" {
			if r.column == "" {
				r.column = s.name
			}
			return
		}
	}
}

// optional reads a value that may be null.
func (r *reader) optional(s *step, c *batch.Column) {
	if s.nullAt >= 0 && r.branch() == s.nullAt {
		c.AppendNull()
		return
	}
	switch s.act {
	case actLong:
		c.AppendInt(r.long())
	case actText:
		v := r.bytes(r.length())
		if !validText(v) {
			r.fail("text that is not UTF-8, or with U+0000")
			return
		}
		c.AppendBytes(v)
	case actDecimal:
		r.decimal(s, c)
	default:
		r.value(s, c)
	}
}

func (r *reader) value(s *step, c *batch.Column) {
	switch s.act {
	case actBool:
		if v := r.bytes(1); len(v) == 1 && v[0] <= 1 {
			c.AppendInt(int64(v[0]))
		} else {
			r.fail("a boolean that is neither 0 nor 1")
		}
	case actInt:
		v := r.long()
		if int64(int32(v)) != v {
			r.fail("an int of more than 32 bits")
			return
		}
		c.AppendInt(v)
	case actScaled:
		v := r.long()
		hi, lo := bits.Mul64(uint64(max(v, -v)), uint64(s.factor))
		if hi != 0 || lo > math.MaxInt64 || v == math.MinInt64 {
			r.fail("a time beyond what 64 bits of microseconds hold")
			return
		}
		c.AppendInt(v * s.factor)
	case actFloat:
		if v := r.bytes(4); len(v) == 4 {
			f := math.Float32frombits(binary.LittleEndian.Uint32(v))
			c.AppendInt(int64(math.Float64bits(float64(f))))
		}
	case actDouble:
		if v := r.bytes(8); len(v) == 8 {
			c.AppendInt(int64(binary.LittleEndian.Uint64(v)))
		}
	case actBytes:
		c.AppendBytes(r.sized(s))
	case actUUID:
		r.uuid(c)
	case actRawUUID:
		c.AppendBytes(r.bytes(16))
	case actEnum:
		n := r.long()
		if n < 0 || n >= int64(len(s.typ.symbols)) {
			r.fail("no such symbol of an enum")
			return
		}
		c.AppendString(s.typ.symbols[n])
	default:
		r.nested(s, c)
	}
}

// sized reads bytes whose length is fixed or written before them.
func (r *reader) sized(s *step) []byte {
	if s.size > 0 {
		return r.bytes(s.size)
	}
	return r.bytes(r.length())
}

func (r *reader) decimal(s *step, c *batch.Column) {
	v := r.sized(s)
	if len(v) == 0 {
		r.fail("a decimal without digits")
		return
	}
	if len(v) <= 8 && small(c.Type) {
		n := int64(int8(v[0]))
		for _, b := range v[1:] {
			n = n<<8 | int64(b)
		}
		if limit := int64(pow10[c.Type.Precision].lo); n >= limit || n <= -limit {
			r.fail("more digits than the precision")
			return
		}
		c.AppendInt(n)
		return
	}
	v = trimSign(v)
	if len(v) > 16 {
		r.fail("more digits than the precision")
		return
	}
	w := wideFrom(v)
	if !w.fits(c.Type.Precision) {
		r.fail("more digits than the precision")
		return
	}
	if small(c.Type) {
		c.AppendInt(int64(w.lo))
		return
	}
	c.Data = w.appendTo(c.Data)
	c.EndData()
}

func (r *reader) uuid(c *batch.Column) {
	var ok bool
	if c.Data, ok = parseUUID(c.Data, r.bytes(r.length())); !ok {
		r.fail("not a uuid")
		return
	}
	c.EndData()
}

func (r *reader) nested(s *step, c *batch.Column) {
	switch s.act {
	case actStruct:
		r.row(s.kids, c.Fields)
		for _, m := range s.missing {
			c.Fields[m].AppendNull()
		}
		c.EndStruct()
	case actList:
		for n := r.block(); n > 0; n = r.block() {
			for ; n > 0 && r.reason == ""; n-- {
				r.optional(&s.kids[0], c.Elem)
			}
		}
		c.EndList()
	case actTextMap:
		for n := r.block(); n > 0; n = r.block() {
			for ; n > 0 && r.reason == ""; n-- {
				key := r.bytes(r.length())
				if !validText(key) {
					r.fail("text that is not UTF-8, or with U+0000")
				}
				c.Key.AppendBytes(key)
				r.optional(&s.kids[0], c.Elem)
			}
		}
		c.EndList()
	case actEntryMap:
		for n := r.block(); n > 0; n = r.block() {
			for ; n > 0 && r.reason == ""; n-- {
				r.entry(s, c)
			}
		}
		c.EndList()
	}
}

func (r *reader) entry(s *step, c *batch.Column) {
	for k := range s.kids {
		switch kid := &s.kids[k]; kid.col {
		case 0:
			r.optional(kid, c.Key)
		case 1:
			r.optional(kid, c.Elem)
		default:
			r.skip(kid.typ)
		}
	}
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

// validText reports whether v may be a value of kind String.
func validText(v []byte) bool {
	const lows, highs = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; len(v)-i >= 8; i += 8 {
		w := binary.LittleEndian.Uint64(v[i:])
		if (w|(w-lows))&highs != 0 { // a byte that is not ASCII, or perhaps a zero
			return validTextSlow(v[i:])
		}
	}
	for ; i < len(v); i++ {
		if v[i]-1 >= 0x7f {
			return validTextSlow(v[i:])
		}
	}
	return true
}

func validTextSlow(v []byte) bool {
	for _, b := range v {
		if b == 0 {
			return false
		}
	}
	return utf8.Valid(v)
}

// parseUUID appends the 16 bytes of the usual 36 characters.
func parseUUID(dst, s []byte) ([]byte, bool) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return dst, false
	}
	at := len(dst)
	for i := 0; i < 36; i += 2 {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			i++
		}
		hi, lo := hexDigit(s[i]), hexDigit(s[i+1])
		if hi > 15 || lo > 15 {
			return dst[:at], false
		}
		dst = append(dst, hi<<4|lo)
	}
	return dst, true
}

func hexDigit(b byte) byte {
	switch {
	case b >= '0' && b <= '9':
		return b - '0'
	case b >= 'a' && b <= 'f':
		return b - 'a' + 10
	case b >= 'A' && b <= 'F':
		return b - 'A' + 10
	}
	return 255
}
