package postgres

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"unicode/utf8"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// appendText appends one value in its text form. When it cannot be carried,
// nothing is appended, false is returned and x says why.
func (c *codec) appendText(col *batch.Column, v []byte, x *scratch) bool {
	var is issue
	switch c.op {
	case opText:
		if validText(v) {
			col.AppendBytes(v)
			return true
		}
		is = badEncoding
	case opInt:
		n, ok := intText(v)
		switch {
		case ok && n >= c.lo && n <= c.hi:
			col.AppendInt(n)
			return true
		case ok:
			is = badOverflow
		default:
			is = badForm
		}
	case opNumeric, opIntDecimal:
		u, neg, bad := decimalText(v, c.typ.Scale)
		if bad == fine && !u.less(c.limit) {
			bad = badOverflow
		}
		if bad == fine {
			c.appendDecimal(col, u, neg)
			return true
		}
		is = bad
	case opTimestamp:
		micros, bad := timestampText(v, c.typ.Kind == undrop.TimestampTZ, &x.day)
		if bad == fine {
			col.AppendInt(micros)
			return true
		}
		is = bad
	case opDate:
		days, bad := dateText(v)
		if bad == fine {
			col.AppendInt(days)
			return true
		}
		is = bad
	case opTime:
		micros, bad := timeText(v)
		if bad == fine {
			col.AppendInt(micros)
			return true
		}
		is = bad
	case opList:
		return c.listText(col, v, x)
	case opStruct:
		return c.structText(col, v, x)
	case opMap:
		return c.mapText(col, v, x)
	default:
		is = c.plainText(col, v)
	}
	return is == fine || c.bad(col, is, v, x)
}

// plainText is appendText for the families that leave little to go wrong.
func (c *codec) plainText(col *batch.Column, v []byte) issue {
	switch c.op {
	case opBool, opBoolText:
		yes, ok := boolText(v)
		switch {
		case !ok:
			return badForm
		case c.op == opBoolText:
			appendBoolString(col, yes)
		default:
			col.AppendInt(boolInt(yes))
		}
	case opFloat4, opFloat8:
		width := 64
		if c.op == opFloat4 {
			width = 32
		}
		f, is := floatText(v, width)
		if is != fine {
			return is
		}
		return c.exactFloat(col, f)
	case opBytes, opBits:
		return bytesText(col, v)
	case opUUID:
		return uuidText(col, v)
	}
	return fine
}

// validText reports text that Iceberg's string holds. PostgreSQL lets no other
// pass where its encoding is UTF-8; with SQL_ASCII anything passes.
func validText(v []byte) bool {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(v); i += 8 {
		w := binary.LittleEndian.Uint64(v[i:])
		if (w|(w-ones)&^w)&tops != 0 { // a byte above 127, or a zero
			return validWideText(v[i:])
		}
	}
	for ; i < len(v); i++ {
		if v[i]-1 >= 0x7f {
			return validWideText(v[i:])
		}
	}
	return true
}

func validWideText(v []byte) bool { return utf8.Valid(v) && bytes.IndexByte(v, 0) < 0 }

func boolText(v []byte) (yes, ok bool) {
	switch string(v) {
	case "t", "1", "true":
		return true, true
	case "f", "0", "false":
		return false, true
	}
	return false, false
}

func boolInt(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}

func appendBoolString(col *batch.Column, yes bool) {
	if yes {
		col.AppendString("true")
	} else {
		col.AppendString("false")
	}
}

// bytesText reads a bytea in hex, or the digits of a bit(n), most significant
// first.
func bytesText(col *batch.Column, v []byte) issue {
	if len(v) >= 2 && v[0] == '\\' && v[1] == 'x' {
		at := len(col.Data)
		data, err := hex.AppendDecode(col.Data, v[2:])
		if err != nil {
			col.Data = col.Data[:at]
			return badForm
		}
		col.Data = data
		col.EndData()
		return fine
	}
	at := len(col.Data)
	for i, ch := range v {
		if ch != '0' && ch != '1' {
			col.Data = col.Data[:at]
			return badForm
		}
		if i%8 == 0 {
			col.Data = append(col.Data, 0)
		}
		col.Data[len(col.Data)-1] |= (ch - '0') << (7 - i%8)
	}
	col.EndData()
	return fine
}

// hexDigit maps a hexadecimal digit to its value, anything else to 16.
var hexDigit = func() (t [256]byte) {
	for i := range t {
		t[i] = 16
	}
	for i := range byte(10) {
		t['0'+i] = i
	}
	for i := range byte(6) {
		t['a'+i], t['A'+i] = 10+i, 10+i
	}
	return t
}()

func uuidText(col *batch.Column, v []byte) issue {
	if len(v) != 36 || v[8] != '-' || v[13] != '-' || v[18] != '-' || v[23] != '-' {
		return badForm
	}
	var u [16]byte
	at := 0
	for i := range u {
		if at == 8 || at == 13 || at == 18 || at == 23 {
			at++
		}
		hi, lo := hexDigit[v[at]], hexDigit[v[at+1]]
		if hi|lo > 15 {
			return badForm
		}
		u[i] = hi<<4 | lo
		at += 2
	}
	col.AppendBytes(u[:])
	return fine
}
