package postgres

import (
	"encoding/binary"
	"math/big"
	"strings"
	"testing"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// fuzzFields are a contract and source type for each way of reading text.
func fuzzFields() []codec {
	kind := func(k undrop.Kind) undrop.Type { return undrop.Type{Kind: k} }
	list := func(e undrop.Type) undrop.Type { return undrop.Type{Kind: undrop.List, Elem: &e} }
	str := kind(undrop.String)
	pair := undrop.Type{Kind: undrop.Struct, Fields: []undrop.Field{{Name: "a", Type: kind(undrop.Int32)}, {Name: "b", Type: list(str)}, {Name: "c", Type: str}}}
	var all []codec
	for _, t := range []undrop.Type{kind(undrop.Bool), kind(undrop.Int32), kind(undrop.Int64), kind(undrop.Float32), kind(undrop.Float64),
		{Kind: undrop.Decimal, Precision: 12, Scale: 2}, {Kind: undrop.Decimal, Precision: 38, Scale: 10}, str, kind(undrop.Binary), kind(undrop.UUID),
		kind(undrop.Date), kind(undrop.Time), kind(undrop.Timestamp), kind(undrop.TimestampTZ), list(str), list(list(str)), list(kind(undrop.Float64)), list(pair),
		pair, {Kind: undrop.Struct, Fields: []undrop.Field{{Name: "p", Type: pair}}}, {Kind: undrop.Map, Key: &str, Elem: &str}} {
		f := undrop.Field{Name: "f", Type: t}
		c, err := newCodec(f, natural(f))
		if err != nil {
			panic(err)
		}
		all = append(all, c)
	}
	return all
}

// No text makes a decoder panic, a refused value leaves nothing behind, and an
// accepted one is a whole row.
func FuzzText(f *testing.F) {
	for _, s := range []string{"t", "-12", "1.5", "NaN", "Infinity", "-infinity", "0.1e5", "2024-01-02", "2024-01-02 03:04:05.678901+05:30", "0044-03-15 BC", "24:00:00", `\x00ff`,
		"f47ac10b-58cc-4372-a567-0e02b2c3d479", "{}", "{1,NULL,\"a\\\"b\"}", "{{1},{2}}", "[2:3]={1,2}", "[1,2,3]", `(1,"a ""b"" \\c",)`, `(,"{a,""b c""}",x)`, `{"(1,{},x)"}`,
		`"a"=>"b", "c"=>NULL`, `(`, `)`, `{`, `"`, `("`, `{"`, `{a`, `(1,2`, "()", `("(1,{x},y)")`, "{,}", "[", "[]", "[1:1]=", "-", "", "+", "00000000000000000000000000000000000000000000000001"} {
		f.Add([]byte(s))
	}
	codecs := fuzzFields()
	f.Fuzz(func(t *testing.T, text []byte) {
		for i := range codecs {
			c := &codecs[i]
			var x scratch
			col := batch.NewColumn(c.typ)
			ok := c.appendText(&col, text, &x)
			checkWhole(t, c, &col, ok, text)
			if len(x.buf) != 0 && ok || len(x.parts) != 0 {
				t.Fatalf("%s from %q: scratch was left", c.typ, text)
			}
			raw := string(c.appendRaw(nil, text, &x))
			again := batch.NewColumn(c.typ)
			ok2, err := c.appendJSON(&again, []byte(raw), &scratch{})
			if err != nil || ok2 != ok {
				t.Fatalf("%s from %q: accepted %t, from its raw form %s %t, %v", c.typ, text, ok, raw, ok2, err)
			}
			if ok && string(col.AppendValue(nil, 0)) != string(again.AppendValue(nil, 0)) {
				t.Fatalf("%s from %q: its raw form %s is another value", c.typ, text, raw)
			}
		}
	})
}

func checkWhole(t *testing.T, c *codec, col *batch.Column, ok bool, text []byte) {
	t.Helper()
	wantRows := 0
	if ok {
		wantRows = 1
	}
	if col.Rows() != wantRows {
		t.Fatalf("%s from %q: accepted %t, but %d rows", c.typ, text, ok, col.Rows())
	}
	if ok {
		col.AppendJSON(nil, 0)
	}
	// The next value finds the column in order.
	col.AppendNull()
	switch {
	case c.typ.Kind == undrop.Struct:
		for i := range col.Fields {
			if col.Fields[i].Rows() != wantRows+1 {
				t.Fatalf("%s from %q: member %d has %d rows", c.typ, text, i, col.Fields[i].Rows())
			}
		}
	case col.Elem != nil:
		if n := int(col.Off[len(col.Off)-1]); col.Elem.Rows() != n || col.Key != nil && col.Key.Rows() != n {
			t.Fatalf("%s from %q: %d elements, the last offset is %d", c.typ, text, col.Elem.Rows(), n)
		}
	case !c.typ.Fixed():
		if int(col.Off[len(col.Off)-1]) != len(col.Data) {
			t.Fatalf("%s from %q: %d bytes, the last offset is %d", c.typ, text, len(col.Data), col.Off[len(col.Off)-1])
		}
	}
}

// No bytes make the binary decoders panic.
func FuzzBinary(f *testing.F) {
	f.Add([]byte{0, 1, 0, 0, 0, 0, 0, 2, 0, 5})
	f.Add(make([]byte, 16))
	codecs := fuzzFields()
	f.Fuzz(func(t *testing.T, v []byte) {
		for i := range codecs {
			c := &codecs[i]
			var x scratch
			col := batch.NewColumn(c.typ)
			checkWhole(t, c, &col, c.appendBinary(&col, v, &x), v)
			if len(v) < 4096 { // a numeric's text may be as long as its scale says
				c.render(nil, v)
			}
		}
	})
}

// Any decimal text is what math/big reads.
func FuzzDecimal(f *testing.F) {
	for _, s := range []string{"0", "-1.50", "99999999999999999999999999999999999999", "0.00000000000000000000000000000000000001", "170141183460469231731687303715884105728", "1152921504606846976.5"} {
		f.Add(s, uint8(5))
	}
	f.Fuzz(func(t *testing.T, s string, sc uint8) {
		scale := int(sc % 39)
		u, neg, is := decimalText([]byte(s), scale)
		if is != fine {
			return
		}
		want, ok := new(big.Rat).SetString(s)
		if !ok || strings.ContainsAny(s, "eE_/xXpPbBoO") {
			t.Fatalf("%q was read", s)
		}
		got := new(big.Int).Lsh(new(big.Int).SetUint64(u.hi), 64)
		got.Add(got, new(big.Int).SetUint64(u.lo))
		if neg {
			got.Neg(got)
		}
		r := new(big.Rat).SetFrac(got, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil))
		if r.Cmp(want) != 0 {
			t.Fatalf("%q at scale %d is %s", s, scale, r)
		}
	})
}

