package envelope

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

var origin = SourceInfo{Name: "core", Database: "bank", Version: "0.1.0"}

// registryOf serves the value schema of t under id 7.
func registryOf(t *undrop.Table) func(int) (string, error) {
	return func(id int) (string, error) {
		if id != 7 {
			return "", errors.New("no such id")
		}
		return ValueSchema(t), nil
	}
}

// TestEverythingComesBack holds for random tables of all kinds, nested ones too:
// what a batch knows about a row is what it knows after encode and decode.
func TestEverythingComesBack(t *testing.T) {
	for _, format := range []Format{Avro, JSON} {
		t.Run(string(format), func(t *testing.T) {
			for seed := range uint64(400) {
				r := seeded(seed, 1)
				table := randomTable(r.Rand)
				in, out := batch.New(table), batch.New(table)
				for range 20 {
					addRandomRow(r, in)
				}
				enc := NewEncoder(table, format, 6, 7, origin)
				dec := NewDecoder(table, format, registryOf(table))
				for i := range in.Len() {
					key := enc.AppendKey(nil, in, i)
					value := enc.AppendValue([]byte("before"), in, i)[len("before"):]
					headers := enc.Headers(nil, in, i)
					r.Shuffle(len(headers), func(i, j int) { headers[i], headers[j] = headers[j], headers[i] })
					if err := dec.Decode(out, key, value, headers); err != nil {
						t.Fatalf("seed %d row %d: %v\n%s\n%q", seed, i, err, ValueSchema(table), value)
					}
					sameRow(t, out, i, in, i)
				}
				sound(t, out)
			}
		})
	}
}

// TestOtherAvroLibraryReads checks schemas and bytes against an implementation
// that is not ours.
func TestOtherAvroLibraryReads(t *testing.T) {
	for seed := range uint64(150) {
		r := seeded(seed, 2)
		r.calendar = true
		table := randomTable(r.Rand)
		value, err := avro.Parse(ValueSchema(table))
		if err != nil {
			t.Fatalf("seed %d: value schema: %v\n%s", seed, err, ValueSchema(table))
		}
		b := batch.New(table)
		for range 10 {
			addRandomRow(r, b)
		}
		enc := NewEncoder(table, Avro, 6, 7, origin)
		for i := range b.Len() {
			var rec map[string]any
			rest, err := value.Decode(enc.AppendValue(nil, b, i)[5:], &rec)
			if err != nil || len(rest) > 0 {
				t.Fatalf("seed %d row %d: %v, %d bytes left over", seed, i, err, len(rest))
			}
			source := rec["source"].(map[string]any)
			if rec["op"] != b.Op[i].String() || source["ts_us"] != b.At[i] || source["seq"] != b.Seq[i] ||
				source["lsn"] != int64(b.LSN[i]) || source["table"] != table.Relation || source["name"] != "core" || source["db"] != "bank" {
				t.Fatalf("seed %d row %d: op %v source %v", seed, i, rec["op"], source)
			}
			if (rec["before"] != nil) != (b.Op[i] == undrop.Delete) {
				t.Fatalf("seed %d row %d: op %s with before %v", seed, i, b.Op[i], rec["before"])
			}
			// Written again from what was read, it is the same bytes.
			again, err := value.Encode(rec)
			if err != nil {
				t.Fatalf("seed %d row %d: %v", seed, i, err)
			}
			if !bytes.Equal(again, enc.AppendValue(nil, b, i)[5:]) && !hasMap(table) {
				t.Fatalf("seed %d row %d: read and written again:\n%x\n%x", seed, i, again, enc.AppendValue(nil, b, i)[5:])
			}
		}
		if len(table.Key) == 0 {
			if KeySchema(table) != "" {
				t.Fatal("a key schema without a key")
			}
			continue
		}
		key, err := avro.Parse(KeySchema(table))
		if err != nil {
			t.Fatalf("seed %d: key schema: %v\n%s", seed, err, KeySchema(table))
		}
		for i := range b.Len() {
			k := enc.AppendKey(nil, b, i)
			if len(k) == 0 {
				continue
			}
			var rec map[string]any
			if rest, err := key.Decode(k[5:], &rec); err != nil || len(rest) > 0 || len(rec) != len(table.Key) {
				t.Fatalf("seed %d row %d: key %v: %v", seed, i, rec, err)
			}
		}
	}
}

