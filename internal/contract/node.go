package contract

import (
	"encoding/json"
	"math"
	"strconv"
)

type nodeKind uint8

const (
	nullNode nodeKind = iota
	boolNode
	intNode
	floatNode
	stringNode
	seqNode
	mapNode
)

var nodeKinds = [...]string{"null", "boolean", "integer", "number", "string", "list", "mapping"}

// node is YAML with its place. Anchors are resolved, keys are strings and unique.
type node struct {
	kind      nodeKind
	line, col int
	text      string // the scalar as written; integers in decimal
	keys      []entry
	items     []*node
}

type entry struct {
	key string
	at  *node // the key, for its place
	val *node
}

// get is the value of key, or nil. It accepts a nil node.
func (n *node) get(key string) *node {
	if n == nil {
		return nil
	}
	for _, e := range n.keys {
		if e.key == key {
			return e.val
		}
	}
	return nil
}

// str is the text of the scalar at key, or "".
func (n *node) str(key string) string {
	if v := n.get(key); v != nil && v.kind != seqNode && v.kind != mapNode && v.kind != nullNode {
		return v.text
	}
	return ""
}

// flag reads a boolean; set says whether it is there.
func (n *node) flag(key string) (value, set bool) {
	v := n.get(key)
	return v != nil && v.text == "true", v != nil && v.kind == boolNode
}

// or is the value at key if there is one, else n: the best place for a message.
func (n *node) or(key string) *node {
	if v := n.get(key); v != nil {
		return v
	}
	return n
}

// list is the items at key, or nil.
func (n *node) list(key string) []*node {
	if v := n.get(key); v != nil && v.kind == seqNode {
		return v.items
	}
	return nil
}

// plain is the node as encoding/json would have it, for the schema validator.
func (n *node) plain() any {
	switch n.kind {
	case boolNode:
		return n.text == "true"
	case intNode:
		return json.Number(n.text)
	case floatNode:
		f, err := strconv.ParseFloat(n.text, 64)
		if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
			return n.text
		}
		return json.Number(strconv.FormatFloat(f, 'g', -1, 64))
	case stringNode:
		return n.text
	case seqNode:
		list := make([]any, len(n.items))
		for i, v := range n.items {
			list[i] = v.plain()
		}
		return list
	case mapNode:
		m := make(map[string]any, len(n.keys))
		for _, e := range n.keys {
			m[e.key] = e.val.plain()
		}
		return m
	}
	return nil
}
