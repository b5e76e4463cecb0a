package envelope

import (
	"math"
	"math/big"
	"math/rand/v2"
	"slices"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// scalars are the kinds without children, with every form that a batch has.
func scalars() []undrop.Type {
	ts := []undrop.Type{{Kind: undrop.Decimal, Precision: 12, Scale: 2}, {Kind: undrop.Decimal, Precision: 18},
		{Kind: undrop.Decimal, Precision: 1, Scale: 1}, {Kind: undrop.Decimal, Precision: 19, Scale: 19},
		{Kind: undrop.Decimal, Precision: 38, Scale: 10}, {Kind: undrop.Decimal, Precision: 38}}
	for _, k := range []undrop.Kind{undrop.Bool, undrop.Int32, undrop.Int64, undrop.Float32, undrop.Float64, undrop.String,
		undrop.Binary, undrop.UUID, undrop.Date, undrop.Time, undrop.Timestamp, undrop.TimestampTZ} {
		ts = append(ts, undrop.Type{Kind: k})
	}
	return ts
}

func randomType(r *rand.Rand, depth int) undrop.Type {
	all := scalars()
	scalar := all[r.IntN(len(all))]
	if depth == 0 {
		return scalar
	}
	switch r.IntN(8) {
	case 0:
		e := randomType(r, depth-1)
		return undrop.Type{Kind: undrop.List, Elem: &e}
	case 1:
		e := randomType(r, depth-1)
		k := undrop.Type{Kind: undrop.String}
		if r.IntN(2) == 0 {
			k = scalar
		}
		return undrop.Type{Kind: undrop.Map, Key: &k, Elem: &e}
	case 2:
		t := undrop.Type{Kind: undrop.Struct}
		for _, name := range randomNames(r, 1+r.IntN(4)) {
			t.Fields = append(t.Fields, undrop.Field{Name: name, Type: randomType(r, depth-1)})
		}
		return t
	}
	return scalar
}

var names = []string{"id", "Id", "a-b", "a_b", "a b", "a_b_2", "1st", "_1st", "select", "сумма", "цена", "", "key", "value",
	"before", "after", "undrop.name", `q"uote`, "with,comma", "Envelope", "line\nbreak", "x"}

func randomNames(r *rand.Rand, n int) []string {
	out := slices.Clone(names)
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out[:n]
}

func randomTable(r *rand.Rand) *undrop.Table {
	t := &undrop.Table{TableName: undrop.TableName{Namespace: "bank", Name: "t"}, Source: "core", Schema: "public",
		Relation: names[r.IntN(len(names))], Topic: "core.public.t",
		Contract: undrop.ContractRef{ID: "bank.t", Version: "1.2.0"}}
	for i, name := range randomNames(r, 1+r.IntN(10)) {
		t.Fields = append(t.Fields, undrop.Field{ID: i + 1, Name: name, Type: randomType(r, 3), Required: r.IntN(2) == 0})
	}
	for i := range t.Fields {
		if r.IntN(3) == 0 {
			t.Key = append(t.Key, i)
		}
	}
	return t
}

var texts = []string{"", "x", "paid", "EUR", Unavailable, "quote \" and \\ and /", "tab\tline\nfeed\r\x01\x1f\x7f", "<a&b>", "сумма €5 \U0001F600",
	"\u2028\u2029", "null", "eight by", "a longer text of more than sixty-four bytes, so that its length takes two bytes on the wire"}

func randomInt(r *rand.Rand, bits int) int64 {
	edges := []int64{0, 1, -1, 63, 64, -64, -65, 127, 128, 1 << 53, 1<<53 + 1, -1<<53 - 1, math.MaxInt64, math.MinInt64, math.MaxInt32, math.MinInt32}
	v := edges[r.IntN(len(edges))]
	if r.IntN(2) == 0 {
		v = int64(r.Uint64()) >> r.IntN(64)
	}
	return v << (64 - bits) >> (64 - bits)
}

// source makes rows. With calendar its dates and times are ones that everybody
// can print.
type source struct {
	*rand.Rand
	calendar bool
}

func seeded(seed, test uint64) source { return source{Rand: rand.New(rand.NewPCG(seed, test))} }

// appendRandom appends a value of c's type, null one time in four if it may be.
func appendRandom(r source, c *batch.Column, nullable bool) {
	if nullable && r.IntN(4) == 0 {
		c.AppendNull()
		return
	}
	switch c.Type.Kind {
	case undrop.Bool:
		c.AppendInt(int64(r.IntN(2)))
	case undrop.Int32:
		c.AppendInt(randomInt(r.Rand, 32))
	case undrop.Date:
		if !r.calendar && r.IntN(3) == 0 {
			c.AppendInt(randomInt(r.Rand, 32))
		} else {
			c.AppendInt(firstDay + r.Int64N(lastDay-firstDay+1))
		}
	case undrop.Time:
		if !r.calendar && r.IntN(3) == 0 {
			c.AppendInt(randomInt(r.Rand, 64))
		} else {
			c.AppendInt(r.Int64N(dayMicros))
		}
	case undrop.Timestamp, undrop.TimestampTZ:
		if !r.calendar && r.IntN(3) == 0 {
			c.AppendInt(randomInt(r.Rand, 64))
		} else {
			c.AppendInt(firstDay*dayMicros + r.Int64N((lastDay-firstDay+1)*dayMicros))
		}
	case undrop.Float32:
		f := math.Float32frombits(r.Uint32())
		c.AppendInt(floatBits(float64([]float32{f, 0, float32(math.Copysign(0, -1)), 0.1, math.MaxFloat32, float32(math.Inf(1))}[r.IntN(6)])))
	case undrop.Float64:
		f := math.Float64frombits(r.Uint64())
		c.AppendInt(floatBits([]float64{f, 0, math.Copysign(0, -1), 0.1, math.SmallestNonzeroFloat64, math.Inf(-1), math.NaN()}[r.IntN(7)]))
	case undrop.Decimal:
		n := randomUnscaled(r.Rand, c.Type.Precision)
		if small(c.Type) {
			c.AppendInt(n.Int64())
		} else {
			c.AppendBytes(batch.AppendBig16(nil, n))
		}
	case undrop.String:
		c.AppendString(texts[r.IntN(len(texts))])
	case undrop.Binary:
		v := make([]byte, r.IntN(80))
		for i := range v {
			v[i] = byte(r.Uint32())
		}
		c.AppendBytes(v)
	case undrop.UUID:
		v := make([]byte, 16)
		for i := range v {
			v[i] = byte(r.Uint32())
		}
		c.AppendBytes(v)
	case undrop.List:
		for range r.IntN(4) {
			appendRandom(r, c.Elem, true)
		}
		c.EndList()
	case undrop.Map:
		for range r.IntN(4) {
			appendRandom(r, c.Key, false)
			appendRandom(r, c.Elem, true)
		}
		c.EndList()
	case undrop.Struct:
		for i := range c.Fields {
			appendRandom(r, &c.Fields[i], true)
		}
		c.EndStruct()
	default:
		c.AppendInt(randomInt(r.Rand, 64))
	}
}

// floatBits gives every NaN the bits that PostgreSQL sends.
func floatBits(f float64) int64 {
	if f != f {
		return nan
	}
	return int64(math.Float64bits(f))
}

func randomUnscaled(r *rand.Rand, precision int) *big.Int {
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(precision)), nil)
	n := new(big.Int)
	switch r.IntN(4) {
	case 0:
		n.Sub(limit, big.NewInt(1))
	case 1:
		n.SetInt64(r.Int64N(400)-200).Rem(n, limit)
	default:
		n.SetUint64(r.Uint64()).Lsh(n, 64).Add(n, new(big.Int).SetUint64(r.Uint64())).Rem(n, limit)
		n.Rsh(n, uint(r.IntN(128)))
	}
	if r.IntN(2) == 0 {
		n.Neg(n)
	}
	return n
}

