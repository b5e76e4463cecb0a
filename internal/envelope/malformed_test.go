package envelope

import (
	"errors"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// TestTombstone carries no change and is no error of the record.
func TestTombstone(t *testing.T) {
	table := payments()
	b := batch.New(table)
	for _, format := range []Format{Avro, JSON} {
		dec := NewDecoder(table, format, registryOf(table))
		if err := dec.Decode(b, []byte("k"), nil, nil); !errors.Is(err, ErrTombstone) {
			t.Errorf("%s: %v", format, err)
		}
		var m *Malformed
		if err := dec.Decode(b, []byte("k"), []byte{}, nil); !errors.As(err, &m) {
			t.Errorf("%s: an empty value is %v", format, err)
		}
	}
	if err := NewEventDecoder(table).Decode(b, &kgo.Record{}); !errors.Is(err, ErrTombstone) {
		t.Errorf("event: %v", err)
	}
}

// TestEveryCutIsMalformed: a record that ends early or goes on too long is
// refused as a whole, leaves nothing behind, and the next one is read.
func TestEveryCutIsMalformed(t *testing.T) {
	for seed := range uint64(30) {
		r := seeded(seed, 4)
		table := randomTable(r.Rand)
		in := batch.New(table)
		addRandomRow(r, in)
		for _, format := range []Format{Avro, JSON} {
			dec := NewDecoder(table, format, registryOf(table))
			whole := NewEncoder(table, format, 0, 7, origin).AppendValue(nil, in, 0)
			headers := NewEncoder(table, format, 0, 7, origin).Headers(nil, in, 0)
			out := batch.New(table)
			try := func(v []byte) {
				t.Helper()
				var m *Malformed
				if err := dec.Decode(out, nil, v, headers); !errors.As(err, &m) {
					t.Fatalf("seed %d %s: %v for %d of %d bytes", seed, format, err, len(v), len(whole))
				}
				if sound(t, out); out.Len() != 0 {
					t.Fatal("a row is left behind")
				}
			}
			for cut := range whole {
				try(whole[:cut])
			}
			try(append(whole[:len(whole):len(whole)], 'x'))
			if err := dec.Decode(out, nil, whole, headers); err != nil {
				t.Fatal(err)
			}
			sameRow(t, out, 0, in, 0)
		}
	}
}

// TestEveryFlippedBit: whatever one wrong bit makes of a record, decoding ends with
// a typed error and nothing, or with one whole row.
func TestEveryFlippedBit(t *testing.T) {
	table := everyKind()
	for seed := range uint64(2) {
		r := seeded(seed, 8)
		in := batch.New(table)
		for in.Len() == 0 || in.Op[0] == undrop.Truncate {
			in = batch.New(table)
			addRandomRow(r, in)
		}
		for _, format := range []Format{Avro, JSON} {
			enc := NewEncoder(table, format, 0, 7, origin)
			value, headers := enc.AppendValue(nil, in, 0), enc.Headers(nil, in, 0)
			dec := NewDecoder(table, format, registryOf(table))
			out := batch.New(table)
			for bit := range 8 * len(value) {
				value[bit/8] ^= 1 << (bit % 8)
				out.Reset()
				err := dec.Decode(out, nil, value, headers)
				value[bit/8] ^= 1 << (bit % 8)
				sound(t, out)
				var m *Malformed
				var u *UnknownSchema
				if err != nil && (out.Len() > 0 || !errors.As(err, &m) && !errors.As(err, &u)) || err == nil && out.Len() != 1 {
					t.Fatalf("seed %d %s bit %d: %d rows, %v", seed, format, bit, out.Len(), err)
				}
			}
		}
	}
}

// TestAvroBytesMustFitTheSchema: a value that its own schema does not allow is a
// bad record, with the column that it is in.
func TestAvroBytesMustFitTheSchema(t *testing.T) {
	head := []byte{0, 0, 0, 0, 7, 0, 2, 2} // no before, after, v is not null
	for _, c := range []struct {
		name   string
		writer string
		reader undrop.Type
		bytes  []byte
	}{
		{"boolean 2", `"boolean"`, kind(undrop.Bool), []byte{2}},
		{"int of 33 bits", `"int"`, kind(undrop.Int32), []byte{0x80, 0x80, 0x80, 0x80, 0x10}},
		{"number of 65 bits", `"long"`, kind(undrop.Int64), []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02}},
		{"date beyond 32 bits", `{"type":"int","logicalType":"date"}`, kind(undrop.Date), []byte{0x80, 0x80, 0x80, 0x80, 0x10}},
		{"millis beyond 64 bits of micros", tsMillis, kind(undrop.TimestampTZ), []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}},
		{"text not UTF-8", `"string"`, kind(undrop.String), []byte{2, 0xff}},
		{"text with U+0000", `"string"`, kind(undrop.String), []byte{4, 'a', 0}},
		{"long text with U+0000", `"string"`, kind(undrop.String), []byte("\x14abcdef\x00ghi")},
		{"text of negative length", `"string"`, kind(undrop.String), []byte{1}},
		{"decimal without bytes", dec12x2, decimal(12, 2), []byte{0}},
		{"decimal of 13 digits", dec12x2, decimal(12, 2), []byte{12, 0x00, 0xe8, 0xd4, 0xa5, 0x10, 0x00}},
		{"decimal of 17 bytes", `{"type":"bytes","logicalType":"decimal","precision":38,"scale":2}`, decimal(38, 2), append([]byte{34, 1}, make([]byte, 16)...)},
		{"decimal of 39 digits", `{"type":"bytes","logicalType":"decimal","precision":38,"scale":2}`, decimal(38, 2), append([]byte{32, 0x7f}, make([]byte, 15)...)},
		{"uuid too short", `{"type":"string","logicalType":"uuid"}`, kind(undrop.UUID), []byte{2, 'a'}},
		{"uuid too long", `{"type":"string","logicalType":"uuid"}`, kind(undrop.UUID), []byte("\x4a00112233-4455-6677-8899-aabbccddeeff0")},
		{"uuid with a dash too many", `{"type":"string","logicalType":"uuid"}`, kind(undrop.UUID), []byte("\x4800112233-4455-6677-8899--abbccddeeff")},
		{"enum without symbol", `{"type":"enum","name":"e","symbols":["a"]}`, kind(undrop.String), []byte{2}},
		{"more items than bytes", `{"type":"array","items":"int"}`, undrop.Type{Kind: undrop.List, Elem: &undrop.Type{Kind: undrop.Int32}}, []byte{0xfe, 0xff, 0xff, 0xff, 0x0f}},
		{"the smallest number of items", `{"type":"array","items":"int"}`, undrop.Type{Kind: undrop.List, Elem: &undrop.Type{Kind: undrop.Int32}},
			[]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0}},
		{"no such branch", `{"type":"array","items":["null","int"]}`, undrop.Type{Kind: undrop.List, Elem: &undrop.Type{Kind: undrop.Int32}}, []byte{2, 4}},
	} {
		table := oneColumn("v", c.reader)
		b := batch.New(table)
		value := append(append(head[:len(head):len(head)], c.bytes...), make([]byte, 40)...)
		err := decoderOf(table, written(`["null",`+c.writer+`]`)).Decode(b, nil, value, nil)
		var m *Malformed
		if !errors.As(err, &m) || m.Column != "v" {
			t.Errorf("%s: %v", c.name, err)
		}
		if sound(t, b); b.Len() > 0 {
			t.Errorf("%s: a row is left behind", c.name)
		}
	}
}

