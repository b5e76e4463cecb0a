package envelope

import (
	"errors"
	"strings"
	"testing"

	"github.com/twmb/avro"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

func oneColumn(name string, t undrop.Type) *undrop.Table {
	return &undrop.Table{TableName: undrop.TableName{Namespace: "n", Name: "t"}, Source: "core", Schema: "public", Relation: "t",
		Fields: []undrop.Field{{ID: 1, Name: name, Type: t}}}
}

// written makes the schema of an envelope whose only column v has an Avro type.
func written(typ string) string {
	schema := ValueSchema(oneColumn("v", undrop.Type{Kind: undrop.Bool}))
	return strings.Replace(schema, `["null","boolean"],"default":null`, typ, 1)
}

type row = map[string]any

// encodeWith writes one envelope with the other library.
func encodeWith(t *testing.T, schema, op string, before, after any) []byte {
	t.Helper()
	s, err := avro.Parse(schema)
	if err != nil {
		t.Fatalf("%v\n%s", err, schema)
	}
	rec := map[string]any{"before": before, "after": after, "op": op, "ts_ms": nil, "transaction": nil,
		"source": map[string]any{"version": "x", "connector": "postgresql", "name": "core", "ts_ms": int64(1), "snapshot": "false", "db": "d",
			"sequence": nil, "ts_us": int64(1000), "schema": "s", "table": "t", "txId": nil, "lsn": int64(9), "xmin": nil, "seq": int64(3)}}
	out, err := s.Encode(rec)
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte{0, 0, 0, 0, 7}, out...)
}

func decoderOf(t *undrop.Table, schema string) *Decoder {
	return NewDecoder(t, Avro, func(int) (string, error) { return schema, nil })
}

func kind(k undrop.Kind) undrop.Type { return undrop.Type{Kind: k} }
func decimal(precision, scale int) undrop.Type {
	return undrop.Type{Kind: undrop.Decimal, Precision: precision, Scale: scale}
}

const (
	tsMillis    = `{"type":"long","logicalType":"timestamp-millis"}`
	tsMicros    = `{"type":"long","logicalType":"timestamp-micros"}`
	tsNanos     = `{"type":"long","logicalType":"timestamp-nanos"}`
	localMillis = `{"type":"long","logicalType":"local-timestamp-millis"}`
	localMicros = `{"type":"long","logicalType":"local-timestamp-micros"}`
	dec12x2     = `{"type":"bytes","logicalType":"decimal","precision":12,"scale":2}`
)

