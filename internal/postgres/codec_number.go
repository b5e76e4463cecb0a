package postgres

import (
	"encoding/binary"
	"math/bits"
	"strconv"

	"github.com/undrop/undrop/internal/batch"
)

// u128 is an unsigned magnitude; 38 decimal digits fit.
type u128 struct{ hi, lo uint64 }

// mulAdd is u*m + a; ok is false when it does not fit.
func (u u128) mulAdd(m, a uint64) (r u128, ok bool) {
	if u.hi == 0 {
		hi, lo := bits.Mul64(u.lo, m)
		lo, carry := bits.Add64(lo, a, 0)
		return u128{hi + carry, lo}, true
	}
	over, hi := bits.Mul64(u.hi, m)
	mid, lo := bits.Mul64(u.lo, m)
	lo, carry := bits.Add64(lo, a, 0)
	hi, carry = bits.Add64(hi, mid, carry)
	return u128{hi, lo}, over == 0 && carry == 0
}

func (u u128) less(v u128) bool { return u.hi < v.hi || u.hi == v.hi && u.lo < v.lo }

// powers64 are the powers of ten that fit 64 bits.
var powers64 = func() (p [20]uint64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = p[i-1] * 10
	}
	return p
}()

// pow10 is 10^n for n up to 38.
func pow10(n int) u128 {
	u := u128{lo: powers64[min(n, 19)]}
	for ; n > 19; n-- {
		u, _ = u.mulAdd(10, 0) // 10^38 fits
	}
	return u
}

// shift is u*10^n; ok is false when it does not fit.
func (u u128) shift(n int) (u128, bool) {
	if u == (u128{}) {
		return u, true
	}
	for n > 19 {
		var ok bool
		if u, ok = u.mulAdd(powers64[19], 0); !ok {
			return u, false
		}
		n -= 19
	}
	return u.mulAdd(powers64[n], 0)
}

// appendDecimal appends ±u, which is within the precision.
func (c *codec) appendDecimal(col *batch.Column, u u128, neg bool) {
	if c.typ.Precision <= 18 {
		v := int64(u.lo)
		if neg {
			v = -v
		}
		col.AppendInt(v)
		return
	}
	if neg {
		var borrow uint64
		u.lo, borrow = bits.Sub64(0, u.lo, 0)
		u.hi, _ = bits.Sub64(0, u.hi, borrow)
	}
	col.Data = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(col.Data, u.hi), u.lo)
	col.EndData()
}

// decimalText reads the text form of a numeric as an unscaled magnitude of the
// given scale.
func decimalText(v []byte, scale int) (u u128, neg bool, is issue) {
	digits := v
	if len(v) > 0 && v[0] == '-' {
		neg, digits = true, v[1:]
	}
	if len(digits) == 0 || digits[0]-'0' > 9 {
		switch string(digits) {
		case "NaN":
			return u, neg, badNaN
		case "Infinity":
			return u, neg, badInfinity
		}
		return u, neg, badForm
	}
	if len(digits) <= 18 { // no digit can be lost
		if u.lo, is = shortDecimal(digits, scale); is == fine {
			return u, neg, fine
		}
		u.lo, is = 0, fine
	}
	ok, point, left := true, false, scale
	for i, ch := range digits {
		d := ch - '0'
		if d > 9 {
			if ch != '.' || point || i == len(digits)-1 {
				return u, neg, badForm
			}
			point = true
			continue
		}
		if point {
			if left == 0 {
				if d != 0 {
					is = badScale
				}
				continue
			}
			left--
		}
		if u.hi == 0 && u.lo < 1<<60 {
			u.lo = u.lo*10 + uint64(d)
			continue
		}
		var fits bool
		u, fits = u.mulAdd(10, uint64(d))
		ok = ok && fits
	}
	if is != fine {
		return u, neg, is
	}
	if u, fits := u.shift(left); ok && fits {
		return u, neg, fine
	}
	return u, neg, badOverflow
}

// shortDecimal reads a decimal of at most 18 characters that has exactly the
// digits after the point that its scale asks for, which is what a column with
// that scale prints. Everything else is for the long way.
func shortDecimal(v []byte, scale int) (n uint64, is issue) {
	point := len(v) - 1 - scale
	if scale == 0 {
		point = len(v)
	} else if point < 1 || v[point] != '.' {
		return 0, badForm
	}
	for _, ch := range v[:point] {
		d := uint64(ch - '0')
		if d > 9 {
			return 0, badForm
		}
		n = n*10 + d
	}
	for _, ch := range v[min(point+1, len(v)):] {
		d := uint64(ch - '0')
		if d > 9 {
			return 0, badForm
		}
		n = n*10 + d
	}
	return n, fine
}