// A tuple that is cut anywhere is refused, not misread.
func TestTornTuples(t *testing.T) {
	tab := benchTable()
	d, err := NewCopyDecoder(tab, benchRelation())
	if err != nil {
		t.Fatal(err)
	}
	row := copyTuple(1)
	b := batch.New(tab)
	for cut := range len(row) {
		if err := d.Append(b, row[:cut]); err == nil {
			t.Fatalf("%d of %d bytes were accepted", cut, len(row))
		}
		b = batch.New(tab)
	}
	if err := d.Append(b, append(row[:len(row):len(row)], 0)); err == nil {
		t.Error("a byte too much was accepted")
	}
	td, err := NewTextDecoder(tab, benchColumns())
	if err != nil {
		t.Fatal(err)
	}
	text := textTuple(1)
	for cut := range len(text) {
		if err := td.Append(batch.New(tab), text[:cut]); err == nil {
			t.Fatalf("%d of %d bytes were accepted", cut, len(text))
		}
	}
}

// The limits of a decimal are exact, in both forms.
func TestDecimalLimits(t *testing.T) {
	for _, p := range []int{1, 4, 9, 17, 18, 19, 20, 37, 38} {
		for _, scale := range []int{0, 1, 3, 4, p} {
			if scale > p {
				continue
			}
			f := undrop.Field{Type: undrop.Type{Kind: undrop.Decimal, Precision: p, Scale: scale}}
			c, err := newCodec(f, natural(f))
			if err != nil {
				t.Fatal(err)
			}
			nines := new(big.Int).Sub(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(p)), nil), big.NewInt(1))
			over := new(big.Int).Add(nines, big.NewInt(1))
			for _, n := range []*big.Int{nines, over} {
				for _, sign := range []string{"", "-"} {
					digits := n.String()
					for len(digits) <= scale {
						digits = "0" + digits
					}
					text := sign + digits
					if scale > 0 {
						text = sign + digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
					}
					col := batch.NewColumn(f.Type)
					if ok := c.appendText(&col, []byte(text), &scratch{}); ok != (n == nines) {
						t.Errorf("%s: %s accepted: %t", f.Type, text, ok)
					} else if ok && string(col.AppendText(nil, 0)) != text {
						t.Errorf("%s: %s became %s", f.Type, text, col.AppendText(nil, 0))
					}
					binary := numericBinary(text)
					col = batch.NewColumn(f.Type)
					if ok := c.appendBinary(&col, binary, &scratch{}); ok != (n == nines) {
						t.Errorf("%s: binary %s accepted: %t", f.Type, text, ok)
					} else if ok && string(col.AppendText(nil, 0)) != text {
						t.Errorf("%s: binary %s became %s", f.Type, text, col.AppendText(nil, 0))
					}
					if got := string(appendNumericText(nil, binary)); got != text {
						t.Errorf("binary %s printed as %s", text, got)
					}
				}
			}
		}
	}
}

// numericBinary writes the binary form of a numeric's text.
func numericBinary(text string) []byte {
	digits, neg := strings.CutPrefix(text, "-")
	whole, frac, _ := strings.Cut(digits, ".")
	scale := len(frac)
	for len(whole)%4 != 0 {
		whole = "0" + whole
	}
	for len(frac)%4 != 0 {
		frac += "0"
	}
	var groups []uint16
	for all := whole + frac; all != ""; all = all[4:] {
		groups = append(groups, uint16(all[0]-'0')*1000+uint16(all[1]-'0')*100+uint16(all[2]-'0')*10+uint16(all[3]-'0'))
	}
	weight := len(whole)/4 - 1
	for len(groups) > 0 && groups[0] == 0 {
		groups, weight = groups[1:], weight-1
	}
	for len(groups) > 0 && groups[len(groups)-1] == 0 {
		groups = groups[:len(groups)-1]
	}
	if len(groups) == 0 {
		weight, neg = 0, false
	}
	sign := uint16(0)
	if neg {
		sign = numericNegative
	}
	b := binary.BigEndian.AppendUint16(nil, uint16(len(groups)))
	b = binary.BigEndian.AppendUint16(b, uint16(int16(weight)))
	b = binary.BigEndian.AppendUint16(b, sign)
	b = binary.BigEndian.AppendUint16(b, uint16(scale))
	for _, g := range groups {
		b = binary.BigEndian.AppendUint16(b, g)
	}
	return b
}
