package contract

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// Each promise is kept by the values on the left and broken by those on the right.
func TestEveryPromiseIsChecked(t *testing.T) {
	tests := []struct {
		name, property string
		good, bad      []string // JSON values
		want           string   // the violation of the first bad value
	}{
		{"required", `logicalType: string, required: true`, []string{`""`, `"x"`}, []string{`null`}, `v: required (got "")`},
		{"enum", `logicalType: string, enum: [{value: new}, {value: paid}]`, []string{`"new"`, `"paid"`, `null`}, []string{`"lost"`, `"pai"`, `"paidx"`, `""`}, `v: one of new|paid (got "lost")`},
		{"enum of integers", `logicalType: integer, enum: [{value: 1}, {value: 3}]`, []string{`1`, `3`, `null`}, []string{`2`, `0`}, `v: one of 1|3 (got "2")`},
		{"enum of decimals", `logicalType: number, physicalType: "numeric(4,2)", enum: [{value: 1.5}]`, []string{`1.5`, `"1.50"`}, []string{`1.51`}, `v: one of 1.5 (got "1.51")`},
		{"enum of booleans", `logicalType: boolean, enum: [{value: true}]`, []string{`true`, `null`}, []string{`false`}, `v: one of true (got "f")`},
		{"enum of uuids", `logicalType: string, physicalType: uuid, enum: [{value: 00000000-0000-0000-0000-00000000000a}]`, []string{`"00000000-0000-0000-0000-00000000000A"`}, []string{`"00000000-0000-0000-0000-00000000000b"`}, `v: one of 00000000-0000-0000-0000-00000000000a (got "00000000-0000-0000-0000-00000000000b")`},
		{"minimum", `logicalType: integer, logicalTypeOptions: {minimum: 18}`, []string{`18`, `99`, `null`}, []string{`17`, `-1`}, `v: at least 18 (got "17")`},
		{"exclusive minimum", `logicalType: integer, logicalTypeOptions: {exclusiveMinimum: 18}`, []string{`19`}, []string{`18`}, `v: more than 18 (got "18")`},
		{"maximum", `logicalType: integer, logicalTypeOptions: {maximum: 3.5}`, []string{`3`, `-9`}, []string{`4`}, `v: at most 3.5 (got "4")`},
		{"exclusive maximum", `logicalType: integer, logicalTypeOptions: {exclusiveMaximum: 3}`, []string{`2`}, []string{`3`}, `v: less than 3 (got "3")`},
		{"format i8", `logicalType: integer, logicalTypeOptions: {format: i8}`, []string{`-128`, `127`}, []string{`128`, `-129`}, `v: a value of format i8 (got "128")`},
		{"format u32", `logicalType: integer, logicalTypeOptions: {format: u32}`, []string{`0`, `4294967295`}, []string{`-1`, `4294967296`}, `v: a value of format u32 (got "-1")`},
		{"format u64", `logicalType: integer, logicalTypeOptions: {format: u64}`, []string{`0`, `"18446744073709551615"`}, []string{`-1`, `"18446744073709551616"`}, `v: a value of format u64 (got "-1")`},
		{"range of a decimal", `logicalType: number, physicalType: "numeric(12,2)", logicalTypeOptions: {exclusiveMinimum: 0, maximum: 10.005}`, []string{`0.01`, `10`}, []string{`0`, `10.01`}, `v: more than 0 (got "0.00")`},
		{"range of a large decimal", `logicalType: number, physicalType: "numeric(38,2)", logicalTypeOptions: {minimum: -0.5, exclusiveMaximum: 1}`, []string{`-0.5`, `0`, `0.99`}, []string{`-0.51`, `1`, `-1000000000000000000000`}, `v: at least -0.5 (got "-0.51")`},
		{"range of a float", `logicalType: number, logicalTypeOptions: {format: f64, minimum: 0.1, exclusiveMaximum: 1}`, []string{`0.1`, `0.5`}, []string{`0.09999999999999999`, `1`, `"NaN"`}, `v: at least 0.1 (got "0.09999999999999999")`},
		{"range of a date", `logicalType: date, logicalTypeOptions: {exclusiveMinimum: "2020-01-01", maximum: "2021-01-01"}`, []string{`"2020-01-02"`, `"2021-01-01"`}, []string{`"2020-01-01"`, `"2021-01-02"`}, `v: more than 2020-01-01 (got "2020-01-01")`},
		{"range of a timestamptz", `logicalType: timestamp, logicalTypeOptions: {timezone: true, minimum: "2020-01-01 00:00:00+10:00"}`, []string{`"2019-12-31T14:00:00Z"`}, []string{`"2019-12-31 13:59:59.999999Z"`}, `v: at least 2020-01-01 00:00:00+10:00 (got "2019-12-31 13:59:59.999999+00")`},
		{"range of a time", `logicalType: time, logicalTypeOptions: {maximum: "12:00:00"}`, []string{`"12:00:00"`}, []string{`"12:00:01"`}, `v: at most 12:00:00 (got "12:00:01")`},
		{"multiple of", `logicalType: integer, logicalTypeOptions: {multipleOf: 5}`, []string{`0`, `-10`}, []string{`3`}, `v: a multiple of 5 (got "3")`},
		{"multiple of a fraction", `logicalType: number, physicalType: "numeric(12,3)", logicalTypeOptions: {multipleOf: 0.05}`, []string{`0.1`, `-1.15`}, []string{`0.01`}, `v: a multiple of 0.05 (got "0.010")`},
		{"multiple of, large", `logicalType: number, physicalType: "numeric(30,2)", logicalTypeOptions: {multipleOf: 0.25}`, []string{`-100000000000000000000.75`, `0.25`}, []string{`-100000000000000000000.76`}, `v: a multiple of 0.25 (got "-100000000000000000000.76")`},
		{"length in characters", `logicalType: string, logicalTypeOptions: {minLength: 2, maxLength: 3}`, []string{`"ab"`, `"жжж"`, `"😀😀"`}, []string{`"ж"`, `"abcd"`, `"😀"`, `""`}, `v: at least 2 characters (got "ж")`},
		{"length of a binary", `logicalType: string, physicalType: bytea, logicalTypeOptions: {maxLength: 2}`, []string{`"\\x0102"`, `"\\x"`}, []string{`"\\x010203"`}, `v: at most 2 bytes (got "\x010203")`},
		{"pattern is searched for", `logicalType: string, logicalTypeOptions: {pattern: "ACC[0-9]{2}"}`, []string{`"ACC12"`, `"xACC123"`}, []string{`"ACC1"`}, `v: matches ACC[0-9]{2} (got "ACC1")`},
		{"items", `logicalType: array, items: {logicalType: integer}, logicalTypeOptions: {minItems: 1, maxItems: 2}`, []string{`[1]`, `[1,2]`, `null`}, []string{`[]`, `[1,2,3]`}, `v: at least 1 items (got "[]")`},
		{"distinct items", `logicalType: array, items: {logicalType: string}, logicalTypeOptions: {uniqueItems: true}`, []string{`["a","b",null]`, `[]`}, []string{`["a","b","a"]`, `[null,null]`}, `v: no item twice (got "["a","b","a"]")`},
		{"elements", `logicalType: array, items: {logicalType: string, enum: [{value: a}, {value: b}]}`, []string{`["a"]`, `[]`, `["b",null,"a"]`}, []string{`["a","b","c"]`}, `v[2]: one of a|b (got "c")`},
		{"elements may not be null", `logicalType: array, items: {logicalType: string, required: true}`, []string{`["a"]`}, []string{`["a",null]`}, `v[1]: required (got "")`},
		{"parts of a struct", `logicalType: object, properties: [{name: zip, logicalType: string, required: true, logicalTypeOptions: {maxLength: 5}}]`, []string{`{"zip":"12345"}`, `null`}, []string{`{"zip":null}`, `{"zip":"123456"}`}, `v.zip: required (got "")`},
		{"deep", `logicalType: array, items: {logicalType: object, properties: [{name: tags, logicalType: array, items: {logicalType: integer, logicalTypeOptions: {minimum: 0}}}]}`, []string{`[{"tags":[1]},null,{"tags":null}]`}, []string{`[{"tags":[]},{"tags":[1,-2]}]`}, `v[1].tags[1]: at least 0 (got "-2")`},
		{"values of a map", `logicalType: map, map: {key: {logicalType: string, logicalTypeOptions: {maxLength: 1}}, value: {logicalType: integer, logicalTypeOptions: {minimum: 0}}}`, []string{`{"a":1}`, `{}`}, []string{`{"a":1,"b":-1}`, `{"ab":1}`}, `v[1].value: at least 0 (got "-1")`},
		{"no nulls", `logicalType: string, quality: [{metric: nullValues, mustBe: 0}]`, []string{`""`}, []string{`null`}, `v: not null (got "")`},
		{"nothing missing", `logicalType: string, quality: [{id: filled, metric: missingValues, mustBe: 0, arguments: {missingValues: [null, "", N/A]}}]`, []string{`"x"`}, []string{`null`, `""`, `"N/A"`}, `v: not missing (got "")`},
		{"only valid values", `logicalType: string, quality: [{metric: invalidValues, mustBeLessThan: 1, arguments: {validValues: [kg, lb]}}]`, []string{`"kg"`, `null`}, []string{`"t"`}, `v: one of kg|lb (got "t")`},
		{"only valid patterns", `logicalType: string, quality: [{metric: invalidValues, mustBe: 0, arguments: {pattern: "^k"}}]`, []string{`"kg"`}, []string{`"t"`}, `v: matches ^k (got "t")`},
		{"a percentage is no rule for a row", `logicalType: string, quality: [{metric: nullValues, mustBe: 0, unit: percent}]`, []string{`null`}, nil, ``},
		{"a threshold is no rule for a row", `logicalType: string, quality: [{metric: nullValues, mustBeLessThan: 10}]`, []string{`null`}, nil, ``},
		{"a warning rejects no row", `logicalType: string, quality: [{metric: nullValues, mustBe: 0, severity: warning}]`, []string{`null`}, nil, ``},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := runnable(t, "      - {name: v, "+test.property+"}\n")
			rows := NewRows(o)
			for _, v := range append(slices.Clone(test.good), test.bad...) {
				if err := rows.Add([]byte(`{"id": 1, "v": ` + v + `}`)); err != nil {
					t.Fatal(err)
				}
			}
			b := rows.Batch()
			if len(b.Bad) > 0 {
				t.Fatalf("a test value does not fit the type: %v", b.Bad)
			}
			NewChecker(o).Check(b, 0)
			for i := range b.Len() {
				if bad := i >= len(test.good); (len(b.Bad[i]) > 0) != bad {
					t.Errorf("row %d: %v", i, b.Bad[i])
				}
			}
			if got := b.Bad[len(test.good)]; test.want != "" && (len(got) != 1 || got[0].String() != test.want) {
				t.Errorf("got %v, want %s", got, test.want)
			}
		})
	}
}

