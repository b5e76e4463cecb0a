package app

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/apache/iceberg-go"

	undrop "github.com/undrop/undrop"
)

// comparison is one term of a filter: a column, an operator, a value in single
// quotes or bare.
var comparison = regexp.MustCompile(`^\s*("(?:[^"]+)"|[\w.]+)\s*(<=|>=|!=|<>|=|<|>)\s*('(?:[^']|'')*'|[^\s']+)\s*`)

// parseWhere reads `COLUMN OP VALUE [and COLUMN OP VALUE]…`. It is for looking at
// rows, not a query language: an engine has one.
func parseWhere(text string, t *undrop.Table) (iceberg.BooleanExpression, error) {
	fail := func(err error) (iceberg.BooleanExpression, error) {
		return nil, &undrop.Error{Code: undrop.BadInput, Op: "read --where", Err: err, Hint: `--where "id = 42 and status = 'paid'"`}
	}
	var all iceberg.BooleanExpression = iceberg.AlwaysTrue{}
	for rest := text; ; {
		m := comparison.FindStringSubmatch(rest)
		if m == nil {
			return fail(fmt.Errorf("%q: want COLUMN OP VALUE", rest))
		}
		rest = rest[len(m[0]):]
		name := strings.Trim(m[1], `"`)
		field := fieldNamed(t, name)
		if field == nil {
			return fail(fmt.Errorf("there is no column %q in %s", name, t.TableName))
		}
		value := m[3]
		if strings.HasPrefix(value, "'") {
			value = strings.ReplaceAll(value[1:len(value)-1], "''", "'")
		}
		term, err := compare(name, m[2], value, field.Type)
		if err != nil {
			return fail(err)
		}
		all = iceberg.NewAnd(all, term)
		if rest == "" {
			return all, nil
		}
		if len(rest) < 4 || !strings.EqualFold(rest[:4], "and ") {
			return fail(fmt.Errorf("%q: want and", rest))
		}
		rest = rest[4:]
	}
}

func fieldNamed(t *undrop.Table, name string) *undrop.Field {
	for i := range t.Fields {
		if t.Fields[i].Name == name {
			return &t.Fields[i]
		}
	}
	return nil
}

func compare(name, op, value string, t undrop.Type) (iceberg.BooleanExpression, error) {
	var pred iceberg.Operation
	switch op {
	case "=":
		pred = iceberg.OpEQ
	case "!=", "<>":
		pred = iceberg.OpNEQ
	case "<":
		pred = iceberg.OpLT
	case "<=":
		pred = iceberg.OpLTEQ
	case ">":
		pred = iceberg.OpGT
	default:
		pred = iceberg.OpGTEQ
	}
	lit, err := literal(value, t)
	if err != nil {
		return nil, err
	}
	return iceberg.LiteralPredicate(pred, iceberg.Reference(name), lit), nil
}

// literal is the value in the column's own type; the library converts strings.
func literal(value string, t undrop.Type) (iceberg.Literal, error) {
	switch t.Kind {
	case undrop.Int32, undrop.Int64:
		n, err := strconv.ParseInt(value, 10, 64)
		return iceberg.NewLiteral(n), err
	case undrop.Float32, undrop.Float64:
		f, err := strconv.ParseFloat(value, 64)
		return iceberg.NewLiteral(f), err
	case undrop.Bool:
		b, err := strconv.ParseBool(value)
		return iceberg.NewLiteral(b), err
	case undrop.List, undrop.Map, undrop.Struct, undrop.Binary:
		return nil, errors.New("nested and binary columns cannot be compared here")
	case undrop.Timestamp, undrop.TimestampTZ:
		return iceberg.NewLiteral(strings.Replace(value, " ", "T", 1)), nil
	default:
		return iceberg.NewLiteral(value), nil
	}
}
