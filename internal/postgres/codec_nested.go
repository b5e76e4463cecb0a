package postgres

import (
	"bytes"
	"strconv"

	"github.com/undrop/undrop/internal/batch"
)

// cell is one value of a tuple or record.
type cell struct {
	kind byte // 't' text, 'n' null, 'u' unchanged and not sent
	v    []byte
}

// listText reads the text form of an array, {1,NULL,"a b"}, or of a vector,
// [1,2,3].
func (c *codec) listText(col *batch.Column, v []byte, x *scratch) bool {
	if len(v) > 0 && v[0] == '[' {
		bounds, body, ok := bytes.Cut(v, []byte{'='})
		if !ok {
			return c.vectorText(col, v, x)
		}
		is := badBounds
		if bytes.Count(bounds, []byte{'['}) > 1 {
			is = badDims
		} else if bytes.HasPrefix(bounds, []byte("[1:")) {
			is = badForm // PostgreSQL leaves such bounds out
		}
		if len(body) == 0 {
			is = badForm
		}
		return c.bad(col, is, v, x)
	}
	if len(v) < 2 || v[0] != '{' {
		return c.bad(col, badForm, v, x)
	}
	if v[1] == '{' {
		return c.bad(col, badDims, v, x)
	}
	if len(v) == 2 && v[1] == '}' {
		col.EndList()
		return true
	}
	delim := byte(',')
	if e := c.form.elem; e != nil {
		delim = e.delim
	}
	n, index, at := col.Rows(), 0, 1
	for ; ; index++ {
		mark := len(x.buf)
		e, quoted, next := element(v, at, delim, x)
		if next < 0 {
			return c.undo(col, n, v, x)
		}
		switch {
		case !quoted && string(e) == "NULL":
			col.Elem.AppendNull()
		case !c.elem.appendText(col.Elem, e, x):
			col.Truncate(n)
			x.path = "[" + strconv.Itoa(index) + "]" + x.path
			return false
		}
		x.buf = x.buf[:mark]
		at = next + 1
		if v[next] == delim {
			continue
		}
		if at != len(v) {
			return c.undo(col, n, v, x)
		}
		col.EndList()
		return true
	}
}

// undo takes back what was appended of a value that turned out to be no good.
func (c *codec) undo(col *batch.Column, n int, v []byte, x *scratch) bool {
	col.Truncate(n)
	return c.bad(col, badForm, v, x)
}

// element reads one element of an array from v[at:]; next is where its delimiter
// or the closing brace is, -1 when there is none. The element may live in x.buf.
func element(v []byte, at int, delim byte, x *scratch) (e []byte, quoted bool, next int) {
	if at < len(v) && v[at] == '"' {
		e, next = quotedText(v, at+1, x, false)
		if next < 0 || next >= len(v) || v[next] != delim && v[next] != '}' {
			return nil, true, -1
		}
		return e, true, next
	}
	for i := at; i < len(v); i++ {
		switch v[i] {
		case delim, '}':
			if i == at {
				return nil, false, -1 // an empty element would be quoted
			}
			return v[at:i], false, i
		case '"', '{', '\\':
			return nil, false, -1
		}
	}
	return nil, false, -1
}

// quotedText reads up to the closing quote, v[at-1] being the opening one; next
// is what follows, -1 when the quote is not closed. In a record a quote may also
// be escaped by doubling it.
func quotedText(v []byte, at int, x *scratch, doubled bool) (text []byte, next int) {
	start := at
	for i := at; i < len(v); i++ {
		switch v[i] {
		case '"':
			if !doubled || i+1 >= len(v) || v[i+1] != '"' {
				return v[start:i], i + 1
			}
			return escapedText(v, start, i, x, doubled)
		case '\\':
			return escapedText(v, start, i, x, doubled)
		}
	}
	return nil, -1
}

// escapedText is quotedText from the first escape at i on: the text is put
// together in x.buf.
func escapedText(v []byte, start, i int, x *scratch, doubled bool) (text []byte, next int) {
	mark := len(x.buf)
	x.buf = append(x.buf, v[start:i]...)
	for ; i < len(v); i++ {
		switch v[i] {
		case '\\':
			if i++; i >= len(v) {
				return nil, -1
			}
		case '"':
			if !doubled || i+1 >= len(v) || v[i+1] != '"' {
				return x.buf[mark:len(x.buf):len(x.buf)], i + 1
			}
			i++
		}
		x.buf = append(x.buf, v[i])
	}
	return nil, -1
}

