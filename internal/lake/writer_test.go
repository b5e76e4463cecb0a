package lake

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

func TestEveryKindReadsBack(t *testing.T) {
	for _, tc := range []struct {
		name     string
		rows     int
		rowGroup int
		delta    bool
		mode     undrop.Mode
	}{
		{"one row", 1, 0, false, undrop.Mirror},
		{"few rows", 7, 0, true, undrop.History},
		{"several row groups", 3000, 701, false, undrop.History},
		{"several row groups, delta", 3000, 701, true, undrop.Mirror},
		{"more than a chunk", chunkRows + 3000, 0, false, undrop.History},
	} {
		t.Run(tc.name, func(t *testing.T) {
			def := zoo(tc.mode)
			if tc.mode == undrop.History {
				for i := range def.Fields {
					def.Fields[i].Required = false // a delete row holds only the key
				}
			}
			b := herd(def, rand.New(rand.NewPCG(uint64(tc.rows), 1)), 0, tc.rows)
			c := yard(t, def)
			c.RowGroup, c.Delta = tc.rowGroup, tc.delta
			files := writeAll(t, c, undrop.LaneStream, b)
			sameRows(t, b, nil, readBack(t, def, files...), tc.mode == undrop.History)
		})
	}
}

func TestNoRowsMakeNoFile(t *testing.T) {
	c := yard(t, ledger())
	w, err := NewWriter(c)
	require.NoError(t, err)
	require.NoError(t, w.Write(batch.New(c.Table), nil, undrop.LaneStream))
	require.NoError(t, w.Write(entriesOf(c.Table, rand.New(rand.NewPCG(1, 1)), 0, 5, false), []int32{}, undrop.LaneStream))
	files, err := w.Close()
	require.NoError(t, err)
	require.Empty(t, files)
}

func TestRowsThatAreSelectedAreWrittenInOrder(t *testing.T) {
	def := zoo(undrop.Mirror)
	r := rand.New(rand.NewPCG(3, 4))
	b := herd(def, r, 0, 2000)
	for name, rows := range map[string][]int32{
		"a range": slices.Collect(func(yield func(int32) bool) {
			for i := int32(300); i < 1700 && yield(i); i++ {
			}
		}),
		"scattered": slices.Collect(func(yield func(int32) bool) {
			for range 1500 {
				if !yield(r.Int32N(2000)) {
					return
				}
			}
		}),
		"backwards": {1999, 1998, 1997, 5, 4, 3, 0},
		"one":       {77},
	} {
		t.Run(name, func(t *testing.T) {
			c := yard(t, def)
			c.RowGroup = 400
			w, err := NewWriter(c)
			require.NoError(t, err)
			require.NoError(t, w.Write(b, rows, undrop.LaneStream))
			files, err := w.Close()
			require.NoError(t, err)
			sameRows(t, b, rows, readBack(t, def, files...), false)
		})
	}
}

// A writer tells where each row went, and the file really has it there.
func TestPlacesAreTrue(t *testing.T) {
	for name, parts := range map[string][]undrop.Transform{"unpartitioned": nil, "partitioned": {{Name: "bucket", Param: 100, Field: 0}}} {
		t.Run(name, func(t *testing.T) {
			def := ledger()
			def.Partition = parts
			c := yard(t, def)
			c.RowGroup, c.TargetFileSize = 500, 20_000
			w, err := NewWriter(c)
			require.NoError(t, err)
			r := rand.New(rand.NewPCG(8, 8))
			type place struct {
				file int
				row  int64
			}
			places := map[int64]place{} // by id
			for n := range 6 {
				b := entriesOf(def, r, n*3000, 3000, true)
				rows := make([]int32, 0, 2000)
				for i := range int32(3000) {
					if r.IntN(3) > 0 {
						rows = append(rows, i)
					}
				}
				w.OnPlace(func(i int32, file int, row int64) { places[b.Cols[0].Ints[rows[i]]] = place{file, row} })
				require.NoError(t, w.Write(b, rows, undrop.LaneStream))
			}
			files, err := w.Close()
			require.NoError(t, err)
			require.Greater(t, len(files), 3)
			found := 0
			for n, f := range files {
				got := readBack(t, def, f)
				for row := range got.Len() {
					require.Equal(t, place{n, int64(row)}, places[got.Cols[0].Ints[row]])
					found++
				}
			}
			require.Len(t, places, found)
		})
	}
}

