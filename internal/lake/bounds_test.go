package lake

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/apache/iceberg-go"
	"github.com/stretchr/testify/require"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// eachLeaf walks the leaves of a column that have bounds, with the values of all
// rows; below a null struct a value is missing.
func eachLeaf(f undrop.Field, c *batch.Column, null []bool, fn func(f undrop.Field, c *batch.Column, null []bool)) {
	gone := make([]bool, len(null))
	for i := range null {
		gone[i] = null[i] || c.Null[i]
	}
	switch f.Type.Kind {
	case undrop.List, undrop.Map:
	case undrop.Struct:
		for i, m := range f.Type.Fields {
			eachLeaf(m, &c.Fields[i], gone, fn)
		}
	default:
		fn(f, c, gone)
	}
}

// literal is row i in the library's terms.
func literal(t testing.TB, typ undrop.Type, c *batch.Column, i int) iceberg.Literal {
	t.Helper()
	var raw []byte
	switch k := typ.Kind; {
	case k == undrop.Bool:
		return iceberg.BoolLiteral(c.Ints[i] != 0)
	case k == undrop.Int32, k == undrop.Date:
		raw = binary.LittleEndian.AppendUint32(nil, uint32(c.Ints[i]))
	case k == undrop.Float32:
		raw = binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(math.Float64frombits(uint64(c.Ints[i])))))
	case k == undrop.Decimal && typ.Fixed():
		raw = binary.BigEndian.AppendUint64(nil, uint64(c.Ints[i]))
	case typ.Fixed():
		raw = binary.LittleEndian.AppendUint64(nil, uint64(c.Ints[i]))
	default:
		raw = c.Bytes(i)
	}
	l, err := iceberg.LiteralFromBytes(icebergType(typ), raw)
	require.NoError(t, err)
	return l
}

func order(a, b iceberg.Literal) int {
	switch a := a.(type) {
	case iceberg.BoolLiteral:
		return a.Comparator()(a.Value(), b.(iceberg.BoolLiteral).Value())
	case iceberg.StringLiteral:
		return strings.Compare(string(a), string(b.(iceberg.StringLiteral)))
	case iceberg.BinaryLiteral:
		return bytes.Compare(a, b.(iceberg.BinaryLiteral))
	case iceberg.UUIDLiteral:
		x, y := a.Value(), b.(iceberg.UUIDLiteral).Value()
		return bytes.Compare(x[:], y[:])
	case iceberg.DecimalLiteral:
		return a.Value().Val.Cmp(b.(iceberg.DecimalLiteral).Value().Val)
	case iceberg.Int32Literal:
		return cmp.Compare(a, b.(iceberg.Int32Literal))
	case iceberg.Int64Literal:
		return cmp.Compare(a, b.(iceberg.Int64Literal))
	case iceberg.Float32Literal:
		return compareFloats(float64(a), float64(b.(iceberg.Float32Literal)))
	case iceberg.Float64Literal:
		return compareFloats(float64(a), float64(b.(iceberg.Float64Literal)))
	case iceberg.DateLiteral:
		return cmp.Compare(a, b.(iceberg.DateLiteral))
	case iceberg.TimeLiteral:
		return cmp.Compare(a, b.(iceberg.TimeLiteral))
	case iceberg.TimestampLiteral:
		return cmp.Compare(a, b.(iceberg.TimestampLiteral))
	}
	panic(fmt.Sprintf("no order for %T", a))
}

