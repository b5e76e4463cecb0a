package contract

import (
	"encoding/hex"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// literal is a value in the form that a batch column holds it: i for fixed
// kinds, b for the others.
type literal struct {
	i int64
	b []byte
}

// parseLiteral reads a value as a person or a source writes it. It must be a
// value of t exactly: 12.345 is not a decimal(4,2).
func parseLiteral(t undrop.Type, s string) (literal, error) {
	switch t.Kind {
	case undrop.Bool:
		switch strings.ToLower(s) {
		case "true", "t":
			return literal{i: 1}, nil
		case "false", "f":
			return literal{}, nil
		}
		return literal{}, fmt.Errorf("%q is not true or false", s)
	case undrop.Int32, undrop.Int64:
		bits := 64
		if t.Kind == undrop.Int32 {
			bits = 32
		}
		v, err := strconv.ParseInt(s, 10, bits)
		if err != nil {
			return literal{}, fmt.Errorf("%q is not a whole number of %d bits", s, bits)
		}
		return literal{i: v}, nil
	case undrop.Float32, undrop.Float64:
		return parseFloat(t, s)
	case undrop.Decimal:
		return parseDecimal(t, s)
	case undrop.String:
		if strings.ContainsRune(s, 0) {
			return literal{}, fmt.Errorf("a string cannot hold U+0000")
		}
		return literal{b: []byte(s)}, nil
	case undrop.Binary:
		h, ok := strings.CutPrefix(s, `\x`)
		v, err := hex.DecodeString(h)
		if !ok || err != nil {
			return literal{}, fmt.Errorf(`%q is not binary in the form \x0123`, s)
		}
		return literal{b: v}, nil
	case undrop.UUID:
		v, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
		if err != nil || len(v) != 16 {
			return literal{}, fmt.Errorf("%q is not a uuid", s)
		}
		return literal{b: v}, nil
	case undrop.Date, undrop.Time, undrop.Timestamp, undrop.TimestampTZ:
		return parseTemporal(t, s)
	}
	return literal{}, fmt.Errorf("a %s has no literal", t)
}

func parseFloat(t undrop.Type, s string) (literal, error) {
	bits := 64
	if t.Kind == undrop.Float32 {
		bits = 32
	}
	f, err := strconv.ParseFloat(s, bits)
	if err != nil {
		return literal{}, fmt.Errorf("%q is not a number of %d bits", s, bits)
	}
	return literal{i: int64(math.Float64bits(f))}, nil
}

func parseDecimal(t undrop.Type, s string) (literal, error) {
	r, ok := new(big.Rat).SetString(s)
	if !ok || len(s) > 4096 {
		return literal{}, fmt.Errorf("%q is not a number", s)
	}
	r.Mul(r, new(big.Rat).SetInt(pow10(t.Scale)))
	if !r.IsInt() {
		return literal{}, fmt.Errorf("%s has more digits behind the point than %s", s, t)
	}
	n := r.Num()
	if n.CmpAbs(pow10(t.Precision)) >= 0 {
		return literal{}, fmt.Errorf("%s has more digits than %s", s, t)
	}
	if t.Precision <= 18 {
		return literal{i: n.Int64()}, nil
	}
	return literal{b: batch.AppendBig16(nil, n)}, nil
}

func pow10(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

var (
	localForms = []string{"2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02"}
	zonedForms = []string{"2006-01-02T15:04:05Z07:00", "2006-01-02 15:04:05Z07:00", "2006-01-02T15:04:05Z07", "2006-01-02 15:04:05Z07",
		"2006-01-02T15:04Z07:00", "2006-01-02 15:04Z07:00", "2006-01-02T15:04:05Z0700", "2006-01-02 15:04:05Z0700"}
	timeForms = []string{"15:04:05", "15:04"}
)

// parseTemporal reads ISO 8601, with a blank or a T. A time without a zone is
// not a timestamptz: the caller must have decided the zone.
func parseTemporal(t undrop.Type, s string) (literal, error) {
	forms := localForms
	switch t.Kind {
	case undrop.Date:
		forms = localForms[len(localForms)-1:]
	case undrop.Time:
		forms = timeForms
	case undrop.TimestampTZ:
		forms = zonedForms
	}
	for _, form := range forms {
		v, err := time.Parse(form, s)
		if err != nil {
			continue
		}
		if v.Nanosecond()%1000 != 0 {
			return literal{}, fmt.Errorf("%q is finer than a microsecond", s)
		}
		switch t.Kind {
		case undrop.Date:
			return literal{i: v.Unix() / 86400}, nil
		case undrop.Time:
			return literal{i: v.Sub(v.Truncate(24 * time.Hour)).Microseconds()}, nil
		}
		return literal{i: v.UnixMicro()}, nil
	}
	return literal{}, fmt.Errorf("%q is not a %s", s, t)
}
