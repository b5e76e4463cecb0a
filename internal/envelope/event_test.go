package envelope

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

func outbox(id, aggregate, key, payload undrop.Type, others ...undrop.Type) *undrop.Table {
	t := &undrop.Table{TableName: undrop.TableName{Namespace: "bank", Name: "events"}, Source: "core", Schema: "public", Relation: "outbox",
		Topic: "outbox.event.", Mode: undrop.Events, Contract: undrop.ContractRef{ID: "bank.events", Version: "2.0.0"}}
	add := func(name string, typ undrop.Type) {
		t.Fields = append(t.Fields, undrop.Field{ID: len(t.Fields) + 1, Name: name, Type: typ})
	}
	add("id", id)
	add("aggregatetype", aggregate)
	add("aggregateid", key)
	add("type", kind(undrop.String))
	add("payload", payload)
	for i, typ := range others {
		add(names[i%len(names)]+"_col", typ)
	}
	return t
}

func (e *EventEncoder) record(b *batch.Batch, i int) *kgo.Record {
	return &kgo.Record{Topic: e.Topic(b, i), Key: e.AppendKey([]byte{}, b, i), Value: e.AppendValue([]byte{}, b, i), Headers: e.Headers(nil, b, i)}
}

// TestEventsComeBack holds for outbox tables with columns of any type, and for
// all that a batch knows about a row.
func TestEventsComeBack(t *testing.T) {
	for seed := range uint64(300) {
		r := seeded(seed, 5)
		var others []undrop.Type
		for range r.IntN(8) {
			others = append(others, randomType(r.Rand, 2))
		}
		table := outbox(randomType(r.Rand, 0), kind(undrop.String), randomType(r.Rand, 1), randomType(r.Rand, 1), others...)
		in, out := batch.New(table), batch.New(table)
		enc, dec := NewEventEncoder(table, origin), NewEventDecoder(table)
		for i := range 20 {
			addRandomRow(r, in)
			rec := enc.record(in, i)
			r.Shuffle(len(rec.Headers), func(i, j int) { rec.Headers[i], rec.Headers[j] = rec.Headers[j], rec.Headers[i] })
			if err := dec.Decode(out, rec); err != nil {
				t.Fatalf("seed %d row %d: %v\n%q %q %q", seed, i, err, rec.Key, rec.Value, rec.Headers)
			}
			sameRow(t, out, i, in, i)
		}
		sound(t, out)
	}
}

// TestEventForm pins what a consumer of Debezium's event router sees.
func TestEventForm(t *testing.T) {
	table := outbox(kind(undrop.UUID), kind(undrop.String), kind(undrop.String), kind(undrop.String), kind(undrop.TimestampTZ))
	b := batch.New(table)
	b.Cols[0].AppendBytes([]byte("0123456789abcdef"))
	b.Cols[1].AppendString("payment")
	b.Cols[2].AppendString("42")
	b.Cols[3].AppendString("PaymentSettled")
	b.Cols[4].AppendString(`{"amount": "1.10"}`)
	b.Cols[5].AppendInt(noon)
	b.AddRow(undrop.Create, undrop.Position{CommitLSN: 0x16B3748, Seq: 2}, noon)
	rec := NewEventEncoder(table, origin).record(b, 0)
	var headers []string
	for _, h := range rec.Headers {
		headers = append(headers, h.Key+"="+string(h.Value))
	}
	want := []string{"id=30313233-3435-3637-3839-616263646566", "aggregatetype=payment", "eventType=PaymentSettled",
		"undrop.col.id_col=2026-09-25T12:00:00.123456Z", "contract.id=bank.events", "contract.version=2.0.0", "lsn=0/16B3748", "seq=2",
		"undrop.at=1790337600123456", "undrop.source=core"}
	if strings.Join(headers, "\n") != strings.Join(want, "\n") {
		t.Errorf("headers\n%s\nwant\n%s", strings.Join(headers, "\n"), strings.Join(want, "\n"))
	}
	if rec.Topic != "outbox.event.payment" || string(rec.Key) != "42" || string(rec.Value) != `{"amount": "1.10"}` {
		t.Errorf("topic %s key %s value %s", rec.Topic, rec.Key, rec.Value)
	}
}

