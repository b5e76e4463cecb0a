package config

import (
	"fmt"
	"math"
	"math/big"
	"strings"
	"time"
)

var sizeUnits = map[string]int64{"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}

var timeUnits = map[string]int64{
	"ms": int64(time.Millisecond), "s": int64(time.Second), "m": int64(time.Minute),
	"h": int64(time.Hour), "d": int64(24 * time.Hour),
}

// parseSize reads "2GiB" or "1.5MiB". A number without a unit is refused, and so
// are MB and GB: half of all readers take them for powers of two.
func parseSize(s string) (int64, error) {
	number, rest := splitNumber(s)
	unit := strings.TrimSpace(rest)
	factor, ok := sizeUnits[unit]
	switch {
	case number == "":
		return 0, fmt.Errorf("%q is not a size; write for example 128MiB (B, KiB, MiB, GiB, TiB)", s)
	case unit == "":
		return 0, fmt.Errorf("%q has no unit; write for example %sMiB (B, KiB, MiB, GiB, TiB)", s, number)
	case !ok:
		return 0, fmt.Errorf("%q has the unknown unit %q; use one of B, KiB, MiB, GiB, TiB", s, unit)
	}
	return scale(s, number, factor)
}

// parseDuration reads "14d", "500ms" or "1h30m". Only 0 may stand without a unit.
func parseDuration(s string) (time.Duration, error) {
	if s == "0" {
		return 0, nil
	}
	var sum int64
	for rest := s; rest != "" || s == ""; {
		var number, unit string
		number, rest = splitNumber(rest)
		end := strings.IndexFunc(rest, func(r rune) bool { return r >= '0' && r <= '9' })
		if end < 0 {
			end = len(rest)
		}
		unit, rest = rest[:end], rest[end:]
		factor, ok := timeUnits[unit]
		switch {
		case number == "":
			return 0, fmt.Errorf("%q is not a duration; write for example 500ms, 1s or 14d (ms, s, m, h, d)", s)
		case unit == "":
			return 0, fmt.Errorf("%q has no unit; write for example %ss (ms, s, m, h, d)", s, number)
		case !ok:
			return 0, fmt.Errorf("%q has the unknown unit %q; use ms, s, m, h or d", s, unit)
		}
		part, err := scale(s, number, factor)
		if err != nil {
			return 0, err
		}
		if sum > math.MaxInt64-part {
			return 0, fmt.Errorf("%q is too large", s)
		}
		sum += part
	}
	return time.Duration(sum), nil
}

func splitNumber(s string) (number, rest string) {
	i := 0
	for i < len(s) && (s[i] >= '0' && s[i] <= '9' || s[i] == '.') {
		i++
	}
	return s[:i], s[i:]
}

// scale multiplies exactly: a fraction that does not give a whole number is refused.
func scale(s, number string, factor int64) (int64, error) {
	r, ok := new(big.Rat).SetString(number)
	if !ok || strings.HasPrefix(number, ".") || strings.HasSuffix(number, ".") {
		return 0, fmt.Errorf("%q: %q is not a number", s, number)
	}
	r.Mul(r, new(big.Rat).SetInt64(factor))
	if !r.IsInt() {
		return 0, fmt.Errorf("%q is not a whole number of the smallest unit", s)
	}
	if !r.Num().IsInt64() {
		return 0, fmt.Errorf("%q is too large", s)
	}
	return r.Num().Int64(), nil
}
