package postgres

import (
	"fmt"
	"strings"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// scratch is what decoding needs beside the codec: buffers, and what went wrong
// with the last value.
type scratch struct {
	buf   []byte // unescaped text of nested values, used as a stack
	parts []cell // members of records, used as a stack
	day   knownDay

	rule, detail, path, actual string
	broken                     error // the bytes are not of the form that was asked for
}

// fail notes why a value cannot be carried.
func (x *scratch) fail(c *codec, is issue, text []byte) bool {
	x.rule, x.detail = c.rule(is)
	x.path, x.actual = "", strings.ToValidUTF8(string(text[:min(len(text), 4096)]), "\uFFFD")
	return false
}

// bad gives a value that the contracted type cannot hold the place that the
// contract says: null, or a violation.
func (c *codec) bad(col *batch.Column, is issue, text []byte, x *scratch) bool {
	answer := undrop.BadQuarantine
	switch is {
	case badNaN:
		answer = c.onNaN
	case badInfinity:
		answer = c.onInfinity
	case badOverflow, badScale, badRange:
		answer = c.onOverflow
	}
	if answer == undrop.BadNull {
		col.AppendNull()
		return true
	}
	return x.fail(c, is, text)
}

// issue is why a value cannot be carried; 0: it can.
type issue uint8

const (
	fine        issue = iota
	badNaN            //
	badInfinity       //
	badOverflow       // a number beyond the contracted range
	badScale          // a number with more digits than the contracted type
	badRange          // a date or time beyond years 0001..9999, or 24:00:00
	badEncoding       // invalid UTF-8, or U+0000
	badDims           // an array of several dimensions
	badBounds         // an array that does not begin at 1
	badParts          // a record with another number of members than its type
	badForm           // not the text of such a value at all
)

// rule is the stable id of the broken promise, and the promise for a person.
func (c *codec) rule(is issue) (rule, detail string) {
	kind := c.typ.Kind
	name := map[undrop.Kind]string{undrop.Int32: "int", undrop.Int64: "int", undrop.Float32: "float", undrop.Float64: "float",
		undrop.Timestamp: "timestamp", undrop.TimestampTZ: "timestamp"}[kind]
	if name == "" {
		name = kind.String()
	}
	switch is {
	case badNaN:
		return name + ".nan", "a number, not NaN"
	case badInfinity:
		return name + ".infinity", "finite"
	case badOverflow:
		return name + ".overflow", "within " + c.typ.String()
	case badScale:
		if kind == undrop.Decimal {
			return "decimal.scale", fmt.Sprintf("at most %d digits after the point", c.typ.Scale)
		}
		return name + ".inexact", "exactly a " + c.typ.String()
	case badRange:
		if kind == undrop.Time {
			return "time.range", "a time of day before 24:00:00"
		}
		return name + ".range", "within the years 0001 to 9999"
	case badEncoding:
		return "text.encoding", "UTF-8 text without U+0000"
	case badDims:
		return "array.dimensions", "a list of one dimension"
	case badBounds:
		return "array.bounds", "a list that begins at index 1"
	case badParts:
		return "struct.members", fmt.Sprintf("a record of %d members", len(c.form.members))
	default:
		return "value.malformed", "the text of a " + c.form.name
	}
}