// TestEventTopicIsOneThatKafkaTakes: a producer's choice of aggregate type must
// not be able to stop capture.
func TestEventTopicIsOneThatKafkaTakes(t *testing.T) {
	table := outbox(kind(undrop.Int64), kind(undrop.String), kind(undrop.String), kind(undrop.String))
	b := batch.New(table)
	long := strings.Repeat("long", 100)
	for _, v := range []string{"payment", "Payment.v2", "my payment", "платёж", "", long, long + "er"} {
		b.Cols[1].AppendString(v)
	}
	b.Cols[1].AppendNull()
	enc := NewEventEncoder(table, origin)
	seen := map[string]int{}
	for i, want := range []string{"outbox.event.payment", "outbox.event.Payment.v2", "outbox.event.my_payment", "outbox.event.____________",
		"outbox.event._", "", "", "outbox.event._"} {
		got := enc.Topic(b, i)
		if want != "" && got != want || len(got) > 249 || strings.Trim(got, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != "" {
			t.Errorf("%s, want %s", got, want)
		}
		seen[got]++
	}
	if len(seen) != 7 {
		t.Errorf("long types share a topic: %v", seen)
	}
}

// TestForeignEvent: a record without positions has no place in the order.
func TestForeignEvent(t *testing.T) {
	table := outbox(kind(undrop.Int64), kind(undrop.String), kind(undrop.String), kind(undrop.String), kind(undrop.Int32))
	in := batch.New(table)
	addRandomRow(source{Rand: seeded(1, 6).Rand}, in)
	rec := NewEventEncoder(table, origin).record(in, 0)
	for drop, h := range rec.Headers {
		if h.Key != HeaderLSN && h.Key != HeaderSeq && h.Key != HeaderAt {
			continue
		}
		for _, v := range [][]byte{nil, []byte("x")} {
			bad := *rec
			bad.Headers = append([]kgo.RecordHeader{}, rec.Headers...)
			bad.Headers[drop].Value = v
			if v == nil {
				bad.Headers = append(bad.Headers[:drop], bad.Headers[drop+1:]...)
			}
			out := batch.New(table)
			var m *Malformed
			if err := NewEventDecoder(table).Decode(out, &bad); !errors.As(err, &m) || !strings.Contains(err.Error(), h.Key) {
				t.Errorf("%s %q: %v", h.Key, v, err)
			}
			if sound(t, out); out.Len() > 0 {
				t.Error("a row is left behind")
			}
		}
	}
	bad := *rec
	bad.Headers = append(bad.Headers[:len(bad.Headers):len(bad.Headers)], kgo.RecordHeader{Key: HeaderOp, Value: []byte("x")})
	var m *Malformed
	if err := NewEventDecoder(table).Decode(batch.New(table), &bad); !errors.As(err, &m) {
		t.Errorf("op x: %v", err)
	}
}

// TestEventsOfAnOldContract are read by name; a value that no longer fits is a bad
// record.
func TestEventsOfAnOldContract(t *testing.T) {
	old := outbox(kind(undrop.Int64), kind(undrop.String), kind(undrop.String), kind(undrop.String), kind(undrop.Int32), kind(undrop.Int64))
	now := outbox(kind(undrop.Int64), kind(undrop.String), kind(undrop.String), kind(undrop.String), kind(undrop.Int64))
	now.Fields = append(now.Fields, undrop.Field{ID: 9, Name: "added", Type: kind(undrop.Bool)})
	b := batch.New(old)
	for i := range b.Cols {
		if b.Cols[i].Type.Kind == undrop.String {
			b.Cols[i].AppendString("x")
		} else {
			b.Cols[i].AppendInt(5)
		}
	}
	b.AddRow(undrop.Create, undrop.Position{CommitLSN: 1, Seq: 1}, 1)
	rec := NewEventEncoder(old, origin).record(b, 0)
	out := batch.New(now)
	if err := NewEventDecoder(now).Decode(out, rec); err != nil {
		t.Fatal(err)
	}
	if got := string(out.AppendRowJSON(nil, 0)); got != `{"id":5,"aggregatetype":"x","aggregateid":"x","type":"x","payload":"x","id_col":5,"added":null}` {
		t.Error(got)
	}
	now.Fields[5].Type = kind(undrop.UUID)
	var m *Malformed
	if err := NewEventDecoder(now).Decode(batch.New(now), rec); !errors.As(err, &m) || m.Column != "id_col" {
		t.Errorf("%v", err)
	}
}

// TestEncodersSideBySide: clones share what is compiled and nothing else. It is
// for the race detector.
func TestEncodersSideBySide(t *testing.T) {
	b := benchBatch()
	enc := NewEncoder(b.Table, Avro, 1, 7, origin)
	events := NewEventEncoder(b.Table, origin)
	want := string(enc.AppendValue(nil, b, 3))
	var wg sync.WaitGroup
	for range 4 {
		own := enc.Clone()
		wg.Go(func() {
			for range 100 {
				own.Headers(nil, b, 3)
				events.Headers(nil, b, 3)
				if got := string(own.AppendValue(nil, b, 3)); got != want {
					t.Errorf("%x", got)
				}
			}
		})
	}
	wg.Wait()
}
