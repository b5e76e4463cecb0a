package config

import (
	"log/slog"
	"net/url"
	"regexp"
	"strings"
)

const hidden = "***"

// Secret is text that must not be seen. Every way of printing it gives "***".
type Secret struct{ text string }

// Reveal is the text itself, for the one who must send it.
func (s Secret) Reveal() string { return s.text }

// IsZero reports whether there is no text.
func (s Secret) IsZero() bool { return s.text == "" }

// String hides the text.
func (s Secret) String() string {
	if s.text == "" {
		return ""
	}
	return hidden
}

// GoString hides the text from %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText hides the text from JSON and YAML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue hides the text from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// DSN says how to reach a database, as a URL, as keywords or as a file. Printed,
// it shows where, and hides the password.
type DSN struct{ text string }

// NewDSN wraps a connection string that did not come from a file.
func NewDSN(text string) DSN { return DSN{text} }

// Reveal is the whole connection string.
func (d DSN) Reveal() string { return d.text }

// IsZero reports whether there is none.
func (d DSN) IsZero() bool { return d.text == "" }

// String shows everything but secrets.
func (d DSN) String() string { return redact(d.text) }

// GoString hides secrets from %#v.
func (d DSN) GoString() string { return d.String() }

// MarshalText hides secrets from JSON and YAML.
func (d DSN) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// LogValue hides secrets from slog.
func (d DSN) LogValue() slog.Value { return slog.StringValue(d.String()) }

// secretKey matches the keywords of a connection string whose values are secret:
// password, sslpassword and what newer servers add with the same ending.
var secretKey = regexp.MustCompile(`(?i)(password|passphrase|secret|token)$`)

// keyword matches one keyword=value, the value bare, or in single quotes with
// backslash escapes, as libpq reads it.
var keyword = regexp.MustCompile(`(\w+)(\s*=\s*)('(?:[^'\\]|\\.)*'?|(?:[^\s\\]|\\.)+)`)

func redact(dsn string) string {
	if scheme, rest, ok := strings.Cut(dsn, "://"); ok {
		return redactURL(scheme, rest)
	}
	return keyword.ReplaceAllStringFunc(dsn, func(m string) string {
		parts := keyword.FindStringSubmatch(m)
		if !secretKey.MatchString(parts[1]) {
			return m
		}
		return parts[1] + parts[2] + hidden
	})
}

// redactURL works on the text and not on a parsed URL: a password with a stray
// character makes a URL that does not parse, and must be hidden all the same.
func redactURL(scheme, rest string) string {
	rest, query, hasQuery := strings.Cut(rest, "?")
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		if user, _, ok := strings.Cut(rest[:at], ":"); ok {
			rest = user + ":" + hidden + rest[at:]
		}
	}
	if !hasQuery {
		return scheme + "://" + rest
	}
	if strings.ContainsRune(query, '@') { // an unescaped ? in the password: what follows may be the rest of it
		return scheme + "://" + hidden
	}
	parts := strings.Split(query, "&")
	for i, p := range parts {
		key, _, ok := strings.Cut(p, "=")
		if plain, err := url.QueryUnescape(key); err == nil {
			key = plain
		}
		if ok && secretKey.MatchString(key) {
			parts[i] = key + "=" + hidden
		}
	}
	return scheme + "://" + rest + "?" + strings.Join(parts, "&")
}