// TestExactWideningIsRead: what an older or other schema wrote arrives as the same
// value.
func TestExactWideningIsRead(t *testing.T) {
	for _, c := range []struct {
		name, writer string
		write        any
		reader       undrop.Type
		want         string // JSON
	}{
		{"int to long", `"int"`, int32(-7), kind(undrop.Int64), `-7`},
		{"float to double", `"float"`, float32(0.1), kind(undrop.Float64), `0.10000000149011612`},
		{"decimal precision up", dec12x2, []byte{0xff, 0x85}, decimal(18, 2), `"-1.23"`},
		{"decimal precision up to 16 bytes", dec12x2, []byte{0xff, 0x85}, decimal(38, 2), `"-1.23"`},
		{"decimal on fixed", `{"type":"fixed","name":"d","size":20,"logicalType":"decimal","precision":12,"scale":2}`,
			append(make([]byte, 19), 123), decimal(12, 2), `"1.23"`},
		{"decimal on fixed that begins like a length", `{"type":"fixed","name":"d","size":3,"logicalType":"decimal","precision":6,"scale":2}`,
			[]byte{2, 0, 0}, decimal(12, 2), `"1310.72"`},
		{"timestamp millis to micros", tsMillis, int64(-1), kind(undrop.TimestampTZ), `"1969-12-31T23:59:59.999000Z"`},
		{"local timestamp millis to micros", localMillis, int64(1), kind(undrop.Timestamp), `"1970-01-01T00:00:00.001000"`},
		{"time millis to micros", `{"type":"int","logicalType":"time-millis"}`, int32(1), kind(undrop.Time), `"00:00:00.001000"`},
		{"Debezium MicroTimestamp", `{"type":"long","connect.name":"io.debezium.time.MicroTimestamp"}`, int64(1), kind(undrop.Timestamp), `"1970-01-01T00:00:00.000001"`},
		{"Debezium Date", `{"type":"int","connect.name":"io.debezium.time.Date"}`, int32(1), kind(undrop.Date), `"1970-01-02"`},
		{"Debezium Uuid", `{"type":"string","connect.name":"io.debezium.data.Uuid"}`, "00112233-4455-6677-8899-AABBCCDDEEFF", kind(undrop.UUID), `"00112233-4455-6677-8899-aabbccddeeff"`},
		{"Debezium Json", `{"type":"string","connect.name":"io.debezium.data.Json"}`, `{ }`, kind(undrop.String), `"{ }"`},
		{"enum", `{"type":"enum","name":"e","symbols":["new","paid"]}`, "paid", kind(undrop.String), `"paid"`},
		{"fixed", `{"type":"fixed","name":"f","size":2}`, []byte{1, 2}, kind(undrop.Binary), `"AQI="`},
		{"list of ints", `{"type":"array","items":["null","int"]}`, []any{int32(1), nil}, undrop.Type{Kind: undrop.List, Elem: &undrop.Type{Kind: undrop.Int64}}, `[1,null]`},
		{"list without nulls", `{"type":"array","items":"int"}`, []any{int32(1)}, undrop.Type{Kind: undrop.List, Elem: &undrop.Type{Kind: undrop.Int64}}, `[1]`},
		{"struct by name", `{"type":"record","name":"r","fields":[{"name":"gone","type":"string"},{"name":"b","type":"int"}]}`,
			map[string]any{"gone": "x", "b": int32(2)},
			undrop.Type{Kind: undrop.Struct, Fields: []undrop.Field{{Name: "a", Type: kind(undrop.String)}, {Name: "b", Type: kind(undrop.Int32)}}}, `{"a":null,"b":2}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, form := range []string{`["null",` + c.writer + `]`, `[` + c.writer + `,"null"]`, c.writer} {
				typ := written(form)
				table := oneColumn("v", c.reader)
				b := batch.New(table)
				if err := decoderOf(table, typ).Decode(b, nil, encodeWith(t, typ, "c", nil, row{"v": c.write}), nil); err != nil {
					t.Fatalf("%v\n%s", err, typ)
				}
				if got := string(appendJSONOptional(nil, &b.Cols[0], 0)); got != c.want {
					t.Errorf("%s, want %s\n%s", got, c.want, typ)
				}
				if b.At[0] != 1000 || b.LSN[0] != 9 || b.Seq[0] != 3 {
					t.Errorf("position %s at %d", b.Position(0), b.At[0])
				}
			}
		})
	}
}

// TestInexactIsIncompatible: the table halts and says which column, and why.
func TestInexactIsIncompatible(t *testing.T) {
	list := func(t undrop.Type) undrop.Type { return undrop.Type{Kind: undrop.List, Elem: &t} }
	for _, c := range []struct {
		writer string
		reader undrop.Type
		reason string
	}{
		{`"long"`, kind(undrop.Int32), "may not fit"},
		{`"double"`, kind(undrop.Float32), "lose digits"},
		{`"int"`, kind(undrop.Float64), "another kind"},
		{`"long"`, kind(undrop.Float64), "another kind"},
		{`"int"`, decimal(12, 0), "decimal"},
		{`"string"`, decimal(12, 2), "decimal"},
		{dec12x2, decimal(12, 3), "scale"},
		{dec12x2, decimal(11, 2), "more digits"},
		{`{"type":"bytes","connect.name":"org.apache.kafka.connect.data.Decimal","scale":2}`, decimal(12, 2), "precision"},
		{`"bytes"`, decimal(12, 2), "decimal"},
		{dec12x2, kind(undrop.Binary), "unit or form"},
		{tsNanos, kind(undrop.TimestampTZ), "unit"},
		{tsMicros, kind(undrop.Timestamp), "zone"},
		{localMicros, kind(undrop.TimestampTZ), "zone"},
		{localMillis, kind(undrop.TimestampTZ), "zone"},
		{`"long"`, kind(undrop.TimestampTZ), "unit"},
		{tsMicros, kind(undrop.Int64), "unit or form"},
		{`{"type":"int","logicalType":"date"}`, kind(undrop.Timestamp), "unit"},
		{`{"type":"int","logicalType":"date"}`, kind(undrop.Int32), "unit or form"},
		{`{"type":"long","connect.name":"io.debezium.time.MicroDuration"}`, kind(undrop.Int64), "unit or form"},
		{`{"type":"long","connect.name":"io.debezium.time.NanoTimestamp"}`, kind(undrop.Timestamp), "unit"},
		{`{"type":"long","logicalType":"time-nanos"}`, kind(undrop.Time), "unit"},
		{`{"type":"string","connect.name":"io.debezium.time.ZonedTimestamp"}`, kind(undrop.TimestampTZ), "unit"},
		{`"string"`, kind(undrop.UUID), "uuid"},
		{`{"type":"string","logicalType":"uuid"}`, kind(undrop.String), "unit or form"},
		{`"string"`, kind(undrop.Binary), "another kind"},
		{`"bytes"`, kind(undrop.String), "another kind"},
		{`"boolean"`, kind(undrop.Int32), "another kind"},
		{`{"type":"array","items":"long"}`, list(kind(undrop.Int32)), "may not fit"},
		{`{"type":"array","items":["int","string"]}`, list(kind(undrop.Int32)), "several types"},
		{`{"type":"map","values":"int"}`, list(kind(undrop.Int32)), "another kind"},
		{`{"type":"array","items":{"type":"record","name":"e","fields":[{"name":"key","type":["null","int"]},{"name":"value","type":"int"}]},"logicalType":"map"}`,
			undrop.Type{Kind: undrop.Map, Key: &undrop.Type{Kind: undrop.Int32}, Elem: &undrop.Type{Kind: undrop.Int32}}, "key may be null"},
		{`{"type":"record","name":"r","fields":[{"name":"a","type":"long"}]}`,
			undrop.Type{Kind: undrop.Struct, Fields: []undrop.Field{{Name: "a", Type: kind(undrop.Int32)}}}, "may not fit"},
	} {
		table := oneColumn("v", c.reader)
		b := batch.New(table)
		err := decoderOf(table, written(`["null",`+c.writer+`]`)).Decode(b, nil, []byte{0, 0, 0, 0, 7}, nil)
		var inc *Incompatible
		if !errors.As(err, &inc) || !strings.Contains(inc.Reason, c.reason) || !strings.HasPrefix(inc.Column, "v") || inc.SchemaID != 7 {
			t.Errorf("%s as %s: %v, want %q", c.writer, c.reader, err, c.reason)
		}
		if sound(t, b); b.Len() != 0 {
			t.Errorf("%s as %s: a row", c.writer, c.reader)
		}
	}
}

// TestSchemasThatAreNoEnvelope are refused with what is missing.
func TestSchemasThatAreNoEnvelope(t *testing.T) {
	table := oneColumn("v", kind(undrop.Int32))
	good := ValueSchema(table)
	for _, c := range []struct{ schema, reason string }{
		{`not json`, "read schema"},
		{`"string"`, "it is string"},
		{`"Value"`, "not defined"},
		{`{"type":"record","name":"E","fields":[]}`, "no field"},
		{strings.Replace(good, `"name":"seq"`, `"name":"sequel"`, 1), "source.seq"},
		{strings.Replace(good, `"name":"ts_us"`, `"name":"ts_ns"`, 1), "source.ts_us"},
		{strings.Replace(good, `{"name":"lsn","type":["null","long"]`, `{"name":"lsn","type":["null","string"]`, 1), "source.lsn is not a long"},
		{strings.Replace(good, `{"name":"op","type":"string"}`, `{"name":"op","type":"bytes"}`, 1), "op is not a string"},
		{strings.Replace(good, `["null","Value"]`, `["null","string"]`, 1), "after is not a record"},
		{strings.Replace(good, `["null","int"]`, `["null","Value"]`, 1), "contains itself"},
		{strings.Replace(good, `["null","int"]`, `{"type":"array","items":"null"}`, 1), "take no bytes"},
		{strings.Replace(good, `["null","int"]`, strings.Repeat(`{"type":`, 100)+`"int"`+strings.Repeat(`}`, 100), 1), "too deeply"},
		{strings.Replace(good, `{"name":"op"`, `{"name":"after","type":"int"},{"name":"op"`, 1), "two fields"},
	} {
		err := decoderOf(table, c.schema).Decode(batch.New(table), nil, []byte{0, 0, 0, 0, 7}, nil)
		var inc *Incompatible
		if !errors.As(err, &inc) || !strings.Contains(err.Error(), c.reason) {
			t.Errorf("%v, want %q\n%s", err, c.reason, c.schema)
		}
	}
}

// TestManyTypesByReference: a short schema must not unfold without end.
func TestManyTypesByReference(t *testing.T) {
	typ := `"int"`
	for _, name := range strings.Split("abcdefghijklmnopqrstuvwxyz", "") {
		typ = `{"type":"record","name":"` + name + `","fields":[{"name":"x","type":` + typ + `},{"name":"y","type":` +
			map[bool]string{true: `"int"`, false: `"` + string(name[0]-1) + `"`}[name == "a"] + `}]}`
	}
	if _, err := parseAvro(typ); err == nil || !strings.Contains(err.Error(), "too often") {
		t.Errorf("%v", err)
	}
}