// The signs of a binary numeric.
const (
	numericPositive = 0x0000
	numericNegative = 0x4000
	numericNaN      = 0xC000
	numericPlusInf  = 0xD000
	numericMinusInf = 0xF000
)

// decimalBinary reads the binary form of a numeric: groups of four digits, the
// first of which has the weight 10000^weight.
func decimalBinary(v []byte, scale int) (u u128, neg bool, is issue) {
	if len(v) < 8 {
		return u, false, badForm
	}
	groups := int(binary.BigEndian.Uint16(v))
	weight := int(int16(binary.BigEndian.Uint16(v[2:])))
	switch binary.BigEndian.Uint16(v[4:]) {
	case numericPositive:
	case numericNegative:
		neg = true
	case numericNaN:
		return u, false, badNaN
	case numericPlusInf, numericMinusInf:
		return u, false, badInfinity
	default:
		return u, false, badForm
	}
	v = v[8:]
	if len(v) != 2*groups {
		return u, false, badForm
	}
	if groups == 0 {
		return u, false, fine
	}
	at := 4*weight + scale // decimal exponent of the group's last digit, in the unscaled value
	ok, rest := true, 0
	for i := 0; i < groups; i, at = i+1, at-4 {
		g := uint64(binary.BigEndian.Uint16(v[2*i:]))
		switch {
		case g > 9999:
			return u, neg, badForm
		case at >= 0:
			if u.hi == 0 && u.lo < 1<<50 {
				u.lo = u.lo*10000 + g
			} else {
				var fits bool
				u, fits = u.mulAdd(10000, g)
				ok = ok && fits
			}
			rest = at
		case at > -4: // the scale ends inside this group
			cut := powers64[-at]
			if g%cut != 0 {
				is = badScale
			}
			var fits bool
			u, fits = u.mulAdd(powers64[4+at], g/cut)
			ok, rest = ok && fits, 0
		case g != 0:
			is = badScale
		}
	}
	if is != fine {
		return u, neg, is
	}
	if u, fits := u.shift(rest); ok && fits {
		return u, neg, fine
	}
	return u, neg, badOverflow
}

// appendNumericText prints a binary numeric the way PostgreSQL does.
func appendNumericText(dst, v []byte) []byte {
	if len(v) < 8 {
		return dst
	}
	groups := int(binary.BigEndian.Uint16(v))
	weight := int(int16(binary.BigEndian.Uint16(v[2:])))
	scale := int(binary.BigEndian.Uint16(v[6:]))
	switch binary.BigEndian.Uint16(v[4:]) {
	case numericNaN:
		return append(dst, "NaN"...)
	case numericPlusInf:
		return append(dst, "Infinity"...)
	case numericMinusInf:
		return append(dst, "-Infinity"...)
	case numericNegative:
		dst = append(dst, '-')
	}
	v = v[8:]
	group := func(i int) uint64 { // whose weight is 10000^i
		if k := weight - i; k >= 0 && k < groups && 2*k+2 <= len(v) {
			return uint64(binary.BigEndian.Uint16(v[2*k:]))
		}
		return 0
	}
	dst = strconv.AppendUint(dst, group(max(weight, 0)), 10)
	for i := weight - 1; i >= 0; i-- {
		dst = appendPadded(dst, group(i), 4)
	}
	if scale == 0 {
		return dst
	}
	dst = append(dst, '.')
	end := len(dst) + scale
	for i := -1; len(dst) < end; i-- {
		dst = appendPadded(dst, group(i), 4)
	}
	return dst[:end]
}

// appendPadded appends n with at least width digits.
func appendPadded(dst []byte, n uint64, width int) []byte {
	for w := width - 1; w > 0 && w < len(powers64) && n < powers64[w]; w-- {
		dst = append(dst, '0')
	}
	return strconv.AppendUint(dst, n, 10)
}

// intText reads a decimal integer; ok is false when it is none or does not fit.
func intText(v []byte) (n int64, ok bool) {
	digits := v
	neg := len(v) > 0 && v[0] == '-'
	if neg {
		digits = v[1:]
	}
	if len(digits) == 0 || len(digits) > 19 {
		return 0, false
	}
	var u uint64
	for _, ch := range digits {
		d := ch - '0'
		if d > 9 {
			return 0, false
		}
		u = u*10 + uint64(d)
	}
	if neg {
		return -int64(u), u <= 1<<63
	}
	return int64(u), u < 1<<63
}