// compareFloats orders -0 before 0, the stricter of the orders that readers use.
func compareFloats(a, b float64) int {
	if a == 0 && b == 0 {
		return cmp.Compare(boolInt(!math.Signbit(a)), boolInt(!math.Signbit(b)))
	}
	return cmp.Compare(a, b)
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Counts and bounds are recomputed from the rows, value by value.
func TestBoundsHoldEveryValue(t *testing.T) {
	for seed, rows := range map[uint64]int{1: 1, 2: 2, 3: 3, 4: 20, 5: 5000, 6: 5000} {
		def := zoo(undrop.Mirror)
		b := herd(def, rand.New(rand.NewPCG(seed, seed)), 0, rows)
		c := yard(t, def)
		c.RowGroup = 1300
		f := writeAll(t, c, undrop.LaneStream, b)[0].Data
		seen := 0
		for i, field := range def.Fields {
			eachLeaf(field, &b.Cols[i], make([]bool, rows), func(leaf undrop.Field, col *batch.Column, null []bool) {
				seen++
				nulls, nans := int64(0), int64(0)
				var lo, hi iceberg.Literal
				lower, upper := bound(t, leaf.Type, f.LowerBoundValues()[leaf.ID]), bound(t, leaf.Type, f.UpperBoundValues()[leaf.ID])
				for r := range rows {
					if null[r] {
						nulls++
						continue
					}
					if k := leaf.Type.Kind; (k == undrop.Float32 || k == undrop.Float64) && isNaN(col.Ints[r]) {
						nans++
						continue
					}
					v := literal(t, leaf.Type, col, r)
					if lo == nil || order(v, lo) < 0 {
						lo = v
					}
					if hi == nil || order(v, hi) > 0 {
						hi = v
					}
				}
				require.EqualValues(t, rows, f.ValueCounts()[leaf.ID], leaf.Name)
				require.EqualValues(t, nulls, f.NullValueCounts()[leaf.ID], leaf.Name)
				require.EqualValues(t, nans, f.NaNValueCounts()[leaf.ID], leaf.Name)
				require.Positive(t, f.ColumnSizes()[leaf.ID], leaf.Name)
				if lo == nil {
					require.Nil(t, lower)
					require.Nil(t, upper)
					return
				}
				if lower != nil {
					require.LessOrEqual(t, order(lower, lo), 0, "%s: lower bound %s, least value %s", leaf.Name, lower, lo)
				}
				if upper != nil {
					require.GreaterOrEqual(t, order(upper, hi), 0, "%s: upper bound %s, greatest value %s", leaf.Name, upper, hi)
				}
				switch leaf.Type.Kind {
				case undrop.String, undrop.Binary, undrop.UUID:
				case undrop.Float32, undrop.Float64:
					require.NotNil(t, lower)
					require.NotNil(t, upper)
				default:
					require.Equal(t, lo, lower, leaf.Name)
					require.Equal(t, hi, upper, leaf.Name)
				}
			})
		}
		require.Greater(t, seen, 35)
	}
}

func bound(t testing.TB, typ undrop.Type, raw []byte) iceberg.Literal {
	t.Helper()
	if raw == nil {
		return nil
	}
	l, err := iceberg.LiteralFromBytes(icebergType(typ), raw)
	require.NoError(t, err)
	return l
}

func TestShortenedBounds(t *testing.T) {
	const (
		top  = "\U0010ffff"
		mono = "abcdefghijklmnop"
	)
	for _, tc := range []struct{ name, value, lower, upper string }{
		{"short", "abc", "abc", "abc"},
		{"exactly the length", mono, mono, mono},
		{"one more", mono + "q", mono, "abcdefghijklmnoq"},
		{"the empty string", "", "", ""},
		{"two bytes a letter", strings.Repeat("ы", 17), strings.Repeat("ы", 16), strings.Repeat("ы", 15) + "ь"},
		{"the last code point", mono[:15] + top + "x", mono[:15] + top, "abcdefghijklmno" + "\x00"},
		{"nothing greater", strings.Repeat(top, 17), strings.Repeat(top, 16), ""},
		{"the greatest, not longer", strings.Repeat(top, 16), strings.Repeat(top, 16), strings.Repeat(top, 16)},
		{"before the surrogates", mono[:15] + "\ud7ff" + "x", mono[:15] + "\ud7ff", mono[:15] + "\ue000"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if strings.HasSuffix(tc.upper, "\x00") {
				tc.upper = mono[:14] + "p"
			}
			st := &leafStats{}
			st.addBytes([]byte(tc.value))
			lower, upper := st.bounds(&leaf{typ: typ(undrop.String), phys: physBytes})
			require.Equal(t, tc.lower, string(lower))
			require.Equal(t, tc.upper, string(upper))
			if upper != nil {
				require.GreaterOrEqual(t, string(upper), tc.value)
				require.True(t, utf8.Valid(upper))
			}
			if st.bounds(&leaf{typ: typ(undrop.Binary), phys: physBytes}); tc.upper != "" {
				lower, upper = st.bounds(&leaf{typ: typ(undrop.Binary), phys: physBytes})
				require.LessOrEqual(t, string(lower), tc.value)
				require.GreaterOrEqual(t, string(upper), tc.value)
			}
		})
	}
}

// Among values with the same beginning a longer one decides.
func TestALongerValueWithTheSameBeginningRaisesTheBound(t *testing.T) {
	st := &leafStats{}
	long := strings.Repeat("\U00010000", 16)
	st.addBytes([]byte(long))
	st.addBytes([]byte(long + "tail"))
	st.addBytes([]byte(long))
	_, upper := st.bounds(&leaf{typ: typ(undrop.String), phys: physBytes})
	require.GreaterOrEqual(t, string(upper), long+"tail")
}

// Java compares UUIDs as two signed numbers; the bounds hold in both orders.
func TestUUIDBoundsHoldInBothOrders(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	signed := func(a, b []byte) int {
		for i := 0; i < 16; i += 8 {
			x, y := int64(binary.BigEndian.Uint64(a[i:])), int64(binary.BigEndian.Uint64(b[i:]))
			if x != y {
				return cmp.Compare(x, y)
			}
		}
		return 0
	}
	given := 0
	for range 2000 {
		st := &leafStats{}
		lf := &leaf{typ: typ(undrop.UUID), phys: physFixed, width: 16}
		var all [][]byte
		top := byte(r.Uint32()) // the same first bytes often, as in version 7
		for range 1 + r.IntN(5) {
			v := make([]byte, 16)
			for i := range v {
				v[i] = []byte{0, 0xff, 0x7f, 0x80, byte(r.Uint32())}[r.IntN(5)]
			}
			switch {
			case r.IntN(2) == 0:
				v[0] = top
			case len(all) > 0: // the second half decides
				copy(v[:8], all[0])
			}
			all = append(all, v)
			st.addFixed(lf, v)
		}
		lower, upper := st.bounds(lf)
		if lower == nil {
			continue
		}
		given++
		for _, v := range all {
			require.LessOrEqual(t, bytes.Compare(lower, v), 0)
			require.GreaterOrEqual(t, bytes.Compare(upper, v), 0)
			require.LessOrEqual(t, signed(lower, v), 0)
			require.GreaterOrEqual(t, signed(upper, v), 0)
		}
	}
	require.Greater(t, given, 500)
}
