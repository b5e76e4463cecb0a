package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// reader walks the YAML of one file and remembers where each key stands.
type reader struct {
	problems
	vars  *variables
	lines map[string]int // dotted path -> line
}

// value is a node with its place.
type value struct {
	*reader
	node ast.Node
	path string
	line int
}

// keys are what a mapping may hold, each with what reads its value.
type keys map[string]func(value)

func (r *reader) parse(text string) (v value, ok bool) {
	if i := strings.IndexAny(text, string(markOpen)+string(markClose)); i >= 0 {
		r.add(1+strings.Count(text[:i], "\n"), "", "", "holds a character from Unicode's private use area")
		return value{}, false
	}
	file, err := parseYAML(r.vars.hide(text))
	var syntax *yaml.SyntaxError
	switch {
	case errors.As(err, &syntax):
		r.add(syntax.Token.Position.Line, "", "", "%s", r.vars.show(syntax.Message))
		return value{}, false
	case err != nil:
		r.add(0, "", "", "%v", err)
		return value{}, false
	}
	docs := slices.DeleteFunc(slices.Clone(file.Docs), func(d *ast.DocumentNode) bool { return d.Body == nil })
	switch len(docs) {
	case 0:
		r.add(0, "", "undrop init --source DSN DIR", "is empty")
		return value{}, false
	case 1:
		return value{reader: r, node: docs[0].Body, line: 1}, true
	default:
		r.add(docs[1].Body.GetToken().Position.Line, "", "", "a second YAML document; the configuration is one")
		return value{}, false
	}
}

// parseYAML turns a panic of the parser, which is not ours, into an error.
func parseYAML(text string) (file *ast.File, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("is not YAML: %v", p)
		}
	}()
	return parser.ParseBytes([]byte(text), 0, parser.AllowDuplicateMapKey())
}

func (v value) bad(format string, args ...any) { v.add(v.line, v.path, "", format, args...) }

// each calls fn for every key of a mapping; a mapping with nothing in it is one.
func (v value) each(fn func(key string, v value)) {
	var pairs []*ast.MappingValueNode
	switch n := v.node.(type) {
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	case *ast.NullNode:
	default:
		v.bad("must be a mapping, not %s", v.kind())
	}
	seen := map[string]int{}
	for _, pair := range pairs {
		token := pair.Key.GetToken()
		key, line := v.vars.show(token.Value), token.Position.Line
		path := key
		if v.path != "" {
			path = v.path + "." + key
		}
		if first, ok := seen[key]; ok {
			v.add(line, path, "", "is already set in line %d", first)
			continue
		}
		seen[key] = line
		v.lines[path] = line
		fn(key, value{v.reader, pair.Value, path, line})
	}
}

// mapping reads a mapping whose keys are known.
func (v value) mapping(known keys) {
	v.each(func(key string, v value) {
		if read, ok := known[key]; ok {
			read(v)
			return
		}
		names := make([]string, 0, len(known))
		for name := range known {
			names = append(names, name)
		}
		slices.Sort(names)
		if near := Nearest(key, names); near != "" {
			v.bad("unknown key; the nearest valid key is %s", near)
			return
		}
		v.bad("unknown key; valid keys are %s", strings.Join(names, ", "))
	})
}

// scalar is the text of a value as it is written, with variables put in.
func (v value) scalar() (string, bool) {
	var text string
	switch n := v.node.(type) {
	case *ast.StringNode:
		text = n.Value
	case *ast.LiteralNode:
		text = n.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		text = n.GetToken().Value // as written: 0123 stays 0123
	case *ast.NullNode:
		v.bad("has no value")
		return "", false
	default:
		v.bad("must be one value, not %s", v.kind())
		return "", false
	}
	out, err := v.vars.expand(text)
	var missing *unset
	if errors.As(err, &missing) {
		v.add(v.line, v.path, "export "+missing.name+"=…", "%v", err)
		return "", false
	}
	if err != nil {
		v.bad("%v", err)
		return "", false
	}
	return out, true
}

func (v value) items(fn func(value)) {
	seq, ok := v.node.(*ast.SequenceNode)
	if !ok {
		v.bad("must be a list, not %s", v.kind())
		return
	}
	for i, item := range seq.Values {
		line := v.line
		if token := item.GetToken(); token != nil {
			line = token.Position.Line
		}
		fn(value{v.reader, item, fmt.Sprintf("%s[%d]", v.path, i), line})
	}
}

func (v value) kind() string {
	switch v.node.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.NullNode:
		return "nothing"
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode:
		return "an anchor or alias, which the configuration does not use"
	case *ast.TagNode:
		return "a YAML tag"
	default:
		return "a single value"
	}
}

func text(to *string) func(value) {
	return func(v value) {
		if s, ok := v.scalar(); ok {
			*to = s
		}
	}
}

func secret(to *Secret) func(value) {
	return func(v value) {
		if s, ok := v.scalar(); ok {
			to.text = s
		}
	}
}

func dsn(to *DSN) func(value) {
	return func(v value) {
		if s, ok := v.scalar(); ok {
			to.text = s
		}
	}
}

func texts(to *[]string) func(value) {
	return func(v value) {
		*to = nil
		v.items(func(v value) {
			if s, ok := v.scalar(); ok {
				*to = append(*to, s)
			}
		})
	}
}

func oneOf(to *string, words ...string) func(value) {
	return func(v value) {
		s, ok := v.scalar()
		switch {
		case !ok:
		case slices.Contains(words, s):
			*to = s
		default:
			v.bad("%q is not one of %s", s, strings.Join(words, ", "))
		}
	}
}

func boolean(to *bool) func(value) {
	return func(v value) {
		if s, ok := v.scalar(); ok {
			if s != "true" && s != "false" {
				v.bad("%q is not true or false", s)
			}
			*to = s == "true"
		}
	}
}

func integer[T int | int64](to *T, from, through T) func(value) {
	return func(v value) {
		s, ok := v.scalar()
		if !ok {
			return
		}
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < int64(from) || n > int64(through) {
			v.bad("%q is not a whole number from %d to %d", s, from, through)
			return
		}
		*to = T(n)
	}
}

func size(to *int64, least int64) func(value) {
	return func(v value) {
		s, ok := v.scalar()
		if !ok {
			return
		}
		n, err := parseSize(s)
		switch {
		case err != nil:
			v.bad("%v", err)
		case n < least:
			v.bad("%q is below the least size, %d bytes", s, least)
		default:
			*to = n
		}
	}
}

func duration(to *time.Duration, least time.Duration) func(value) {
	return func(v value) {
		s, ok := v.scalar()
		if !ok {
			return
		}
		d, err := parseDuration(s)
		switch {
		case err != nil:
			v.bad("%v", err)
		case d < least:
			v.bad("%q is below the least duration, %s", s, least)
		default:
			*to = d
		}
	}
}
