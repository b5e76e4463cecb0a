package lake

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/stretchr/testify/require"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// ledger is a table of eight columns like those that services have.
func ledger() *undrop.Table {
	return &undrop.Table{
		TableName: undrop.TableName{Namespace: "bank", Name: "ledger"}, Mode: undrop.Mirror, Source: "core",
		Contract: undrop.ContractRef{ID: "ledger", Version: "1.0.0", Hash: "00"}, Schema: "public", Relation: "ledger",
		Fields: []undrop.Field{
			{ID: 1, Name: "id", Type: undrop.Type{Kind: undrop.Int64}, Required: true},
			{ID: 2, Name: "account_id", Type: undrop.Type{Kind: undrop.Int64}, Required: true},
			{ID: 3, Name: "amount", Type: undrop.Type{Kind: undrop.Decimal, Precision: 12, Scale: 2}, Required: true},
			{ID: 4, Name: "currency", Type: undrop.Type{Kind: undrop.String}, Required: true},
			{ID: 5, Name: "status", Type: undrop.Type{Kind: undrop.String}, Required: true},
			{ID: 6, Name: "note", Type: undrop.Type{Kind: undrop.String}},
			{ID: 7, Name: "created_at", Type: undrop.Type{Kind: undrop.TimestampTZ}, Required: true},
			{ID: 8, Name: "updated_at", Type: undrop.Type{Kind: undrop.TimestampTZ}, Required: true},
		},
		Key: []int{0},
	}
}

// entriesOf fills a batch of n rows. In a stream 100 rows share a transaction.
func entriesOf(def *undrop.Table, r *rand.Rand, first, n int, stream bool) *batch.Batch {
	b := batch.New(def)
	currencies, states := []string{"EUR", "USD", "GBP", "CHF", "RUB"}, []string{"new", "authorised", "settled", "refused"}
	for i := first; i < first+n; i++ {
		b.Cols[0].AppendInt(int64(i))
		b.Cols[1].AppendInt(r.Int64N(1_000_000))
		b.Cols[2].AppendInt(r.Int64N(1_000_000))
		b.Cols[3].AppendString(currencies[r.IntN(len(currencies))])
		b.Cols[4].AppendString(states[r.IntN(len(states))])
		if i%7 == 0 {
			b.Cols[5].AppendNull()
		} else {
			b.Cols[5].AppendString(fmt.Sprintf("payment %d for order %d", i, i*31))
		}
		at := int64(1_700_000_000_000_000) + r.Int64N(1e12)
		b.Cols[6].AppendInt(at)
		b.Cols[7].AppendInt(at + r.Int64N(1e10))
		if stream {
			b.AddRow(undrop.Update, undrop.Position{CommitLSN: undrop.LSN(1<<30 + i/100*4096), Seq: int64(i%100 + 1)}, at)
		} else {
			b.AddRow(undrop.Read, undrop.Position{CommitLSN: 1 << 30}, 1_700_000_000_000_000)
		}
	}
	return b
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkWriter(b *testing.B) {
	for _, mode := range []struct {
		name          string
		stream, delta bool
	}{{"snapshot", false, false}, {"stream", true, false}, {"snapshot-delta", false, true}, {"stream-delta", true, true}} {
		b.Run(mode.name, func(b *testing.B) {
			wh, err := OpenWarehouse(b.TempDir())
			require.NoError(b, err)
			def := ledger()
			r := rand.New(rand.NewPCG(1, 2))
			const batches, rows = 32, 16384
			var in []*batch.Batch
			for i := range batches {
				in = append(in, entriesOf(def, r, i*rows, rows, mode.stream))
			}
			c := WriterConfig{Warehouse: wh, Table: def, Dir: wh.Location + "/t/data", Schema: IcebergSchema(def), Spec: *iceberg.UnpartitionedSpec, Stamp: Stamp{"core"}, Delta: mode.delta}
			b.ReportAllocs()
			b.ResetTimer()
			start := cpu()
			var size int64
			for range b.N {
				w, err := NewWriter(c)
				require.NoError(b, err)
				for _, x := range in {
					require.NoError(b, w.Write(x, nil, undrop.LaneStream))
				}
				files, err := w.Close()
				require.NoError(b, err)
				for _, f := range files {
					size += f.Bytes
				}
			}
			total := float64(b.N * batches * rows)
			b.ReportMetric(float64(cpu()-start)/total/1000, "cpu-µs/row")
			b.ReportMetric(float64(size)/total, "B/row")
		})
	}
}

// A commit of a stream is a small file: what a file costs is what counts.
func BenchmarkSmallFile(b *testing.B) {
	for _, n := range []int{1, 1000, 20_000} {
		b.Run(fmt.Sprint(n, " rows"), func(b *testing.B) {
			wh, err := OpenWarehouse(b.TempDir())
			require.NoError(b, err)
			def := ledger()
			c := WriterConfig{Warehouse: wh, Table: def, Dir: wh.Location + "/t/data", Schema: IcebergSchema(def), Spec: *iceberg.UnpartitionedSpec, Stamp: Stamp{"core"}}
			x := entriesOf(def, rand.New(rand.NewPCG(1, 2)), 0, n, true)
			b.ReportAllocs()
			b.ResetTimer()
			start := cpu()
			for range b.N {
				w, err := NewWriter(c)
				require.NoError(b, err)
				require.NoError(b, w.Write(x, nil, undrop.LaneStream))
				_, err = w.Close()
				require.NoError(b, err)
			}
			b.ReportMetric(float64(cpu()-start)/float64(b.N)/1000, "cpu-µs/file")
		})
	}
}
