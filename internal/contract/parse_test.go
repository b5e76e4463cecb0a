package contract

import (
	"slices"
	"strings"
	"testing"

	undrop "github.com/undrop/undrop"
)

// A mistake is named with its line, its column and its rule.
func TestMistakesAreNamedWithTheirPlace(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"empty", "", `1:1: error: the file is empty [yaml.empty]`},
		{"a list", "- a", `1:1: error: a contract is a mapping; this is a list [yaml.root]`},
		{"syntax", "a: [1\n", `1:4: error: sequence end token ']' not found [yaml.syntax]`},
		{"two documents", head + "---\nid: b\n", `11:1: error: a contract is one YAML document; a second one begins here [yaml.documents]`},
		{"duplicate key", strings.Replace(head, "name: t\n", "name: t\nid: u\n", 1), `5:1: error: key "id" is already on line 3 [yaml.duplicate]`},
		{"a version that is a number", strings.Replace(head, "1.0.0", "1.10", 1), `5:10: error: quote the version: YAML reads 1.10 as a number, and 1.10 would become 1.1 [odcs.version-string]`},
		{"an alias in itself", head + "description: &a {purpose: *a}\n", `10:27: error: alias *a has no anchor before it [yaml.alias]`},
		{"a tag", strings.Replace(head, "id: t", "id: !!binary aGk=", 1), `3:5: error: YAML tag !!binary has no meaning in a contract [yaml.tag]`},
		{"an unknown key", head + "sheme: []\n", `10:1: error: the standard has no key "sheme" here; did you mean schema? [odcs.unknown-key]`},
		{"an unknown key of a property", head + "      - {name: v, logicalType: string, requierd: true}\n", `10:40: error: the standard has no key "requierd" here; did you mean required? [odcs.unknown-key]`},
		{"an unknown option", head + "      - {name: v, logicalType: string, logicalTypeOptions: {maxLenght: 3}}\n", `10:61: error: the standard has no key "maxLenght" here; did you mean maxLength? [odcs.unknown-key]`},
		{"options without a type", head + "      - {name: v, logicalTypeOptions: {maxLength: 3}}\n", `10:40: error: logicalTypeOptions needs a logicalType beside it [odcs.options]`},
		{"decimal options that ODCS lacks", head + "      - {name: v, logicalType: number, logicalTypeOptions: {precision: 3}}\n", `10:61: error: the standard has no key "precision" here [odcs.unknown-key]`},
		{"two properties of a name", head + "      - {name: id, logicalType: string}\n", `10:16: error: property "id" is already on line 9 [text.duplicate-name]`},
		{"two ids", head + "      - {name: a, id: x, logicalType: string}\n      - {name: b, id: x, logicalType: string}\n", `11:23: error: id "x" is already on line 10; ids are unique within their list [text.duplicate-id]`},
		{"an enum of another type", head + "      - {name: v, logicalType: string, enum: [{value: 1}]}\n", `10:55: error: enum value 1 is a integer, but the property is a string: quote it [text.enum-type]`},
		{"an empty range", head + "      - {name: v, logicalType: integer, logicalTypeOptions: {minimum: 3, exclusiveMaximum: 3}}\n", `10:62: error: no number lies between the minimum 3 and the maximum 3 [text.range]`},
		{"lengths the wrong way", head + "      - {name: v, logicalType: string, logicalTypeOptions: {minLength: 3, maxLength: 2}}\n", `10:72: error: minLength 3 is above maxLength 2 [text.range]`},
		{"a key position twice", head + "      - {name: v, logicalType: string, primaryKey: true, primaryKeyPosition: 1}\n      - {name: w, logicalType: string, primaryKey: true, primaryKeyPosition: 1}\n", `11:78: error: primaryKeyPosition 1 is already on line 10 [text.key-position]`},
		{"a check without a metric", head + "        \n      - {name: v, logicalType: string, quality: [{description: x}]}\n", `11:51: error: a quality check without a type is of the library, and then it needs a metric [text.quality-metric]`},
		{"an unknown undrop property", head + "      - {name: v, logicalType: string, customProperties: [{property: undrop.unti, value: x}]}\n", `10:70: error: undrop has no property undrop.unti on a property; did you mean undrop.unit? [undrop.unknown]`},
		{"an undrop property in its place", head + "      - {name: v, logicalType: string, customProperties: [{property: undrop.mode, value: mirror}]}\n", `10:70: error: undrop.mode does not belong on a property [undrop.misplaced]`},
		{"an undrop property with another prefix", head + "      - {name: v, logicalType: string, customProperties: [{property: undropUnit, value: x}]}\n", `10:70: error: "undropUnit" looks like one of undrop's own properties, which begin with "undrop."; did you mean undrop.unit? [undrop.unknown]`},
		{"a wrong word", head + "      - {name: v, logicalType: string, customProperties: [{property: undrop.onNaN, value: nul}]}\n", `10:91: error: undrop.onNaN is one of quarantine, null (got "nul"); did you mean null? [undrop.value]`},
		{"a field id twice", head + "      - {name: v, logicalType: string, customProperties: [{property: undrop.fieldId, value: 7}]}\n      - {name: w, logicalType: string, customProperties: [{property: undrop.fieldId, value: 7}]}\n", `11:10: error: undrop.fieldId 7 of w is already that of v [undrop.field-id]`},
		{"a reserved field id", head + "      - {name: v, logicalType: string, customProperties: [{property: undrop.fieldId, value: 10001}]}\n", `10:93: error: undrop.fieldId is a whole number from 1 to 9999 (got "10001") [undrop.value]`},
		{"a partition of nothing", object("undrop.partition", "day(when)"), `8:60: error: undrop.partition: there is no column "when" [undrop.value]`},
		{"a partition of the wrong type", object("undrop.partition", "day(id)"), `8:60: error: undrop.partition: day does not take a int (id) [undrop.value]`},
		{"an unknown transform", object("undrop.partition", "bukcet(4, id)"), `8:60: error: undrop.partition: transform "bukcet" is one of bucket, truncate, year, month, day, hour, identity; did you mean bucket? [undrop.value]`},
		{"a table without a namespace", object("undrop.table", "payments"), `8:56: error: undrop.table is namespace.table in a-z, 0-9 and _ (got "payments") [undrop.value]`},
		{"a topic with a blank", object("undrop.topic", "a b"), `8:56: error: topic "a b": a topic has 1 to 249 of the characters a-z A-Z 0-9 . _ - [undrop.value]`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			problems := Lint("f", []byte(test.text))
			var got []string
			for _, p := range problems {
				if p.Severity == SeverityError {
					got = append(got, strings.TrimPrefix(p.String(), "f:"))
				}
			}
			if !slices.Equal(got, []string{test.want}) {
				t.Errorf("got  %s\nwant %s", strings.Join(got, "\n     "), test.want)
			}
		})
	}
}