// addRandomRow appends a row with everything that a batch can know about one.
func addRandomRow(r source, b *batch.Batch) {
	row := b.Len()
	op := undrop.Op("rcudt"[r.IntN(5)])
	for i := range b.Cols {
		if op == undrop.Truncate {
			b.Cols[i].AppendNull()
		} else {
			appendRandom(r, &b.Cols[i], true)
		}
	}
	if op != undrop.Truncate && r.IntN(3) == 0 {
		for i := range b.Cols {
			if r.IntN(2) == 0 {
				b.Cols[i].Truncate(row)
				b.Cols[i].AppendNull()
				b.AddUnchanged(row, i)
			}
		}
	}
	if r.IntN(4) == 0 {
		b.AddBad(row, undrop.Violation{Rule: "enum", Path: "status", Actual: `"lost" <\`, Detail: "one of new|paid"})
		b.AddBad(row, undrop.Violation{Rule: "text.utf8", Path: "not\xff", Actual: "\xf0\x9f cut", Detail: "сумма"})
	}
	if r.IntN(4) == 0 {
		b.SetPrevKey(row, []byte{1, 0, 255, byte(row)}[:r.IntN(5)])
	}
	if r.IntN(4) == 0 {
		b.SetRaw(row, `{"id":"1","note":null}`[:r.IntN(23)])
	}
	b.AddRow(op, undrop.Position{CommitLSN: undrop.LSN(randomInt(r.Rand, 64)), Seq: randomInt(r.Rand, 64)}, randomInt(r.Rand, 64))
}
