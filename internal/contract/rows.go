package contract

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"sort"
	"strings"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// Rows reads rows as JSON objects, by column name or by the source's, into a
// batch of one object. Values are JSON values of the contracted type, or the
// text that the source prints for one. A value that the type cannot hold exactly
// becomes a violation, as it would on the way from a source.
type Rows struct {
	object *Object
	batch  *batch.Batch
	names  map[string]int
}

// NewRows makes a reader for o, which must come from a contract that is Runnable.
func NewRows(o *Object) *Rows {
	r := &Rows{object: o, batch: batch.New(o.Table), names: map[string]int{}}
	for i, f := range o.Table.Fields {
		r.names[f.Source] = i
	}
	for i, f := range o.Table.Fields { // the column's own name wins
		r.names[f.Name] = i
	}
	return r
}

// Batch holds the rows that were added.
func (r *Rows) Batch() *batch.Batch { return r.batch }

// Add reads one JSON object. A column that is not in it is null. A key that is no
// column, or JSON that does not parse, is an error.
func (r *Rows) Add(line []byte) error {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.UseNumber()
	var row map[string]any
	if err := dec.Decode(&row); err != nil {
		return fmt.Errorf("read row: %w", err)
	}
	if dec.More() {
		return fmt.Errorf("read row: more than one JSON value on the line")
	}
	values := make([]any, len(r.batch.Cols))
	keys := make([]string, 0, len(row))
	for k := range row {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		i, ok := r.names[k]
		if !ok {
			return fmt.Errorf("%s has no column %q%s", r.object.Name, k, didYouMean(k, r.columns()))
		}
		values[i] = row[k]
	}
	at := r.batch.Len()
	for i, v := range values {
		f := r.batch.Table.Fields[i]
		if !r.append(&r.batch.Cols[i], f.Type, v, at, f.Name) {
			r.batch.Cols[i].Truncate(at)
			r.batch.Cols[i].AppendNull()
		}
	}
	r.batch.AddRow(undrop.Read, undrop.Position{}, 0)
	return nil
}

func (r *Rows) columns() []string {
	var out []string
	for _, f := range r.batch.Table.Fields {
		out = append(out, f.Name)
	}
	return out
}

// append adds one value; false means that it does not fit and was noted.
func (r *Rows) append(c *batch.Column, t undrop.Type, v any, row int, path string) bool {
	if v == nil {
		c.AppendNull()
		return true
	}
	switch t.Kind {
	case undrop.List:
		list, ok := v.([]any)
		if !ok {
			return r.unfit(row, path, "type", v, "a list")
		}
		for i, e := range list {
			if !r.append(c.Elem, *t.Elem, e, row, fmt.Sprintf("%s[%d]", path, i)) {
				return false
			}
		}
		c.EndList()
		return true
	case undrop.Map:
		return r.appendMap(c, t, v, row, path)
	case undrop.Struct:
		return r.appendStruct(c, t, v, row, path)
	}
	text, ok := scalarText(t, v)
	if !ok {
		return r.unfit(row, path, "type", v, "a "+t.String())
	}
	lit, err := parseLiteral(t, text)
	if err != nil {
		return r.unfit(row, path, t.Kind.String(), v, err.Error())
	}
	if t.Fixed() {
		c.AppendInt(lit.i)
	} else {
		c.AppendBytes(lit.b)
	}
	return true
}

func (r *Rows) appendMap(c *batch.Column, t undrop.Type, v any, row int, path string) bool {
	m, ok := v.(map[string]any)
	if !ok {
		return r.unfit(row, path, "type", v, "an object")
	}
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		if !r.append(c.Key, *t.Key, k, row, path+".key") || !r.append(c.Elem, *t.Elem, m[k], row, path+"."+k) {
			return false
		}
	}
	c.EndList()
	return true
}

func (r *Rows) appendStruct(c *batch.Column, t undrop.Type, v any, row int, path string) bool {
	m, ok := v.(map[string]any)
	if !ok {
		return r.unfit(row, path, "type", v, "an object")
	}
	for k := range m {
		if !slices.ContainsFunc(t.Fields, func(f undrop.Field) bool { return f.Name == k }) {
			return r.unfit(row, path, "type", v, "an object without "+k)
		}
	}
	for i, f := range t.Fields {
		if !r.append(&c.Fields[i], f.Type, m[f.Name], row, path+"."+f.Name) {
			return false
		}
	}
	c.EndStruct()
	return true
}

func (r *Rows) unfit(row int, path, rule string, v any, detail string) bool {
	actual, err := json.Marshal(v)
	if s, ok := v.(string); ok {
		actual = []byte(s)
	} else if err != nil {
		actual = []byte(fmt.Sprint(v))
	}
	r.batch.AddBad(row, undrop.Violation{Rule: rule, Path: path, Actual: shorten(actual), Detail: detail})
	return false
}

// scalarText is the text of a JSON value if a value of t may be written so. A
// number is exact as written: 1e2 is the integer 100.
func scalarText(t undrop.Type, v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		if t.Kind == undrop.Bool {
			return fmt.Sprint(v), true
		}
	case json.Number:
		switch t.Kind {
		case undrop.Int32, undrop.Int64:
			if strings.ContainsAny(v.String(), ".eE") && len(v) < 64 {
				if n, ok := new(big.Rat).SetString(v.String()); ok && n.IsInt() {
					return n.Num().String(), true
				}
			}
			return v.String(), true
		case undrop.Decimal, undrop.Float32, undrop.Float64:
			return v.String(), true
		}
	case map[string]any, []any:
		if t.Kind == undrop.String { // a json column's text
			if b, err := json.Marshal(v); err == nil {
				return string(b), true
			}
		}
	}
	return "", false
}
