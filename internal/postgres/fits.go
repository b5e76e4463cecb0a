package postgres

import (
	"fmt"
	"strconv"
	"strings"

	undrop "github.com/undrop/undrop"
)

// misfit says why values of a live column cannot be carried by a contracted
// type; "" if they can. Whether a single value fits (a NaN, a numeric without a
// declared scale) is decided row by row.
func misfit(t undrop.Type, c *undrop.RelationColumn) string {
	if t.Kind == undrop.String {
		return "" // every type has a text form
	}
	array := c.Class == "array" || c.Class == "domain" && strings.HasSuffix(c.Base, "[]")
	switch {
	case t.Kind == undrop.List:
		if !array {
			return "it is not an array"
		}
		elem := *c
		elem.Class, elem.Base = "base", strings.TrimSuffix(c.Base, "[]")
		if len(c.Members) > 0 {
			elem.Class = "composite"
		}
		if why := misfit(*t.Elem, &elem); why != "" {
			return "elements: " + why
		}
		return ""
	case array:
		return "it is an array"
	case t.Kind == undrop.Struct:
		return structMisfit(t, c)
	case len(c.Members) > 0:
		return "it is a composite"
	case t.Kind == undrop.Map:
		if name := typeName(c.Base); name != "hstore" || t.Key.Kind != undrop.String || t.Elem.Kind != undrop.String {
			return "only hstore is a map, of strings to strings"
		}
		return ""
	case t.Kind == undrop.Decimal:
		return decimalMisfit(t, c.Base)
	}
	name := typeName(c.Base)
	for _, ok := range carried[t.Kind] {
		if name == ok || c.Base == ok {
			return ""
		}
	}
	return "it takes " + strings.Join(carried[t.Kind], ", ")
}

// carried lists the source types that each kind holds exactly.
var carried = map[undrop.Kind][]string{
	undrop.Bool:        {"boolean", "bit(1)"},
	undrop.Int32:       {"integer", "smallint"},
	undrop.Int64:       {"bigint", "integer", "smallint", "oid"},
	undrop.Float32:     {"real"},
	undrop.Float64:     {"double precision", "real"},
	undrop.Binary:      {"bytea", "bit", "bit varying"},
	undrop.UUID:        {"uuid"},
	undrop.Date:        {"date"},
	undrop.Time:        {"time without time zone"},
	undrop.Timestamp:   {"timestamp without time zone"},
	undrop.TimestampTZ: {"timestamp with time zone"},
}

func structMisfit(t undrop.Type, c *undrop.RelationColumn) string {
	if len(c.Members) == 0 {
		return "it is not a composite"
	}
	for _, f := range t.Fields {
		name := f.Source
		if name == "" {
			name = f.Name
		}
		found := false
		for i := range c.Members {
			if c.Members[i].Name != name {
				continue
			}
			found = true
			if why := misfit(f.Type, &c.Members[i]); why != "" {
				return name + ": " + why
			}
		}
		if !found {
			return "it has no member " + name
		}
	}
	return ""
}

// integerDigits is how many decimal digits the integer types need.
var integerDigits = map[string]int{"smallint": 5, "integer": 10, "bigint": 19, "oid": 10, "xid8": 20}

func decimalMisfit(t undrop.Type, base string) string {
	name := typeName(base)
	if digits, ok := integerDigits[name]; ok {
		if t.Precision-t.Scale < digits {
			return fmt.Sprintf("it needs %d digits before the point", digits)
		}
		return ""
	}
	if name != "numeric" {
		return "it takes numeric or an integer"
	}
	_, params, ok := strings.Cut(strings.TrimSuffix(base, ")"), "(")
	if !ok {
		return "" // no declared scale: each value is checked
	}
	p, s, _ := strings.Cut(params, ",")
	precision, err1 := strconv.Atoi(p)
	scale, err2 := strconv.Atoi(s)
	if err1 != nil || err2 != nil {
		return "its precision is not understood"
	}
	whole := max(precision-scale, 0)
	switch {
	case scale > t.Scale:
		return fmt.Sprintf("it has %d digits after the point", scale)
	case whole > t.Precision-t.Scale:
		return fmt.Sprintf("it needs %d digits before the point", whole)
	}
	return ""
}

// typeName is a type's spelling without schema and modifier:
// "timestamp(3) without time zone" and "public.hstore" become
// "timestamp without time zone" and "hstore".
func typeName(spelling string) string {
	before, rest, ok := strings.Cut(spelling, "(")
	if ok {
		_, after, _ := strings.Cut(rest, ")")
		spelling = before + after
	}
	if i := strings.LastIndexByte(spelling, '.'); i >= 0 {
		spelling = spelling[i+1:]
	}
	return strings.Trim(spelling, `"`)
}
