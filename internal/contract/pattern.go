package contract

import (
	"fmt"
	"regexp"
	"strings"
)

// ecmaSpace is what \s means in ECMA-262, as the inside of an RE2 class.
const ecmaSpace = `\t\n\v\f\r \x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}\x{feff}`

// compilePattern turns an ECMA-262 pattern into an RE2 program that matches
// exactly the same texts, or says why there is none. A pattern is searched for,
// not anchored, as in JSON Schema.
func compilePattern(pattern string) (*regexp.Regexp, error) {
	var b strings.Builder
	inClass := false
	for i := 0; i < len(pattern); i++ {
		c := pattern[i]
		rest := pattern[i:]
		switch {
		case c == '\\':
			n, out, err := escape(rest, inClass)
			if err != nil {
				return nil, err
			}
			b.WriteString(out)
			i += n - 1
		case inClass && c == '[':
			if strings.HasPrefix(rest, "[:") {
				return nil, fmt.Errorf("[: is a class of characters in one dialect and two characters in the other, so write \\[: instead")
			}
			b.WriteString(`\[`)
		case c == '[':
			if strings.HasPrefix(rest, "[]") || strings.HasPrefix(rest, "[^]") {
				return nil, fmt.Errorf("an empty class has no counterpart in RE2")
			}
			inClass = true
			b.WriteByte(c)
		case inClass && c == ']':
			inClass = false
			b.WriteByte(c)
		case !inClass && c == '.':
			b.WriteString(`[^\n\r\x{2028}\x{2029}]`)
		case !inClass && strings.HasPrefix(rest, "(?") && !strings.HasPrefix(rest, "(?:"):
			if strings.HasPrefix(rest, "(?=") || strings.HasPrefix(rest, "(?!") || strings.HasPrefix(rest, "(?<=") || strings.HasPrefix(rest, "(?<!") {
				return nil, fmt.Errorf("look-around (%s…) needs backtracking; say it as a second rule or as an enum", rest[:min(len(rest), 4)])
			}
			if !strings.HasPrefix(rest, "(?<") {
				return nil, fmt.Errorf("the group %s… is not part of ECMA-262", rest[:min(len(rest), 4)])
			}
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	re, err := regexp.Compile(b.String())
	if err != nil {
		return nil, fmt.Errorf("%s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	return re, nil
}

// escape translates one escape sequence and says how many bytes it took.
func escape(s string, inClass bool) (n int, out string, err error) {
	if len(s) < 2 {
		return 0, "", fmt.Errorf("the pattern ends in a backslash")
	}
	hex := func(digits int) (int, string, error) {
		if len(s) < 2+digits || !isHex(s[2:2+digits]) {
			return 0, "", fmt.Errorf("\\%c needs %d hexadecimal digits", s[1], digits)
		}
		return 2 + digits, `\x{` + s[2:2+digits] + `}`, nil
	}
	switch c := s[1]; {
	case c == 's' && inClass:
		return 2, ecmaSpace, nil
	case c == 's':
		return 2, "[" + ecmaSpace + "]", nil
	case c == 'S' && inClass:
		return 0, "", fmt.Errorf("\\S inside a class has no exact counterpart in RE2")
	case c == 'S':
		return 2, "[^" + ecmaSpace + "]", nil
	case c == 'u':
		return hex(4)
	case c == 'x':
		return hex(2)
	case c >= '1' && c <= '9':
		return 0, "", fmt.Errorf("a back-reference (\\%c) needs backtracking", c)
	case c == '0':
		return 2, `\x{00}`, nil
	case c == 'b' && inClass:
		return 2, `\x{08}`, nil
	case strings.IndexByte("dDwWbBtnvfr", c) >= 0:
		return 2, s[:2], nil
	case c == 'c' && len(s) > 2 && (s[2] >= 'a' && s[2] <= 'z' || s[2] >= 'A' && s[2] <= 'Z'):
		return 3, fmt.Sprintf(`\x{%02x}`, s[2]&31), nil
	case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
		return 0, "", fmt.Errorf("\\%c means different things in different dialects", c)
	case c < 0x80:
		return 2, s[:2], nil
	default: // a letter of several bytes stands for itself
		return 1, "", nil
	}
}

func isHex(s string) bool { return strings.Trim(s, "0123456789abcdefABCDEF") == "" }
