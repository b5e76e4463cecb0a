package envelope

import (
	"errors"
	"strings"
	"testing"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// TestOldSchemasAreReadByName: columns added, dropped and moved since, and names
// that Avro does not allow.
func TestOldSchemasAreReadByName(t *testing.T) {
	old := payments()
	old.Fields[3].Name = "валюта-код"
	now := payments()
	now.Fields[3].Name = "валюта-код"
	now.Fields = append([]undrop.Field{{ID: 9, Name: "added", Type: kind(undrop.String)}, now.Fields[7]}, now.Fields[1:6]...)
	in := batch.New(old)
	paymentRow(in, undrop.Create, 1)
	paymentRow(in, undrop.Update, 2)
	in.Cols[7].Truncate(1)
	in.Cols[7].AppendNull()
	in.AddUnchanged(1, 7) // "note": column 1 by now
	in.AddUnchanged(1, 6) // dropped since: not missed
	for _, format := range []Format{Avro, JSON} {
		enc := NewEncoder(old, format, 6, 7, origin)
		dec := NewDecoder(now, format, registryOf(old))
		out := batch.New(now)
		for i := range in.Len() {
			if err := dec.Decode(out, nil, enc.AppendValue(nil, in, i), enc.Headers(nil, in, i)); err != nil {
				t.Fatalf("%s: %v", format, err)
			}
		}
		sound(t, out)
		const want = `{"added":null,"note":"invoice 2026-0042, second part","account_id":100001,"amount":"12345.68","валюта-код":"EUR",` +
			`"status":"settled","created_at":"2026-09-25 12:00:00.123455+00"}`
		if got := string(out.AppendRowJSON(nil, 0)); got != want {
			t.Errorf("%s: %s\nwant %s", format, got, want)
		}
		if u := out.Unchanged[1]; len(u) != 1 || u[0] != 1 || !out.Cols[1].Null[1] {
			t.Errorf("%s: unchanged %v", format, u)
		}
	}
}

// TestSchemasOfOneTopicMix: after a contract evolved, records of both versions
// come in any order.
func TestSchemasOfOneTopicMix(t *testing.T) {
	v1, v2 := oneColumn("v", kind(undrop.Int32)), oneColumn("v", kind(undrop.Int64))
	asked := 0
	dec := NewDecoder(v2, Avro, func(id int) (string, error) {
		asked++
		return ValueSchema(map[int]*undrop.Table{1: v1, 2: v2}[id]), nil
	})
	out := batch.New(v2)
	for n := range 10 {
		table, id := v1, 1
		if n%3 == 0 {
			table, id = v2, 2
		}
		in := batch.New(table)
		in.Cols[0].AppendInt(int64(n))
		in.AddRow(undrop.Create, undrop.Position{}, 0)
		if err := dec.Decode(out, nil, NewEncoder(table, Avro, 0, id, origin).AppendValue(nil, in, 0), nil); err != nil {
			t.Fatal(err)
		}
		if out.Cols[0].Ints[n] != int64(n) {
			t.Errorf("%d came back as %d", n, out.Cols[0].Ints[n])
		}
	}
	if asked != 2 {
		t.Errorf("the registry was asked %d times", asked)
	}
}

// TestUnknownSchemaIsAskedAgain: a registry that is down is not a bad record.
func TestUnknownSchemaIsAskedAgain(t *testing.T) {
	table := payments()
	b := batch.New(table)
	paymentRow(b, undrop.Create, 1)
	down := errors.New("registry is down")
	up := false
	dec := NewDecoder(table, Avro, func(int) (string, error) {
		if up {
			return ValueSchema(table), nil
		}
		return "", down
	})
	value := NewEncoder(table, Avro, 0, 9, origin).AppendValue(nil, b, 0)
	var unknown *UnknownSchema
	if err := dec.Decode(b, nil, value, nil); !errors.As(err, &unknown) || unknown.ID != 9 || !errors.Is(err, down) {
		t.Fatalf("%v", err)
	}
	up = true
	if err := dec.Decode(b, nil, value, nil); err != nil {
		t.Fatal(err)
	}
	sameRow(t, b, 1, b, 0)
}

// TestDroppedColumnsAreSkipped holds for a dropped column of every kind.
func TestDroppedColumnsAreSkipped(t *testing.T) {
	old := everyKind()
	now := oneColumn("note", kind(undrop.String))
	r := seeded(9, 9)
	in, out := batch.New(old), batch.New(now)
	enc, dec := NewEncoder(old, Avro, 0, 7, origin), NewDecoder(now, Avro, registryOf(old))
	text, asJSON := NewEncoder(old, JSON, 0, 7, origin), NewDecoder(now, JSON, nil)
	for i := range 100 {
		addRandomRow(r, in)
		if err := dec.Decode(out, nil, enc.AppendValue(nil, in, i), enc.Headers(nil, in, i)); err != nil {
			t.Fatal(err)
		}
		if err := asJSON.Decode(out, nil, text.AppendValue(nil, in, i), nil); err != nil {
			t.Fatal(err)
		}
		if !out.Cols[0].EqualFrom(2*i, &in.Cols[7], i) || out.Position(2*i) != in.Position(i) {
			t.Fatalf("row %d is %s at %s", i, out.AppendRowJSON(nil, 2*i), out.Position(2*i))
		}
	}
	other := `{"type":"record","name":"r","fields":[{"name":"f","type":{"type":"fixed","name":"f4","size":4}},{"name":"e","type":{"type":"enum","name":"en","symbols":["a"]}},` +
		`{"name":"u","type":["null","int","string"]},{"name":"m","type":{"type":"map","values":"double"}},{"name":"b","type":"boolean"},{"name":"g","type":"float"}]}`
	schema := strings.Replace(written(`"int"`), `"name":"v"`, `"name":"w"`, 1)
	schema = strings.Replace(schema, `{"name":"w","type":"int"}`, `{"name":"w","type":`+other+`},{"name":"v","type":"int"}`, 1)
	value := encodeWith(t, schema, "c", nil, row{"v": int32(5),
		"w": row{"f": []byte("abcd"), "e": "a", "u": "text", "m": row{"x": 1.5, "y": 2.5}, "b": true, "g": float32(1)}})
	table := oneColumn("v", kind(undrop.Int32))
	b := batch.New(table)
	if err := decoderOf(table, schema).Decode(b, nil, value, nil); err != nil || b.Cols[0].Ints[0] != 5 {
		t.Fatalf("%v %v", err, b.Cols[0].Ints)
	}
}

// TestAfterWins: a capture with full replica identity sends both images.
func TestAfterWins(t *testing.T) {
	table := oneColumn("v", kind(undrop.Int32))
	usual := ValueSchema(table)
	// The same with after first: before then refers to its record.
	const first = `{"name":"before","type":["null",`
	swapped := strings.Replace(strings.Replace(strings.Replace(usual, `"name":"before"`, `"name":"B"`, 1), `"name":"after"`, `"name":"before"`, 1), `"name":"B"`, `"name":"after"`, 1)
	if !strings.Contains(usual, first) || swapped == usual {
		t.Fatal(usual)
	}
	for _, schema := range []string{usual, swapped} {
		value := encodeWith(t, schema, "u", row{"v": int32(1)}, row{"v": int32(2)})
		b := batch.New(table)
		if err := decoderOf(table, schema).Decode(b, nil, value, nil); err != nil {
			t.Fatal(err)
		}
		if sound(t, b); b.Cols[0].Ints[0] != 2 {
			t.Errorf("v is %d", b.Cols[0].Ints[0])
		}
	}
}
