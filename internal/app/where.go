package app

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// filter is the terms of a --where, all of which must hold. Rows are judged here
// and not by the library's scan: its row group filter loses rows where exactly half
// of an optional column is null (iceberg-go 0.7.0).
type filter []term

// term compares one column with one value. A null holds for nothing, as in SQL.
type term struct {
	column int
	op     string
	value  value
}

// value is a literal in a column's own type.
type value struct {
	n     int64
	f     float64
	rat   *big.Rat
	bytes []byte
}

// comparison is one term: a column, an operator, a value in single quotes or bare.
var comparison = regexp.MustCompile(`^\s*("(?:[^"]+)"|[\w.]+)\s*(<=|>=|!=|<>|=|<|>)\s*('(?:[^']|'')*'|[^\s']+)\s*`)

// parseWhere reads `COLUMN OP VALUE [and COLUMN OP VALUE]…`. It is for looking at
// rows, not a query language: an engine has one.
func parseWhere(text string, t *undrop.Table) (filter, error) {
	fail := func(err error) (filter, error) {
		return nil, &undrop.Error{Code: undrop.BadInput, Op: "read --where", Err: err, Hint: `--where "id = 42 and status = 'paid'"`}
	}
	var all filter
	for rest := text; ; {
		m := comparison.FindStringSubmatch(rest)
		if m == nil {
			return fail(fmt.Errorf("%q: want COLUMN OP VALUE", rest))
		}
		rest = rest[len(m[0]):]
		one := term{column: columnNamed(t, strings.Trim(m[1], `"`)), op: m[2]}
		if one.column < 0 {
			return fail(fmt.Errorf("there is no column %s in %s", m[1], t.TableName))
		}
		v := m[3]
		if strings.HasPrefix(v, "'") {
			v = strings.ReplaceAll(v[1:len(v)-1], "''", "'")
		}
		var err error
		if one.value, err = literal(v, t.Fields[one.column].Type); err != nil {
			return fail(fmt.Errorf("%s: %w", m[1], err))
		}
		all = append(all, one)
		if rest == "" {
			return all, nil
		}
		if len(rest) < 4 || !strings.EqualFold(rest[:4], "and ") {
			return fail(fmt.Errorf("%q: want and", rest))
		}
		rest = rest[4:]
	}
}

func columnNamed(t *undrop.Table, name string) int {
	for i := range t.Fields {
		if t.Fields[i].Name == name {
			return i
		}
	}
	return -1
}

// literal reads a value in a column's type.
func literal(text string, t undrop.Type) (v value, err error) {
	switch t.Kind {
	case undrop.Int32, undrop.Int64:
		v.n, err = strconv.ParseInt(text, 10, 64)
	case undrop.Bool:
		var b bool
		if b, err = strconv.ParseBool(text); b {
			v.n = 1
		}
	case undrop.Float32, undrop.Float64:
		v.f, err = strconv.ParseFloat(text, 64)
	case undrop.Decimal:
		var ok bool
		if v.rat, ok = new(big.Rat).SetString(text); !ok {
			err = fmt.Errorf("%q is not a number", text)
		}
	case undrop.Date, undrop.Time, undrop.Timestamp, undrop.TimestampTZ:
		v.n, err = moment(text, t.Kind)
	case undrop.String:
		v.bytes = []byte(text)
	case undrop.UUID:
		v.bytes = []byte(strings.ToLower(text))
	default:
		err = errors.New("nested and binary columns cannot be compared here")
	}
	return v, err
}

// moment reads what the column shows, in the column's unit.
func moment(text string, k undrop.Kind) (int64, error) {
	layouts := map[undrop.Kind][]string{
		undrop.Date:        {"2006-01-02"},
		undrop.Time:        {"15:04:05.999999"},
		undrop.Timestamp:   {"2006-01-02 15:04:05.999999", "2006-01-02T15:04:05.999999", "2006-01-02"},
		undrop.TimestampTZ: {"2006-01-02 15:04:05.999999-07", time.RFC3339Nano, "2006-01-02 15:04:05.999999-07:00"},
	}[k]
	for _, l := range layouts {
		at, err := time.Parse(l, text)
		if err != nil {
			continue
		}
		switch k {
		case undrop.Date:
			return at.Unix() / 86400, nil
		case undrop.Time:
			return at.Sub(time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)).Microseconds(), nil
		}
		return at.UnixMicro(), nil
	}
	return 0, fmt.Errorf("%q: want the form %s", text, layouts[0])
}

// match reports whether row i holds all terms.
func (f filter) match(b *batch.Batch, i int) bool {
	for _, t := range f {
		c := &b.Cols[t.column]
		if c.Null[i] || !t.holds(t.value.compare(c, i)) {
			return false
		}
	}
	return true
}

// compare orders the value of row i against v.
func (v value) compare(c *batch.Column, i int) int {
	switch c.Type.Kind {
	case undrop.Float32, undrop.Float64:
		return cmp.Compare(math.Float64frombits(uint64(c.Ints[i])), v.f)
	case undrop.Decimal:
		have, _ := new(big.Rat).SetString(string(c.AppendText(nil, i))) // our own digits
		return have.Cmp(v.rat)
	case undrop.String:
		return strings.Compare(string(c.Bytes(i)), string(v.bytes))
	case undrop.UUID:
		return strings.Compare(string(c.AppendText(nil, i)), string(v.bytes))
	default:
		return cmp.Compare(c.Ints[i], v.n)
	}
}

func (t term) holds(order int) bool {
	switch t.op {
	case "=":
		return order == 0
	case "!=", "<>":
		return order != 0
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	default:
		return order >= 0
	}
}
