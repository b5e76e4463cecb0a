package postgres_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
	"github.com/undrop/undrop/internal/postgres"
	"github.com/undrop/undrop/internal/postgres/postgrestest"
)

const truthSettings = "set DateStyle = ISO; set IntervalStyle = iso_8601; set TimeZone = UTC; set extra_float_digits = 3; set bytea_output = hex; set search_path = '';"

// sample is one value: its SQL, and what must become of it. The want "" means
// that the text of the cell is what the source's output function prints; "!rule"
// that the value is refused by that rule.
type sample struct{ sql, want string }

// familyCase is one source type under one contracted type.
type familyCase struct {
	sqlType, kind, declared string
	samples                 []sample
}

func good(sql ...string) (s []sample) {
	for _, v := range sql {
		s = append(s, sample{v, ""})
	}
	return s
}

func with(s []sample, more ...sample) []sample { return append(s, more...) }

const farTimes = `'0001-01-01 00:00:00', '9999-12-31 23:59:59.999999', '1969-12-31 23:59:59.999999', '2000-02-29 12:00:00.1', '2024-06-30 23:59:59.00001', '1900-03-01', '1582-10-10 01:02:03'`

func times() []sample {
	s := []sample{{"'infinity'", "!timestamp.infinity"}, {"'-infinity'", "!timestamp.infinity"}, {"'10000-01-01'", "!timestamp.range"},
		{"'0001-12-31 BC'", "!timestamp.range"}, {"'294276-12-31 23:59:59.999999'", "!timestamp.range"}, {"'4713-01-01 BC'", "!timestamp.range"}}
	return append(s, good(strings.Split(farTimes, ", ")...)...)
}

