package contract

import (
	"fmt"
	"math/big"
	"slices"
	"sort"
	"strconv"
	"strings"
)

const (
	tightened = "rows that the old version allowed are refused: run the new rule in shadow first, then require it"
	loosened  = "readers meet values they were promised not to"
)

func (d *differ) tighter(rule, path, from, to string) {
	d.add(MinorWithPlan, BreaksProducers, rule+"-tighten", path, from, to, tightened)
}

func (d *differ) looser(rule, path, from, to string) {
	d.add(Minor, BreaksConsumers, rule+"-loosen", path, from, to, loosened)
}

// promises compares the rules on values: tightening breaks producers, loosening
// breaks consumers.
func (d *differ) promises(o, n *Property, path string) {
	d.enum(o, n, path)
	d.limit("minimum", path, boundText(o.Minimum), boundText(n.Minimum), compareBounds(o.Minimum, n.Minimum, false))
	d.limit("maximum", path, boundText(o.Maximum), boundText(n.Maximum), compareBounds(o.Maximum, n.Maximum, true))
	d.limit("minLength", path, countText(o.MinLength), countText(n.MinLength), compareCounts(o.MinLength, n.MinLength, false))
	d.limit("maxLength", path, countText(o.MaxLength), countText(n.MaxLength), compareCounts(o.MaxLength, n.MaxLength, true))
	d.limit("minItems", path, countText(o.MinItems), countText(n.MinItems), compareCounts(o.MinItems, n.MinItems, false))
	d.limit("maxItems", path, countText(o.MaxItems), countText(n.MaxItems), compareCounts(o.MaxItems, n.MaxItems, true))
	d.limit("uniqueItems", path, fmt.Sprint(o.UniqueItems), fmt.Sprint(n.UniqueItems), compareFlags(o.UniqueItems, n.UniqueItems))
	d.limit("unique", path, fmt.Sprint(o.Unique), fmt.Sprint(n.Unique), compareFlags(o.Unique, n.Unique))
	d.limit("pattern", path, o.Pattern, n.Pattern, compareTexts(o.Pattern, n.Pattern))
	d.limit("multipleOf", path, o.MultipleOf, n.MultipleOf, compareMultiples(o.MultipleOf, n.MultipleOf))
	if o.Field.Type.Kind == n.Field.Type.Kind && n.LogicalType == "integer" { // otherwise the type says it
		d.limit("format", path, o.Format, n.Format, -widthRange(o.Format, n.Format))
	}
	d.quality(o.Quality, n.Quality, path)
}

// limit reports one rule: by is +1 if it became tighter, -1 if looser, 0 if equal.
func (d *differ) limit(rule, path, from, to string, by int) {
	switch {
	case by > 0:
		d.tighter(rule, path, from, to)
	case by < 0:
		d.looser(rule, path, from, to)
	}
}

func (d *differ) enum(o, n *Property, path string) {
	switch {
	case len(o.Enum) == 0 && len(n.Enum) == 0:
		return
	case len(o.Enum) == 0:
		d.tighter("enum", path, "", strings.Join(n.Enum, "|"))
		return
	case len(n.Enum) == 0:
		d.looser("enum", path, strings.Join(o.Enum, "|"), "")
		return
	}
	var added, removed []string
	for _, v := range n.Enum {
		if !slices.Contains(o.Enum, v) {
			added = append(added, v)
		}
	}
	for _, v := range o.Enum {
		if !slices.Contains(n.Enum, v) {
			removed = append(removed, v)
		}
	}
	if len(added) > 0 {
		d.add(Minor, BreaksConsumers, "enum-add", path, "", strings.Join(added, "|"), "readers that know only the old values need a default")
	}
	if len(removed) > 0 {
		d.add(Major, BreaksBoth, "enum-remove", path, strings.Join(removed, "|"), "",
			"rows with the value are refused from now on, and existing ones break the contract; no table or registry would notice")
	}
}

func (d *differ) quality(old, new []Quality, path string) {
	name := func(q Quality) string {
		if q.ID != "" {
			return q.ID
		}
		keys := make([]string, 0, len(q.Arguments))
		for k, v := range q.Arguments {
			keys = append(keys, k+"="+strings.Join(v, ","))
		}
		sort.Strings(keys)
		return strings.TrimSpace(strings.Join([]string{q.Type, q.Metric, q.Name, q.Query, strings.Join(keys, ";")}, " "))
	}
	said := func(q Quality) string {
		return q.Operator + " " + strings.Join(q.Values, " and ") + " " + q.Unit + " " + q.Severity
	}
	before := map[string]Quality{}
	for _, q := range old {
		before[name(q)] = q
	}
	for _, q := range new {
		o, ok := before[name(q)]
		delete(before, name(q))
		switch {
		case q.Type == "text":
			if !ok || o.Description != q.Description {
				d.add(Patch, BreaksNobody, "quality-text", path, o.Description, q.Description, "a promise in words; nothing checks it")
			}
		case !ok:
			d.tighter("quality", path, "", name(q)+" "+said(q))
		case said(o) != said(q) || fmt.Sprint(o.Arguments) != fmt.Sprint(q.Arguments) || o.Query != q.Query:
			d.tighter("quality", path, name(q)+" "+said(o), said(q))
		}
	}
	for _, q := range old {
		if _, left := before[name(q)]; left {
			d.looser("quality", path, name(q)+" "+said(q), "")
		}
	}
}

