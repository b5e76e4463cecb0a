package contract

import (
	"math/big"
	"strconv"
	"strings"

	undrop "github.com/undrop/undrop"
)

// multiple adds multipleOf, which is exact on whole numbers and decimals only.
func (c *ruleCompiler) multiple() {
	if c.p.MultipleOf == "" {
		return
	}
	r, ok := new(big.Rat).SetString(c.p.MultipleOf)
	if !ok || r.Sign() <= 0 {
		c.refuse("bind.rule", "multipleOf %q is not a positive number", c.p.MultipleOf)
		return
	}
	switch c.t.Kind {
	case undrop.Int32, undrop.Int64, undrop.Decimal:
	default:
		c.refuse("bind.rule", "multipleOf is not exact on a %s; use a decimal", c.t)
		return
	}
	// v/10^scale = k * num/den, with num/den*10^scale in lowest terms, exactly if
	// the numerator divides v.
	r.Mul(r, new(big.Rat).SetInt(pow10(c.t.Scale)))
	k := check{test: testMultiple, rule: "multipleOf", detail: "a multiple of " + c.p.MultipleOf}
	switch {
	case !c.t.Fixed():
		k.test, k.big = testMultipleBig, new(big.Int).Set(r.Num())
	case !r.Num().IsInt64():
		k.test, k.lo, k.hi = testInts, 0, 0 // only zero is a multiple of so large a number
	default:
		k.lo = r.Num().Int64()
		if k.lo == 1 {
			return // every value is
		}
	}
	c.out = append(c.out, k)
}

func (c *ruleCompiler) enum() {
	if len(c.p.Enum) == 0 {
		return
	}
	c.set("enum", "one of "+oneOf(c.p.Enum), c.p.Enum, false)
}

// set adds "is one of" or, with not, "is none of".
func (c *ruleCompiler) set(rule, detail string, values []string, not bool) {
	k := check{test: testByteSet, rule: rule, detail: detail, not: not}
	switch {
	case c.t.Nested():
		c.refuse("bind.rule", "%s cannot be checked on a %s", rule, c.t)
		return
	case c.t.Fixed():
		k.test = testIntSet
	}
	for _, s := range values {
		v, err := parseLiteral(c.t, s)
		if err != nil {
			if not { // a value that the column cannot hold cannot be in it
				continue
			}
			c.refuse("bind.enum", "%s: %v", rule, err)
			return
		}
		if k.test == testIntSet {
			k.ints = append(k.ints, v.i)
			continue
		}
		for len(k.bytes) <= len(v.b) {
			k.bytes = append(k.bytes, nil)
		}
		k.bytes[len(v.b)] = append(k.bytes[len(v.b)], string(v.b))
	}
	c.out = append(c.out, k)
}

func oneOf(values []string) string {
	s := strings.Join(values, "|")
	if len(s) <= 200 {
		return s
	}
	return strconv.Itoa(len(values)) + " values"
}

func (c *ruleCompiler) lengths() {
	p := c.p
	if p.MinLength != nil || p.MaxLength != nil {
		if !lengthRules(c.t) {
			c.refuse("bind.rule", "minLength and maxLength cannot be checked on a %s", c.t)
			return
		}
		unit := " characters"
		if c.t.Kind == undrop.Binary {
			unit = " bytes"
		}
		if p.MinLength != nil && *p.MinLength > 0 {
			c.out = append(c.out, check{test: testLength, rule: "minLength", detail: "at least " + strconv.Itoa(*p.MinLength) + unit, lo: int64(*p.MinLength), hi: 1 << 40})
		}
		if p.MaxLength != nil {
			c.out = append(c.out, check{test: testLength, rule: "maxLength", detail: "at most " + strconv.Itoa(*p.MaxLength) + unit, hi: int64(*p.MaxLength)})
		}
	}
	if c.t.Kind != undrop.List {
		return
	}
	if p.MinItems != nil && *p.MinItems > 0 {
		c.out = append(c.out, check{test: testItems, rule: "minItems", detail: "at least " + strconv.Itoa(*p.MinItems) + " items", lo: int64(*p.MinItems), hi: 1 << 40})
	}
	if p.MaxItems != nil {
		c.out = append(c.out, check{test: testItems, rule: "maxItems", detail: "at most " + strconv.Itoa(*p.MaxItems) + " items", hi: int64(*p.MaxItems)})
	}
	if p.UniqueItems {
		c.out = append(c.out, check{test: testDistinct, rule: "uniqueItems", detail: "no item twice"})
	}
}

func (c *ruleCompiler) pattern(rule, pattern string) {
	re, err := compilePattern(pattern)
	if err != nil {
		c.refuse("bind.pattern", "pattern %q: %v", pattern, err)
		return
	}
	if c.t.Kind != undrop.String {
		c.refuse("bind.rule", "pattern cannot be checked on a %s", c.t)
		return
	}
	c.out = append(c.out, check{test: testPattern, rule: rule, detail: "matches " + pattern, re: re})
}

// quality adds the checks of the library that hold for every row by itself.
func (c *ruleCompiler) quality(q Quality) {
	if !q.PerRow {
		return
	}
	name := q.ID
	if name == "" {
		name = q.Metric
	}
	rule := "quality." + name
	switch q.Metric {
	case "nullValues":
		c.out = append(c.out, check{test: testRequired, rule: rule, detail: "not null"})
	case "missingValues":
		values := []string{}
		for _, v := range q.Arguments["missingValues"] {
			if v == nullText {
				c.out = append(c.out, check{test: testRequired, rule: rule, detail: "not missing"})
			} else {
				values = append(values, v)
			}
		}
		if len(values) > 0 {
			c.set(rule, "not missing", values, true)
		}
	case "invalidValues":
		if valid := q.Arguments["validValues"]; len(valid) > 0 {
			c.set(rule, "one of "+oneOf(valid), valid, false)
		}
		if pattern := q.Arguments["pattern"]; len(pattern) == 1 {
			c.pattern(rule, pattern[0])
		}
	}
}

// Promises lists what p promises about its values beyond its type, for a person.
func (p *Property) Promises() []string {
	var out []string
	for _, k := range p.rules {
		out = append(out, k.detail)
	}
	if p.Unique {
		out = append(out, "unique")
	}
	if p.Items != nil {
		for _, s := range p.Items.Promises() {
			out = append(out, "items "+s)
		}
	}
	for _, c := range p.Properties {
		for _, s := range c.Promises() {
			out = append(out, c.Name+" "+s)
		}
	}
	return out
}
