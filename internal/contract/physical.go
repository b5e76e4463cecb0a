package contract

import (
	"strconv"
	"strings"
)

// physical is a source's own type name, taken apart: "numeric(12,2)[]".
type physical struct {
	base  string // canonical: int2 int4 int8 float4 float8 numeric varchar char text …
	args  []int
	array bool
	raw   string
}

// The spellings of a type that mean the same everywhere. Names that mean
// different widths in different databases ("float") are left as they are.
var physicalAliases = map[string]string{
	"smallint": "int2", "smallserial": "int2", "serial2": "int2", "tinyint": "int2",
	"int": "int4", "integer": "int4", "serial": "int4", "serial4": "int4",
	"bigint": "int8", "bigserial": "int8", "serial8": "int8", "long": "int8",
	"real": "float4", "double precision": "float8", "double": "float8",
	"decimal": "numeric", "dec": "numeric", "number": "numeric",
	"character varying": "varchar", "character": "char", "bpchar": "char", "string": "text",
	"bytes": "bytea", "binary": "bytea", "varbinary": "bytea", "blob": "bytea",
	"boolean":                     "bool",
	"time without time zone":      "time",
	"time with time zone":         "timetz",
	"datetime":                    "timestamp",
	"timestamp_ntz":               "timestamp",
	"timestamp without time zone": "timestamp",
	"timestamp with time zone":    "timestamptz",
	"timestamp_tz":                "timestamptz",
	"bit varying":                 "varbit",
}

func parsePhysical(raw string) physical {
	p := physical{raw: raw}
	s := strings.Join(strings.Fields(strings.ToLower(raw)), " ")
	s = strings.TrimPrefix(s, "pg_catalog.")
	if t, ok := strings.CutSuffix(s, "[]"); ok {
		p.array = true
		s = strings.TrimRight(t, "[]")
	}
	if open := strings.IndexByte(s, '('); open >= 0 {
		if end := strings.IndexByte(s[open:], ')'); end > 0 {
			for _, a := range strings.Split(s[open+1:open+end], ",") {
				n, err := strconv.Atoi(strings.TrimSpace(a))
				if err != nil {
					p.args = nil
					break
				}
				p.args = append(p.args, n)
			}
			s = strings.TrimSpace(s[:open]) + " " + strings.TrimSpace(s[open+end+1:])
		}
	}
	p.base = strings.TrimSpace(s)
	if canonical, ok := physicalAliases[p.base]; ok {
		p.base = canonical
	}
	return p
}

// union reports a physical type that holds values of several types.
func (p physical) union() bool {
	return strings.HasPrefix(p.base, "union<") || strings.HasPrefix(p.base, "union ") || p.base == "union" ||
		strings.Contains(p.base, "|") || strings.HasPrefix(p.base, "variant") || p.base == "sql_variant"
}

// nanos reports a time type finer than a microsecond, which no reader of the
// mart table would agree on.
func (p physical) nanos() bool {
	if strings.HasSuffix(p.base, "_ns") || strings.HasSuffix(p.base, "nanos") || p.base == "datetime2" {
		return true
	}
	return (strings.HasPrefix(p.base, "time")) && len(p.args) == 1 && p.args[0] > 6
}

// element is the type of one element of an array type.
func (p physical) element() physical {
	p.array = false
	return p
}
