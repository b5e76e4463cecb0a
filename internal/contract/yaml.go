package contract

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Limits of a contract file. A file beyond them is an attack or a mistake.
const (
	maxFile  = 8 << 20
	maxDepth = 64
	maxNodes = 1 << 20 // after aliases are expanded
)

// readYAML parses data strictly. The node is nil when there is nothing to go on.
func readYAML(r *report, data []byte) *node {
	if len(data) > maxFile {
		r.errorf(nil, "yaml.size", "", "the file has %d bytes; a contract has at most %d", len(data), maxFile)
		return nil
	}
	file, err := parseYAML(data)
	if err != nil {
		at := &node{line: 1, col: 1}
		msg := err.Error()
		var syntax *yaml.SyntaxError
		if errors.As(err, &syntax) {
			msg = syntax.Message
			place(at, syntax.Token)
		}
		r.errorf(at, "yaml.syntax", "", "%s", firstLine(msg))
		return nil
	}
	c := &converter{report: r, anchors: map[string]ast.Node{}, open: map[string]bool{}}
	var root *node
	for _, d := range file.Docs {
		if d == nil || d.Body == nil {
			continue
		}
		if root != nil {
			at := (&converter{report: &report{}, anchors: map[string]ast.Node{}, open: map[string]bool{}}).convert(d.Body, "", 0)
			r.errorf(at, "yaml.documents", "", "a contract is one YAML document; a second one begins here")
			break
		}
		root = c.convert(d.Body, "", 0)
	}
	if root == nil {
		r.errorf(nil, "yaml.empty", "", "the file is empty")
		return nil
	}
	if root.kind != mapNode {
		r.errorf(root, "yaml.root", "", "a contract is a mapping; this is a %s", nodeKinds[root.kind])
		return nil
	}
	return root
}

// parseYAML turns a panic of the parser on hostile input into an error: a
// contract is input from outside, and the process holds other people's data.
func parseYAML(data []byte) (file *ast.File, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the YAML parser gave up: %v", p)
		}
	}()
	return parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}

func place(n *node, t *token.Token) {
	n.line, n.col = 1, 1
	if t != nil && t.Position != nil {
		n.line, n.col = max(1, t.Position.Line), max(1, t.Position.Column)
	}
}

type converter struct {
	*report
	anchors map[string]ast.Node
	open    map[string]bool // aliases being expanded: one inside itself has no end
	nodes   int
	full    bool // a limit was reached: said once, the rest is not read
}

func (c *converter) convert(a ast.Node, path string, depth int) *node {
	n := &node{}
	if a == nil {
		return n
	}
	place(n, a.GetToken())
	if c.full {
		return n
	}
	if c.nodes++; c.nodes > maxNodes || depth > maxDepth {
		c.full = true
		c.errorf(n, "yaml.size", path, "the contract has more than %d values or is deeper than %d", maxNodes, maxDepth)
		return n
	}
	switch a := a.(type) {
	case *ast.MappingNode:
		c.mapping(n, a.Values, path, depth)
		return n
	case *ast.MappingValueNode:
		c.mapping(n, []*ast.MappingValueNode{a}, path, depth)
		return n
	case *ast.SequenceNode:
		n.kind = seqNode
		for i, v := range a.Values {
			n.items = append(n.items, c.convert(v, path+"["+strconv.Itoa(i)+"]", depth+1))
		}
		return n
	case *ast.AnchorNode:
		c.anchors[a.Name.GetToken().Value] = a.Value
		return c.convert(a.Value, path, depth+1)
	case *ast.AliasNode:
		name := a.Value.GetToken().Value
		target, ok := c.anchors[name]
		if !ok || c.open[name] {
			c.errorf(n, "yaml.alias", path, "alias *%s has no anchor before it", name)
			return n
		}
		c.open[name] = true
		defer delete(c.open, name)
		return c.convert(target, path, depth+1)
	case *ast.TagNode:
		v := c.convert(a.Value, path, depth+1)
		if tag := a.Start.Value; tag == "!!str" && v.kind < seqNode {
			v.kind = stringNode
			if t := a.Value.GetToken(); t != nil {
				v.text = t.Value
			}
		} else {
			c.errorf(n, "yaml.tag", path, "YAML tag %s has no meaning in a contract", tag)
		}
		return v
	}
	c.scalar(n, a, path)
	return n
}

func (c *converter) scalar(n *node, a ast.Node, path string) {
	switch a := a.(type) {
	case *ast.NullNode:
		n.kind = nullNode
	case *ast.BoolNode:
		n.kind, n.text = boolNode, strconv.FormatBool(a.Value)
	case *ast.IntegerNode:
		n.kind, n.text = intNode, fmt.Sprint(a.Value)
	case *ast.FloatNode:
		n.kind, n.text = floatNode, strings.ReplaceAll(a.GetToken().Value, "_", "")
	case *ast.StringNode:
		n.kind, n.text = stringNode, a.Value
	case *ast.LiteralNode:
		n.kind, n.text = stringNode, a.Value.Value
	case *ast.InfinityNode, *ast.NanNode:
		n.kind, n.text = stringNode, a.GetToken().Value
	default:
		c.errorf(n, "yaml.value", path, "a contract cannot hold this kind of YAML value")
	}
}

func (c *converter) mapping(n *node, values []*ast.MappingValueNode, path string, depth int) {
	n.kind = mapNode
	if len(values) > 0 {
		place(n, values[0].Key.GetToken())
	}
	seen := map[string]*node{}
	var merged []entry
	for _, mv := range values {
		at := &node{}
		place(at, mv.Key.GetToken())
		if _, ok := mv.Key.(*ast.MergeKeyNode); ok {
			v := c.convert(mv.Value, path, depth+1)
			sources := []*node{v}
			if v.kind == seqNode {
				sources = v.items
			}
			for _, s := range sources {
				merged = append(merged, s.keys...)
			}
			continue
		}
		key := mv.Key.GetToken().Value
		if s, ok := mv.Key.(*ast.StringNode); ok {
			key = s.Value
		}
		sub := join(path, key)
		if first, ok := seen[key]; ok {
			c.errorf(at, "yaml.duplicate", sub, "key %q is already on line %d", key, first.line)
			continue
		}
		seen[key] = at
		n.keys = append(n.keys, entry{key, at, c.convert(mv.Value, sub, depth+1)})
	}
	for _, e := range merged { // an own key wins over a merged one
		if _, ok := seen[e.key]; !ok {
			seen[e.key] = e.at
			n.keys = append(n.keys, e)
		}
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
