package contract

import (
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strings"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// test is how a check looks at a column.
type test uint8

const (
	testRequired test = iota
	testInts          // lo <= v <= hi
	testFloats        // flo <= v <= fhi; NaN fails
	testBig           // blo <= v <= bhi, 16 bytes two's complement
	testMultiple      // v % lo == 0
	testMultipleBig
	testIntSet   // v is in ints; with not: is not
	testByteSet  // v is in bytes; with not: is not
	testLength   // lo <= characters <= hi (bytes for a binary)
	testPattern  //
	testItems    // lo <= items <= hi
	testDistinct // all items differ
)

// check is one promise about one column, ready to run over rows.
type check struct {
	test   test
	rule   string // Violation.Rule
	detail string // Violation.Detail
	not    bool
	lo, hi int64

	flo, fhi float64
	blo, bhi [16]byte // sign bit flipped, so that bytes compare like numbers
	ints     []int64
	bytes    [][]string // by length
	re       *regexp.Regexp
	big      *big.Int
}

type rules []check

// compileRules turns the promises of p and of its parts into checks. A promise
// that its type cannot be held to keeps the contract from being run.
func (k *compiler) compileRules(p *Property) rules {
	for _, c := range p.Properties {
		c.rules = k.compileRules(c)
	}
	if p.Key != nil {
		p.Key.rules = k.compileRules(p.Key)
	}
	if p.Items != nil {
		p.Items.rules = k.compileRules(p.Items)
	}
	t := p.Field.Type
	if t.Kind == undrop.Invalid {
		return nil
	}
	c := &ruleCompiler{compiler: k, p: p, t: t}
	if w, ok := widths[p.Format]; ok && p.LogicalType == "integer" && w.min != "" {
		c.bound("format", &Bound{Value: w.min}, false, "a value of format "+p.Format)
		c.bound("format", &Bound{Value: w.max}, true, "a value of format "+p.Format)
	}
	c.bound("minimum", p.Minimum, false, "")
	c.bound("maximum", p.Maximum, true, "")
	c.multiple()
	c.enum()
	c.lengths()
	if p.Pattern != "" {
		c.pattern("pattern", p.Pattern)
	}
	for _, q := range p.Quality {
		c.quality(q)
	}
	return c.out
}

type ruleCompiler struct {
	*compiler
	p   *Property
	t   undrop.Type
	out rules
}

func (c *ruleCompiler) refuse(rule, format string, args ...any) {
	c.bindf(c.p.at.or("logicalTypeOptions"), rule, c.p.Path, "%s: %s", c.p.Path, fmt.Sprintf(format, args...))
}

// bound adds one end of a range.
func (c *ruleCompiler) bound(rule string, b *Bound, upper bool, detail string) {
	if b == nil {
		return
	}
	if detail == "" {
		word := map[[2]bool]string{{false, false}: "at least ", {false, true}: "more than ", {true, false}: "at most ", {true, true}: "less than "}
		detail = word[[2]bool{upper, b.Exclusive}] + b.Value
		if b.Exclusive {
			rule = map[string]string{"minimum": "exclusiveMinimum", "maximum": "exclusiveMaximum"}[rule]
		}
	}
	k := check{test: testInts, rule: rule, detail: detail, lo: math.MinInt64, hi: math.MaxInt64}
	switch c.t.Kind {
	case undrop.Int32, undrop.Int64, undrop.Decimal:
		r, ok := new(big.Rat).SetString(b.Value)
		if !ok {
			c.refuse("bind.bound", "%q is not a number", b.Value)
			return
		}
		n := wholeBound(r.Mul(r, new(big.Rat).SetInt(pow10(c.t.Scale))), upper, b.Exclusive)
		if !c.t.Fixed() {
			c.bigBound(k, n, upper)
			return
		}
		k.clamp(n, upper)
	case undrop.Float32, undrop.Float64:
		r, ok := new(big.Rat).SetString(b.Value)
		if !ok {
			c.refuse("bind.bound", "%q is not a number", b.Value)
			return
		}
		k.test, k.flo, k.fhi = testFloats, math.Inf(-1), math.Inf(1)
		if upper {
			k.fhi = floatBound(r, true, b.Exclusive)
		} else {
			k.flo = floatBound(r, false, b.Exclusive)
		}
	case undrop.Date, undrop.Time, undrop.Timestamp, undrop.TimestampTZ:
		v, err := c.temporalBound(b.Value)
		if err != nil {
			c.refuse("bind.bound", "%v", err)
			return
		}
		n := big.NewInt(v)
		if b.Exclusive && upper {
			n.Sub(n, big.NewInt(1))
		} else if b.Exclusive {
			n.Add(n, big.NewInt(1))
		}
		k.clamp(n, upper)
	default:
		c.refuse("bind.rule", "%s cannot be checked on a %s", rule, c.t)
		return
	}
	c.out = append(c.out, k)
}

// wholeBound is the last whole number on the right side of r.
func wholeBound(r *big.Rat, upper, exclusive bool) *big.Int {
	n := new(big.Int)
	n.Div(r.Num(), r.Denom()) // Euclidean: the floor for a positive denominator
	switch {
	case upper && exclusive && r.IsInt():
		n.Sub(n, big.NewInt(1))
	case !upper && (exclusive || !r.IsInt()):
		n.Add(n, big.NewInt(1))
	}
	return n
}

// clamp sets one end; beyond int64 it either never or always holds.
func (k *check) clamp(n *big.Int, upper bool) {
	v := int64(math.MaxInt64)
	if n.IsInt64() {
		v = n.Int64()
	} else if n.Sign() < 0 {
		v = math.MinInt64
	}
	if upper {
		k.hi = v
		return
	}
	k.lo = v
}

func (c *ruleCompiler) bigBound(k check, n *big.Int, upper bool) {
	limit := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 127), big.NewInt(1))
	if n.CmpAbs(limit) > 0 { // no decimal(38) is beyond it
		n = new(big.Int).Mul(limit, big.NewInt(int64(n.Sign())))
	}
	k.test = testBig
	k.blo, k.bhi = [16]byte{}, [16]byte{}
	for i := range k.bhi {
		k.bhi[i] = 0xff
	}
	var v [16]byte
	copy(v[:], batch.AppendBig16(nil, n))
	v[0] ^= 0x80
	if upper {
		k.bhi = v
	} else {
		k.blo = v
	}
	c.out = append(c.out, k)
}