func (c *codec) vectorText(col *batch.Column, v []byte, x *scratch) bool {
	if len(v) < 3 || v[len(v)-1] != ']' {
		return c.bad(col, badForm, v, x)
	}
	n, index := col.Rows(), 0
	for rest, more := v[1:len(v)-1], true; more; index++ {
		var e []byte
		e, rest, more = bytes.Cut(rest, []byte{','})
		if !c.elem.appendText(col.Elem, e, x) {
			col.Truncate(n)
			x.path = "[" + strconv.Itoa(index) + "]" + x.path
			return false
		}
	}
	col.EndList()
	return true
}

// record reads the members of a record's text, (1,"a b",), onto x.parts; ok is
// false when it is no record. The members may live in x.buf.
func record(v []byte, x *scratch) bool {
	if len(v) < 2 || v[0] != '(' || v[len(v)-1] != ')' {
		return false
	}
	if len(v) == 2 {
		// One null member, or a type without members.
		x.parts = append(x.parts, cell{kind: 'n'})
		return true
	}
	for at := 1; ; at++ {
		if at < len(v) && v[at] == '"' {
			text, next := quotedText(v, at+1, x, true)
			if next < 0 {
				return false
			}
			x.parts = append(x.parts, cell{'t', text})
			at = next
		} else {
			i := at
			for i < len(v) && v[i] != ',' && v[i] != ')' {
				if v[i] == '"' || v[i] == '\\' || v[i] == '(' {
					return false
				}
				i++
			}
			kind := byte('t')
			if i == at {
				kind = 'n' // an empty text would be quoted
			}
			x.parts = append(x.parts, cell{kind, v[at:i]})
			at = i
		}
		switch {
		case at >= len(v):
			return false
		case v[at] == ')':
			return at == len(v)-1
		case v[at] != ',':
			return false
		}
	}
}

func (c *codec) structText(col *batch.Column, v []byte, x *scratch) bool {
	n, mark, bufMark := col.Rows(), len(x.parts), len(x.buf)
	defer func() { x.parts, x.buf = x.parts[:mark], x.buf[:bufMark] }()
	if !record(v, x) {
		return c.bad(col, badForm, v, x)
	}
	if len(x.parts)-mark != len(c.form.members) {
		return c.bad(col, badParts, v, x)
	}
	for i := range c.parts {
		p := x.parts[mark+c.from[i]]
		if p.kind == 'n' {
			col.Fields[i].AppendNull()
			continue
		}
		if !c.parts[i].appendText(&col.Fields[i], p.v, x) {
			for j := range col.Fields {
				if col.Fields[j].Rows() > n {
					col.Fields[j].Truncate(n)
				}
			}
			x.path = "." + c.typ.Fields[i].Name + x.path
			return false
		}
	}
	col.EndStruct()
	return true
}

// mapText reads the text form of an hstore: "a"=>"1", "b"=>NULL.
func (c *codec) mapText(col *batch.Column, v []byte, x *scratch) bool {
	n, mark := col.Rows(), len(x.buf)
	defer func() { x.buf = x.buf[:mark] }()
	for at := 0; at < len(v); {
		if v[at] != '"' {
			return c.undo(col, n, v, x)
		}
		key, next := quotedText(v, at+1, x, false)
		if next < 0 || next+2 > len(v) || v[next] != '=' || v[next+1] != '>' {
			return c.undo(col, n, v, x)
		}
		at = next + 2
		var value []byte
		null := bytes.HasPrefix(v[at:], []byte("NULL"))
		if null {
			at += 4
		} else {
			if at >= len(v) || v[at] != '"' {
				return c.undo(col, n, v, x)
			}
			if value, at = quotedText(v, at+1, x, false); at < 0 {
				return c.undo(col, n, v, x)
			}
		}
		if at < len(v) {
			if !bytes.HasPrefix(v[at:], []byte(", ")) || at+2 == len(v) {
				return c.undo(col, n, v, x)
			}
			at += 2
		}
		if !c.key.appendText(col.Key, key, x) {
			col.Truncate(n)
			x.path = "{key}" + x.path
			return false
		}
		if null {
			col.Elem.AppendNull()
		} else if !c.elem.appendText(col.Elem, value, x) {
			// A key without a value: Truncate goes by whole rows, which drops it too.
			path := "[" + string(key) + "]" + x.path
			col.Truncate(n)
			x.path = path
			return false
		}
	}
	col.EndList()
	return true
}