// object is a contract with one custom property on its object.
func object(name, value string) string {
	return strings.Replace(head, "    properties:", "    customProperties: [{property: "+name+", value: \""+value+"\"}]\n    properties:", 1)
}

// What cannot be run is refused when it is to be run, and only then.
func TestWhatCannotBeRunIsRefusedByParseAlone(t *testing.T) {
	tests := []struct{ name, text, rule string }{
		{"a number without a width", head + "      - {name: v, logicalType: number}\n", "bind.type"},
		{"numeric without a scale", head + "      - {name: v, logicalType: number, physicalType: numeric}\n", "bind.type"},
		{"too many digits", head + "      - {name: v, logicalType: number, physicalType: \"numeric(39,2)\"}\n", "bind.type"},
		{"money", head + "      - {name: v, logicalType: number, physicalType: money}\n", "bind.type"},
		{"i128", head + "      - {name: v, logicalType: integer, logicalTypeOptions: {format: i128}}\n", "bind.type"},
		{"nanoseconds", head + "      - {name: v, logicalType: timestamp, physicalType: timestamp(9)}\n", "bind.type"},
		{"a time with a zone", head + "      - {name: v, logicalType: time, physicalType: timetz}\n", "bind.type"},
		{"a date that is a timestamp", head + "      - {name: v, logicalType: date, physicalType: timestamp}\n", "bind.type"},
		{"two zones", head + "      - {name: v, logicalType: timestamp, physicalType: timestamptz, logicalTypeOptions: {timezone: false}}\n", "bind.type"},
		{"no type at all", head + "      - {name: v}\n", "bind.type"},
		{"a union", head + "      - {name: v, logicalType: string, physicalType: \"union<int,string>\"}\n", "bind.type"},
		{"an array of what", head + "      - {name: v, logicalType: array}\n", "bind.items"},
		{"an empty struct", head + "      - {name: v, logicalType: object}\n", "bind.empty-struct"},
		{"a map of maps by list", head + "      - {name: v, logicalType: map, map: {key: {logicalType: array, items: {logicalType: string}}, value: {logicalType: string}}}\n", "bind.map-key"},
		{"case clash", head + "      - {name: v, logicalType: string}\n      - {name: V, logicalType: string}\n", "bind.case-clash"},
		{"a reserved name", head + "      - {name: _undrop_lsn, logicalType: string}\n", "bind.reserved-name"},
		{"a mirror without a key", strings.Replace(head, "primaryKey: true", "unique: true", 1), "bind.no-key"},
		{"a key that may be null", strings.Replace(head, "required: true", "required: false", 1), "bind.key-null"},
		{"a float key", head + "      - {name: v, logicalType: number, logicalTypeOptions: {format: f64}, primaryKey: true}\n", "bind.key-float"},
		{"look-ahead", head + "      - {name: v, logicalType: string, logicalTypeOptions: {pattern: \"^(?=a)\"}}\n", "bind.pattern"},
		{"a pattern on a uuid", head + "      - {name: v, logicalType: string, physicalType: uuid, logicalTypeOptions: {pattern: a}}\n", "bind.rule"},
		{"a multiple of a float", head + "      - {name: v, logicalType: number, logicalTypeOptions: {format: f64, multipleOf: 0.1}}\n", "bind.rule"},
		{"a bound of another form", head + "      - {name: v, logicalType: date, logicalTypeOptions: {minimum: \"1.1.2020\"}}\n", "bind.bound"},
		{"a version without parts", strings.Replace(head, "1.0.0", "one", 1), "bind.version"},
		{"a view", strings.Replace(head, "    properties", "    physicalType: view\n    properties", 1), "bind.physical-type"},
		{"events that are none", strings.Replace(head, "    properties", "    customProperties: [{property: undrop.mode, value: events}]\n    properties", 1), "bind.events"},
		{"null in a required column", head + "      - {name: v, logicalType: number, required: true, logicalTypeOptions: {format: f64}, customProperties: [{property: undrop.onNaN, value: \"null\"}]}\n", "bind.null-required"},
		{"trimmed blanks", head + "      - {name: v, logicalType: string, physicalType: char(3), customProperties: [{property: undrop.pad, value: trim}]}\n", "bind.pad"},
		{"no schema", "apiVersion: v3.2.0\nkind: DataContract\nid: t\nversion: 1.0.0\nstatus: active\n", "bind.schema"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if p := Lint("f", []byte(test.text)); HasErrors(p) {
				t.Fatalf("Lint: %v", p)
			}
			c, problems := Parse("f", []byte(test.text))
			var rules []string
			for _, p := range problems {
				if p.Severity == SeverityError {
					rules = append(rules, p.Rule)
					if p.Line < 2 && test.name != "no schema" {
						t.Errorf("%s is not placed", p)
					}
				}
			}
			if c != nil || !slices.Equal(rules, []string{test.rule}) {
				t.Errorf("problems %v, want one of rule %s", problems, test.rule)
			}
		})
	}
}

