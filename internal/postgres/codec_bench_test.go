package postgres

import (
	"encoding/binary"
	"fmt"
	"testing"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// benchTable is the payments table of the demo: eight columns, about 120 bytes.
func benchTable() *undrop.Table {
	kind := func(k undrop.Kind) undrop.Type { return undrop.Type{Kind: k} }
	t := &undrop.Table{Schema: "public", Relation: "payments", Key: []int{0}}
	for _, f := range []undrop.Field{{Name: "id", Type: kind(undrop.Int64)}, {Name: "account_id", Type: kind(undrop.Int64)},
		{Name: "amount", Type: undrop.Type{Kind: undrop.Decimal, Precision: 12, Scale: 2}}, {Name: "currency", Type: kind(undrop.String)},
		{Name: "status", Type: kind(undrop.String)}, {Name: "note", Type: kind(undrop.String)},
		{Name: "created_at", Type: kind(undrop.TimestampTZ)}, {Name: "updated_at", Type: kind(undrop.TimestampTZ)}} {
		f.Source = f.Name
		t.Fields = append(t.Fields, f)
	}
	return t
}

func benchColumns() []RelColumn {
	oids := []uint32{20, 20, 1700, 1043, 25, 25, 1184, 1184}
	cols := make([]RelColumn, len(oids))
	for i, f := range benchTable().Fields {
		cols[i] = RelColumn{Name: f.Name, OID: oids[i], Typmod: -1, Key: i == 0}
	}
	cols[2].Typmod = 12<<16 + 2 + 4
	return cols
}

func benchRelation() undrop.Relation {
	r := undrop.Relation{Schema: "public", Name: "payments"}
	for _, c := range benchColumns() {
		col, _ := builtin(c.OID, c.Typmod)
		col.Name = c.Name
		r.Columns = append(r.Columns, col)
	}
	return r
}

func copyTuple(i int) []byte {
	b := []byte{0, 8}
	field := func(v []byte) {
		b = binary.BigEndian.AppendUint32(b, uint32(len(v)))
		b = append(b, v...)
	}
	n64 := func(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }
	field(n64(int64(i)))
	field(n64(int64(i * 7)))
	field(numericBinary(fmt.Sprintf("%d.%02d", i%100000, i%100)))
	field([]byte("EUR"))
	field([]byte("settled"))
	field([]byte("a note of the kind that people write"))
	field(n64(700000000000000 + int64(i)))
	field(n64(700000000000000 + int64(i)))
	return b
}

func textTuple(i int) []byte {
	b := []byte{0, 8}
	for _, v := range []string{fmt.Sprint(i), fmt.Sprint(i * 7), fmt.Sprintf("%d.%02d", i%100000, i%100), "EUR", "settled", "a note of the kind that people write",
		"2024-03-01 12:34:56.789012+00", "2024-03-01 12:34:57.5+00"} {
		b = append(b, 't')
		b = binary.BigEndian.AppendUint32(b, uint32(len(v)))
		b = append(b, v...)
	}
	return b
}

// BenchmarkCopyDecode is one row of COPY BINARY into a batch.
func BenchmarkCopyDecode(b *testing.B) {
	d, err := NewCopyDecoder(benchTable(), benchRelation())
	if err != nil {
		b.Fatal(err)
	}
	rows := make([][]byte, 1024)
	for i := range rows {
		rows[i] = copyTuple(i * 37)
	}
	out := batch.New(d.table)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if out.Len() == copyRows {
			out.Reset()
		}
		if err := d.Append(out, rows[i%len(rows)]); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStreamChange is one update of pgoutput into a batch, with framing of
// the message but without the socket.
func BenchmarkStreamChange(b *testing.B) {
	t := benchTable()
	d, err := NewTextDecoder(t, benchColumns())
	if err != nil {
		b.Fatal(err)
	}
	out := batch.New(t)
	s := &Stream{relations: map[uint32]*published{5: {targets: []feed{{t, d, out}}, columns: 8}}, inTxn: true}
	s.cfg.MaxRows, s.cfg.MaxBytes = 1<<30, 1<<40
	msgs := make([][]byte, 1024)
	for i := range msgs {
		m := make([]byte, 25, 300) // XLogData
		m[0] = 'w'
		m = append(m, 'U', 0, 0, 0, 5, 'N')
		msgs[i] = append(m, textTuple(i*37)...)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if s.rows == copyRows {
			s.rows, s.chunk.Batches = 0, s.chunk.Batches[:0]
			out.Reset()
		}
		if _, err := s.message(b.Context(), 'd', msgs[i%len(msgs)]); err != nil {
			b.Fatal(err)
		}
	}
}

// Decoding a row allocates nothing once the buffers have grown.
func TestDecodingDoesNotAllocate(t *testing.T) {
	for name, f := range map[string]func(*testing.B){"copy": BenchmarkCopyDecode, "stream": BenchmarkStreamChange} {
		if r := testing.Benchmark(f); r.AllocsPerOp() > 0 {
			t.Errorf("%s: %d allocations for a row (%s)", name, r.AllocsPerOp(), r)
		}
	}
}