// hasMap: a library that reads maps into Go maps loses order and repeated keys.
func hasMap(t *undrop.Table) bool {
	var in func(t undrop.Type) bool
	in = func(t undrop.Type) bool {
		if t.Kind == undrop.Map || t.Elem != nil && in(*t.Elem) {
			return true
		}
		for _, f := range t.Fields {
			if in(f.Type) {
				return true
			}
		}
		return false
	}
	for _, f := range t.Fields {
		if in(f.Type) {
			return true
		}
	}
	return false
}

// TestJSONIsJSON checks what the JSON encoder writes against encoding/json.
func TestJSONIsJSON(t *testing.T) {
	for seed := range uint64(150) {
		r := seeded(seed, 3)
		table := randomTable(r.Rand)
		b := batch.New(table)
		for range 10 {
			addRandomRow(r, b)
		}
		enc := NewEncoder(table, JSON, 0, 0, origin)
		for i := range b.Len() {
			for _, v := range [][]byte{enc.AppendValue(nil, b, i), enc.AppendKey(nil, b, i)} {
				if len(v) > 0 && !json.Valid(v) {
					t.Fatalf("seed %d row %d: %s", seed, i, v)
				}
			}
		}
	}
}

func payments() *undrop.Table {
	return &undrop.Table{
		TableName: undrop.TableName{Namespace: "bank", Name: "payments"}, Source: "core", Schema: "public", Relation: "payments",
		Topic: "core.public.payments", Key: []int{0}, Contract: undrop.ContractRef{ID: "bank.payments", Version: "1.0.0"},
		Fields: []undrop.Field{
			{ID: 1, Name: "id", Type: undrop.Type{Kind: undrop.Int64}, Required: true},
			{ID: 2, Name: "account_id", Type: undrop.Type{Kind: undrop.Int64}, Required: true},
			{ID: 3, Name: "amount", Type: undrop.Type{Kind: undrop.Decimal, Precision: 12, Scale: 2}, Required: true},
			{ID: 4, Name: "currency", Type: undrop.Type{Kind: undrop.String}, Required: true},
			{ID: 5, Name: "status", Type: undrop.Type{Kind: undrop.String}, Required: true},
			{ID: 6, Name: "created_at", Type: undrop.Type{Kind: undrop.TimestampTZ}, Required: true},
			{ID: 7, Name: "updated_at", Type: undrop.Type{Kind: undrop.TimestampTZ}, Required: true},
			{ID: 8, Name: "note", Type: undrop.Type{Kind: undrop.String}},
		},
	}
}

const noon = 1_790_337_600_123_456 // 2026-09-25T12:00:00.123456Z

func paymentRow(b *batch.Batch, op undrop.Op, id int64) {
	for i, v := range []int64{id, 100_000 + id%977, 1_234_567 + id} {
		b.Cols[i].AppendInt(v)
	}
	b.Cols[3].AppendString("EUR")
	b.Cols[4].AppendString("settled")
	b.Cols[5].AppendInt(noon - id)
	b.Cols[6].AppendInt(noon)
	if id%7 == 0 {
		b.Cols[7].AppendNull()
	} else {
		b.Cols[7].AppendString("invoice 2026-0042, second part")
	}
	b.AddRow(op, undrop.Position{CommitLSN: 0x1_016B3748, Seq: id%100 + 1}, noon)
}

