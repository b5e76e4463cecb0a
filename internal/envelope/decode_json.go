package envelope

import (
	"encoding/base64"
	"strconv"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

func (d *Decoder) decodeJSON(c *change, b *batch.Batch, value []byte) error {
	s := &d.text
	s.p, s.i, s.reason, s.column = value, 0, "", ""
	s.envelope(c, b)
	s.end()
	s.p = nil
	if s.reason != "" {
		return &Malformed{Column: s.column, Reason: s.reason}
	}
	return nil
}

// envelope reads the object; its members may come in any order.
func (s *scanner) envelope(c *change, b *batch.Batch) {
	row := b.Len()
	s.take('{')
	for first := true; s.more(&first, '}'); {
		name := s.str()
		s.take(':')
		switch string(name) {
		case "before":
			s.image(c, false, b, row)
		case "after":
			s.image(c, true, b, row)
		case "source":
			s.source(c)
		case "op":
			if op := s.str(); len(op) == 1 {
				c.op = undrop.Op(op[0])
			}
		default:
			s.skip(0)
		}
	}
}

// image reads before or after. If both are there the columns end up with after.
func (s *scanner) image(c *change, after bool, b *batch.Batch, row int) {
	if s.null() {
		return
	}
	if after && c.after || !after && c.before {
		s.fail("JSON: before or after twice")
		return
	}
	if after {
		c.after = true
		if c.before {
			truncate(b, row)
		}
	} else {
		c.before = true
		if c.after {
			s.skip(0)
			return
		}
	}
	s.record(b.Table.Fields, b.Cols, row, true)
}

func (s *scanner) source(c *change) {
	s.take('{')
	for first := true; s.more(&first, '}'); {
		name := s.str()
		s.take(':')
		switch string(name) {
		case "ts_us":
			c.hasAt = s.long(&c.at)
		case "lsn":
			c.hasLSN = s.long(&c.lsn)
		case "seq":
			c.hasSeq = s.long(&c.seq)
		default:
			s.skip(0)
		}
	}
}

// long reads an integer or null.
func (s *scanner) long(v *int64) bool {
	if s.null() {
		return false
	}
	text := s.plain(undrop.Int64)
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		s.fail("not an integer of 64 bits")
		return false
	}
	*v = n
	return true
}

// record reads an object into columns that all have row rows. A member without a
// column is skipped, a column without a member is null.
func (s *scanner) record(fields []undrop.Field, cols []batch.Column, row int, top bool) {
	s.take('{')
	next := 0
	for first := true; s.more(&first, '}'); {
		name := s.str()
		c := find(fields, name, next)
		s.take(':')
		if c < 0 {
			s.skip(0)
			continue
		}
		if cols[c].Rows() > row {
			s.fail("JSON: a member twice")
		} else {
			s.optional(&cols[c])
		}
		if s.reason != "" {
			if top && s.column == "" {
				s.column = fields[c].Name
			}
			return
		}
		next = c + 1
	}
	for c := range cols {
		if cols[c].Rows() == row {
			cols[c].AppendNull()
		}
	}
}

// find looks for a field by name, first at the place where it is expected.
func find(fields []undrop.Field, name []byte, next int) int {
	if next < len(fields) && fields[next].Name == string(name) {
		return next
	}
	for i := range fields {
		if fields[i].Name == string(name) {
			return i
		}
	}
	return -1
}

func (s *scanner) optional(c *batch.Column) {
	if s.null() {
		c.AppendNull()
		return
	}
	s.value(c)
}

func (s *scanner) value(c *batch.Column) {
	switch c.Type.Kind {
	case undrop.Bool:
		if s.peek() == 't' {
			s.word("true")
			c.AppendInt(1)
		} else {
			s.word("false")
			c.AppendInt(0)
		}
	case undrop.String:
		v := s.str()
		if !validText(v) {
			s.fail("text that is not UTF-8, or with U+0000")
		}
		c.AppendBytes(v)
	case undrop.Binary:
		v := s.str()
		at := len(c.Data)
		out, err := base64.StdEncoding.Strict().AppendDecode(c.Data, v)
		if err != nil {
			s.fail("not base64")
			out = out[:at]
		}
		c.Data = out
		c.EndData()
	case undrop.List:
		s.take('[')
		for first := true; s.more(&first, ']'); {
			s.optional(c.Elem)
		}
		c.EndList()
	case undrop.Map:
		s.mapping(c)
	case undrop.Struct:
		s.record(c.Type.Fields, c.Fields, c.Rows(), false)
		c.EndStruct()
	default:
		text := s.plain(c.Type.Kind)
		if s.reason != "" {
			return
		}
		if reason := parseText(c, text); reason != "" {
			s.fail(reason)
		}
	}
}

func (s *scanner) mapping(c *batch.Column) {
	if c.Type.Key.Kind == undrop.String {
		s.take('{')
		for first := true; s.more(&first, '}'); {
			key := s.str()
			if !validText(key) {
				s.fail("text that is not UTF-8, or with U+0000")
			}
			c.Key.AppendBytes(key)
			s.take(':')
			s.optional(c.Elem)
		}
		c.EndList()
		return
	}
	s.take('[')
	for first := true; s.more(&first, ']'); {
		row := c.Key.Rows()
		s.take('{')
		for first := true; s.more(&first, '}'); {
			name := string(s.str())
			s.take(':')
			switch {
			case name == "key" && c.Key.Rows() == row:
				s.value(c.Key)
			case name == "value" && c.Elem.Rows() == row:
				s.optional(c.Elem)
			default:
				s.fail("JSON: an entry has one key and one value")
			}
		}
		if s.reason == "" && (c.Key.Rows() != row+1 || c.Elem.Rows() != row+1) {
			s.fail("JSON: an entry has one key and one value")
		}
	}
	c.EndList()
}

// plain reads a string or number as text. A number that a writer in another
// language may have lost digits of is refused, as is one where its unit would have
// to be guessed.
func (s *scanner) plain(k undrop.Kind) []byte {
	if s.peek() == '"' {
		return s.str()
	}
	text := s.number()
	switch k {
	case undrop.Int64:
		if n, err := strconv.ParseInt(string(text), 10, 64); err == nil && (n > maxExact || n < -maxExact) {
			s.fail("a JSON number beyond 2^53")
		}
	case undrop.UUID:
		s.fail("not a uuid")
	}
	return text
}
