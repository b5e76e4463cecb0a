package envelope

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

const benchRows = 8192

func benchBatch() *batch.Batch {
	b := batch.New(payments())
	for id := range int64(benchRows) {
		paymentRow(b, undrop.Update, id)
	}
	return b
}

func BenchmarkEncode(b *testing.B) {
	rows := benchBatch()
	for _, format := range []Format{Avro, JSON} {
		b.Run(string(format), func(b *testing.B) {
			enc := NewEncoder(rows.Table, format, 1, 7, origin)
			dst := make([]byte, 0, 1<<20)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if cap(dst)-len(dst) < 4096 {
					dst = dst[:0]
				}
				dst = enc.AppendKey(dst, rows, i%benchRows)
				dst = enc.AppendValue(dst, rows, i%benchRows)
			}
		})
	}
}

func BenchmarkHeaders(b *testing.B) {
	rows := benchBatch()
	enc := NewEncoder(rows.Table, Avro, 1, 7, origin)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		enc.Headers(nil, rows, i%benchRows)
	}
}

func BenchmarkDecode(b *testing.B) {
	rows := benchBatch()
	for _, format := range []Format{Avro, JSON} {
		b.Run(string(format), func(b *testing.B) {
			enc := NewEncoder(rows.Table, format, 1, 7, origin)
			values := make([][]byte, benchRows)
			headers := make([][]kgo.RecordHeader, benchRows)
			for i := range values {
				values[i] = enc.AppendValue(nil, rows, i)
				headers[i] = enc.Headers(nil, rows, i)
			}
			dec := NewDecoder(rows.Table, format, registryOf(rows.Table))
			out := batch.New(rows.Table)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%benchRows == 0 {
					out.Reset()
				}
				if err := dec.Decode(out, nil, values[i%benchRows], headers[i%benchRows]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