// TestHeaderThatCannotBeRead makes the record malformed: ignoring it would turn
// "unchanged" into null.
func TestHeaderThatCannotBeRead(t *testing.T) {
	table := payments()
	in := batch.New(table)
	paymentRow(in, undrop.Update, 1)
	value := NewEncoder(table, Avro, 0, 7, origin).AppendValue(nil, in, 0)
	dec := NewDecoder(table, Avro, registryOf(table))
	for _, h := range []kgo.RecordHeader{
		{Key: HeaderUnchanged, Value: []byte("note")},
		{Key: HeaderUnchanged, Value: []byte(`{"note":1}`)},
		{Key: HeaderBad, Value: []byte(`[`)},
		{Key: HeaderBad, Value: []byte(`[{"rule":"a","base64":["rule"]},{"rule":"a","base64":["rul"]}]`)},
		{Key: HeaderBad, Value: []byte(`[{"rule":"%","base64":["rule"]}]`)},
	} {
		out := batch.New(table)
		good := kgo.RecordHeader{Key: HeaderUnchanged, Value: []byte(`["note"]`)}
		var m *Malformed
		if err := dec.Decode(out, nil, value, []kgo.RecordHeader{good, h}); !errors.As(err, &m) || !strings.Contains(err.Error(), h.Key) {
			t.Errorf("%s %s: %v", h.Key, h.Value, err)
		}
		if sound(t, out); out.Len()+len(out.Unchanged)+len(out.Bad) > 0 {
			t.Errorf("%s: something is left behind", h.Value)
		}
	}
}

// TestPlaceholderIsOnlyText: without the header nothing is unchanged.
func TestPlaceholderIsOnlyText(t *testing.T) {
	table := oneColumn("v", kind(undrop.String))
	in := batch.New(table)
	in.Cols[0].AppendString(Unavailable)
	in.AddRow(undrop.Update, undrop.Position{}, 0)
	in.Cols[0].AppendNull()
	in.AddUnchanged(1, 0)
	in.AddRow(undrop.Update, undrop.Position{}, 0)
	for _, format := range []Format{Avro, JSON} {
		enc, dec := NewEncoder(table, format, 0, 7, origin), NewDecoder(table, format, registryOf(table))
		out := batch.New(table)
		for i := range in.Len() {
			if !strings.Contains(string(enc.AppendValue(nil, in, i)), Unavailable) {
				t.Errorf("%s: row %d has no placeholder", format, i)
			}
			if err := dec.Decode(out, nil, enc.AppendValue(nil, in, i), enc.Headers(nil, in, i)); err != nil {
				t.Fatal(err)
			}
			sameRow(t, out, i, in, i)
		}
	}
}
