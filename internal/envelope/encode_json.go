package envelope

import (
	"encoding/base64"
	"math"
	"strconv"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// maxExact is the largest integer up to which every JSON reader keeps all digits.
const maxExact = 1 << 53

// appendJSONRow appends every column as a member of an object.
func (e *encoding) appendJSONRow(dst []byte, b *batch.Batch, row int) []byte {
	unchanged := b.Unchanged[row]
	dst = append(dst, '{')
	for i := range b.Cols {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, e.names[i]...)
		c := &b.Cols[i]
		if missing(unchanged, i) {
			switch c.Type.Kind {
			case undrop.String:
				dst = append(dst, `"`+Unavailable+`"`...)
				continue
			case undrop.Binary:
				dst = appendBase64(dst, []byte(Unavailable))
				continue
			}
		}
		dst = appendJSONOptional(dst, c, row)
	}
	return append(dst, '}')
}

func appendJSONOptional(dst []byte, c *batch.Column, row int) []byte {
	if c.Null[row] {
		return append(dst, "null"...)
	}
	return appendJSON(dst, c, row)
}

// appendJSON appends a value that is not null. What a reader could lose digits of
// is a string: decimals, integers beyond 2^53, NaN and the infinities. Dates and
// times are ISO 8601; one that lies outside the years 0001 to 9999, or the day,
// is the plain number of days or microseconds.
func appendJSON(dst []byte, c *batch.Column, row int) []byte {
	switch c.Type.Kind {
	case undrop.Bool:
		return strconv.AppendBool(dst, c.Ints[row] != 0)
	case undrop.Float32, undrop.Float64:
		return appendJSONFloat(dst, c, row)
	case undrop.Decimal, undrop.UUID:
		return append(appendText(append(dst, '"'), c, row), '"')
	case undrop.String:
		return appendJSONString(dst, c.Bytes(row))
	case undrop.Binary:
		return appendBase64(dst, c.Bytes(row))
	case undrop.Date, undrop.Time, undrop.Timestamp, undrop.TimestampTZ:
		at := len(dst)
		dst = append(dst, '"')
		if out, ok := appendISO(dst, c.Type.Kind, c.Ints[row]); ok {
			return append(out, '"')
		}
		return appendJSONLong(dst[:at], c.Ints[row])
	case undrop.List:
		return appendJSONList(dst, c, row)
	case undrop.Map:
		return appendJSONMap(dst, c, row)
	case undrop.Struct:
		for f := range c.Fields {
			dst = append(dst, "{,"[min(f, 1)])
			dst = append(appendJSONString(dst, []byte(c.Type.Fields[f].Name)), ':')
			dst = appendJSONOptional(dst, &c.Fields[f], row)
		}
		if len(c.Fields) == 0 {
			dst = append(dst, '{')
		}
		return append(dst, '}')
	default:
		return appendJSONLong(dst, c.Ints[row])
	}
}

func appendJSONList(dst []byte, c *batch.Column, row int) []byte {
	dst = append(dst, '[')
	from := int(c.Off[row])
	for j := from; j < int(c.Off[row+1]); j++ {
		if j > from {
			dst = append(dst, ',')
		}
		dst = appendJSONOptional(dst, c.Elem, j)
	}
	return append(dst, ']')
}

// appendJSONMap appends an object, or an array of entries if keys are not text.
func appendJSONMap(dst []byte, c *batch.Column, row int) []byte {
	object := c.Type.Key.Kind == undrop.String
	dst = append(dst, pick[byte](object, '{', '['))
	from := int(c.Off[row])
	for j := from; j < int(c.Off[row+1]); j++ {
		if j > from {
			dst = append(dst, ',')
		}
		if object {
			dst = append(appendJSONString(dst, c.Key.Bytes(j)), ':')
			dst = appendJSONOptional(dst, c.Elem, j)
			continue
		}
		dst = appendJSON(append(dst, `{"key":`...), c.Key, j)
		dst = appendJSONOptional(append(dst, `,"value":`...), c.Elem, j)
		dst = append(dst, '}')
	}
	return append(dst, pick[byte](object, '}', ']'))
}

func pick[T any](first bool, a, b T) T {
	if first {
		return a
	}
	return b
}

func appendJSONFloat(dst []byte, c *batch.Column, row int) []byte {
	f := math.Float64frombits(uint64(c.Ints[row]))
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(appendText(append(dst, '"'), c, row), '"')
	}
	return appendText(dst, c, row)
}

func appendJSONLong(dst []byte, v int64) []byte {
	if v > maxExact || v < -maxExact {
		return append(strconv.AppendInt(append(dst, '"'), v, 10), '"')
	}
	return strconv.AppendInt(dst, v, 10)
}

func appendBase64(dst, v []byte) []byte {
	return append(base64.StdEncoding.AppendEncode(append(dst, '"'), v), '"')
}

// appendText appends a value that is not null as bare text: text and binary as
// they are, nested values as JSON, everything else as in JSON without quotes.
func appendText(dst []byte, c *batch.Column, row int) []byte {
	switch c.Type.Kind {
	case undrop.String, undrop.Binary:
		return append(dst, c.Bytes(row)...)
	case undrop.UUID:
		return appendUUID(dst, c.Bytes(row))
	case undrop.Decimal:
		if small(c.Type) {
			return appendDecimal(dst, wide{c.Ints[row] >> 63, uint64(c.Ints[row])}, c.Type.Scale)
		}
		return appendDecimal(dst, wideFrom(c.Bytes(row)), c.Type.Scale)
	case undrop.Float32, undrop.Float64:
		f := math.Float64frombits(uint64(c.Ints[row]))
		switch {
		case math.IsNaN(f):
			return append(dst, "NaN"...)
		case math.IsInf(f, 1):
			return append(dst, "Infinity"...)
		case math.IsInf(f, -1):
			return append(dst, "-Infinity"...)
		case c.Type.Kind == undrop.Float32:
			return strconv.AppendFloat(dst, f, 'g', -1, 32)
		}
		return strconv.AppendFloat(dst, f, 'g', -1, 64)
	case undrop.Date, undrop.Time, undrop.Timestamp, undrop.TimestampTZ:
		if out, ok := appendISO(dst, c.Type.Kind, c.Ints[row]); ok {
			return out
		}
		return strconv.AppendInt(dst, c.Ints[row], 10)
	case undrop.Bool, undrop.List, undrop.Map, undrop.Struct:
		return appendJSON(dst, c, row)
	default:
		return strconv.AppendInt(dst, c.Ints[row], 10)
	}
}

// appendDecimal appends an unscaled value with its point.
func appendDecimal(dst []byte, w wide, scale int) []byte {
	hi, lo := w.abs()
	if w.hi < 0 {
		dst = append(dst, '-')
	}
	var buf [40]byte
	i := len(buf)
	for n := 0; hi != 0 || lo != 0 || n <= scale; n++ {
		if n == scale && scale > 0 {
			i--
			buf[i] = '.'
		}
		var digit uint64
		hi, lo, digit = div10(hi, lo)
		i--
		buf[i] = byte('0' + digit)
	}
	return append(dst, buf[i:]...)
}
