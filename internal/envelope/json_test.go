package envelope

import (
	"errors"
	"strings"
	"testing"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// jsonOf wraps a column v in an envelope.
func jsonOf(v string) string {
	return `{"before":null,"after":{"v":` + v + `},"source":{"ts_us":1,"lsn":2,"seq":3},"op":"c"}`
}

// TestJSONIsReadExactly: what would need rounding or guessing is refused.
func TestJSONIsReadExactly(t *testing.T) {
	intMap := undrop.Type{Kind: undrop.Map, Key: &undrop.Type{Kind: undrop.Int32}, Elem: &undrop.Type{Kind: undrop.Bool}}
	textMap := undrop.Type{Kind: undrop.Map, Key: &undrop.Type{Kind: undrop.String}, Elem: &undrop.Type{Kind: undrop.Bool}}
	pair := undrop.Type{Kind: undrop.Struct, Fields: []undrop.Field{{Name: "a", Type: kind(undrop.Int32)}, {Name: "b", Type: kind(undrop.Int32)}}}
	for _, c := range []struct {
		typ     undrop.Type
		v, want string // want "": malformed
	}{
		{kind(undrop.Int64), `9007199254740992`, `9007199254740992`},
		{kind(undrop.Int64), `9007199254740993`, ``}, // the writer may have had another number
		{kind(undrop.Int64), `"9007199254740993"`, `"9007199254740993"`},
		{kind(undrop.Int64), `"9223372036854775808"`, ``},
		{kind(undrop.Int64), `1.0`, ``},
		{kind(undrop.Int64), `1e3`, ``},
		{kind(undrop.Int64), `01`, ``},
		{kind(undrop.Int64), `-`, ``},
		{kind(undrop.Int64), `true`, ``},
		{kind(undrop.Int64), `[1]`, ``},
		{kind(undrop.Int32), `2147483648`, ``},
		{kind(undrop.Int32), `-2147483648`, `-2147483648`},
		{kind(undrop.Float64), `1e400`, ``},
		{kind(undrop.Float64), `"NaN"`, `"NaN"`},
		{kind(undrop.Float64), `"-Infinity"`, `"-Infinity"`},
		{kind(undrop.Float64), `-0`, `-0`},
		{kind(undrop.Float64), `NaN`, ``},
		{kind(undrop.Float32), `1e39`, ``},
		{decimal(5, 2), `"999.99"`, `"999.99"`},
		{decimal(5, 2), `"-1"`, `"-1.00"`},
		{decimal(5, 2), `12.5`, `"12.50"`},
		{decimal(5, 2), `"1.100"`, `"1.10"`},
		{decimal(5, 2), `"1.105"`, ``},
		{decimal(5, 2), `"1000"`, ``},
		{decimal(5, 2), `1e2`, ``},
		{decimal(5, 2), `"NaN"`, ``},
		{decimal(5, 2), `""`, ``},
		{decimal(5, 2), `"."`, ``},
		{decimal(5, 2), `"1."`, ``},
		{decimal(5, 2), `"--1"`, ``},
		{decimal(38, 0), `"99999999999999999999999999999999999999"`, `"99999999999999999999999999999999999999"`},
		{decimal(38, 0), `"-100000000000000000000000000000000000000"`, ``},
		{decimal(38, 0), `"1000000000000000000000000000000000000000000000"`, ``},
		{kind(undrop.Bool), `1`, ``},
		{kind(undrop.Bool), `"true"`, ``},
		{kind(undrop.String), `1`, ``},
		{kind(undrop.String), `"\ud83d\ude00"`, `"😀"`},
		{kind(undrop.String), `"\ud83d"`, ``},
		{kind(undrop.String), `"\ud83d\u0041"`, ``},
		{kind(undrop.String), `"\ude00"`, ``},
		{kind(undrop.String), `"\u0000"`, ``},
		{kind(undrop.String), "\"\xff\"", ``},
		{kind(undrop.String), "\"a\nb\"", ``},
		{kind(undrop.String), "\"a\\t\nb\"", ``},
		{kind(undrop.String), `"\x"`, ``},
		{kind(undrop.String), `"\b\f\n\r\t\/\"\\"`, `"\u0008\u000c\n\r\t/\"\\"`},
		{kind(undrop.Binary), `"AQI="`, `"AQI="`},
		{kind(undrop.Binary), `"AQI"`, ``},
		{kind(undrop.Binary), `"AQJ="`, ``}, // bits beyond the last byte
		{kind(undrop.Binary), `"!"`, ``},
		{kind(undrop.UUID), `"00112233-4455-6677-8899-aabbccddeeff"`, `"00112233-4455-6677-8899-aabbccddeeff"`},
		{kind(undrop.UUID), `"00112233445566778899aabbccddeeff"`, ``},
		{kind(undrop.UUID), `"00112233-4455-6677-8899--abbccddeeff"`, ``},
		{kind(undrop.UUID), `1`, ``},
		{kind(undrop.Date), `"2024-02-29"`, `"2024-02-29"`},
		{kind(undrop.Date), `"2023-02-29"`, ``},
		{kind(undrop.Date), `"0000-01-01"`, ``},
		{kind(undrop.Date), `19000`, ``}, // days? milliseconds?
		{kind(undrop.Date), `2932897`, `2932897`},
		{kind(undrop.Time), `"23:59:59.999999"`, `"23:59:59.999999"`},
		{kind(undrop.Time), `"24:00:00"`, ``},
		{kind(undrop.Time), `"12:00"`, ``},
		{kind(undrop.Time), `"12:00:00.5"`, `"12:00:00.500000"`},
		{kind(undrop.Time), `"12:00:00.1234567"`, ``},
		{kind(undrop.Time), `"12:00:00."`, ``},
		{kind(undrop.Timestamp), `"2024-01-02T03:04:05"`, `"2024-01-02T03:04:05.000000"`},
		{kind(undrop.Timestamp), `"2024-01-02T03:04:05Z"`, ``},
		{kind(undrop.Timestamp), `"2024-01-02 03:04:05"`, ``},
		{kind(undrop.Timestamp), `"2024-01-02T"`, ``},
		{kind(undrop.TimestampTZ), `"2024-01-02T03:04:05Z"`, `"2024-01-02T03:04:05.000000Z"`},
		{kind(undrop.TimestampTZ), `"2024-01-02T03:04:05"`, ``},
		{kind(undrop.TimestampTZ), `"2024-01-02T03:04:05+01:00"`, ``},
		{kind(undrop.TimestampTZ), `1704164645000000`, ``},
		{intMap, `[{"value":true,"key":1},{"key":1,"value":null}]`, `[{"key":1,"value":true},{"key":1,"value":null}]`},
		{intMap, `[{"key":1}]`, ``},
		{intMap, `[{"key":null,"value":true}]`, ``},
		{intMap, `[{"key":1,"value":true,"key":2}]`, ``},
		{intMap, `[{"key":1,"value":true,"other":2}]`, ``},
		{textMap, `{"b":true,"a":null,"b":false}`, `{"b":true,"a":null,"b":false}`},
		{pair, `{"b":2}`, `{"a":null,"b":2}`},
		{pair, `{"c":[{"x":{}},"y",1.5e-3,null,false],"b":2,"a":1}`, `{"a":1,"b":2}`},
		{pair, `{"a":1,"a":2}`, ``},
		{pair, `{"a":1,}`, ``},
		{pair, `{"a":1 "b":2}`, ``},
		{pair, `{,"a":1}`, ``},
		{pair, `[]`, ``},
	} {
		table := oneColumn("v", c.typ)
		b := batch.New(table)
		err := NewDecoder(table, JSON, nil).Decode(b, nil, []byte(jsonOf(c.v)), nil)
		sound(t, b)
		if c.want == "" {
			var m *Malformed
			if !errors.As(err, &m) || m.Column != "v" {
				t.Errorf("%s %s: %v, want it malformed", c.typ, c.v, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s %s: %v", c.typ, c.v, err)
			continue
		}
		if got := string(appendJSONOptional(nil, &b.Cols[0], 0)); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.typ, c.v, got, c.want)
		}
	}
}

// TestEnvelopePartsMustAgree holds for op, images and positions, in any order of
// members.
func TestEnvelopePartsMustAgree(t *testing.T) {
	const source = `"source":{"ts_us":1,"lsn":2,"seq":3}`
	for _, c := range []struct{ value, want string }{ // want: the row, or "" for malformed
		{`{"op":"c",` + source + `,"after":{"v":1}}`, `{"v":1}`},
		{`{"op":"u",` + source + `,"after":{"v":1},"before":{"v":2}}`, `{"v":1}`},
		{`{"op":"u",` + source + `,"before":{"v":2},"after":{"v":1}}`, `{"v":1}`},
		{`{"op":"d",` + source + `,"after":null,"before":{"v":2}}`, `{"v":2}`},
		{`{"op":"d",` + source + `,"before":{"v":2},"after":null}`, `{"v":2}`},
		{`{"op":"t",` + source + `}`, `{"v":null}`},
		{`{"op":"c",` + source + `,"after":{}}`, `{"v":null}`},
		{` { "op" : "c" , "x":{"y":[]}, "source" : { "seq" : 3, "lsn":"2", "ts_us" : 1 } , "after" : { "v" : 1 } } `, `{"v":1}`},
		{`{"op":"c",` + source + `,"before":{"v":1}}`, ``},
		{`{"op":"d",` + source + `,"after":{"v":1}}`, ``},
		{`{"op":"d",` + source + `,"after":{"v":1},"before":{"v":1}}`, ``},
		{`{"op":"t",` + source + `,"before":{"v":1}}`, ``},
		{`{"op":"m",` + source + `,"after":{"v":1}}`, ``},
		{`{"op":"cc",` + source + `,"after":{"v":1}}`, ``},
		{`{` + source + `,"after":{"v":1}}`, ``},
		{`{"op":"c","source":{"lsn":2,"seq":3},"after":{"v":1}}`, ``},
		{`{"op":"c","source":{"ts_us":1,"seq":3},"after":{"v":1}}`, ``},
		{`{"op":"c","source":{"ts_us":1,"lsn":2},"after":{"v":1}}`, ``},
		{`{"op":"c","source":{"ts_us":1,"lsn":null,"seq":3},"after":{"v":1}}`, ``},
		{`{"op":"c","source":{"ts_us":1,"lsn":"0/2","seq":3},"after":{"v":1}}`, ``},
		{`{"op":"c",` + source + `,"after":{"v":1},"after":{"v":1}}`, ``},
		{`{"op":"c",` + source + `,"after":[]}`, ``},
		{`{"op":"c","source":null,"after":{"v":1}}`, ``},
		{`{"op":"c",` + source + `,"after":{"v":1},"x":` + strings.Repeat(`[`, 600) + strings.Repeat(`]`, 600) + `}`, ``},
	} {
		table := oneColumn("v", kind(undrop.Int32))
		b := batch.New(table)
		err := NewDecoder(table, JSON, nil).Decode(b, nil, []byte(c.value), nil)
		sound(t, b)
		var m *Malformed
		switch {
		case c.want == "" && !errors.As(err, &m):
			t.Errorf("%s: %v, want it malformed", c.value, err)
		case c.want != "" && err != nil:
			t.Errorf("%s: %v", c.value, err)
		case c.want != "" && string(b.AppendRowJSON(nil, 0)) != c.want:
			t.Errorf("%s: %s", c.value, b.AppendRowJSON(nil, 0))
		}
	}
}
