package contract

import (
	"fmt"
	"strconv"
	"strings"

	undrop "github.com/undrop/undrop"
)

// typeName is the type as a person reads it, also when it could not be decided.
func (p *Property) typeName() string {
	if p.Field.Type.Kind != undrop.Invalid {
		return p.Field.Type.String()
	}
	if p.PhysicalType != "" {
		return p.PhysicalType
	}
	return orNone(p.LogicalType)
}

func (d *differ) undecided(p *Property, path, from string) {
	if parsePhysical(p.PhysicalType).union() {
		d.add(Forbidden, BreaksBoth, "union", path, from, p.typeName(), "no table has a column of several types").TableRefuses = true
		return
	}
	d.add(Forbidden, BreaksBoth, "type-undecided", path, from, p.typeName(), "the contract does not decide the type, so nothing can be said about existing rows").TableRefuses = true
}

// typed compares the types and reports whether they are near enough for the
// other promises to be compared.
func (d *differ) typed(o, n *Property, path string) bool {
	a, b := o.Field.Type, n.Field.Type
	from, to := o.typeName(), n.typeName()
	forbid := func(rule, why string) bool {
		d.add(Forbidden, BreaksBoth, rule, path, from, to, why).TableRefuses = true
		return false
	}
	switch {
	case b.Kind == undrop.Invalid:
		if a.Kind == undrop.Invalid && from == to {
			return true // undecided before and after: nothing changed
		}
		d.undecided(n, path, from)
		return false
	case a.Kind == undrop.Invalid:
		d.add(MinorWithPlan, BreaksNobody, "type-decided", path, from, to, "the old version did not decide the type")
		return false
	case a.Kind == b.Kind && a.Kind == undrop.Decimal:
		return d.decimal(a, b, path, forbid)
	case a.Kind == b.Kind && a.Nested():
		d.parts(o, n, path)
		return true
	case a.Kind == b.Kind:
		return true
	case a.Nested() || b.Nested():
		return forbid("shape", "a list, a map, a struct and a single value cannot be read as each other")
	}
	switch [2]undrop.Kind{a.Kind, b.Kind} {
	case [2]undrop.Kind{undrop.Int32, undrop.Int64}:
		d.add(MinorWithPlan, BreaksConsumers, "widen-int", path, from, to, "the table widens; readers that hold 32 bits have to move first")
		return true
	case [2]undrop.Kind{undrop.Float32, undrop.Float64}:
		d.add(MinorWithPlan, BreaksConsumers, "widen-float", path, from, to, "the table widens; readers that hold 32 bits have to move first")
		return true
	case [2]undrop.Kind{undrop.Int64, undrop.Int32}, [2]undrop.Kind{undrop.Float64, undrop.Float32}:
		return forbid("narrow", "existing values may not fit")
	case [2]undrop.Kind{undrop.Timestamp, undrop.TimestampTZ}, [2]undrop.Kind{undrop.TimestampTZ, undrop.Timestamp}:
		return forbid("zone", "the same number would mean another moment; checkers of wire formats let this through")
	case [2]undrop.Kind{undrop.Date, undrop.Timestamp}, [2]undrop.Kind{undrop.Date, undrop.TimestampTZ},
		[2]undrop.Kind{undrop.Timestamp, undrop.Date}, [2]undrop.Kind{undrop.TimestampTZ, undrop.Date}:
		return forbid("date-timestamp", "days would be read as microseconds; no engine promotes a date")
	}
	return forbid("change-type", "existing files hold the old type, and nothing reads it as the new one")
}

func (d *differ) decimal(a, b undrop.Type, path string, forbid func(rule, why string) bool) bool {
	switch {
	case a.Scale != b.Scale:
		return forbid("scale", "the stored digits would be read with the point in another place; checkers of wire formats let this through")
	case b.Precision < a.Precision:
		return forbid("narrow", "existing values may have more digits")
	case b.Precision > a.Precision:
		d.add(Minor, BreaksNobody, "widen-decimal", path, a.String(), b.String(), "more digits before the point, the same behind it")
	}
	return true
}

