package envelope

import (
	undrop "github.com/undrop/undrop"
)

const (
	dayMicros = 24 * 60 * 60 * 1_000_000
	firstDay  = -719162 // 0001-01-01
	lastDay   = 2932896 // 9999-12-31
)

// appendISO appends a date or time as ISO 8601, always with six digits of a
// second. It says no to a value that the form cannot hold.
func appendISO(dst []byte, k undrop.Kind, v int64) ([]byte, bool) {
	days, micros := v, int64(0)
	switch k {
	case undrop.Time:
		if v < 0 || v >= dayMicros {
			return dst, false
		}
		return appendClock(dst, v), true
	case undrop.Timestamp, undrop.TimestampTZ:
		days, micros = v/dayMicros, v%dayMicros
		if micros < 0 {
			days, micros = days-1, micros+dayMicros
		}
	}
	if days < firstDay || days > lastDay {
		return dst, false
	}
	y, m, d := civil(days)
	dst = append(dst, byte('0'+y/1000), byte('0'+y/100%10), byte('0'+y/10%10), byte('0'+y%10),
		'-', byte('0'+m/10), byte('0'+m%10), '-', byte('0'+d/10), byte('0'+d%10))
	if k == undrop.Date {
		return dst, true
	}
	dst = appendClock(append(dst, 'T'), micros)
	if k == undrop.TimestampTZ {
		dst = append(dst, 'Z')
	}
	return dst, true
}

func appendClock(dst []byte, micros int64) []byte {
	s, f := micros/1_000_000, micros%1_000_000
	h, m := s/3600, s/60%60
	s %= 60
	return append(dst, byte('0'+h/10), byte('0'+h%10), ':', byte('0'+m/10), byte('0'+m%10), ':', byte('0'+s/10), byte('0'+s%10),
		'.', byte('0'+f/100_000), byte('0'+f/10_000%10), byte('0'+f/1000%10), byte('0'+f/100%10), byte('0'+f/10%10), byte('0'+f%10))
}

// parseISO reads what appendISO writes, with zero to six digits of a second.
func parseISO(k undrop.Kind, s []byte) (v int64, ok bool) {
	if k == undrop.Time {
		return parseClock(s)
	}
	if len(s) < 10 || s[4] != '-' || s[7] != '-' {
		return 0, false
	}
	y, ok1 := digits(s[:4])
	m, ok2 := digits(s[5:7])
	d, ok3 := digits(s[8:10])
	if !ok1 || !ok2 || !ok3 || y < 1 || m < 1 || m > 12 || d < 1 {
		return 0, false
	}
	days := daysOf(y, m, d)
	if yy, mm, dd := civil(days); yy != y || mm != m || dd != d { // 31 April
		return 0, false
	}
	if k == undrop.Date {
		return days, len(s) == 10
	}
	if k == undrop.TimestampTZ {
		if s[len(s)-1] != 'Z' {
			return 0, false
		}
		s = s[:len(s)-1]
	}
	if len(s) < 11 || s[10] != 'T' {
		return 0, false
	}
	micros, ok := parseClock(s[11:])
	return days*dayMicros + micros, ok
}

func parseClock(s []byte) (micros int64, ok bool) {
	if len(s) < 8 || s[2] != ':' || s[5] != ':' {
		return 0, false
	}
	h, ok1 := digits(s[0:2])
	m, ok2 := digits(s[3:5])
	sec, ok3 := digits(s[6:8])
	if !ok1 || !ok2 || !ok3 || h > 23 || m > 59 || sec > 59 {
		return 0, false
	}
	micros = (h*3600 + m*60 + sec) * 1_000_000
	if len(s) == 8 {
		return micros, true
	}
	frac := s[9:]
	if s[8] != '.' || len(frac) == 0 || len(frac) > 6 {
		return 0, false
	}
	f, ok := digits(frac)
	for n := len(frac); n < 6; n++ {
		f *= 10
	}
	return micros + f, ok
}

func digits(s []byte) (n int64, ok bool) {
	for _, b := range s {
		if b < '0' || b > '9' {
			return 0, false
		}
		n = n*10 + int64(b-'0')
	}
	return n, true
}

// civil turns days since 1970-01-01 into a date of the proleptic Gregorian
// calendar. It counts in eras of 400 years that begin on 1 March, so that the leap
// day is the last of its year.
func civil(days int64) (y, m, d int64) {
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

// daysOf is the inverse of civil, for years from 1.
func daysOf(y, m, d int64) int64 {
	if m <= 2 {
		y--
	}
	era := y / 400
	yoe := y - era*400
	mp := m - 3
	if m <= 2 {
		mp = m + 9
	}
	doy := (153*mp+2)/5 + d - 1
	doe := yoe*365 + yoe/4 - yoe/100 + doy
	return era*146097 + doe - 719468
}
