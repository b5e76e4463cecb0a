package contract

import (
	"fmt"
	"math/big"
	"strconv"
)

// prose checks what the text of the standard says and its schema does not, and
// what cannot be meant: two properties of one name, a minimum above a maximum.
// It reads a tree that may not fit the schema.
func prose(r *report, root *node) {
	if root.get("schema") == nil {
		r.warnf(root, "text.schema", "schema", "the text of the standard requires schema; its JSON Schema does not")
	}
	if v := root.get("status"); v != nil && v.kind == stringNode && v.text == "" {
		r.warnf(v, "text.status", "status", "status is empty")
	}
	uniqueIDs(r, root, "")
	names := map[string]*node{}
	for i, o := range root.list("schema") {
		path := "schema[" + strconv.Itoa(i) + "]"
		if name := o.str("name"); name != "" {
			if first, ok := names[name]; ok {
				r.errorf(o.or("name"), "text.duplicate-name", path+".name", "object %q is already on line %d", name, first.line)
			} else {
				names[name] = o.or("name")
			}
		}
		proseQuality(r, o, path, false)
		proseProperties(r, o, path)
	}
}

func proseProperties(r *report, parent *node, path string) {
	names := map[string]*node{}
	positions := map[string]*node{}
	for i, p := range parent.list("properties") {
		sub := path + ".properties[" + strconv.Itoa(i) + "]"
		if name := p.str("name"); name != "" {
			if first, ok := names[name]; ok {
				r.errorf(p.or("name"), "text.duplicate-name", sub+".name", "property %q is already on line %d", name, first.line)
			} else {
				names[name] = p.or("name")
			}
		}
		if pk, _ := p.flag("primaryKey"); pk {
			if pos := p.str("primaryKeyPosition"); pos != "" && pos != "-1" {
				if n, err := strconv.Atoi(pos); err != nil || n < 1 {
					r.errorf(p.or("primaryKeyPosition"), "text.key-position", sub, "primaryKeyPosition starts from 1 (got %s)", pos)
				} else if first, ok := positions[pos]; ok {
					r.errorf(p.or("primaryKeyPosition"), "text.key-position", sub, "primaryKeyPosition %s is already on line %d", pos, first.line)
				} else {
					positions[pos] = p.or("primaryKeyPosition")
				}
			}
		}
		proseProperty(r, p, sub)
	}
}

func proseProperty(r *report, p *node, path string) {
	if p == nil {
		return
	}
	logical := p.str("logicalType")
	proseQuality(r, p, path, true)
	proseEnum(r, p, path, logical)
	proseRange(r, p.get("logicalTypeOptions"), path+".logicalTypeOptions", logical)
	if p.get("items") != nil && logical != "array" && logical != "" {
		r.errorf(p.or("items"), "text.items", path+".items", "items belongs to logicalType array, not %s", logical)
	}
	if p.get("map") != nil && logical != "map" {
		r.errorf(p.or("map"), "text.map", path+".map", "map belongs to logicalType map, not %q", logical)
	}
	proseProperties(r, p, path)
	proseProperty(r, p.get("items"), path+".items")
	proseProperty(r, p.get("map").get("key"), path+".map.key")
	proseProperty(r, p.get("map").get("value"), path+".map.value")
}

// proseEnum checks that each value is compatible with the logical type.
func proseEnum(r *report, p *node, path, logical string) {
	seen := map[string]*node{}
	for i, e := range p.list("enum") {
		v := e.get("value")
		sub := path + ".enum[" + strconv.Itoa(i) + "].value"
		if v == nil || v.kind == seqNode || v.kind == mapNode {
			continue // the schema has said so
		}
		fits := true
		switch logical {
		case "integer":
			fits = v.kind == intNode
		case "number":
			fits = v.kind == intNode || v.kind == floatNode
		case "boolean":
			fits = v.kind == boolNode
		case "string", "date", "timestamp", "time":
			fits = v.kind == stringNode
		case "object", "array", "map", "vector":
			r.errorf(v, "text.enum-type", sub, "an enum lists scalars, and %s has none", logical)
			return
		}
		if !fits {
			hint := ""
			if logical == "string" {
				hint = ": quote it"
			}
			r.errorf(v, "text.enum-type", sub, "enum value %s is a %s, but the property is a %s%s", v.text, nodeKinds[v.kind], logical, hint)
		}
		if first, ok := seen[v.text]; ok {
			r.errorf(v, "text.enum-duplicate", sub, "enum value %q is already on line %d", v.text, first.line)
		} else {
			seen[v.text] = v
		}
	}
}

