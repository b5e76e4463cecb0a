package lake

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/apache/iceberg-go"
	"github.com/stretchr/testify/require"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// The library's scan prunes with our bounds: it must find exactly the rows that a
// look at every row finds.
func TestFilteredScansFindExactlyTheRows(t *testing.T) {
	for name, parts := range map[string][]undrop.Transform{
		"unpartitioned": nil,
		"partitioned":   {{Name: "bucket", Param: 3, Field: 0}, {Name: "truncate", Param: 50, Field: 0}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			def := zoo(undrop.Mirror)
			def.Partition = parts
			tab := b.ensure(def)
			r := rand.New(rand.NewPCG(6, 6))
			all := batch.New(def)
			s := &Stage{Table: tab, ParentOf: Main}
			for i := range 12 { // small files with narrow bounds
				x := herd(def, r, i*12, 12)
				for n := range x.Len() {
					all.AppendRow(x, n)
				}
				c := b.lake.WriterConfig(tab, def, "core")
				s.Data = append(s.Data, writeAll(t, c, undrop.LaneStream, x)...)
			}
			b.commit(s)
			tab = b.load(def.TableName)
			n, err := b.lake.CountRows(t.Context(), tab, 0)
			require.NoError(t, err)
			require.EqualValues(t, all.Len(), n)
			tried := 0
			for i, f := range def.Fields {
				if f.Name == "dotted.name" { // the library reads the dot as a path in filters
					continue
				}
				if f.Type.Nested() || f.Type.Kind == undrop.Float32 || f.Type.Kind == undrop.Float64 {
					continue // how a reader compares NaN is its own affair
				}
				if slices.ContainsFunc(s.Data, func(x File) bool { return 2*x.Data.NullValueCounts()[f.ID] == x.Rows }) {
					// iceberg-go v0.7.0 takes a row group of which exactly half is null for one
					// with nulls only (it compares the null count with the count of the others).
					continue
				}
				tried++
				for range 2 {
					row := r.IntN(all.Len())
					if all.Cols[i].Null[row] {
						continue
					}
					v := literal(t, f.Type, &all.Cols[i], row)
					ops := []iceberg.Operation{iceberg.OpEQ, iceberg.OpLT, iceberg.OpGTEQ}
					if f.Type.Kind == undrop.UUID || f.Type.Kind == undrop.Bool {
						ops = ops[:1] // the library's filter kernels have no order for them
					}
					for _, op := range ops {
						want := 0
						for k := range all.Len() {
							if !all.Cols[i].Null[k] {
								o := order(literal(t, f.Type, &all.Cols[i], k), v)
								want += boolInt(op == iceberg.OpEQ && o == 0 || op == iceberg.OpLT && o < 0 || op == iceberg.OpGTEQ && o >= 0)
							}
						}
						got := 0
						for rec, err := range b.lake.Scan(t.Context(), tab, ScanOptions{Columns: []string{"id"}, Filter: iceberg.LiteralPredicate(op, iceberg.Reference(f.Name), v)}) {
							require.NoError(t, err, "%s %s %s", f.Name, op, v)
							got += int(rec.NumRows())
						}
						require.Equal(t, want, got, "%s %s %s", f.Name, op, v)
					}
				}
			}
			require.Greater(t, tried, 15)
		})
	}
}

func TestTheLakeReadsEveryKindBack(t *testing.T) {
	b := newBench(t)
	def := zoo(undrop.Mirror)
	tab := b.ensure(def)
	want := herd(def, rand.New(rand.NewPCG(2, 7)), 0, 900)
	c := b.lake.WriterConfig(tab, def, "core")
	c.RowGroup = 250
	b.commit(&Stage{Table: tab, ParentOf: Main, Data: writeAll(t, c, undrop.LaneStream, want)})
	got := batch.New(def)
	for rec, err := range b.lake.Scan(t.Context(), b.load(def.TableName), ScanOptions{}) {
		require.NoError(t, err)
		require.NoError(t, ToBatch(rec, got))
	}
	sameRows(t, want, nil, got, false)
}