func TestRowsThatAreNotJudged(t *testing.T) {
	o := runnable(t, `
      - {name: a, logicalType: string, required: true, enum: [{value: x}]}
      - {name: b, logicalType: string, required: true}
`)
	b := batch.New(o.Table)
	add := func(op undrop.Op, id int64, a, v string) {
		i := b.Len()
		if id == 0 {
			b.Cols[0].AppendNull()
		} else {
			b.Cols[0].AppendInt(id)
		}
		for c, s := range []string{a, v} {
			switch s {
			case "-":
				b.Cols[c+1].AppendNull()
			case "?":
				b.Cols[c+1].AppendNull()
				b.AddUnchanged(i, c+1)
			case "!":
				b.Cols[c+1].AppendNull()
				b.AddBad(i, undrop.Violation{Rule: "text.zero", Path: b.Table.Fields[c+1].Name})
			default:
				b.Cols[c+1].AppendString(s)
			}
		}
		b.AddRow(op, undrop.Position{}, 0)
	}
	add(undrop.Create, 0, "-", "-")   // before from: not judged
	add(undrop.Delete, 1, "bad", "-") // only its key
	add(undrop.Delete, 0, "x", "x")   // a delete without a key
	add(undrop.Truncate, 0, "-", "-") // nothing
	add(undrop.Update, 1, "?", "y")   // a was not sent
	add(undrop.Update, 1, "x", "!")   // b could not be decoded: said once
	add(undrop.Update, 1, "-", "y")   // a is missing
	b.Cols[0].AppendNull()
	b.Cols[1].AppendNull()
	b.Cols[2].AppendNull()
	b.AddBad(7, undrop.Violation{Rule: "schema.drift"}) // nothing could be decoded
	b.AddRow(undrop.Update, undrop.Position{}, 0)

	NewChecker(o).Check(b, 1)
	var got []string
	for i := range b.Len() {
		for _, v := range b.Bad[i] {
			got = append(got, fmt.Sprintf("%d %s %s", i, v.Rule, v.Path))
		}
	}
	want := []string{"2 required id", "5 text.zero b", "6 required a", "7 schema.drift "}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestLongValuesAreCutBetweenCharacters(t *testing.T) {
	o := runnable(t, "      - {name: v, logicalType: string, enum: [{value: a}]}\n")
	rows := NewRows(o)
	if err := rows.Add([]byte(`{"id": 1, "v": "x` + strings.Repeat("ж", 300) + `"}`)); err != nil {
		t.Fatal(err)
	}
	NewChecker(o).Check(rows.Batch(), 0)
	if got := rows.Batch().Bad[0][0].Actual; got != "x"+strings.Repeat("ж", 127) {
		t.Errorf("%d bytes: %q", len(got), got[len(got)-4:])
	}
}

// runnable compiles a contract with the given properties after a key "id".
func runnable(t testing.TB, properties string) *Object {
	t.Helper()
	c, problems := Parse("t.odcs.yaml", []byte(head+properties))
	if c == nil {
		t.Fatal(problems)
	}
	return c.Objects[0]
}

// payments is a batch of n rows of eight columns with two enums, as in the
// project's measurements.
func payments(t testing.TB, n int) (*Object, *batch.Batch) {
	o := runnable(t, `
      - {name: account_id, logicalType: integer, logicalTypeOptions: {format: i64}, required: true}
      - {name: amount, logicalType: number, physicalType: "numeric(12,2)", required: true, logicalTypeOptions: {minimum: 0}}
      - {name: currency, logicalType: string, required: true, enum: [{value: EUR}, {value: USD}, {value: RUB}, {value: GBP}]}
      - {name: status, logicalType: string, required: true, enum: [{value: new}, {value: authorized}, {value: paid}, {value: refunded}]}
      - {name: created_at, logicalType: timestamp, logicalTypeOptions: {timezone: true}, required: true}
      - {name: updated_at, logicalType: timestamp, logicalTypeOptions: {timezone: true}}
      - {name: note, logicalType: string, logicalTypeOptions: {maxLength: 200}}
`)
	b := batch.New(o.Table)
	for i := range n {
		b.Cols[0].AppendInt(int64(i))
		b.Cols[1].AppendInt(int64(i % 1000))
		b.Cols[2].AppendInt(int64(i * 7))
		b.Cols[3].AppendString([]string{"EUR", "USD", "RUB", "GBP"}[i*7%4])
		b.Cols[4].AppendString([]string{"new", "authorized", "paid", "refunded"}[i*13/3%4])
		b.Cols[5].AppendInt(int64(i))
		if i%5 == 0 {
			b.Cols[6].AppendNull()
		} else {
			b.Cols[6].AppendInt(int64(i))
		}
		b.Cols[7].AppendString("a note of the usual length, some forty bytes")
		b.AddRow(undrop.Create, undrop.Position{}, 0)
	}
	return o, b
}

func TestGoodRowsCostNoAllocation(t *testing.T) {
	o, b := payments(t, 1000)
	c := NewChecker(o)
	if n := testing.AllocsPerRun(10, func() { c.Check(b, 0) }); n != 0 || len(b.Bad) != 0 {
		t.Errorf("%v allocations, %d bad rows", n, len(b.Bad))
	}
}

func BenchmarkCheck(b *testing.B) {
	o, rows := payments(b, 8192)
	c := NewChecker(o)
	b.ReportAllocs()
	for b.Loop() {
		c.Check(rows, 0)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/8192, "ns/row")
}