func TestFilesAndRowGroupsEndWhenTheyAreLarge(t *testing.T) {
	c := yard(t, ledger())
	c.RowGroup, c.TargetFileSize = 1000, 100_000
	r := rand.New(rand.NewPCG(5, 5))
	var bs []*batch.Batch
	for i := range 20 {
		bs = append(bs, entriesOf(c.Table, r, i*1000, 1000, true))
	}
	files := writeAll(t, c, undrop.LaneStream, bs...)
	require.Greater(t, len(files), 2)
	for _, f := range files[:len(files)-1] {
		require.InDelta(t, 100_000, f.Bytes, 60_000)
	}
	all := batch.New(c.Table)
	for _, b := range bs {
		for i := range b.Len() {
			all.AppendRow(b, i)
		}
	}
	sameRows(t, all, nil, readBack(t, c.Table, files...), false)
}

func TestWhatCannotBeStoredIsRefused(t *testing.T) {
	def := ledger()
	good := func() *batch.Batch { return entriesOf(def, rand.New(rand.NewPCG(1, 1)), 0, 10, false) }
	null := good()
	null.Cols[1].Null[3], null.Cols[1].Nulls = true, 1
	wide := batch.New(zoo(undrop.Mirror))
	for name, b := range map[string]*batch.Batch{"a null in a required column": null, "another table": wide} {
		t.Run(name, func(t *testing.T) {
			c := yard(t, def)
			w, err := NewWriter(c)
			require.NoError(t, err)
			if b == wide {
				*wide = *herd(wide.Table, rand.New(rand.NewPCG(1, 1)), 0, 1)
			}
			require.NoError(t, w.Write(good(), nil, undrop.LaneStream))
			require.Error(t, w.Write(b, nil, undrop.LaneStream))
			require.Error(t, w.Write(good(), nil, undrop.LaneStream), "a failed writer takes no more rows")
			_, err = w.Close()
			require.Error(t, err)
			require.Empty(t, names(t, c))
		})
	}
	t.Run("an integer out of range", func(t *testing.T) {
		def := zoo(undrop.Mirror)
		c := yard(t, def)
		b := herd(def, rand.New(rand.NewPCG(1, 1)), 0, 1)
		b.Cols[slices.IndexFunc(def.Fields, func(f undrop.Field) bool { return f.Name == "r_int" })].Ints[0] = 1 << 40
		w, err := NewWriter(c)
		require.NoError(t, err)
		require.ErrorContains(t, w.Write(b, nil, undrop.LaneStream), "does not fit int")
		w.Abort()
	})
}

func TestAnAbortedWriterLeavesNothing(t *testing.T) {
	c := yard(t, ledger())
	c.TargetFileSize, c.RowGroup = 10_000, 500
	w, err := NewWriter(c)
	require.NoError(t, err)
	require.NoError(t, w.Write(entriesOf(c.Table, rand.New(rand.NewPCG(1, 1)), 0, 5000, true), nil, undrop.LaneStream))
	require.NotEmpty(t, names(t, c), "some files are finished")
	w.Abort()
	require.Empty(t, names(t, c))
	_, err = w.Close()
	require.Error(t, err)
}

func TestAbortAfterCloseKeepsTheFiles(t *testing.T) {
	c := yard(t, ledger())
	w, err := NewWriter(c)
	require.NoError(t, err)
	require.NoError(t, w.Write(entriesOf(c.Table, rand.New(rand.NewPCG(1, 1)), 0, 10, true), nil, undrop.LaneStream))
	files, err := w.Close()
	require.NoError(t, err)
	w.Abort()
	onDisk(t, files[0])
}

// names lists what is in the folder of the files, also under temporary names.
func names(t testing.TB, c WriterConfig) []string {
	t.Helper()
	dir, err := os.ReadDir(strings.TrimPrefix(c.Dir, "file://"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	require.NoError(t, err)
	var out []string
	for _, e := range dir {
		out = append(out, e.Name())
	}
	return out
}

func TestAWriterAllocatesNothingPerRow(t *testing.T) {
	c := yard(t, ledger())
	b := entriesOf(c.Table, rand.New(rand.NewPCG(1, 1)), 0, chunkRows, true)
	w, err := NewWriter(c)
	require.NoError(t, err)
	defer w.Abort()
	for range 4 {
		require.NoError(t, w.Write(b, nil, undrop.LaneStream))
	}
	allocs := testing.AllocsPerRun(20, func() { require.NoError(t, w.Write(b, nil, undrop.LaneStream)) })
	require.Less(t, allocs/chunkRows, 0.02, "%v allocations for %d rows", allocs, chunkRows)
}
