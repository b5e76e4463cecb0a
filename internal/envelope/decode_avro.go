package envelope

import (
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/undrop/undrop/internal/batch"
)

// row runs the steps of a record into columns. What most columns are is read
// here, without a call, as long as the record goes on for long enough.
func (r *reader) row(steps []step, cols []batch.Column) {
	p, i := r.p, r.i
	for k := range steps {
		s := &steps[k]
		if s.col >= 0 && s.nullAt >= 0 && len(p)-i >= 9 {
			c := &cols[s.col]
			if p[i] == byte(s.nullAt<<1) {
				c.AppendNull()
				i++
				continue
			}
			if p[i] == byte(2-s.nullAt<<1) {
				u := binary.LittleEndian.Uint64(p[i+1:])
				switch s.act {
				case actLong:
					if stop := ^u & 0x8080808080808080; stop != 0 {
						n := bits.TrailingZeros64(stop)>>3 + 1
						c.AppendInt(gatherLong(u, n))
						i += 1 + n
						continue
					}
				case actDecimal:
					if n := int(p[i+1] >> 1); p[i+1]&1 == 0 && n >= 1 && n <= 8 && s.size == 0 && small(c.Type) && len(p)-i >= 10 {
						v := int64(binary.BigEndian.Uint64(p[i+2:])) >> (64 - 8*n)
						if limit := int64(pow10[c.Type.Precision].lo); v < limit && v > -limit {
							c.AppendInt(v)
							i += 2 + n
							continue
						}
					}
				case actText:
					if end := i + 2 + int(p[i+1]>>1); p[i+1]&0x81 == 0 && end <= len(p) && validText(p[i+2:end]) {
						c.AppendBytes(p[i+2 : end])
						i = end
						continue
					}
				}
			}
		}
		r.i = i
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
		i = r.i
	}
	r.i = i
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
