package postgres

import (
	"math"
	"strconv"
	"unsafe"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// floatText reads what float4out and float8out print.
func floatText(v []byte, width int) (float64, issue) {
	f, err := strconv.ParseFloat(unsafe.String(unsafe.SliceData(v), len(v)), width)
	if err != nil {
		return 0, badForm
	}
	return f, fine
}

// appendFloatText prints a float the way PostgreSQL does with extra_float_digits
// above 0: the shortest digits, with an exponent from the 16th digit on (float4:
// the 7th).
func appendFloatText(dst []byte, f float64, width int) []byte {
	switch {
	case f != f:
		return append(dst, "NaN"...)
	case f > 0 && f*0 != 0:
		return append(dst, "Infinity"...)
	case f < 0 && f*0 != 0:
		return append(dst, "-Infinity"...)
	}
	var buf [32]byte
	exp := strconv.AppendFloat(buf[:0], f, 'e', -1, width)
	at := len(exp) - 1
	for exp[at] != 'e' {
		at--
	}
	n, _ := strconv.Atoi(string(exp[at+1:])) // what AppendFloat wrote
	most := 15
	if width == 32 {
		most = 6
	}
	if n >= -4 && n < most {
		return strconv.AppendFloat(dst, f, 'f', -1, width)
	}
	return append(dst, exp...)
}

// exactFloat appends f if the contracted type holds it exactly.
func (c *codec) exactFloat(col *batch.Column, f float64) issue {
	switch {
	case f != f:
		return badNaN
	case f*0 != 0:
		return badInfinity
	case c.typ.Kind == undrop.Float32 && float64(float32(f)) != f:
		return badScale
	}
	col.AppendInt(int64(math.Float64bits(f)))
	return fine
}
