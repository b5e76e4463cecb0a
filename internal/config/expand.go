package config

import (
	"fmt"
	"regexp"
	"strings"
)

// A variable is taken out of the text before YAML is parsed, because YAML does
// not allow braces inside {key: ${VAR}} and its value may hold any character. A
// mark from Unicode's private use area stands in its place until the scalar that
// holds it is read; a variable in a comment is therefore never looked up.
const (
	markOpen  = '\uE000'
	markClose = '\uE001'
)

// variable matches $${ (which stands for a literal ${), or ${NAME} or
// ${NAME:-default}.
var variable = regexp.MustCompile(`\$\$\{|\$\{[^}\n]*\}`)

var mark = regexp.MustCompile(string(markOpen) + `(\d+)` + string(markClose))

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// unset is a variable that has no value.
type unset struct{ name string }

func (e *unset) Error() string {
	return fmt.Sprintf("the environment variable %s is not set", e.name)
}

// variables are the ${…} of one file.
type variables struct {
	found  []string
	lookup func(string) (string, bool)
}

func (v *variables) hide(text string) string {
	return variable.ReplaceAllStringFunc(text, func(m string) string {
		v.found = append(v.found, m)
		return fmt.Sprintf("%c%d%c", markOpen, len(v.found)-1, markClose)
	})
}

// show undoes hide, for messages.
func (v *variables) show(text string) string {
	return mark.ReplaceAllStringFunc(text, v.at)
}

func (v *variables) at(m string) string {
	var i int
	if _, err := fmt.Sscanf(m, string(markOpen)+"%d", &i); err != nil || i >= len(v.found) {
		return m
	}
	return v.found[i]
}

// expand puts the values in.
func (v *variables) expand(text string) (string, error) {
	var first error
	out := mark.ReplaceAllStringFunc(text, func(m string) string {
		value, err := v.value(v.at(m))
		if err != nil && first == nil {
			first = err
		}
		return value
	})
	return out, first
}

func (v *variables) value(ref string) (string, error) {
	if ref == "$${" {
		return "${", nil
	}
	name, fallback, hasFallback := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(ref, "${"), "}"), ":-")
	if !variableName.MatchString(name) {
		return "", fmt.Errorf("%s is not a variable; write ${NAME} or ${NAME:-default}, or $${ for the characters themselves", ref)
	}
	value, ok := v.lookup(name)
	switch {
	case ok && (value != "" || !hasFallback):
		return value, nil
	case hasFallback:
		return fallback, nil
	}
	return "", &unset{name}
}
