package postgres

import (
	"bytes"
	"math"
)

// The days and microseconds from 1970-01-01 that the years 0001 to 9999 span,
// and from there to PostgreSQL's 2000-01-01.
const (
	minDay     = -719162
	maxDay     = 2932896
	dayMicros  = 86_400_000_000
	minMicros  = minDay * dayMicros
	maxMicros  = (maxDay+1)*dayMicros - 1
	epochDays  = 10957
	epochShift = epochDays * dayMicros
)

// daysOf counts the days from 1970-01-01 in the proleptic Gregorian calendar.
func daysOf(y, m, d int64) int64 {
	if m <= 2 {
		y--
	}
	era := y / 400
	if y < 0 {
		era = (y - 399) / 400
	}
	yoe := y - era*400
	doy := (153*((m+9)%12)+2)/5 + d - 1
	doe := yoe*365 + yoe/4 - yoe/100 + doy
	return era*146097 + doe - 719468
}

// civilOf is the inverse of daysOf.
func civilOf(days int64) (y, m, d int64) {
	z := days + 719468
	era := z / 146097
	if z < 0 {
		era = (z - 146096) / 146097
	}
	doe := z - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	d = doy - (153*mp+2)/5 + 1
	m = mp + 3
	if m > 12 {
		m -= 12
	}
	y = yoe + era*400
	if m <= 2 {
		y++
	}
	return y, m, d
}

// two reads two digits; over 99 for anything else.
func two(v []byte) int64 {
	a, b := v[0]-'0', v[1]-'0'
	if a > 9 || b > 9 {
		return 100
	}
	return int64(a)*10 + int64(b)
}

// dayText reads "2006-01-02" at the start of v. A longer year is out of range,
// but is read past.
func dayText(v []byte) (days int64, rest []byte, is issue) {
	if len(v) < 10 || v[4] != '-' {
		return longYear(v)
	}
	hi, lo := two(v), two(v[2:])
	m, d := two(v[5:]), two(v[8:])
	if hi > 99 || lo > 99 || v[7] != '-' || m < 1 || m > 12 || d < 1 || d > 31 {
		return 0, nil, badForm
	}
	y := hi*100 + lo
	if y == 0 {
		return 0, nil, badForm
	}
	return daysOf(y, m, d), v[10:], fine
}

func longYear(v []byte) (int64, []byte, issue) {
	switch string(v) {
	case "infinity", "-infinity":
		return 0, nil, badInfinity
	}
	year, rest, ok := bytes.Cut(v, []byte{'-'})
	if !ok || len(year) < 5 || len(rest) < 5 {
		return 0, nil, badForm
	}
	if _, ok := intText(year); !ok {
		return 0, nil, badForm
	}
	return 0, nil, badRange
}

// beforeChrist reports the era that PostgreSQL prints at the end.
func beforeChrist(v []byte) bool { return bytes.HasSuffix(v, []byte(" BC")) }

func dateText(v []byte) (int64, issue) {
	days, rest, is := dayText(v)
	if is == fine && len(rest) > 0 {
		if beforeChrist(v) {
			return 0, badRange
		}
		return 0, badForm
	}
	return days, is
}

// clockText reads "15:04:05.999999" at the start of v, as microseconds.
func clockText(v []byte) (micros int64, rest []byte, is issue) {
	if len(v) < 8 || v[2] != ':' || v[5] != ':' {
		return 0, nil, badForm
	}
	h, m, s := two(v), two(v[3:]), two(v[6:])
	if h > 24 || m > 59 || s > 60 {
		return 0, nil, badForm
	}
	micros = ((h*60+m)*60 + s) * 1_000_000
	v = v[8:]
	if len(v) > 0 && v[0] == '.' {
		frac, i := uint64(0), 1
		for ; i < len(v) && i < 8 && v[i]-'0' <= 9; i++ {
			frac = frac*10 + uint64(v[i]-'0')
		}
		if i == 1 || i == 8 {
			return 0, nil, badForm
		}
		micros += int64(frac * powers64[7-i])
		v = v[i:]
	}
	return micros, v, fine
}

func timeText(v []byte) (int64, issue) {
	micros, rest, is := clockText(v)
	switch {
	case is != fine || len(rest) > 0:
		return 0, badForm
	case micros >= dayMicros:
		return 0, badRange
	}
	return micros, fine
}

// knownDay is the newest date that was read: the next one is mostly the same.
type knownDay struct {
	text [10]byte
	days int64
}

// timestampText reads a timestamp, with a zone or without.
func timestampText(v []byte, zoned bool, known *knownDay) (int64, issue) {
	var days int64
	var rest []byte
	var is issue
	if len(v) > 10 && string(v[:10]) == string(known.text[:]) {
		days, rest = known.days, v[10:]
	} else if days, rest, is = dayText(v); is != fine {
		return 0, is
	} else {
		known.text, known.days = [10]byte(v), days
	}
	if len(rest) < 9 || rest[0] != ' ' {
		return 0, badForm
	}
	micros, rest, is := clockText(rest[1:])
	if is != fine {
		return 0, is
	}
	micros += days * dayMicros
	if zoned && string(rest) == "+00" { // as in every session of ours
		rest = nil
	} else if zoned {
		var offset int64
		if offset, rest, is = zoneText(rest); is != fine {
			return 0, is
		}
		micros -= offset
	}
	switch {
	case len(rest) > 0 && beforeChrist(rest):
		return 0, badRange
	case len(rest) > 0:
		return 0, badForm
	case micros < minMicros || micros > maxMicros:
		return 0, badRange
	}
	return micros, fine
}

// zoneText reads "+00" or "-03:30:15", as microseconds east of Greenwich.
func zoneText(v []byte) (int64, []byte, issue) {
	if len(v) < 3 || v[0] != '+' && v[0] != '-' {
		return 0, nil, badForm
	}
	sign, offset := int64(1), int64(0)
	if v[0] == '-' {
		sign = -1
	}
	unit := int64(3600)
	for first := true; first || len(v) >= 3 && v[0] == ':' && unit > 0; first = false {
		n := two(v[1:])
		if n > 59 {
			return 0, nil, badForm
		}
		offset += n * unit
		unit /= 60
		v = v[3:]
	}
	return sign * offset * 1_000_000, v, fine
}

// dateBinary reads days since 2000-01-01.
func dateBinary(n int32) (int64, issue) {
	if n == math.MaxInt32 || n == math.MinInt32 {
		return 0, badInfinity
	}
	days := int64(n) + epochDays
	if days < minDay || days > maxDay {
		return 0, badRange
	}
	return days, fine
}

// timestampBinary reads microseconds since 2000-01-01.
func timestampBinary(n int64) (int64, issue) {
	switch {
	case n == math.MaxInt64 || n == math.MinInt64:
		return 0, badInfinity
	case n < minMicros-epochShift || n > maxMicros-epochShift:
		return 0, badRange
	}
	return n + epochShift, fine
}
