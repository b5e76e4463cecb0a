package contract

import (
	"strconv"
	"strings"

	undrop "github.com/undrop/undrop"
)

// options reads logicalTypeOptions. What the schema lets through and nothing
// checks is said in a warning.
func (k *compiler) options(p *Property, n *node, path string) {
	for i, e := range n.list("enum") {
		if v := e.get("value"); v != nil && v.kind != nullNode {
			p.Enum = append(p.Enum, v.text)
		} else {
			k.warnf(e, "bind.unchecked", path+".enum["+strconv.Itoa(i)+"]", "a null in an enum says nothing: required decides whether null is allowed")
		}
	}
	o := n.get("logicalTypeOptions")
	if o == nil {
		return
	}
	p.Format = o.str("format")
	count := func(key string) *int {
		if v, err := strconv.Atoi(o.str(key)); err == nil {
			return &v
		}
		return nil
	}
	p.MinLength, p.MaxLength = count("minLength"), count("maxLength")
	p.MinItems, p.MaxItems = count("minItems"), count("maxItems")
	p.UniqueItems, _ = o.flag("uniqueItems")
	p.Pattern, p.MultipleOf = o.str("pattern"), o.str("multipleOf")
	bound := func(inclusive, exclusive string) *Bound {
		if v := o.str(inclusive); v != "" {
			return &Bound{v, false}
		}
		if v := o.str(exclusive); v != "" {
			return &Bound{v, true}
		}
		return nil
	}
	p.Minimum, p.Maximum = bound("minimum", "exclusiveMinimum"), bound("maximum", "exclusiveMaximum")
	for _, key := range []string{"minProperties", "maxProperties"} {
		if o.get(key) != nil {
			k.warnf(o.get(key), "bind.unchecked", path, "%s is not checked: the properties are listed", key)
		}
	}
}

// requireListed makes the properties that the object's options call required so.
func requireListed(p *Property, n *node) {
	for _, name := range n.get("logicalTypeOptions").list("required") {
		for _, c := range p.Properties {
			if c.Name == name.text {
				c.Field.Required = true
			}
		}
	}
}

// The operators of a quality check, in the standard's order.
var operators = []string{"mustBe", "mustNotBe", "mustBeGreaterThan", "mustBeGreaterOrEqualTo", "mustBeLessThan", "mustBeLessOrEqualTo",
	"mustBeBetween", "mustNotBeBetween"}

// nullText stands for a null in the arguments of a quality check.
const nullText = "\x00null"

func (k *compiler) quality(n *node) []Quality {
	var out []Quality
	for _, q := range n.list("quality") {
		v := Quality{ID: q.str("id"), Name: q.str("name"), Type: q.str("type"), Metric: q.str("metric"), Unit: q.str("unit"),
			Severity: q.str("severity"), Dimension: q.str("dimension"), Description: q.str("description"), Query: q.str("query")}
		if v.Type == "" {
			v.Type = "library"
		}
		for _, op := range operators {
			if val := q.get(op); val != nil {
				v.Operator = op
				if val.kind == seqNode {
					for _, item := range val.items {
						v.Values = append(v.Values, item.text)
					}
				} else {
					v.Values = []string{val.text}
				}
			}
		}
		for _, e := range q.get("arguments").entries() {
			list := []*node{e.val}
			if e.val.kind == seqNode {
				list = e.val.items
			}
			if v.Arguments == nil {
				v.Arguments = map[string][]string{}
			}
			for _, item := range list {
				text := item.text
				if item.kind == nullNode {
					text = nullText
				}
				v.Arguments[e.key] = append(v.Arguments[e.key], text)
			}
		}
		v.PerRow = perRow(v)
		out = append(out, v)
	}
	return out
}

// entries is the mapping of a node that may be nil.
func (n *node) entries() []entry {
	if n == nil {
		return nil
	}
	return n.keys
}

// perRow reports whether a check can be judged on each row by itself: no row may
// break it, and the number of rows does not matter. Only an error rejects a row.
func perRow(q Quality) bool {
	if q.Type != "library" || strings.HasPrefix(strings.ToLower(q.Unit), "percent") || q.Unit == "%" {
		return false
	}
	if s := strings.ToLower(q.Severity); s != "" && s != "error" && s != "critical" && s != "high" {
		return false
	}
	switch q.Metric {
	case "nullValues", "missingValues", "invalidValues":
	default:
		return false
	}
	zero := len(q.Values) == 1 && (q.Values[0] == "0" || q.Values[0] == "0.0")
	return zero && (q.Operator == "mustBe" || q.Operator == "mustBeLessOrEqualTo") ||
		q.Operator == "mustBeLessThan" && len(q.Values) == 1 && q.Values[0] == "1"
}

// lengthRules says whether minLength and maxLength can be checked on t: on
// characters of a text, on bytes of a binary.
func lengthRules(t undrop.Type) bool { return t.Kind == undrop.String || t.Kind == undrop.Binary }