// parts compares what a nested type is made of.
func (d *differ) parts(o, n *Property, path string) {
	switch n.Field.Type.Kind {
	case undrop.Struct:
		d.properties(match(o.Properties, n.Properties), path)
	case undrop.Map:
		before := len(d.changes)
		d.property(o.Key, n.Key, path+".key")
		for i := before; i < len(d.changes); i++ {
			if c := &d.changes[i]; strings.HasPrefix(c.Rule, "widen") {
				c.Verdict, c.TableRefuses, c.Why = Forbidden, true, "the key of a map cannot change its type"
			}
		}
		d.property(o.Items, n.Items, path+".value")
	case undrop.List:
		d.property(o.Items, n.Items, path+"[]")
	}
}

// meaning compares what types do not say: unit, resolution, zone.
func (d *differ) meaning(o, n *Property, path string) {
	switch {
	case o.Unit == n.Unit:
	case o.Unit == "":
		d.add(Minor, BreaksNobody, "unit-declared", path, "", n.Unit, "says what the numbers were all along; if they were not, this is another column")
	case n.Unit == "":
		d.add(Major, BreaksConsumers, "unit", path, o.Unit, "", "readers are no longer told what one means")
	default:
		d.add(Forbidden, BreaksBoth, "unit", path, o.Unit, n.Unit, "the same number would mean another amount, and no registry or table would notice: add a column")
	}
	if a, b := timePrecision(o), timePrecision(n); a != b && a >= 0 && b >= 0 {
		d.add(Forbidden, BreaksBoth, "time-precision", path, fmt.Sprintf("10^-%d s", a), fmt.Sprintf("10^-%d s", b),
			"a number in the old unit would be read in the new one; checkers of wire formats let this through")
	}
	if a, b := defaultZone(o), defaultZone(n); a != b {
		d.add(Forbidden, BreaksBoth, "zone", path, a, b, "times without a zone would mean other moments")
	}
	d.word(MinorWithPlan, BreaksConsumers, "pad", path, o.Pad, n.Pad, "equal values would be spelled differently")
	for _, x := range []struct {
		rule string
		a, b undrop.OnBad
	}{{"on-nan", o.Field.OnNaN, n.Field.OnNaN}, {"on-infinity", o.Field.OnInfinity, n.Field.OnInfinity}, {"on-overflow", o.Field.OnOverflow, n.Field.OnOverflow}} {
		if x.a != x.b {
			d.add(MinorWithPlan, BreaksConsumers, x.rule, path, onBadName(x.a), onBadName(x.b), "a value that cannot be held ends in another place")
		}
	}
}

func onBadName(b undrop.OnBad) string {
	if b == undrop.BadNull {
		return "null"
	}
	return "quarantine"
}

// timePrecision is how many digits of a second a time has, as far as the contract
// says; -1 if it does not.
func timePrecision(p *Property) int {
	if p.LogicalType != "timestamp" && p.LogicalType != "time" {
		return -1
	}
	phys := parsePhysical(p.PhysicalType)
	for suffix, digits := range map[string]int{"millis": 3, "_ms": 3, "micros": 6, "_us": 6, "nanos": 9, "_ns": 9} {
		if strings.HasSuffix(phys.base, suffix) {
			return digits
		}
	}
	switch phys.base {
	case "timestamp", "timestamptz", "time", "timetz":
		if len(phys.args) == 1 {
			return phys.args[0]
		}
		return 6
	}
	if p.Format != "" {
		return strings.Count(p.Format, "S")
	}
	return -1
}

func defaultZone(p *Property) string {
	if p.at == nil || p.LogicalType != "timestamp" {
		return ""
	}
	z := p.at.get("logicalTypeOptions").str("defaultTimezone")
	if z == "" {
		return "Etc/UTC"
	}
	return z
}

// widthRange compares the ranges that integer formats promise: 0 equal, +1 the
// new one is wider, -1 it is narrower somewhere.
func widthRange(a, b string) int {
	if a == b {
		return 0
	}
	full := func(f string) (lo, hi float64) {
		w := widths[f]
		switch {
		case w.min != "":
			lo, _ = strconv.ParseFloat(w.min, 64)
			hi, _ = strconv.ParseFloat(w.max, 64)
		case f == "i64":
			lo, hi = -(1 << 63), 1<<63
		default:
			lo, hi = -(1 << 31), 1<<31-1
		}
		return lo, hi
	}
	alo, ahi := full(a)
	blo, bhi := full(b)
	switch {
	case alo == blo && ahi == bhi:
		return 0
	case blo <= alo && bhi >= ahi:
		return 1
	}
	return -1
}