func TestTypesAreDecidedAsTheContractSays(t *testing.T) {
	for property, want := range map[string]string{
		`logicalType: integer`:                                                                               "int",
		`logicalType: integer, physicalType: bigint`:                                                         "long",
		`logicalType: integer, physicalType: bigserial`:                                                      "long",
		`logicalType: integer, physicalType: oid`:                                                            "long",
		`logicalType: integer, physicalType: xid8`:                                                           "decimal(20,0)",
		`logicalType: integer, physicalType: "numeric(19,0)"`:                                                "decimal(19,0)",
		`logicalType: integer, logicalTypeOptions: {format: i64}`:                                            "long",
		`logicalType: integer, logicalTypeOptions: {format: u64}`:                                            "decimal(20,0)",
		`logicalType: number, physicalType: "NUMERIC (12, 2)"`:                                               "decimal(12,2)",
		`logicalType: number, physicalType: "decimal(5,-2)"`:                                                 "decimal(7,0)",
		`logicalType: number, physicalType: "numeric(3,5)"`:                                                  "decimal(5,5)",
		`logicalType: number, physicalType: double precision`:                                                "double",
		`logicalType: number, physicalType: real`:                                                            "float",
		`logicalType: number, logicalTypeOptions: {format: f32}`:                                             "float",
		`logicalType: number, physicalType: int8`:                                                            "long",
		`logicalType: string`:                                                                                "string",
		`logicalType: string, physicalType: UUID`:                                                            "uuid",
		`logicalType: string, logicalTypeOptions: {format: uuid}`:                                            "uuid",
		`logicalType: string, physicalType: text, logicalTypeOptions: {format: uuid}`:                        "string",
		`logicalType: string, physicalType: bytea`:                                                           "binary",
		`logicalType: string, physicalType: "character(3)"`:                                                  "string",
		`logicalType: string, physicalType: "text[]"`:                                                        "string",
		`logicalType: boolean, physicalType: bit(1)`:                                                         "boolean",
		`logicalType: date`:                                                                                  "date",
		`logicalType: time`:                                                                                  "time",
		`logicalType: timestamp`:                                                                             "timestamp",
		`logicalType: timestamp, physicalType: timestamptz`:                                                  "timestamptz",
		`logicalType: timestamp, physicalType: timestamp(3) with time zone`:                                  "timestamptz",
		`logicalType: timestamp, logicalTypeOptions: {timezone: true}`:                                       "timestamptz",
		`logicalType: array, physicalType: "bigint[]"`:                                                       "list<long>",
		`logicalType: array, items: {logicalType: array, items: {logicalType: date}}`:                        "list<list<date>>",
		`logicalType: object, physicalType: jsonb`:                                                           "string",
		`logicalType: object, properties: [{name: a, logicalType: integer}, {name: b, logicalType: string}]`: "struct<a:int,b:string>",
		`logicalType: map, map: {key: {logicalType: string}, value: {logicalType: integer}}`:                 "map<string,int>",
		`logicalType: vector, logicalTypeOptions: {dimensions: 3}`:                                           "list<float>",
		`physicalType: "numeric(9,3)"`:                                                                       "decimal(9,3)",
		`physicalType: time without time zone`:                                                               "string",
		`logicalType: number, customProperties: [{property: undrop.precision, value: 10}, {property: undrop.scale, value: 4}], physicalType: numeric`: "decimal(10,4)",
	} {
		o := runnable(t, "      - {name: v, "+property+"}\n")
		if got := o.Table.Fields[1].Type.String(); got != want {
			t.Errorf("%s: %s, want %s", property, got, want)
		}
	}
}

