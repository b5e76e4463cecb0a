package postgres

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// A row that could not be decoded is kept as a JSON object: the source's own
// text of each column, null for null. Records are objects and arrays are arrays
// of such values, as far as they can be taken apart; text that is not UTF-8 is
// {"\\x":"<hex>"}. A column that the source did not send is not in it.

// hexKey marks bytes that are no text.
const hexKey = `\x`

func appendRawName(dst []byte, name string) []byte {
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	return append(appendRawText(dst, []byte(name)), ':')
}

func appendRawText(dst, v []byte) []byte {
	if !utf8.Valid(v) {
		dst = append(dst, `{"\\x":"`...)
		return append(hex.AppendEncode(dst, v), `"}`...)
	}
	q, err := json.Marshal(string(v))
	if err != nil { // strings always marshal
		panic(err)
	}
	return append(dst, q...)
}

// appendRaw appends the raw form of a value from its text; c is nil for a column
// that the contract does not name.
func (c *codec) appendRaw(dst, v []byte, x *scratch) []byte {
	if c == nil {
		return appendRawText(dst, v)
	}
	switch {
	case c.op == opList:
		return c.appendRawList(dst, v, x)
	case c.op == opStruct:
		return c.appendRawStruct(dst, v, x)
	case c.op == opBoolText:
		if yes, ok := boolText(v); ok {
			return fmt.Appendf(dst, `"%t"`, yes)
		}
	case c.op == opFloat4 && c.typ.Kind == undrop.Float64:
		// The same value with the digits that a double needs: whoever reads it as a
		// double reads this value.
		if f, is := floatText(v, 32); is == fine {
			return append(appendFloatText(append(dst, '"'), f, 64), '"')
		}
	}
	return appendRawText(dst, v)
}

func (c *codec) appendRawList(dst, v []byte, x *scratch) []byte {
	start := len(dst)
	if len(v) < 2 || v[0] != '{' {
		return appendRawText(dst, v)
	}
	if string(v) == "{}" {
		return append(dst, "[]"...)
	}
	dst = append(dst, '[')
	for at := 1; ; {
		mark := len(x.buf)
		e, quoted, next := element(v, at, c.form.delimiter(), x)
		if next < 0 {
			return appendRawText(dst[:start], v)
		}
		if at > 1 {
			dst = append(dst, ',')
		}
		if !quoted && string(e) == "NULL" {
			dst = append(dst, "null"...)
		} else {
			dst = c.elem.appendRaw(dst, e, x)
		}
		x.buf = x.buf[:mark]
		at = next + 1
		if v[next] == '}' {
			if at != len(v) {
				return appendRawText(dst[:start], v)
			}
			return append(dst, ']')
		}
	}
}

func (c *codec) appendRawStruct(dst, v []byte, x *scratch) []byte {
	mark, bufMark := len(x.parts), len(x.buf)
	defer func() { x.parts, x.buf = x.parts[:mark], x.buf[:bufMark] }()
	if !record(v, x) || len(x.parts)-mark != len(c.form.members) {
		return appendRawText(dst, v)
	}
	dst = append(dst, '{')
	for i, m := range c.form.members {
		dst = appendRawName(dst, m.name)
		p := x.parts[mark+i]
		if p.kind == 'n' {
			dst = append(dst, "null"...)
			continue
		}
		var part *codec
		for j, from := range c.from {
			if from == i {
				part = &c.parts[j]
			}
		}
		dst = part.appendRaw(dst, p.v, x)
	}
	return append(dst, '}')
}

// delimiter is what separates the elements of an array of this type.
func (f *form) delimiter() byte {
	if f.elem != nil && f.elem.delim != 0 {
		return f.elem.delim
	}
	return ','
}

// DecodeRaw appends a row from the raw form that decoding left of it, under the
// present contract of b's table. Values that still cannot be carried are noted
// in the batch; an error means that raw is not of that form.
func DecodeRaw(b *batch.Batch, op undrop.Op, p undrop.Position, at int64, raw string) error {
	var values map[string]json.RawMessage
	if err := json.Unmarshal([]byte(raw), &values); err != nil {
		return fmt.Errorf("read raw row: %w", err)
	}
	var x scratch
	row, bad := b.Len(), false
	for i, f := range b.Table.Fields {
		v, sent := values[sourceName(f)]
		if !sent {
			b.Cols[i].AppendNull()
			if op != undrop.Delete && op != undrop.Truncate {
				b.AddUnchanged(row, i)
			}
			continue
		}
		c, err := newCodec(f, natural(f))
		if err != nil {
			return fmt.Errorf("read raw row: column %s: %w", sourceName(f), err)
		}
		ok, err := c.appendJSON(&b.Cols[i], v, &x)
		if err != nil {
			return fmt.Errorf("read raw row: column %s: %w", sourceName(f), err)
		}
		if !ok {
			b.Cols[i].AppendNull()
			b.AddBad(row, undrop.Violation{Rule: x.rule, Path: f.Name + x.path, Actual: x.actual, Detail: x.detail})
			bad = true
		}
	}
	if bad {
		b.SetRaw(row, raw)
	}
	b.AddRow(op, p, at)
	return nil
}

