package postgres

import (
	"math"
	"strconv"
)

// appendDay prints days since 1970-01-01 of any year; the era belongs at the end
// of the whole value.
func appendDay(dst []byte, days int64) (_ []byte, bc bool) {
	y, m, d := civilOf(days)
	if y <= 0 {
		y, bc = 1-y, true
	}
	dst = append(appendPadded(dst, uint64(y), 4), '-')
	dst = append(appendPadded(dst, uint64(m), 2), '-')
	return appendPadded(dst, uint64(d), 2), bc
}

// appendClock prints microseconds since midnight.
func appendClock(dst []byte, micros int64) []byte {
	s := uint64(micros / 1_000_000)
	dst = append(appendPadded(dst, s/3600, 2), ':')
	dst = append(appendPadded(dst, s/60%60, 2), ':')
	dst = appendPadded(dst, s%60, 2)
	if f := uint64(micros % 1_000_000); f > 0 {
		dst = appendPadded(append(dst, '.'), f, 6)
		for dst[len(dst)-1] == '0' {
			dst = dst[:len(dst)-1]
		}
	}
	return dst
}

// appendDateText prints a binary date.
func appendDateText(dst []byte, n int32) []byte {
	switch n {
	case math.MaxInt32:
		return append(dst, "infinity"...)
	case math.MinInt32:
		return append(dst, "-infinity"...)
	}
	dst, bc := appendDay(dst, int64(n)+epochDays)
	return appendEra(dst, bc)
}

// appendTimestampText prints a binary timestamp.
func appendTimestampText(dst []byte, n int64, zoned bool) []byte {
	switch n {
	case math.MaxInt64:
		return append(dst, "infinity"...)
	case math.MinInt64:
		return append(dst, "-infinity"...)
	}
	days, micros := n/dayMicros, n%dayMicros
	if micros < 0 {
		days, micros = days-1, micros+dayMicros
	}
	dst, bc := appendDay(dst, days+epochDays)
	dst = appendClock(append(dst, ' '), micros)
	if zoned {
		dst = append(dst, "+00"...)
	}
	return appendEra(dst, bc)
}

func appendEra(dst []byte, bc bool) []byte {
	if bc {
		return append(dst, " BC"...)
	}
	return dst
}

// appendBool prints a boolean as PostgreSQL's output function does.
func appendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 't')
	}
	return append(dst, 'f')
}

// appendBits prints n bits, most significant first.
func appendBits(dst, v []byte, n int) []byte {
	for i := range min(n, 8*len(v)) {
		dst = append(dst, '0'+v[i/8]>>(7-i%8)&1)
	}
	return dst
}

func appendInt(dst []byte, n int64) []byte { return strconv.AppendInt(dst, n, 10) }