func TestAnObjectIsBoundToItsSourceTableAndTopic(t *testing.T) {
	text := strings.Replace(head, "    properties", `    physicalName: %
    customProperties:
      - {property: undrop.partition, value: "bucket(16, id), id"}
      - {property: undrop.onTruncate, value: apply}
      - {property: undrop.onBadKey, value: latest}
    properties`, 1) + "      - {name: b, logicalType: string, physicalName: \"B b\", primaryKey: true, primaryKeyPosition: 1}\n"
	for physical, want := range map[string]string{
		"payments":             "public payments core.public.payments",
		"sales.payments":       "sales payments core.sales.payments",
		`'"my.schema"."t""x"'`: `my.schema t"x core.my.schema.t_x22x`,
		"a.b.c":                "a b.c core.a.b.c",
		"Sales.Order Lines":    "Sales Order Lines core.Sales.Order_x20Lines",
	} {
		o := loadText(t, strings.Replace(text, "%", physical, 1)).Objects[0]
		o.Bind("core")
		tb := o.Table
		if got := tb.Schema + " " + tb.Relation + " " + tb.Topic; got != want {
			t.Errorf("%s: %s, want %s", physical, got, want)
		}
		if tb.Source != "core" || tb.TableName.String() != "t.t" || !tb.TruncateApplies || !tb.BadKeyLatest || tb.Mode != undrop.Mirror {
			t.Errorf("%+v", tb)
		}
		if !slices.Equal(tb.Key, []int{1, 0}) || !tb.Fields[1].Required || tb.Fields[1].Source != "B b" {
			t.Errorf("key %v, fields %+v", tb.Key, tb.Fields)
		}
		if !slices.Equal(tb.Partition, []undrop.Transform{{Name: "bucket", Param: 16, Field: 0}, {Name: "identity", Field: 0}}) {
			t.Errorf("partition %v", tb.Partition)
		}
		if tb.Contract.ID != "t" || tb.Contract.Version != "1.0.0" || len(tb.Contract.Hash) != 64 {
			t.Errorf("contract %+v", tb.Contract)
		}
	}
}

