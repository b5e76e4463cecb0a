package envelope

import (
	"encoding/binary"
	"math/bits"

	undrop "github.com/undrop/undrop"
)

// appendLong appends an Avro long: zigzag, seven bits a byte. Seven-bit groups
// are spread over a word at once, since timestamps take eight of them.
func appendLong(dst []byte, v int64) []byte {
	u := uint64(v<<1) ^ uint64(v>>63)
	if u < 0x80 {
		return append(dst, byte(u))
	}
	if u < 1<<56 {
		n := (bits.Len64(u) + 6) / 7
		u = u&0x000000000fffffff | u&0x00fffffff0000000<<4
		u = u&0x00003fff00003fff | u&0x0fffc0000fffc000<<2
		u = u&0x007f007f007f007f | u&0x3f803f803f803f80<<1
		u |= 0x8080808080808080 & (1<<(8*(n-1)) - 1)
		return binary.LittleEndian.AppendUint64(dst, u)[:len(dst)+n]
	}
	for u >= 0x80 {
		dst = append(dst, byte(u)|0x80)
		u >>= 7
	}
	return append(dst, byte(u))
}

// gatherLong is the inverse of the spreading: the value of an n-byte long, n at
// most 8, whose bytes are the low ones of u.
func gatherLong(u uint64, n int) int64 {
	u &= 0x7f7f7f7f7f7f7f7f & (1<<(8*uint(n)-1)<<1 - 1)
	u = u&0x007f007f007f007f | u&0x7f007f007f007f00>>1
	u = u&0x00003fff00003fff | u&0x3fff00003fff0000>>2
	u = u&0x000000000fffffff | u&0x0fffffff00000000>>4
	return int64(u>>1) ^ -int64(u&1)
}

// appendUnscaled appends a decimal that fits 64 bits as Avro bytes: length, then
// the fewest bytes of big-endian two's complement.
func appendUnscaled(dst []byte, v int64) []byte {
	n := bits.Len64(uint64(v^v>>63))/8 + 1
	dst = append(dst, byte(n<<1))
	return binary.BigEndian.AppendUint64(dst, uint64(v)<<(64-8*n))[:len(dst)+n]
}

// appendUnscaled16 does the same for 16 bytes.
func appendUnscaled16(dst, v []byte) []byte {
	v = trimSign(v)
	return append(append(dst, byte(len(v)<<1)), v...)
}

// trimSign drops leading bytes that only repeat the sign.
func trimSign(v []byte) []byte {
	for len(v) > 1 && (v[0] == 0 && v[1] < 0x80 || v[0] == 0xff && v[1] >= 0x80) {
		v = v[1:]
	}
	return v
}

// wide is a signed 128-bit number.
type wide struct {
	hi int64
	lo uint64
}

// wideFrom reads big-endian two's complement of 1 to 16 bytes.
func wideFrom(v []byte) wide {
	var w wide
	if v[0] >= 0x80 {
		w = wide{-1, ^uint64(0)}
	}
	for _, b := range v {
		w.hi = w.hi<<8 | int64(w.lo>>56)
		w.lo = w.lo<<8 | uint64(b)
	}
	return w
}

func (w wide) appendTo(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(w.hi))
	return binary.BigEndian.AppendUint64(dst, w.lo)
}

func (w wide) neg() wide {
	lo, carry := bits.Add64(^w.lo, 1, 0)
	return wide{^w.hi + int64(carry), lo}
}

// abs is the magnitude as an unsigned number.
func (w wide) abs() (hi, lo uint64) {
	if w.hi < 0 {
		w = w.neg()
	}
	return uint64(w.hi), w.lo
}

// pow10 holds 10^0 to 10^38.
var pow10 = func() (p [39]struct{ hi, lo uint64 }) {
	p[0].lo = 1
	for i := 1; i < len(p); i++ {
		hi, lo := bits.Mul64(p[i-1].lo, 10)
		p[i].hi, p[i].lo = p[i-1].hi*10+hi, lo
	}
	return p
}()

// fits reports whether w has at most precision digits.
func (w wide) fits(precision int) bool {
	hi, lo := w.abs()
	p := &pow10[precision]
	return hi < p.hi || hi == p.hi && lo < p.lo
}

// mul10 is w*10+digit; ok is false if 127 bits do not hold it. w is not negative.
func (w wide) mul10(digit byte) (_ wide, ok bool) {
	hi, lo := bits.Mul64(w.lo, 10)
	lo, carry := bits.Add64(lo, uint64(digit), 0)
	over, top := bits.Mul64(uint64(w.hi), 10)
	top, c := bits.Add64(top, hi, carry)
	return wide{int64(top), lo}, over == 0 && c == 0 && top < 1<<63
}

// small reports whether a decimal type is one int64 in a batch.
func small(t undrop.Type) bool { return t.Precision <= 18 }

// parseDecimal reads digits with an optional sign and fraction at a scale. It
// refuses digits beyond the scale that are not zero, and exponents.
func parseDecimal(s []byte, precision, scale int) (w wide, reason string) {
	const form = "not a decimal number"
	neg := len(s) > 0 && s[0] == '-'
	if neg {
		s = s[1:]
	}
	digits, point, frac := 0, false, 0
	for _, b := range s {
		switch {
		case b == '.' && !point && digits > 0:
			point = true
			continue
		case b < '0' || b > '9':
			return w, form
		}
		digits++
		if point {
			if frac == scale {
				if b != '0' {
					return w, "more digits after the point than the scale"
				}
				continue
			}
			frac++
		}
		var ok bool
		if w, ok = w.mul10(b - '0'); !ok {
			return w, "more digits than the precision"
		}
	}
	if digits == 0 || s[len(s)-1] == '.' {
		return w, form
	}
	for ; frac < scale; frac++ {
		var ok bool
		if w, ok = w.mul10(0); !ok {
			return w, "more digits than the precision"
		}
	}
	if !w.fits(precision) {
		return w, "more digits than the precision"
	}
	if neg {
		w = w.neg()
	}
	return w, ""
}

// div10 divides an unsigned 128-bit number by ten.
func div10(hi, lo uint64) (qhi, qlo, rem uint64) {
	qhi = hi / 10
	qlo, rem = bits.Div64(hi%10, lo, 10)
	return qhi, qlo, rem
}
