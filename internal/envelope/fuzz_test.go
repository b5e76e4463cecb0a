package envelope

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// everyKind is a table with all kinds, nested ones too.
func everyKind() *undrop.Table {
	t := payments()
	for i, typ := range scalars() {
		t.Fields = append(t.Fields, undrop.Field{ID: 20 + i, Name: names[i%len(names)] + "_" + typ.String(), Type: typ})
	}
	text, num := kind(undrop.String), kind(undrop.Int32)
	pair := undrop.Type{Kind: undrop.Struct, Fields: []undrop.Field{{Name: "a", Type: num}, {Name: "b", Type: decimal(20, 3)}}}
	list := undrop.Type{Kind: undrop.List, Elem: &pair}
	for i, typ := range []undrop.Type{list, {Kind: undrop.Map, Key: &text, Elem: &list}, {Kind: undrop.Map, Key: &num, Elem: &text}} {
		t.Fields = append(t.Fields, undrop.Field{ID: 60 + i, Name: "nested" + string(rune('1'+i)), Type: typ})
	}
	return t
}

// checkDecode holds for any bytes: no panic, a typed error and nothing left
// behind, or a row that encodes and decodes to itself.
func checkDecode(t *testing.T, table *undrop.Table, format Format, schema string, value []byte, headers []kgo.RecordHeader) {
	dec := NewDecoder(table, format, func(int) (string, error) { return schema, nil })
	b := batch.New(table)
	err := dec.Decode(b, nil, value, headers)
	sound(t, b)
	if err != nil {
		var m *Malformed
		var i *Incompatible
		if b.Len() > 0 || !errors.As(err, &m) && !errors.As(err, &i) && !errors.Is(err, ErrTombstone) {
			t.Fatalf("%d rows and %v", b.Len(), err)
		}
		return
	}
	if b.Len() != 1 {
		t.Fatalf("%d rows", b.Len())
	}
	enc, again := NewEncoder(table, format, 0, 7, origin), NewDecoder(table, format, registryOf(table))
	if err := again.Decode(b, nil, enc.AppendValue(nil, b, 0), enc.Headers(nil, b, 0)); err != nil {
		t.Fatal(err)
	}
	if format == JSON || schema == ValueSchema(table) {
		sameRow(t, b, 1, b, 0)
	}
}

func FuzzDecodeAvro(f *testing.F) {
	table := everyKind()
	r := seeded(1, 7)
	in := batch.New(table)
	enc := NewEncoder(table, Avro, 0, 7, origin)
	for i := range 10 {
		addRandomRow(r, in)
		var unchanged []byte
		for _, h := range enc.Headers(nil, in, i) {
			if h.Key == HeaderUnchanged {
				unchanged = h.Value
			}
		}
		f.Add(ValueSchema(table), enc.AppendValue(nil, in, i), unchanged)
	}
	f.Add(`{"type":"record","name":"a","fields":[{"name":"before","type":["null","a"]}]}`, []byte{0, 0, 0, 0, 7}, []byte(nil))
	f.Fuzz(func(t *testing.T, schema string, value, unchanged []byte) {
		var headers []kgo.RecordHeader
		if unchanged != nil {
			headers = append(headers, kgo.RecordHeader{Key: HeaderUnchanged, Value: unchanged})
		}
		checkDecode(t, table, Avro, schema, value, headers)
	})
}

func FuzzDecodeJSON(f *testing.F) {
	table := everyKind()
	r := seeded(2, 7)
	in := batch.New(table)
	enc := NewEncoder(table, JSON, 0, 7, origin)
	for i := range 10 {
		addRandomRow(r, in)
		f.Add(enc.AppendValue(nil, in, i), []byte(`[{"rule":"a"}]`))
	}
	f.Fuzz(func(t *testing.T, value, bad []byte) {
		checkDecode(t, table, JSON, "", value, []kgo.RecordHeader{{Key: HeaderBad, Value: bad}})
	})
}

func FuzzDecodeEvent(f *testing.F) {
	table := outbox(kind(undrop.UUID), kind(undrop.String), kind(undrop.String), everyKind().Fields[26].Type, scalars()...)
	r := seeded(3, 7)
	in := batch.New(table)
	enc := NewEventEncoder(table, origin)
	for i := range 10 {
		addRandomRow(r, in)
		rec := enc.record(in, i)
		f.Add(rec.Key, rec.Value, "undrop.col.x_col", []byte("1.5"))
	}
	f.Fuzz(func(t *testing.T, key, value []byte, header string, text []byte) {
		dec := NewEventDecoder(table)
		b := batch.New(table)
		rec := &kgo.Record{Key: key, Value: value, Headers: []kgo.RecordHeader{{Key: HeaderLSN, Value: []byte("0/1")},
			{Key: HeaderSeq, Value: []byte("1")}, {Key: HeaderAt, Value: []byte("1")}, {Key: header, Value: text}}}
		err := dec.Decode(b, rec)
		sound(t, b)
		if err != nil {
			return
		}
		if err := dec.Decode(b, enc.record(b, 0)); err != nil {
			t.Fatal(err)
		}
		sameRow(t, b, 1, b, 0)
	})
}