func TestPatternsMeanWhatECMAScriptMeans(t *testing.T) {
	for _, test := range []struct {
		pattern, text string
		match         bool
	}{
		{`^\d+$`, "12", true}, {`^\d+$`, "12\n", false}, {`^\s$`, "\u00a0", true}, {`^\S$`, "\u2028", false}, {`^.$`, "\r", false},
		{`^A$`, "A", true}, {`^[\s,]+$`, "\u2003,", true}, {`a\/b`, "a/b", true}, {`[\b]`, "\b", true}, {`^[a\-z]$`, "-", true}, {`^[a\-z]$`, "m", false},
		{`^[[]$`, "[", true}, {`\cA`, "\x01", true}, {`^(?:a|b)$`, "b", true}, {`(?<y>[0-9]{4})`, "2024", true}, {`\ж`, "ж", true},
	} {
		re, err := compilePattern(test.pattern)
		if err != nil {
			t.Errorf("%s: %v", test.pattern, err)
		} else if re.MatchString(test.text) != test.match {
			t.Errorf("%s on %q: want %t", test.pattern, test.text, test.match)
		}
	}
	for _, pattern := range []string{`(?=a)`, `(?!a)`, `(?<=a)b`, `(?<!a)b`, `(a)\1`, `(?i)a`, `(?P<n>a)`, `\Aa`, `\z`, `\pL`, `[[:alpha:]]`, `[^]`, `[\S]`, `a{1001}`, `(`, `\`, `\u12`, `\Qa`} {
		if re, err := compilePattern(pattern); err == nil {
			t.Errorf("%s became %s", pattern, re)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{head, "a: *b", "<<: {a: 1}", "? a\n: b", "a: &x [*x]", "{", "\x00", "schema: [{properties: [1, {name: [}]}]", "version: 1.10", "- - - -", "a: !!str 1\nb: |\n  x"} {
		f.Add([]byte(s))
	}
	for _, name := range []string{"schema/map", "schema/enum", "references/relationships", "quality/column-validity"} {
		f.Add(read(f, "testdata/odcs/v3.2.0/"+name+".odcs.yaml"))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, problems := Parse("f", data)
		if (c == nil) != HasErrors(problems) {
			t.Errorf("contract %v, problems %v", c, problems)
		}
		if c != nil {
			for _, o := range c.Objects {
				NewChecker(o)
			}
			if d := Diff(c, c); len(d.Changes) != 0 {
				t.Errorf("differs from itself: %v", d.Changes)
			}
		}
	})
}
