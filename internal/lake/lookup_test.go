package lake

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/apache/iceberg-go/table"
	"github.com/stretchr/testify/require"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

var layouts = map[string][]parquet.WriterProperty{
	"index":    {parquet.WithPageIndexEnabled(true), parquet.WithDataPageSize(2 << 10), parquet.WithBatchSize(64)},
	"no index": {parquet.WithDataPageSize(2 << 10), parquet.WithBatchSize(64)},
	"v2":       {parquet.WithPageIndexEnabled(true), parquet.WithDataPageVersion(parquet.DataPageV2), parquet.WithDictionaryDefault(false), parquet.WithDataPageSize(4 << 10), parquet.WithBatchSize(100)},
}

// laid writes rows as one file with a page and row group layout of its own.
func (b *bench) laid(t *Table, group int64, props []parquet.WriterProperty, rows ...row) File {
	b.Helper()
	sc, err := table.SchemaToArrowSchema(t.Entry.Metadata.CurrentSchema(), nil, true, false)
	require.NoError(b, err)
	path := fmt.Sprintf("%s/laid%d.parquet", t.DataDir(), deleteFiles.Add(1))
	out, err := b.lake.wh.FS.Create(path)
	require.NoError(b, err)
	w, err := pqarrow.NewFileWriter(sc, out, parquet.NewWriterProperties(append(slices.Clone(props), parquet.WithMaxRowGroupLength(group))...), pqarrow.DefaultWriterProps())
	require.NoError(b, err)
	rec := fill(sc, rows)
	require.NoError(b, w.Write(rec))
	require.NoError(b, w.Close())
	df, err := table.FileToDataFile(b.Context(), b.lake.wh.FS, path, t.Entry.Metadata.CurrentSchema(), t.Entry.Metadata.PartitionSpec(), 0, nil)
	require.NoError(b, err)
	return fileOf(df)
}

// check compares Lookup, and the library's way of answering it, with the rows
// that a full scan gives.
func (b *bench) check(t *Table, ids []int64) {
	b.Helper()
	all := b.read(t, 0)
	keys := batch.New(b.def)
	for _, id := range ids {
		addKey(keys, id)
	}
	want := map[int64]row{}
	for _, id := range ids {
		if r, ok := all[id]; ok {
			want[id] = r
		}
	}
	ways := map[string]func(cols []int) (*batch.Batch, map[string]int, error){
		"lookup": func(cols []int) (*batch.Batch, map[string]int, error) {
			return b.lake.Lookup(b.Context(), t, t.Head(Main).ID, keys, cols)
		},
		"scan": func(cols []int) (*batch.Batch, map[string]int, error) {
			return b.lake.lookupByScan(b.Context(), t, t.Head(Main).ID, newLookup(keys, cols))
		},
	}
	for way, look := range ways {
		for _, cols := range [][]int{{1, 2}, {1}, nil} {
			rows, at, err := look(cols)
			require.NoError(b, err, way)
			require.Len(b, at, len(want), way)
			for k, i := range at {
				require.Equal(b, k, string(rows.AppendKey(nil, i)))
				got, w := rowOf(rows, i), want[rows.Cols[0].Ints[i]]
				if !slices.Contains(cols, 2) {
					w.tags = nil
				}
				if !slices.Contains(cols, 1) {
					w.note = ""
				}
				require.Equal(b, w, got, way)
			}
		}
	}
}

func TestLookupAgreesWithScan(t *testing.T) {
	for name, props := range layouts {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			tb := b.ensure(b.def)
			rng := rand.New(rand.NewPCG(7, 7))
			big := make([]row, 20_000)
			for i := range big {
				big[i] = row{id: int64(2 * i)}
				if i%3 > 0 {
					big[i].note = fmt.Sprint("note ", i, " ", rng.Uint64())
				}
				if i%5 == 0 {
					big[i].tags = []string{fmt.Sprint(i), "x"}[:i%3]
				}
			}
			f := b.laid(tb, 12_000, props, big...)
			b.commit(&Stage{Table: tb, ParentOf: Main, Data: []File{f}, Deletes: []File{b.posDeletes(tb, f, true, 3, 15_000, 19_999)}})
			tb = b.load(tb.Name)
			b.check(tb, []int64{0, 6, 30_000, 39_998, 39_996, 1, -5, 1 << 40, 20_000, 20_002})

			for step := range 17 {
				var rows []row
				var ids []int64
				seen := map[int64]bool{}
				for range 40 {
					id := rng.Int64N(44_000)
					if step%2 == 0 {
						id = rng.Int64N(50) // the same keys again and again
					}
					if seen[id] {
						continue
					}
					seen[id] = true
					ids = append(ids, id)
					if rng.IntN(3) > 0 {
						rows = append(rows, row{id: id, note: fmt.Sprint("v", step)})
					}
				}
				s := &Stage{Table: tb, ParentOf: Main, Deletes: b.eqDeletes(tb, ids...)}
				if len(rows) > 0 {
					s.Data = b.data(tb, rows...)
				}
				b.commit(s)
				tb = b.load(tb.Name)
				if step%8 == 0 {
					ask := slices.Clone(ids[:len(ids)/2])
					for range 30 {
						ask = append(ask, rng.Int64N(44_000))
					}
					b.check(tb, ask)
				}
			}
			b.commit(&Stage{Table: tb, ParentOf: Main, RemoveAll: true})
			b.check(b.load(tb.Name), []int64{0, 2, 4})
		})
	}
}

