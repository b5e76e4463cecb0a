package envelope

import (
	"math"
	"strconv"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// nan is the not-a-number that PostgreSQL sends.
const nan = 0x7ff8000000000000

// parseText appends a value from the text form that appendText writes, for the
// kinds that have one of their own; reason says why it is none.
func parseText(c *batch.Column, v []byte) (reason string) {
	switch k := c.Type.Kind; k {
	case undrop.Int32, undrop.Int64:
		n, err := strconv.ParseInt(string(v), 10, pick(k == undrop.Int32, 32, 64))
		if err != nil {
			return "not an integer that fits"
		}
		c.AppendInt(n)
	case undrop.Float32, undrop.Float64:
		f, err := strconv.ParseFloat(string(v), pick(k == undrop.Float32, 32, 64))
		if err != nil {
			return "not a number that fits"
		}
		bits := int64(math.Float64bits(f))
		if f != f {
			bits = nan
		}
		c.AppendInt(bits)
	case undrop.Decimal:
		w, reason := parseDecimal(v, c.Type.Precision, c.Type.Scale)
		if reason != "" {
			return reason
		}
		if small(c.Type) {
			c.AppendInt(int64(w.lo))
			break
		}
		c.Data = w.appendTo(c.Data)
		c.EndData()
	case undrop.UUID:
		var ok bool
		if c.Data, ok = parseUUID(c.Data, v); !ok {
			return "not a uuid"
		}
		c.EndData()
	default: // dates and times
		n, ok := parseISO(k, v)
		if !ok {
			var err error
			if n, err = strconv.ParseInt(string(v), 10, 64); err != nil {
				return "not an ISO 8601 " + k.String()
			}
			var buf [32]byte
			if _, iso := appendISO(buf[:0], k, n); iso {
				return "a number where ISO 8601 belongs: its unit is not known"
			}
		}
		c.AppendInt(n)
	}
	return ""
}