// familyCases are all type families, with the values at their edges.
func familyCases() []familyCase {
	texts := []string{`''`, `'plain'`, `'ünï ☃ 𝄞'`, `E'line\nbreak\ttab'`, `'"quoted", {braces}\backslash'`, `'NULL'`, `' pad '`}
	numbers := []string{"0", "-0.00", "1.5", "-1.5", "9999999999.99", "-9999999999.99", "0.01", "-0.01", "100000000", "12345678.9", "10000", "0.10"}
	return []familyCase{
		{"boolean", "boolean", "", good("true", "false")},
		{"boolean", "string", "", []sample{{"true", "true"}, {"false", "false"}}},
		{"bit(1)", "boolean", "", []sample{{"B'1'", "t"}, {"B'0'", "f"}}},
		{"smallint", "int", "", good("0", "-32768", "32767")},
		{"smallint", "decimal(7,2)", "", []sample{{"-32768", "-32768.00"}, {"7", "7.00"}}},
		{"integer", "int", "", good("0", "-2147483648", "2147483647")},
		{"integer", "long", "", good("0", "-2147483648", "2147483647")},
		{"bigint", "long", "", good("0", "-9223372036854775808", "9223372036854775807", "9007199254740993")},
		{"bigint", "int", "bigint", []sample{{"5", ""}, {"2147483648", "!int.overflow"}, {"-9223372036854775808", "!int.overflow"}}},
		{"bigint", "decimal(19,0)", "", good("-9223372036854775808", "9223372036854775807")},
		{"bigint", "decimal(38,18)", "", []sample{{"-9223372036854775808", "-9223372036854775808.000000000000000000"}}},
		{"bigint", "string", "", good("-9223372036854775808")},
		{"oid", "long", "", good("0", "4294967295")},
		{"xid", "long", "", good("'0'", "'4294967295'")},
		{"xid8", "decimal(20,0)", "", good("'0'", "'18446744073709551615'")},
		{"xid8", "string", "", good("'18446744073709551615'")},
		{"real", "float", "", []sample{{"0", "0"}, {"-0.1", "-0.1"}, {"'3.4028235e38'", "3.4028235e+38"}, {"'1e-45'", "1e-45"}, {"'NaN'", "!float.nan"}, {"'-Infinity'", "!float.infinity"}}},
		{"real", "double", "", []sample{{"0.1", "0.10000000149011612"}, {"'Infinity'", "!float.infinity"}}},
		{"double precision", "double", "", []sample{{"0.1", "0.1"}, {"'1.7976931348623157e308'", "1.7976931348623157e+308"}, {"'5e-324'", "5e-324"}, {"'-0'", "-0"}, {"'NaN'", "!float.nan"}, {"'Infinity'", "!float.infinity"}}},
		{"double precision", "float", "double precision", []sample{{"0.5", "0.5"}, {"0.1", "!float.inexact"}}},
		{"double precision", "string", "", good("0.1", "'NaN'", "'-Infinity'", "1e15", "1e-5", "123456789012345680", "'-0'")},
		{"numeric(12,2)", "decimal(12,2)", "", with([]sample{{"'NaN'", "!decimal.nan"}}, withTruth(numbers, "numeric(12,2)")...)},
		{"numeric", "decimal(18,4)", "numeric", append([]sample{{"1.23456", "!decimal.scale"}, {"1.23450", "1.2345"}, {"99999999999999.9999", ""}, {"100000000000000", "!decimal.overflow"},
			{"'NaN'", "!decimal.nan"}, {"'Infinity'", "!decimal.infinity"}, {"'-Infinity'", "!decimal.infinity"}, {"1e40", "!decimal.overflow"}, {"1e-20", "!decimal.scale"}, {"1e131071", "!decimal.overflow"}, {"-1e-16383", "!decimal.scale"}},
			withTruth(numbers, "numeric(18,4)")...)},
		{"numeric", "decimal(38,10)", "", append([]sample{{"1e28", "!decimal.overflow"}, {"-9999999999999999999999999999.9999999999", ""}}, withTruth(numbers, "numeric(38,10)")...)},
		{"numeric(38,0)", "decimal(38,0)", "", good("99999999999999999999999999999999999999", "-99999999999999999999999999999999999999", "18446744073709551616", "18446744073709551615", "-1", "10000000000000000")},
		{"numeric(38,38)", "decimal(38,38)", "", good("0.99999999999999999999999999999999999999", "-0.00000000000000000000000000000000000001")},
		{"numeric(19,3)", "decimal(19,3)", "", good("9999999999999999.999", "-9999999999999999.999", "0.001")},
		{"numeric(5,-2)", "decimal(7,0)", "", good("12300", "-9999900")},
		{"numeric(3,5)", "decimal(5,5)", "", good("0.00999", "-0.00001")},
		{"numeric", "string", "", good("'NaN'", "'Infinity'", "1.500", "-0.000100", "1e60", "1e-30", "0")},
		{"money", "string", "", good("1234.56", "-5")},
		{"text", "string", "", good(texts...)},
		{"varchar(40)", "string", "", good(texts...)},
		{"char(60)", "string", "", good(texts...)},
		{"name", "string", "", good(texts...)},
		{`"char"`, "string", "", good("'a'", "''")},
		{"citext", "string", "", good("'MiXed'")},
		{"json", "string", "", good(`'{"b": 1,  "a":[1, 2], "a": "\u0000"}'`, `'null'`)},
		{"jsonb", "string", "", good(`'{"b": 1,  "a":[1, 2.50]}'`, `'null'`, `'"text"'`)},
		{"xml", "string", "", good(`'<a b="c">d</a>'`, `'<?xml version="1.0" encoding="UTF-8"?><a/>'`)},
		{"bytea", "binary", "", good(`''`, `'\x00ff7f'`, `'\x5c78'`)},
		{"bytea", "string", "", good(`''`, `'\x00ff7f'`)},
		{"bit(11)", "binary", "", []sample{{"B'10000000001'", `\x8020`}, {"B'00000000000'", `\x0000`}}},
		{"bit(11)", "string", "", good("B'10000000001'")},
		{"bit varying", "string", "", good("B''", "B'101'")},
		{"uuid", "uuid", "", good("'00000000-0000-0000-0000-000000000000'", "'F47AC10B-58CC-4372-A567-0E02B2C3D479'")},
		{"uuid", "string", "", good("'F47AC10B-58CC-4372-A567-0E02B2C3D479'")},
		{"date", "date", "", append([]sample{{"'infinity'", "!date.infinity"}, {"'-infinity'", "!date.infinity"}, {"'10000-01-01'", "!date.range"}, {"'0044-03-15 BC'", "!date.range"}, {"'5874897-12-31'", "!date.range"}},
			good("'0001-01-01'", "'9999-12-31'", "'1970-01-01'", "'2000-02-29'", "'1900-02-28'", "'1582-10-10'")...)},
		{"date", "string", "", good("'infinity'", "'0044-03-15 BC'", "'5874897-12-31'")},
		{"time", "time", "", append([]sample{{"'24:00:00'", "!time.range"}, {"'23:59:60'", "!time.range"}}, good("'00:00'", "'23:59:59.999999'", "'12:34:56.7'")...)},
		{"time", "string", "", good("'24:00:00'", "'12:34:56.7'")},
		{"timetz", "string", "", good("'12:34:56.7+05:30'")},
		{"timestamp", "timestamp", "", times()},
		{"timestamp(3)", "timestamp", "", good("'2024-01-02 03:04:05.678'")},
		{"timestamptz", "timestamptz", "", append(times(), good("'2024-01-02 03:04:05.678+05:45'")...)},
		{"timestamp", "string", "", good("'infinity'", "'0044-03-15 BC'")},
		{"timestamptz", "string", "", good("'-infinity'", "'0044-03-15 BC'", "'2024-01-02 03:04:05.678+05:45'")},
		{"interval", "string", "", good("'1 year 2 months -3 days 04:05:06.7'", "'0'")},
		{"inet", "string", "", good("'10.0.0.1'", "'10.0.0.1/8'", "'::1'")},
		{"cidr", "string", "", good("'10.0.0.0/8'", "'10.0.0.1/32'")},
		{"macaddr", "string", "", good("'08:00:2b:01:02:03'")},
		{"pg_lsn", "string", "", good("'16/B374D848'")},
		{"int4range", "string", "", good("'[1,5)'", "'empty'", "'(,)'")},
		{"tstzrange", "string", "", good(`'["2024-01-01 00:00:00+00",infinity)'`)},
		{"tsvector", "string", "", good("'a fat cat sat'")},
		{"point", "string", "", good("'(1.5,-2)'")},
		{"ltree", "string", "", good("'Top.Science'")},
		{"mood", "string", "", good("'happy'", "'very, \"sad\"'", "'ünsure'")},
		{"mood_domain", "string", "", good("'happy'")},
		{"money_domain", "decimal(12,2)", "", withTruth([]string{"7.5", "-0.01"}, "numeric(12,2)")},
		{"text_domain", "string", "", good("'x'")},
		{"list_domain", "list<int>", "", []sample{{"'{1,2}'", "[1,2]"}}},
		{"hstore", "map", "", []sample{{`''`, "{}"}, {`'"a b"=>"c\"d\\e", k=>NULL, "NULL"=>"NULL", e=>""'`, `{"e":"","k":null,"a b":"c\"d\\e","NULL":"NULL"}`}}},
		{"hstore", "string", "", good(`'a=>1, b=>NULL'`)},
		{"pair", "struct<n:int,t:string,l:list<string>>", "", []sample{{`row(1, 'a "b", \c', array['x,y', null, '"', '', 'NULL'])`, `{"n":1,"t":"a \"b\", \\c","l":["x,y",null,"\"","","NULL"]}`},
			{`row(null, null, null)`, `{"n":null,"t":null,"l":null}`}, {`row(-5, '', '{}')`, `{"n":-5,"t":"","l":[]}`}}},
		{"pair", "struct<t:string>", "", []sample{{`row(1, 'only', null)`, `{"t":"only"}`}}},
		{"pair", "string", "", good(`row(1, 'a "b", \c', array['x,y', null])`, `row(null, null, null)`)},
		{"nest", "struct<p:struct<n:int,t:string>,at:timestamptz>", "", []sample{
			{`row(row(1, '(")', null)::pair, '2024-01-02 03:04:05+00')`, `{"p":{"n":1,"t":"(\")"},"at":"2024-01-02 03:04:05+00"}`},
			{`row(row(1, '', null)::pair, 'infinity')`, "!timestamp.infinity"}, {`row(null, null)`, `{"p":null,"at":null}`}}},
		{"one", "struct<a:int>", "", []sample{{"row(1)", `{"a":1}`}, {"row(null::int)", `{"a":null}`}}},
		{"integer[]", "list<int>", "", []sample{{"'{}'", "[]"}, {"'{1,NULL,-3}'", "[1,null,-3]"}, {"'{{1,2},{3,4}}'", "!array.dimensions"}, {"'[0:1]={7,8}'", "!array.bounds"}, {"'[5:6]={7,8}'", "!array.bounds"}, {"'[1:1][2:2]={{1}}'", "!array.dimensions"}}},
		{"bigint[]", "list<long>", "", []sample{{"'{9223372036854775807}'", `["9223372036854775807"]`}}},
		{"boolean[]", "list<boolean>", "", []sample{{"'{t,f,NULL}'", "[true,false,null]"}}},
		{"text[]", "list<string>", "", []sample{{`array['a b','c"d',null,'NULL','null','','{}','a,b','back\slash',' ','é']`, `["a b","c\"d",null,"NULL","null","","{}","a,b","back\\slash"," ","é"]`}}},
		{"text[]", "string", "", good(`array['a b', null]`, "'{{a},{b}}'")},
		{"varchar(10)[]", "list<string>", "", []sample{{"'{a}'", `["a"]`}}},
		{"mood[]", "list<string>", "", []sample{{`array['happy','very, "sad"']::mood[]`, `["happy","very, \"sad\""]`}}},
		{"uuid[]", "list<uuid>", "", []sample{{"'{f47ac10b-58cc-4372-a567-0e02b2c3d479,NULL}'", `["f47ac10b-58cc-4372-a567-0e02b2c3d479",null]`}}},
		{"numeric(12,2)[]", "list<decimal(12,2)>", "", []sample{{"'{1.5,-2,NULL}'", `["1.50","-2.00",null]`}, {"'{1,NaN}'", "!decimal.nan"}}},
		{"double precision[]", "list<double>", "", []sample{{"'{0.1,1e300}'", "[0.1,1e+300]"}, {"'{NaN}'", "!float.nan"}}},
		{"bytea[]", "list<binary>", "", []sample{{`array['\x00ff'::bytea, '']`, `["\\x00ff","\\x"]`}}},
		{"timestamptz[]", "list<timestamptz>", "", []sample{{"'{2024-01-02 03:04:05+00}'", `["2024-01-02 03:04:05+00"]`}, {"'{2024-01-02,infinity}'", "!timestamp.infinity"}}},
		{"date[]", "list<date>", "", []sample{{"'{2024-01-02}'", `["2024-01-02"]`}}},
		{"jsonb[]", "list<string>", "", []sample{{`array['{"a": [1, "x"]}'::jsonb]`, `["{\"a\": [1, \"x\"]}"]`}}},
		{"inet[]", "list<string>", "", []sample{{"'{10.0.0.1,10.0.0.0/8}'", `["10.0.0.1","10.0.0.0/8"]`}}},
		{"box[]", "list<string>", "", []sample{{"'{(2,2),(1,1);(4,4),(3,3)}'", `["(2,2),(1,1)","(4,4),(3,3)"]`}}},
		{"int4range[]", "list<string>", "", []sample{{`'{"[1,5)",empty}'`, `["[1,5)","empty"]`}}},
		{"citext[]", "list<string>", "", []sample{{"'{Ab}'", `["Ab"]`}}},
		{"pair[]", "list<struct<n:int,t:string>>", "", []sample{{`array[row(1,'a,"b"',null)::pair, null, row(null,'\',null)::pair]`, `[{"n":1,"t":"a,\"b\""},null,{"n":null,"t":"\\"}]`}}},
		{"money_domain[]", "list<decimal(12,2)>", "", []sample{{"'{1.5}'", `["1.50"]`}}},
	}
}