// lowerIsStronger names the SLA properties where less is a stronger promise;
// higherIsStronger those where more is.
var (
	lowerIsStronger  = []string{"latency", "ly", "frequency", "fy", "timeToDetect", "td", "timeToNotify", "tn", "timeToRepair", "tr", "errorRate", "er"}
	higherIsStronger = []string{"retention", "re", "availability", "av", "throughput", "th"}
)

func (d *differ) sla(old, new []SLAProperty) {
	name := func(s SLAProperty) string { return strings.Trim(s.Property+" "+s.Element+" "+s.Driver, " ") }
	before := map[string]SLAProperty{}
	for _, s := range old {
		before[name(s)] = s
	}
	for _, s := range new {
		o, ok := before[name(s)]
		delete(before, name(s))
		from, to := o.Value+o.Unit, s.Value+s.Unit
		switch {
		case !ok:
			d.add(Minor, BreaksNobody, "sla-add", "slaProperties."+name(s), "", to, "one promise more")
		case from == to:
		case slaStronger(o, s):
			d.add(Minor, BreaksNobody, "sla-stronger", "slaProperties."+name(s), from, to, "a stronger promise")
		default:
			d.add(MinorWithPlan, BreaksConsumers, "sla-weaker", "slaProperties."+name(s), from, to, "readers planned with the old promise")
		}
	}
	for _, s := range old {
		if _, left := before[name(s)]; left {
			d.add(MinorWithPlan, BreaksConsumers, "sla-drop", "slaProperties."+name(s), s.Value+s.Unit, "", "readers planned with the promise")
		}
	}
}

func slaStronger(o, n SLAProperty) bool {
	a, err1 := strconv.ParseFloat(o.Value, 64)
	b, err2 := strconv.ParseFloat(n.Value, 64)
	if err1 != nil || err2 != nil || o.Unit != n.Unit {
		return false
	}
	return slices.Contains(lowerIsStronger, n.Property) && b < a || slices.Contains(higherIsStronger, n.Property) && b > a
}

func boundText(b *Bound) string {
	if b == nil {
		return ""
	}
	if b.Exclusive {
		return b.Value + " (exclusive)"
	}
	return b.Value
}

func countText(n *int) string {
	if n == nil {
		return ""
	}
	return strconv.Itoa(*n)
}

// compareBounds is +1 if n is tighter than o, -1 if looser, 0 if they are equal.
// Bounds that cannot be ordered count as tighter: someone has to look.
func compareBounds(o, n *Bound, upper bool) int {
	switch {
	case o == nil && n == nil:
		return 0
	case o == nil:
		return 1
	case n == nil:
		return -1
	case *o == *n:
		return 0
	}
	a, ok1 := new(big.Rat).SetString(o.Value)
	b, ok2 := new(big.Rat).SetString(n.Value)
	c := strings.Compare(n.Value, o.Value) // dates in ISO form order as text
	if ok1 && ok2 {
		c = b.Cmp(a)
	} else if len(o.Value) != len(n.Value) {
		return 1
	}
	if c == 0 && o.Exclusive == n.Exclusive {
		return 0
	}
	if c == 0 {
		if n.Exclusive {
			return 1
		}
		return -1
	}
	if upper {
		return -c
	}
	return c
}

func compareCounts(o, n *int, upper bool) int {
	bound := func(v *int) *Bound {
		if v == nil {
			return nil
		}
		return &Bound{Value: strconv.Itoa(*v)}
	}
	return compareBounds(bound(o), bound(n), upper)
}

func compareFlags(o, n bool) int {
	switch {
	case o == n:
		return 0
	case n:
		return 1
	}
	return -1
}

// compareTexts calls any new text tighter: whether one pattern allows all that
// another does is not decided here.
func compareTexts(o, n string) int {
	switch {
	case o == n:
		return 0
	case n == "":
		return -1
	}
	return 1
}

func compareMultiples(o, n string) int {
	a, ok1 := new(big.Rat).SetString(o)
	b, ok2 := new(big.Rat).SetString(n)
	if !ok1 || !ok2 || o == n {
		return compareTexts(o, n)
	}
	if a.Cmp(b) == 0 {
		return 0
	}
	if new(big.Rat).Quo(a, b).IsInt() { // every multiple of o is one of n
		return -1
	}
	return 1
}
