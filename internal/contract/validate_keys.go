package contract

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// unknownKeys reports the keys that no part of the schema knows. A failed part
// makes the validator call all its keys unevaluated, so a key that the schema
// does know is not reported: its own mistake is.
func (v *validation) unknownKeys() {
	for _, e := range v.unevaluated {
		loc := e.InstanceLocation
		if len(loc) == 0 {
			continue
		}
		pointer := strings.TrimSuffix(fragment(e.SchemaURL), "/unevaluatedProperties")
		known := v.std.keysAt(pointer)
		key := loc[len(loc)-1]
		if slices.Contains(known, key) {
			continue
		}
		n, path := v.at(loc[:len(loc)-1])
		v.unknown(n, path, key, known)
	}
}

func (v *validation) unknown(n *node, path, key string, known []string) {
	at := n
	for _, e := range n.keys {
		if e.key == key {
			at = e.at
		}
	}
	if strings.HasSuffix(path, ".logicalTypeOptions") {
		owner, _ := v.at(strings.Split(strings.NewReplacer("[", ".", "]", "").Replace(strings.TrimSuffix(path, ".logicalTypeOptions")), "."))
		if owner.str("logicalType") == "" {
			v.once(n, "odcs.options", path, "logicalTypeOptions needs a logicalType beside it")
			return
		}
	}
	v.once(at, "odcs.unknown-key", join(path, key), fmt.Sprintf("the standard has no key %q here%s", key, didYouMean(key, known)))
}

// at finds the node at a JSON instance location and spells its path.
func (v *validation) at(loc []string) (*node, string) {
	n, path := v.root, ""
	for _, part := range loc {
		switch n.kind {
		case seqNode:
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(n.items) {
				return n, path
			}
			n, path = n.items[i], path+"["+part+"]"
		default:
			next := n.get(part)
			if next == nil {
				return n, join(path, part)
			}
			n, path = next, join(path, part)
		}
	}
	return n, path
}

func (v *validation) valueHere(n *node) string {
	if n.kind == seqNode || n.kind == mapNode || n.kind == nullNode {
		return "a " + nodeKinds[n.kind]
	}
	return fmt.Sprintf("the %s %q", nodeKinds[n.kind], n.text)
}

func operatorsOf(n *node) []string {
	var out []string
	for _, e := range n.keys {
		if strings.HasPrefix(e.key, "must") {
			out = append(out, e.key)
		}
	}
	return out
}

func leafOf(e *jsonschema.ValidationError) *jsonschema.ValidationError {
	for len(e.Causes) > 0 {
		e = e.Causes[0]
	}
	return e
}

func isType(e *jsonschema.ValidationError) bool {
	_, ok := e.ErrorKind.(*kind.Type)
	return ok
}

func depth(e *jsonschema.ValidationError) int {
	d := len(e.InstanceLocation)
	for _, c := range e.Causes {
		d = max(d, depth(c))
	}
	return d
}

func fragment(url string) string {
	_, f, _ := strings.Cut(url, "#")
	return f
}

func lastOf(loc []string) string {
	for i := len(loc) - 1; i >= 0; i-- {
		if _, err := strconv.Atoi(loc[i]); err != nil {
			return loc[i]
		}
	}
	return "the contract"
}
