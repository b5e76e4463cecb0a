package lake

import (
	"fmt"
	"slices"
	"testing"
	"time"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// BenchmarkCommit measures a commit of one data and one delete file, files
// written already, on a table that grows by it. It reports quantiles of the first
// and of the last hundred.
func BenchmarkCommit(b *testing.B) {
	e := newBench(b)
	tb := e.ensure(e.def)
	var took []time.Duration
	for i := range int64(b.N) {
		s := &Stage{Table: tb, ParentOf: Main, Data: e.data(tb, row{id: i, note: "n"}), Deletes: e.eqDeletes(tb, i), Summary: mark(undrop.LSN(i))}
		begin := time.Now()
		if _, err := e.lake.Commit(b.Context(), []*Stage{s}); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(begin))
		tb = e.load(tb.Name)
	}
	report := func(name string, d []time.Duration) {
		d = slices.Clone(d)
		slices.Sort(d)
		b.ReportMetric(float64(d[len(d)/2].Microseconds())/1000, name+"-p50-ms")
		b.ReportMetric(float64(d[len(d)*99/100].Microseconds())/1000, name+"-p99-ms")
	}
	report("first", took[:min(100, len(took))])
	report("last", took[max(0, len(took)-100):])
}

// BenchmarkLookup measures point reads of random int64 keys in a table of one
// million rows in ten files, which have the keys in order.
func BenchmarkLookup(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			e := newBench(b)
			tb := e.ensure(e.def)
			var files []File
			for f := range int64(10) {
				rows := numbers(100_000)
				for i := range rows {
					rows[i].id += f * 100_000
				}
				files = append(files, e.laid(tb, 25_000, layouts["index"], rows...))
			}
			e.commit(&Stage{Table: tb, ParentOf: Main, Data: files})
			tb = e.load(tb.Name)
			i := int64(0)
			for b.Loop() {
				keys := batch.New(e.def)
				for range n {
					i = (i*6364136223846793005 + 1442695040888963407)
					addKey(keys, int64(uint64(i)%1_000_000))
				}
				_, at, err := e.lake.Lookup(b.Context(), tb, tb.Head(Main).ID, keys, []int{1})
				if err != nil || len(at) == 0 {
					b.Fatal(err, len(at))
				}
			}
		})
	}
}
