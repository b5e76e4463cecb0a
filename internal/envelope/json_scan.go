package envelope

import (
	"unicode/utf16"
	"unicode/utf8"
)

// scanner walks the bytes of one JSON value. It is strict (RFC 8259), and the
// first failure sticks, as with reader. encoding/json would accept bytes that are
// not UTF-8 and lone surrogates by replacing them.
type scanner struct {
	p      []byte
	i      int
	reason string
	column string
	buf    []byte // the newest text that had escapes
}

const jsonDepth = 512

func (s *scanner) fail(reason string) {
	if s.reason == "" {
		s.reason = reason
	}
	s.i = len(s.p)
}

// peek is the next byte that is not white space, 0 at the end.
func (s *scanner) peek() byte {
	for s.i < len(s.p) {
		switch b := s.p[s.i]; b {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return b
		}
	}
	return 0
}

// take reads the byte b.
func (s *scanner) take(b byte) {
	if s.peek() != b {
		s.fail("JSON: want " + string(rune(b)))
		return
	}
	s.i++
}

// more steps into or through an array or object that ends with end: true if
// another member follows.
func (s *scanner) more(first *bool, end byte) bool {
	b := s.peek()
	switch {
	case s.reason != "":
		return false
	case b == end:
		s.i++
		return false
	case *first:
		*first = false
		return true
	}
	s.take(',')
	return s.reason == ""
}

// word reads true, false or null.
func (s *scanner) word(w string) {
	s.peek()
	if len(s.p)-s.i < len(w) || string(s.p[s.i:s.i+len(w)]) != w {
		s.fail("JSON: want " + w)
		return
	}
	s.i += len(w)
}

// null reads null if it is next.
func (s *scanner) null() bool {
	if s.peek() != 'n' {
		return false
	}
	s.word("null")
	return true
}

// number reads the characters of a number.
func (s *scanner) number() []byte {
	s.peek()
	from := s.i
	if s.i < len(s.p) && s.p[s.i] == '-' {
		s.i++
	}
	lead := s.i
	n := s.digits()
	ok := n == 1 || n > 1 && s.p[lead] != '0'
	if ok && s.i < len(s.p) && s.p[s.i] == '.' {
		s.i++
		ok = s.digits() > 0
	}
	if ok && s.i < len(s.p) && s.p[s.i]|0x20 == 'e' {
		s.i++
		if s.i < len(s.p) && (s.p[s.i] == '+' || s.p[s.i] == '-') {
			s.i++
		}
		ok = s.digits() > 0
	}
	if !ok {
		s.fail("JSON: not a number")
		return nil
	}
	return s.p[from:s.i]
}

func (s *scanner) digits() int {
	from := s.i
	for s.i < len(s.p) && s.p[s.i] >= '0' && s.p[s.i] <= '9' {
		s.i++
	}
	return s.i - from
}

// str reads a string; valid until the next call.
func (s *scanner) str() []byte {
	s.take('"')
	from := s.i
	for i := from; i < len(s.p); i++ {
		switch b := s.p[i]; {
		case b == '"':
			s.i = i + 1
			return s.p[from:i]
		case b == '\\':
			return s.escaped(from, i)
		case b < 0x20:
			s.fail("JSON: a control character in a string")
			return nil
		}
	}
	s.fail("JSON: a string without an end")
	return nil
}

// escaped reads a string whose first escape is at i.
func (s *scanner) escaped(from, i int) []byte {
	s.buf = append(s.buf[:0], s.p[from:i]...)
	for s.i = i; s.i < len(s.p); {
		b := s.p[s.i]
		s.i++
		switch {
		case b == '"':
			return s.buf
		case b < 0x20:
			s.fail("JSON: a control character in a string")
			return nil
		case b == '\\':
			s.escape()
		default:
			s.buf = append(s.buf, b)
		}
	}
	s.fail("JSON: a string without an end")
	return nil
}

func (s *scanner) escape() {
	if s.i == len(s.p) {
		return
	}
	b := s.p[s.i]
	s.i++
	switch b {
	case '"', '\\', '/':
		s.buf = append(s.buf, b)
	case 'b':
		s.buf = append(s.buf, '\b')
	case 'f':
		s.buf = append(s.buf, '\f')
	case 'n':
		s.buf = append(s.buf, '\n')
	case 'r':
		s.buf = append(s.buf, '\r')
	case 't':
		s.buf = append(s.buf, '\t')
	case 'u':
		s.unicode()
	default:
		s.fail("JSON: no such escape")
	}
}

func (s *scanner) unicode() {
	r := s.hex4()
	if utf16.IsSurrogate(r) {
		if len(s.p)-s.i < 6 || s.p[s.i] != '\\' || s.p[s.i+1] != 'u' {
			s.fail("JSON: half of a surrogate pair")
			return
		}
		s.i += 2
		if r = utf16.DecodeRune(r, s.hex4()); r == utf8.RuneError {
			s.fail("JSON: half of a surrogate pair")
			return
		}
	}
	s.buf = utf8.AppendRune(s.buf, r)
}

func (s *scanner) hex4() (r rune) {
	if len(s.p)-s.i < 4 {
		s.fail("JSON: a string without an end")
		return 0
	}
	for _, b := range s.p[s.i : s.i+4] {
		d := hexDigit(b)
		if d > 15 {
			s.fail("JSON: no such escape")
			return 0
		}
		r = r<<4 | rune(d)
	}
	s.i += 4
	return r
}

// skip walks over a value.
func (s *scanner) skip(depth int) {
	if depth > jsonDepth {
		s.fail("JSON: nested too deeply")
		return
	}
	switch b := s.peek(); b {
	case '{':
		s.i++
		for first := true; s.more(&first, '}'); {
			s.str()
			s.take(':')
			s.skip(depth + 1)
		}
	case '[':
		s.i++
		for first := true; s.more(&first, ']'); {
			s.skip(depth + 1)
		}
	case '"':
		s.str()
	case 't':
		s.word("true")
	case 'f':
		s.word("false")
	case 'n':
		s.word("null")
	default:
		s.number()
	}
}

// end refuses anything but white space.
func (s *scanner) end() {
	s.peek()
	if s.i < len(s.p) {
		s.fail("JSON: something follows the value")
	}
}