// TestJSONForm pins the text that other consumers see.
func TestJSONForm(t *testing.T) {
	table := payments()
	b := batch.New(table)
	paymentRow(b, undrop.Update, 1)
	paymentRow(b, undrop.Delete, 7)
	b.Cols[7].Truncate(1)
	b.Cols[7].AppendNull()
	b.AddUnchanged(1, 7)
	for i := range b.Cols {
		b.Cols[i].AppendNull()
	}
	b.AddRow(undrop.Truncate, undrop.Position{CommitLSN: 5, Seq: 1}, -1)
	enc := NewEncoder(table, JSON, 0, 0, origin)
	const head = `"source":{"version":"0.1.0","connector":"postgresql","name":"core","ts_ms":`
	const row1 = `{"id":1,"account_id":100001,"amount":"12345.68","currency":"EUR","status":"settled",` +
		`"created_at":"2026-09-25T12:00:00.123455Z","updated_at":"2026-09-25T12:00:00.123456Z","note":"invoice 2026-0042, second part"}`
	const row7 = `{"id":7,"account_id":100007,"amount":"12345.74","currency":"EUR","status":"settled",` +
		`"created_at":"2026-09-25T12:00:00.123449Z","updated_at":"2026-09-25T12:00:00.123456Z","note":"__debezium_unavailable_value"}`
	const mid = `,"snapshot":"false","db":"bank","sequence":null,"ts_us":`
	const rel = `,"schema":"public","table":"payments","txId":null,"lsn":`
	for i, want := range []string{
		`{"before":null,"after":` + row1 + `,` + head + `1790337600123` + mid + `1790337600123456` + rel +
			`4318771016,"xmin":null,"seq":2},"op":"u","ts_ms":1790337600123,"transaction":null}`,
		`{"before":` + row7 + `,"after":null,` + head + `1790337600123` + mid + `1790337600123456` + rel +
			`4318771016,"xmin":null,"seq":8},"op":"d","ts_ms":1790337600123,"transaction":null}`,
		`{"before":null,"after":null,` + head + `-1` + mid + `-1` + rel + `5,"xmin":null,"seq":1},"op":"t","ts_ms":-1,"transaction":null}`,
	} {
		if got := string(enc.AppendValue(nil, b, i)); got != want {
			t.Errorf("row %d:\n%s\nwant\n%s", i, got, want)
		}
	}
	for i, want := range []string{`{"id":1}`, `{"id":7}`, ``} {
		if got := string(enc.AppendKey(nil, b, i)); got != want {
			t.Errorf("key %d: %s, want %s", i, got, want)
		}
	}
	headers := ""
	for _, h := range enc.Headers(nil, b, 1) {
		headers += fmt.Sprintf("%s=%s ", h.Key, h.Value)
	}
	if want := `contract.id=bank.payments contract.version=1.0.0 lsn=1/16B3748 seq=8 undrop.unchanged=["note"] `; headers != want {
		t.Errorf("headers %s, want %s", headers, want)
	}
}

// TestRecordsKeepTheirHeaders: headers of one row must not change when the next
// row is encoded, nor when a caller appends to them.
func TestRecordsKeepTheirHeaders(t *testing.T) {
	b := batch.New(payments())
	for id := range int64(5000) {
		paymentRow(b, undrop.Create, id)
		b.LSN[id], b.Seq[id] = undrop.LSN(id<<32|id), id
	}
	enc := NewEncoder(b.Table, Avro, 1, 2, origin)
	all := make([][]kgo.RecordHeader, b.Len())
	for i := range all {
		all[i] = enc.Headers(nil, b, i)
	}
	for _, hs := range all {
		_ = append(hs, kgo.RecordHeader{Key: "another"})
	}
	for i, hs := range all {
		if len(hs) != 4 || string(hs[2].Value) != b.LSN[i].String() || string(hs[3].Value) != fmt.Sprint(i) || hs[0].Key != HeaderContract {
			t.Fatalf("row %d has %q", i, hs)
		}
	}
}

// TestKeyIsWholeOrAbsent: half a key would send a change to the wrong partition
// and name the wrong row to other consumers.
func TestKeyIsWholeOrAbsent(t *testing.T) {
	table := payments()
	table.Key = []int{0, 3}
	b := batch.New(table)
	paymentRow(b, undrop.Create, 1)
	paymentRow(b, undrop.Create, 2)
	b.Cols[3].Truncate(1)
	b.Cols[3].AppendNull()
	for _, format := range []Format{Avro, JSON} {
		enc := NewEncoder(table, format, 1, 2, origin)
		if k := enc.AppendKey(nil, b, 0); len(k) == 0 {
			t.Errorf("%s: a whole key is not written", format)
		}
		if k := enc.AppendKey([]byte("x"), b, 1); string(k) != "x" {
			t.Errorf("%s: half a key is written: %q", format, k)
		}
	}
}
