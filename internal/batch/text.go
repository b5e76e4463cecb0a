package batch

import (
	"encoding/hex"
	"encoding/json"
	"math"
	"math/big"
	"strconv"
	"time"

	undrop "github.com/undrop/undrop"
)

// AppendText appends the value of row i the way PostgreSQL prints it with
// DateStyle ISO, TimeZone UTC and bytea_output hex. A null appends nothing.
func (c *Column) AppendText(dst []byte, i int) []byte {
	if c.Null[i] {
		return dst
	}
	switch c.Type.Kind {
	case undrop.Bool:
		if c.Ints[i] != 0 {
			return append(dst, 't')
		}
		return append(dst, 'f')
	case undrop.Float32:
		return appendFloat(dst, math.Float64frombits(uint64(c.Ints[i])), 32)
	case undrop.Float64:
		return appendFloat(dst, math.Float64frombits(uint64(c.Ints[i])), 64)
	case undrop.Decimal:
		if c.Type.Precision <= 18 {
			return appendScaled(dst, strconv.FormatInt(c.Ints[i], 10), c.Type.Scale)
		}
		return appendScaled(dst, BigFrom16(c.Bytes(i)).String(), c.Type.Scale)
	case undrop.String:
		return append(dst, c.Bytes(i)...)
	case undrop.Binary:
		return hex.AppendEncode(append(dst, `\x`...), c.Bytes(i))
	case undrop.UUID:
		v := c.Bytes(i)
		for k, n := range [...]int{4, 6, 8, 10, 16} {
			if k > 0 {
				dst = append(dst, '-')
			}
			dst = hex.AppendEncode(dst, v[[...]int{0, 4, 6, 8, 10}[k]:n])
		}
		return dst
	case undrop.Date:
		return time.Unix(c.Ints[i]*86400, 0).UTC().AppendFormat(dst, "2006-01-02")
	case undrop.Time:
		return time.UnixMicro(c.Ints[i]).UTC().AppendFormat(dst, "15:04:05.999999")
	case undrop.Timestamp:
		return time.UnixMicro(c.Ints[i]).UTC().AppendFormat(dst, "2006-01-02 15:04:05.999999")
	case undrop.TimestampTZ:
		return append(time.UnixMicro(c.Ints[i]).UTC().AppendFormat(dst, "2006-01-02 15:04:05.999999"), "+00"...)
	case undrop.List, undrop.Map, undrop.Struct:
		return c.AppendJSON(dst, i)
	default:
		return strconv.AppendInt(dst, c.Ints[i], 10)
	}
}

// AppendJSON appends the value of row i as JSON: numbers as numbers unless a
// reader could lose digits (int64 beyond 2^53, decimals, NaN: strings), binary
// as a hex string, everything temporal as a string.
func (c *Column) AppendJSON(dst []byte, i int) []byte {
	if c.Null[i] {
		return append(dst, "null"...)
	}
	switch c.Type.Kind {
	case undrop.Bool:
		return strconv.AppendBool(dst, c.Ints[i] != 0)
	case undrop.Int32:
		return strconv.AppendInt(dst, c.Ints[i], 10)
	case undrop.Int64:
		if v := c.Ints[i]; v > 1<<53 || v < -(1<<53) {
			return append(strconv.AppendInt(append(dst, '"'), v, 10), '"')
		}
		return strconv.AppendInt(dst, c.Ints[i], 10)
	case undrop.Float32, undrop.Float64:
		f := math.Float64frombits(uint64(c.Ints[i]))
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return append(c.AppendText(append(dst, '"'), i), '"')
		}
		return c.AppendText(dst, i)
	case undrop.List:
		dst = append(dst, '[')
		for j := int(c.Off[i]); j < int(c.Off[i+1]); j++ {
			if j > int(c.Off[i]) {
				dst = append(dst, ',')
			}
			dst = c.Elem.AppendJSON(dst, j)
		}
		return append(dst, ']')
	case undrop.Map:
		dst = append(dst, '{')
		for j := int(c.Off[i]); j < int(c.Off[i+1]); j++ {
			if j > int(c.Off[i]) {
				dst = append(dst, ',')
			}
			dst = appendQuoted(dst, c.Key.AppendText(nil, j))
			dst = append(dst, ':')
			dst = c.Elem.AppendJSON(dst, j)
		}
		return append(dst, '}')
	case undrop.Struct:
		dst = append(dst, '{')
		for f := range c.Fields {
			if f > 0 {
				dst = append(dst, ',')
			}
			dst = appendQuoted(dst, []byte(c.Type.Fields[f].Name))
			dst = append(dst, ':')
			dst = c.Fields[f].AppendJSON(dst, i)
		}
		return append(dst, '}')
	default:
		return appendQuoted(dst, c.AppendText(nil, i))
	}
}

// AppendRowJSON appends row i as one JSON object in field order.
func (b *Batch) AppendRowJSON(dst []byte, i int) []byte {
	dst = append(dst, '{')
	for c := range b.Cols {
		if c > 0 {
			dst = append(dst, ',')
		}
		dst = appendQuoted(dst, []byte(b.Table.Fields[c].Name))
		dst = append(dst, ':')
		dst = b.Cols[c].AppendJSON(dst, i)
	}
	return append(dst, '}')
}

func appendQuoted(dst, s []byte) []byte {
	q, err := json.Marshal(string(s))
	if err != nil { // strings always marshal
		panic(err)
	}
	return append(dst, q...)
}

func appendFloat(dst []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, "NaN"...)
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	}
	return strconv.AppendFloat(dst, f, 'g', -1, bits)
}

func appendScaled(dst []byte, digits string, scale int) []byte {
	if digits[0] == '-' {
		dst, digits = append(dst, '-'), digits[1:]
	}
	for len(digits) <= scale {
		digits = "0" + digits
	}
	dst = append(dst, digits[:len(digits)-scale]...)
	if scale > 0 {
		dst = append(dst, '.')
		dst = append(dst, digits[len(digits)-scale:]...)
	}
	return dst
}

// BigFrom16 reads 16 bytes of big-endian two's complement.
func BigFrom16(v []byte) *big.Int {
	n := new(big.Int).SetBytes(v)
	if len(v) > 0 && v[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(v))))
	}
	return n
}

// AppendBig16 appends n as 16 bytes of big-endian two's complement. The caller
// has checked that it fits.
func AppendBig16(dst []byte, n *big.Int) []byte {
	var buf [16]byte
	if n.Sign() >= 0 {
		n.FillBytes(buf[:])
	} else {
		m := new(big.Int).Add(n, new(big.Int).Lsh(big.NewInt(1), 128))
		m.FillBytes(buf[:])
	}
	return append(dst, buf[:]...)
}
