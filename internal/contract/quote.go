package contract

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

var plainYAML = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*([ ./][A-Za-z0-9_]+)*$|^[0-9]+\.[0-9]+\.[0-9]+$`)

// yamlText writes s as a YAML scalar that reads back as the same string.
func yamlText(s string) string {
	switch strings.ToLower(s) {
	case "true", "false", "yes", "no", "on", "off", "null", "y", "n":
		return yamlQuote(s)
	}
	if plainYAML.MatchString(s) {
		return s
	}
	return yamlQuote(s)
}

// yamlQuote writes s in double quotes.
func yamlQuote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x20, r == 0x7f, r >= 0x80 && !unicode.IsPrint(r):
			if r > 0xffff {
				fmt.Fprintf(&b, `\U%08X`, r)
			} else {
				fmt.Fprintf(&b, `\u%04X`, r)
			}
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// oneLine makes foreign text safe for a comment or a note.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 || r == 0xfeff {
			return ' '
		}
		return r
	}, s)
}
