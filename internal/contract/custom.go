package contract

import (
	"slices"
	"strconv"
	"strings"
)

// The undrop.* properties, by what they are written on. They live only in
// customProperties.
var (
	customOnContract = []string{"undrop.recovery"}
	customOnObject   = []string{"undrop.source", "undrop.mode", "undrop.table", "undrop.topic", "undrop.partition", "undrop.onTruncate", "undrop.onBadKey"}
	customOnProperty = []string{"undrop.precision", "undrop.scale", "undrop.unit", "undrop.onNaN", "undrop.onInfinity", "undrop.onOverflow",
		"undrop.fieldId", "undrop.pad", "undrop.default"}
)

// custom is the customProperties of one element that are ours.
type custom struct {
	r    *report
	path string
	vals map[string]*node
}

// customOf reads the undrop.* entries of n and refuses unknown ones.
func customOf(r *report, n *node, path string, allowed []string, level string) custom {
	c := custom{r, path, map[string]*node{}}
	for i, e := range n.list("customProperties") {
		name := e.str("property")
		sub := path + ".customProperties[" + strconv.Itoa(i) + "]"
		if !strings.HasPrefix(name, "undrop.") {
			if strings.HasPrefix(strings.ToLower(name), "undrop") {
				r.errorf(e.or("property"), "undrop.unknown", sub, "%q looks like one of undrop's own properties, which begin with \"undrop.\"%s", name, didYouMean(name, allowed))
			}
			continue
		}
		if !slices.Contains(allowed, name) {
			all := slices.Concat(customOnContract, customOnObject, customOnProperty)
			if slices.Contains(all, name) {
				r.errorf(e.or("property"), "undrop.misplaced", sub, "%s does not belong on a %s", name, level)
			} else {
				r.errorf(e.or("property"), "undrop.unknown", sub, "undrop has no property %s on a %s%s", name, level, didYouMean(name, allowed))
			}
			continue
		}
		if c.vals[name] != nil {
			r.errorf(e.or("property"), "undrop.duplicate", sub, "%s is given twice", name)
			continue
		}
		c.vals[name] = e.get("value")
	}
	return c
}

// text is the scalar value of a property, or "".
func (c custom) text(name string) string {
	v := c.vals[name]
	if v == nil {
		return ""
	}
	if v.kind == seqNode || v.kind == mapNode || v.kind == nullNode || v.text == "" {
		c.r.errorf(v, "undrop.value", c.path, "%s needs a value (got a %s)", name, nodeKinds[v.kind])
		return ""
	}
	return v.text
}

// word is a value out of a closed set; the first word is the default.
func (c custom) word(name string, words ...string) string {
	v := c.text(name)
	if v == "" {
		return words[0]
	}
	if !slices.Contains(words, v) {
		c.r.errorf(c.vals[name], "undrop.value", c.path, "%s is one of %s (got %q)%s", name, strings.Join(words, ", "), v, didYouMean(v, words))
		return words[0]
	}
	return v
}

// number is an integer within [lo, hi], or nil.
func (c custom) number(name string, lo, hi int) *int {
	v := c.vals[name]
	if v == nil {
		return nil
	}
	n, err := strconv.Atoi(v.text)
	if err != nil || v.kind != intNode || n < lo || n > hi {
		c.r.errorf(v, "undrop.value", c.path, "%s is a whole number from %d to %d (got %q)", name, lo, hi, v.text)
		return nil
	}
	return &n
}