// proseRange checks that each range has room for at least one value.
func proseRange(r *report, o *node, path, logical string) {
	if o == nil || o.kind != mapNode {
		return
	}
	for _, pair := range [][2]string{{"minLength", "maxLength"}, {"minItems", "maxItems"}, {"minProperties", "maxProperties"}} {
		lo, err1 := strconv.Atoi(o.str(pair[0]))
		hi, err2 := strconv.Atoi(o.str(pair[1]))
		if err1 == nil && err2 == nil && lo > hi {
			r.errorf(o.or(pair[0]), "text.range", path, "%s %d is above %s %d", pair[0], lo, pair[1], hi)
		}
	}
	for _, pair := range [][2]string{{"minimum", "exclusiveMinimum"}, {"maximum", "exclusiveMaximum"}} {
		if o.get(pair[0]) != nil && o.get(pair[1]) != nil {
			r.errorf(o.or(pair[1]), "text.range", path, "%s and %s are both given; one of them says nothing", pair[0], pair[1])
		}
	}
	if logical != "integer" && logical != "number" {
		return
	}
	num := func(inclusive, exclusive string) (*big.Rat, bool) {
		key, excl := inclusive, false
		if o.get(key) == nil {
			key, excl = exclusive, true
		}
		v, ok := new(big.Rat).SetString(o.str(key))
		if !ok {
			return nil, false
		}
		return v, excl
	}
	lo, loOpen := num("minimum", "exclusiveMinimum")
	hi, hiOpen := num("maximum", "exclusiveMaximum")
	if lo != nil && hi != nil && (lo.Cmp(hi) > 0 || lo.Cmp(hi) == 0 && (loOpen || hiOpen)) {
		r.errorf(o, "text.range", path, "no number lies between the minimum %s and the maximum %s", lo.RatString(), hi.RatString())
	}
}

// proseQuality checks what the schema forgets: type library is the default, and
// then metric is required; some metrics are for properties, some for objects.
func proseQuality(r *report, p *node, path string, property bool) {
	for i, q := range p.list("quality") {
		sub := path + ".quality[" + strconv.Itoa(i) + "]"
		metric, kind := q.str("metric"), q.str("type")
		if kind == "" && metric == "" && q.get("rule") == nil {
			r.errorf(q, "text.quality-metric", sub, "a quality check without a type is of the library, and then it needs a metric")
			continue
		}
		wrong := ""
		switch metric {
		case "nullValues", "missingValues", "invalidValues":
			if !property {
				wrong = "a property"
			}
		case "rowCount":
			if property {
				wrong = "a schema object"
			}
		}
		if wrong != "" {
			r.warnf(q.or("metric"), "text.quality-level", sub, "metric %s is for %s", metric, wrong)
		}
		if b := q.list("mustBeBetween"); len(b) == 2 {
			lo, ok1 := new(big.Rat).SetString(b[0].text)
			hi, ok2 := new(big.Rat).SetString(b[1].text)
			if ok1 && ok2 && lo.Cmp(hi) > 0 {
				r.errorf(b[0], "text.range", sub, "mustBeBetween has the smallest number first (got %s, %s)", b[0].text, b[1].text)
			}
		}
	}
}

// uniqueIDs checks that ids are unique within their array, as StableId says.
func uniqueIDs(r *report, n *node, path string) {
	if n == nil {
		return
	}
	for _, e := range n.keys {
		if e.key != "examples" && e.key != "value" { // other people's data
			uniqueIDs(r, e.val, join(path, e.key))
		}
	}
	seen := map[string]*node{}
	for i, item := range n.items {
		sub := fmt.Sprintf("%s[%d]", path, i)
		if id := item.str("id"); id != "" {
			if first, ok := seen[id]; ok {
				r.errorf(item.or("id"), "text.duplicate-id", sub+".id", "id %q is already on line %d; ids are unique within their list", id, first.line)
			} else {
				seen[id] = item.or("id")
			}
		}
		uniqueIDs(r, item, sub)
	}
}