// sourceName is the source column of a field.
func sourceName(f undrop.Field) string {
	if f.Source != "" {
		return f.Source
	}
	return f.Name
}

// natural is the source type whose text the raw form of a field has.
func natural(f undrop.Field) form {
	t := f.Type
	r := form{name: t.String(), delim: ','}
	switch t.Kind {
	case undrop.List:
		elem := natural(undrop.Field{Type: *t.Elem, SourceType: f.SourceType})
		r.fam, r.elem = famArray, &elem
	case undrop.Struct:
		r.fam = famComposite
		for _, m := range t.Fields {
			r.members = append(r.members, part{sourceName(m), natural(m)})
		}
	default:
		r.fam = map[undrop.Kind]family{undrop.Bool: famBool, undrop.Int32: famInt4, undrop.Int64: famInt8, undrop.Float32: famFloat4,
			undrop.Float64: famFloat8, undrop.Decimal: famNumeric, undrop.String: famText, undrop.Binary: famBytea, undrop.UUID: famUUID,
			undrop.Date: famDate, undrop.Time: famTime, undrop.Timestamp: famTimestamp, undrop.TimestampTZ: famTimestampTZ, undrop.Map: famHstore}[t.Kind]
		if t.Kind == undrop.Float32 && declared(f.SourceType) == famFloat8 {
			r.fam = famFloat8
		}
	}
	return r
}

// appendJSON appends one value of the raw form.
func (c *codec) appendJSON(col *batch.Column, v json.RawMessage, x *scratch) (bool, error) {
	v = bytes.TrimSpace(v)
	if len(v) == 0 {
		return false, errors.New("no value")
	}
	switch {
	case v[0] == 'n':
		col.AppendNull()
		return true, nil
	case v[0] == '"':
		var s string
		if err := json.Unmarshal(v, &s); err != nil {
			return false, err
		}
		return c.appendText(col, []byte(s), x), nil
	case v[0] == '[' && c.op == opList:
		return c.appendJSONList(col, v, x)
	case v[0] == '{':
		if text, ok := rawBytes(v); ok {
			return c.appendText(col, text, x), nil
		}
		if c.op == opStruct {
			return c.appendJSONStruct(col, v, x)
		}
	}
	// An array or record for a column that is text now: as it was written here.
	return c.appendText(col, v, x), nil
}

// rawBytes reads what appendRawText made of bytes that are no text.
func rawBytes(v json.RawMessage) (text []byte, ok bool) {
	var h map[string]json.RawMessage
	if json.Unmarshal(v, &h) != nil || len(h) != 1 {
		return nil, false
	}
	var digits string
	if json.Unmarshal(h[hexKey], &digits) != nil {
		return nil, false
	}
	text, err := hex.DecodeString(digits)
	return text, err == nil
}

func (c *codec) appendJSONList(col *batch.Column, v json.RawMessage, x *scratch) (bool, error) {
	var elems []json.RawMessage
	if err := json.Unmarshal(v, &elems); err != nil {
		return false, err
	}
	n := col.Rows()
	for i, e := range elems {
		ok, err := c.elem.appendJSON(col.Elem, e, x)
		if err != nil || !ok {
			col.Truncate(n)
			x.path = fmt.Sprintf("[%d]%s", i, x.path)
			return false, err
		}
	}
	col.EndList()
	return true, nil
}

func (c *codec) appendJSONStruct(col *batch.Column, v json.RawMessage, x *scratch) (bool, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(v, &members); err != nil {
		return false, err
	}
	n := col.Rows()
	for i, f := range c.typ.Fields {
		m, sent := members[sourceName(f)]
		if !sent {
			m = json.RawMessage("null") // the type had no such member then
		}
		ok, err := c.parts[i].appendJSON(&col.Fields[i], m, x)
		if err != nil || !ok {
			for j := range col.Fields {
				if col.Fields[j].Rows() > n {
					col.Fields[j].Truncate(n)
				}
			}
			x.path = "." + f.Name + x.path
			return false, err
		}
	}
	col.EndStruct()
	return true, nil
}
