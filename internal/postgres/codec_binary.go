package postgres

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// appendBinary appends one value in its binary form (or, where asText is set, in
// its text form). When it cannot be carried, nothing is appended, false is
// returned and x says why; x.broken is set when the bytes are of another form
// than was asked for, which no single value can explain.
func (c *codec) appendBinary(col *batch.Column, v []byte, x *scratch) bool {
	if c.asText {
		return c.appendText(col, v, x)
	}
	var is issue
	switch c.op {
	case opInt:
		n, ok := c.intBinary(v)
		if !ok {
			return c.breakOff(v, x)
		}
		if n >= c.lo && n <= c.hi {
			col.AppendInt(n)
			return true
		}
		is = badOverflow
	case opText:
		if c.form.fam == famJSONB {
			if len(v) == 0 || v[0] != 1 {
				return c.breakOff(v, x)
			}
			v = v[1:]
		}
		if validText(v) {
			col.AppendBytes(v)
			return true
		}
		return c.bad(col, badEncoding, v, x)
	case opTimestamp:
		if len(v) != 8 {
			return c.breakOff(v, x)
		}
		micros, bad := timestampBinary(int64(binary.BigEndian.Uint64(v)))
		if bad == fine {
			col.AppendInt(micros)
			return true
		}
		is = bad
	case opNumeric:
		u, neg, bad := decimalBinary(v, c.typ.Scale)
		if bad == badForm {
			return c.breakOff(v, x)
		}
		if bad == fine && !u.less(c.limit) {
			bad = badOverflow
		}
		if bad == fine {
			c.appendDecimal(col, u, neg)
			return true
		}
		is = bad
	default:
		is = c.plainBinary(col, v)
		if is == badForm {
			return c.breakOff(v, x)
		}
	}
	return is == fine || c.bad(col, is, c.render(nil, v), x)
}

func (c *codec) breakOff(v []byte, x *scratch) bool {
	x.broken = fmt.Errorf("%d bytes are not the binary form of %s", len(v), c.form.name)
	return false
}

// intBinary reads an integer of the codec's width.
func (c *codec) intBinary(v []byte) (int64, bool) {
	if len(v) != c.width {
		return 0, false
	}
	switch {
	case c.width == 8:
		return int64(binary.BigEndian.Uint64(v)), true
	case c.width == 2:
		return int64(int16(binary.BigEndian.Uint16(v))), true
	case c.signed:
		return int64(int32(binary.BigEndian.Uint32(v))), true
	default:
		return int64(binary.BigEndian.Uint32(v)), true
	}
}

func (c *codec) plainBinary(col *batch.Column, v []byte) issue {
	switch c.op {
	case opBool:
		if c.form.fam == famBit {
			if len(v) != 5 || binary.BigEndian.Uint32(v) != 1 {
				return badForm
			}
			col.AppendInt(int64(v[4] >> 7))
			return fine
		}
		if len(v) != 1 || v[0] > 1 {
			return badForm
		}
		col.AppendInt(int64(v[0]))
	case opBoolText:
		if len(v) != 1 || v[0] > 1 {
			return badForm
		}
		appendBoolString(col, v[0] == 1)
	case opIntDecimal:
		n, ok := c.intBinary(v)
		if !ok {
			return badForm
		}
		u, neg := u128{lo: uint64(n)}, n < 0 && c.signed
		if neg {
			u.lo = -u.lo
		}
		u, ok = u.shift(c.typ.Scale)
		if !ok || !u.less(c.limit) {
			return badOverflow
		}
		c.appendDecimal(col, u, neg)
	case opFloat4:
		if len(v) != 4 {
			return badForm
		}
		return c.exactFloat(col, float64(math.Float32frombits(binary.BigEndian.Uint32(v))))
	case opFloat8:
		if len(v) != 8 {
			return badForm
		}
		return c.exactFloat(col, math.Float64frombits(binary.BigEndian.Uint64(v)))
	case opBytes:
		col.AppendBytes(v)
	case opBits:
		if len(v) < 4 || int(binary.BigEndian.Uint32(v)) != c.form.bits || len(v) != 4+(c.form.bits+7)/8 {
			return badForm
		}
		col.AppendBytes(v[4:])
	case opUUID:
		if len(v) != 16 {
			return badForm
		}
		col.AppendBytes(v)
	case opDate:
		if len(v) != 4 {
			return badForm
		}
		days, is := dateBinary(int32(binary.BigEndian.Uint32(v)))
		if is != fine {
			return is
		}
		col.AppendInt(days)
	case opTime:
		if len(v) != 8 {
			return badForm
		}
		micros := int64(binary.BigEndian.Uint64(v))
		if micros < 0 || micros > dayMicros {
			return badForm
		}
		if micros == dayMicros {
			return badRange
		}
		col.AppendInt(micros)
	}
	return fine
}

// render prints a value that COPY sent as PostgreSQL would have printed it.
func (c *codec) render(dst, v []byte) []byte {
	if c.asText {
		return append(dst, v...)
	}
	switch c.op {
	case opText:
		if c.form.fam == famJSONB && len(v) > 0 {
			v = v[1:]
		}
		return append(dst, v...)
	case opInt, opIntDecimal:
		n, ok := c.intBinary(v)
		switch {
		case !ok:
			return dst
		case c.form.fam == famXid8:
			return fmt.Appendf(dst, "%d", uint64(n))
		}
		return appendInt(dst, n)
	case opNumeric:
		return appendNumericText(dst, v)
	case opBytes:
		return hex.AppendEncode(append(dst, `\x`...), v)
	}
	switch {
	case (c.op == opBool || c.op == opBoolText) && c.form.fam == famBool && len(v) == 1:
		return appendBool(dst, v[0] == 1)
	case (c.op == opBool || c.op == opBits) && len(v) >= 4:
		return appendBits(dst, v[4:], int(binary.BigEndian.Uint32(v)))
	case c.op == opFloat4 && len(v) == 4:
		return appendFloatText(dst, float64(math.Float32frombits(binary.BigEndian.Uint32(v))), 32)
	case c.op == opFloat8 && len(v) == 8:
		return appendFloatText(dst, math.Float64frombits(binary.BigEndian.Uint64(v)), 64)
	case c.op == opUUID && len(v) == 16:
		one := batch.NewColumn(undrop.Type{Kind: undrop.UUID})
		one.AppendBytes(v)
		return one.AppendText(dst, 0)
	case c.op == opDate && len(v) == 4:
		return appendDateText(dst, int32(binary.BigEndian.Uint32(v)))
	case c.op == opTime && len(v) == 8:
		return appendClock(dst, int64(binary.BigEndian.Uint64(v)))
	case c.op == opTimestamp && len(v) == 8:
		return appendTimestampText(dst, int64(binary.BigEndian.Uint64(v)), c.typ.Kind == undrop.TimestampTZ)
	}
	return dst
}
