package contract

import (
	"math/big"
	"sort"
	"strconv"
	"unicode/utf8"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// Checker judges rows by the promises of one object. It is compiled once, costs
// nothing for a column without promises, and allocates only for a row that
// breaks one. A Checker is not safe for concurrent use.
type Checker struct {
	object *Object
	cols   []checkCol

	b       *batch.Batch
	field   int     // the column being checked
	levels  []level // how to get from a part of a column to its row
	scratch []byte
	marks   []int
	num     big.Int
	rem     big.Int
}

// checkCol is one column, or one part of a nested column, that has promises.
type checkCol struct {
	prop    *Property
	field   int
	key     bool
	checks  rules
	keyPart *checkCol
	elem    *checkCol
	fields  []*checkCol // parallel to the struct's fields; nil where nothing is promised
}

// level is one step from a part towards the row: through a list or map (col), or
// into a field of a struct.
type level struct {
	col  *batch.Column
	name string // of the field below, or "[]", ".key", ".value"
}

// NewChecker compiles the checks of o. The object must come from a contract that
// is Runnable.
func NewChecker(o *Object) *Checker {
	c := &Checker{object: o}
	for i, p := range o.Properties {
		if cc := newCheckCol(p, p.Field.Required); cc != nil {
			cc.field, cc.key = i, o.Table.IsKey(i)
			c.cols = append(c.cols, *cc)
		}
	}
	return c
}

// newCheckCol returns nil when nothing is promised about p or its parts.
func newCheckCol(p *Property, required bool) *checkCol {
	cc := &checkCol{prop: p}
	if required {
		cc.checks = append(cc.checks, check{test: testRequired, rule: "required", detail: "required"})
	}
	cc.checks = append(cc.checks, p.rules...)
	some := len(cc.checks) > 0
	if p.Key != nil {
		cc.keyPart = newCheckCol(p.Key, true)
		some = some || cc.keyPart != nil
	}
	if p.Items != nil {
		cc.elem = newCheckCol(p.Items, p.Items.Field.Required)
		some = some || cc.elem != nil
	}
	cc.fields = make([]*checkCol, len(p.Properties))
	for i, sub := range p.Properties {
		cc.fields[i] = newCheckCol(sub, sub.Field.Required)
		some = some || cc.fields[i] != nil
	}
	if !some {
		return nil
	}
	return cc
}

// Check adds a violation to b.Bad for every promise that a row from index from on
// breaks. A deleted row is checked in its key only, a truncate not at all. What
// the source did not send (Unchanged) and what could not be decoded is not
// reported as missing again.
func (c *Checker) Check(b *batch.Batch, from int) {
	c.b = b
	for i := range c.cols {
		cc := &c.cols[i]
		c.field = cc.field
		c.column(cc, &b.Cols[cc.field], from, b.Len())
	}
	c.b = nil
}

// column runs the checks of cc over rows [from, to) of col.
func (c *Checker) column(cc *checkCol, col *batch.Column, from, to int) {
	for i := range cc.checks {
		c.run(&cc.checks[i], col, from, to)
	}
	if col.Elem != nil && (cc.elem != nil || cc.keyPart != nil) {
		lo, hi := int(col.Off[from]), int(col.Off[to])
		if cc.keyPart != nil {
			c.below(cc.keyPart, col, col.Key, ".key", lo, hi)
		}
		if cc.elem != nil {
			step := "[]"
			if col.Key != nil {
				step = ".value"
			}
			c.below(cc.elem, col, col.Elem, step, lo, hi)
		}
	}
	for i, f := range cc.fields {
		if f != nil {
			c.below(f, col, &col.Fields[i], "."+f.prop.Name, from, to)
		}
	}
}

func (c *Checker) below(cc *checkCol, parent, col *batch.Column, step string, from, to int) {
	c.levels = append(c.levels, level{parent, step})
	c.column(cc, col, from, to)
	c.levels = c.levels[:len(c.levels)-1]
}

// fail records that entry j of the part being checked breaks k, unless the row is
// one that is not judged.
func (c *Checker) fail(k *check, col *batch.Column, j int) {
	b := c.b
	row, path := j, ""
	for i := len(c.levels) - 1; i >= 0; i-- {
		l := c.levels[i]
		if l.col.Type.Kind == undrop.Struct {
			if l.col.Null[row] { // the part is null because its struct is
				return
			}
			path = l.name + path
			continue
		}
		off := l.col.Off
		parent := sort.Search(len(off), func(i int) bool { return int(off[i]) > row }) - 1
		at := "[" + strconv.Itoa(row-int(off[parent])) + "]"
		if l.name == "[]" {
			path = at + path
		} else {
			path = at + l.name + path
		}
		row = parent
	}
	switch b.Op[row] {
	case undrop.Truncate:
		return
	case undrop.Delete:
		if !b.Table.IsKey(c.field) {
			return
		}
	}
	name := b.Table.Fields[c.field].Name
	if k.test == testRequired && c.excused(row, name) {
		return
	}
	actual := ""
	if !col.Null[j] {
		c.scratch = col.AppendText(c.scratch[:0], j)
		actual = shorten(c.scratch)
	}
	b.AddBad(row, undrop.Violation{Rule: k.rule, Path: name + path, Actual: actual, Detail: k.detail})
}

// excused reports whether a null of the column being checked is no news.
func (c *Checker) excused(row int, name string) bool {
	for _, u := range c.b.Unchanged[row] {
		if u == c.field {
			return true
		}
	}
	for _, v := range c.b.Bad[row] {
		if v.Path == "" || v.Path == name || len(v.Path) > len(name) && v.Path[:len(name)] == name && (v.Path[len(name)] == '[' || v.Path[len(name)] == '.') {
			return true
		}
	}
	return false
}

// shorten cuts a text to 256 bytes without cutting a character in two.
func shorten(b []byte) string {
	if len(b) <= 256 {
		return string(b)
	}
	n := 256
	for n > 0 && !utf8.RuneStart(b[n]) {
		n--
	}
	return string(b[:n])
}