// withTruth is numbers whose text is that of the contracted type.
func withTruth(numbers []string, typ string) (s []sample) {
	for _, n := range numbers {
		s = append(s, sample{n, "=" + typ})
	}
	return s
}

const familyTypes = `create extension citext; create extension hstore; create extension ltree;
	create type mood as enum ('happy', 'very, "sad"', 'ünsure');
	create domain mood_domain as mood; create domain money_domain as numeric(12,2) check (value < 1000000); create domain text_domain as varchar(10);
	create domain list_domain as int[];
	create type pair as (n int, t text, l text[]); create type nest as (p pair, at timestamptz); create type one as (a int);`

// Every type family, with the values at its edges: the rows that COPY reads and
// the rows that the stream brings are equal to the byte, and equal to what the
// database itself prints; what a type cannot hold is refused by its rule, in both.
func TestEveryFamilyByCopyAndStream(t *testing.T) {
	cases := familyCases()
	create := "create table fam (id int primary key"
	columns := []string{"*id int"}
	rows := 0
	for i, c := range cases {
		create += fmt.Sprintf(", c%d %s", i, c.sqlType)
		columns = append(columns, fmt.Sprintf("c%d %s", i, c.kind))
		rows = max(rows, len(c.samples))
	}
	tab := table("fam", columns...)
	for i, c := range cases {
		tab.Fields[i+1].SourceType = c.declared
	}
	l := newLab(t, []*undrop.Table{tab}, familyTypes, create+")")
	for r := range rows + 1 {
		values := make([]string, len(cases))
		for i, c := range cases {
			values[i] = "null"
			if r < len(c.samples) {
				values[i] = c.samples[r].sql
			}
		}
		l.exec(fmt.Sprintf("insert into fam values (%d, %s)", r, strings.Join(values, ", ")))
	}
	copied := byID(l.copied(tab))
	live := l.stream().rows[tab]
	streamed := byID(live)
	if len(copied.at) != rows+1 || len(streamed.at) != rows+1 {
		t.Fatalf("%d rows copied, %d streamed; want %d", len(copied.at), len(streamed.at), rows+1)
	}
	truths := make([]string, len(cases))
	for i, c := range cases {
		truths[i] = fmt.Sprintf("case when c%[1]d is not distinct from null then null else format('%%s', c%[1]d) end", i)
		for _, s := range c.samples {
			if typ, ok := strings.CutPrefix(s.want, "="); ok {
				decimal := typeOf(c.kind)
				truths[i] = fmt.Sprintf("case when c%[1]d::text !~ '^-?[0-9.]+$' then '' when abs(c%[1]d) < 1e%[2]d then c%[1]d::%[3]s::text end", i, decimal.Precision-decimal.Scale, typ)
			}
		}
	}
	truth := postgrestest.Query(t, l.dsn, truthSettings+"select id, "+strings.Join(truths, ", ")+" from public.fam order by id")
	for r := range rows + 1 {
		ci, si := copied.at[fmt.Sprint(r)], streamed.at[fmt.Sprint(r)]
		a, b := string(copied.AppendRowJSON(nil, ci)), string(streamed.AppendRowJSON(nil, si))
		if a != b {
			t.Errorf("row %d: COPY and stream differ:\n%s\n%s", r, a, b)
		}
		if !reflect.DeepEqual(copied.Bad[ci], streamed.Bad[si]) {
			t.Errorf("row %d: COPY and stream refuse differently:\n%v\n%v", r, copied.Bad[ci], streamed.Bad[si])
		}
		if copied.Raw[ci] != streamed.Raw[si] {
			t.Errorf("row %d: COPY and stream keep different raw rows:\n%s\n%s", r, copied.Raw[ci], streamed.Raw[si])
		}
		rules := map[string]string{}
		for _, v := range streamed.Bad[si] {
			rules[strings.FieldsFunc(v.Path, func(c rune) bool { return c == '.' || c == '[' })[0]] = v.Rule
		}
		for i, c := range cases {
			name, col := fmt.Sprintf("c%d", i), &streamed.Cols[i+1]
			if r >= len(c.samples) {
				if !col.Null[si] || rules[name] != "" {
					t.Errorf("%s as %s: null became %s", c.sqlType, c.kind, col.AppendText(nil, si))
				}
				continue
			}
			s := c.samples[r]
			if rule, refused := strings.CutPrefix(s.want, "!"); refused || rules[name] != "" {
				if rules[name] != rule || !col.Null[si] {
					t.Errorf("%s as %s: %s refused by rule %q, want %q", c.sqlType, c.kind, s.sql, rules[name], rule)
				}
				continue
			}
			want := s.want
			if want == "" || want[0] == '=' {
				want = truth[r][i+1]
			}
			if got := string(col.AppendText(nil, si)); got != want || col.Null[si] {
				t.Errorf("%s as %s: %s became %q, want %q", c.sqlType, c.kind, s.sql, got, want)
			}
		}
	}
	replayRaw(t, tab, live)
}