// floatBound is the last float64 on the right side of r.
func floatBound(r *big.Rat, upper, exclusive bool) float64 {
	f, exact := r.Float64()
	if math.IsInf(f, 0) {
		return f
	}
	away := math.Inf(1)
	if upper {
		away = math.Inf(-1)
	}
	if exact {
		if exclusive {
			return math.Nextafter(f, away)
		}
		return f
	}
	cmp := new(big.Rat).SetFloat64(f).Cmp(r)
	if upper && cmp > 0 || !upper && cmp < 0 {
		return math.Nextafter(f, away)
	}
	return f
}

// temporalBound reads a bound. One without a zone on a timestamptz is in
// defaultTimezone, which is UTC unless the contract says otherwise.
func (c *ruleCompiler) temporalBound(s string) (int64, error) {
	v, err := parseLiteral(c.t, s)
	if err == nil || c.t.Kind != undrop.TimestampTZ {
		return v.i, err
	}
	local, lerr := parseLiteral(undrop.Type{Kind: undrop.Timestamp}, s)
	if lerr != nil {
		return 0, err
	}
	zone := c.p.at.get("logicalTypeOptions").str("defaultTimezone")
	switch strings.ToUpper(strings.TrimPrefix(zone, "Etc/")) {
	case "", "UTC", "Z", "GMT", "ZULU":
		return local.i, nil
	}
	return 0, fmt.Errorf("%q is in %s, whose rules are not part of the contract: write the offset, for example %q", s, zone, s+"+00:00")
}