func TestLookupOfNothing(t *testing.T) {
	b := newBench(t)
	tb := b.ensure(b.def)
	keys := batch.New(b.def)
	rows, at, err := b.lake.Lookup(t.Context(), tb, 0, keys, nil)
	require.NoError(t, err)
	require.Zero(t, rows.Len())
	require.Empty(t, at)
	addKey(keys, 1)
	_, _, err = b.lake.Lookup(t.Context(), tb, 77, keys, nil)
	require.ErrorContains(t, err, "snapshot 77")
	noKey := payments(undrop.History)
	noKey.Key = nil
	_, _, err = b.lake.Lookup(t.Context(), tb, 0, batch.New(noKey), nil)
	require.ErrorContains(t, err, "no key")
}

func TestBoundsOfEveryKeyKindPrune(t *testing.T) {
	le := func(v ...byte) []byte { return v }
	cases := []struct {
		name         string
		order        keyOrder
		lower, upper []byte
		want         bool
	}{
		{"no bounds", keyOrder{kind: undrop.Int64, ints: []int64{5}}, nil, nil, true},
		{"inside", keyOrder{kind: undrop.Int64, ints: []int64{1, 5, 9}}, le(4, 0, 0, 0, 0, 0, 0, 0), le(6, 0, 0, 0, 0, 0, 0, 0), true},
		{"between two", keyOrder{kind: undrop.Int64, ints: []int64{1, 5, 9}}, le(6, 0, 0, 0, 0, 0, 0, 0), le(8, 0, 0, 0, 0, 0, 0, 0), false},
		{"edge", keyOrder{kind: undrop.Int64, ints: []int64{5}}, le(5, 0, 0, 0, 0, 0, 0, 0), le(5, 0, 0, 0, 0, 0, 0, 0), true},
		{"upper edge", keyOrder{kind: undrop.Int64, ints: []int64{1, 5}}, le(4, 0, 0, 0, 0, 0, 0, 0), le(5, 0, 0, 0, 0, 0, 0, 0), true},
		{"bounds of an int that became long", keyOrder{kind: undrop.Int64, ints: []int64{-2}}, le(253, 255, 255, 255), le(255, 255, 255, 255), true},
		{"below an int", keyOrder{kind: undrop.Int64, ints: []int64{-4}}, le(253, 255, 255, 255), le(255, 255, 255, 255), false},
		{"decimal", keyOrder{kind: undrop.Decimal, ints: []int64{-300}}, le(0xfe, 0xd0), le(0x01), true},
		{"decimal outside", keyOrder{kind: undrop.Decimal, ints: []int64{-300}}, le(0xfe, 0xd8), le(0x01), false},
		{"wide decimal bound", keyOrder{kind: undrop.Decimal, ints: []int64{5}}, make([]byte, 16), make([]byte, 16), true},
		{"text", keyOrder{kind: undrop.String, texts: []string{"b"}}, []byte("a"), []byte("c"), true},
		{"text above a cut bound", keyOrder{kind: undrop.String, texts: []string{"aab"}}, []byte("aa"), []byte("ab"), true},
		{"text outside", keyOrder{kind: undrop.String, texts: []string{"d"}}, []byte("a"), []byte("c"), false},
		{"odd width", keyOrder{kind: undrop.Int64, ints: []int64{5}}, le(1, 2), le(1, 2), true},
		{"not compared", keyOrder{kind: undrop.UUID}, le(1), le(2), true},
	}
	for _, c := range cases {
		require.Equal(t, c.want, c.order.overlaps(c.lower, c.upper), c.name)
	}
}