// replayRaw checks that the raw form of a row gives the same row again.
func replayRaw(t *testing.T, tab *undrop.Table, live *batch.Batch) {
	t.Helper()
	again := batch.New(tab)
	for _, i := range slices.Sorted(maps.Keys(live.Raw)) {
		n := again.Len()
		if err := postgres.DecodeRaw(again, live.Op[i], live.Position(i), live.At[i], live.Raw[i]); err != nil {
			t.Errorf("row %d: %v", i, err)
			continue
		}
		a, b := string(live.AppendRowJSON(nil, i)), string(again.AppendRowJSON(nil, n))
		if a != b {
			t.Errorf("row %d: the raw form gives another row:\n%s\n%s", i, a, b)
		}
		for k, v := range again.Bad[n] {
			if k >= len(live.Bad[i]) || v.Rule != live.Bad[i][k].Rule || v.Path != live.Bad[i][k].Path {
				t.Errorf("row %d: the raw form is refused differently:\n%v\n%v", i, live.Bad[i], again.Bad[n])
				break
			}
		}
	}
}

type indexed struct {
	*batch.Batch
	at map[string]int
}

func byID(b *batch.Batch) indexed {
	x := indexed{b, map[string]int{}}
	for i := range b.Len() {
		x.at[string(b.Cols[0].AppendText(nil, i))] = i
	}
	return x
}
