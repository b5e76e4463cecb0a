package lake

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/iceberg-go"
	"github.com/stretchr/testify/require"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// keysOf are the rows of b with these numbers, as they would be deleted: key only.
func keysOf(b *batch.Batch, rows ...int) *batch.Batch {
	out := batch.New(b.Table)
	for _, r := range rows {
		for c := range b.Cols {
			if b.Table.IsKey(c) {
				out.Cols[c].AppendFrom(&b.Cols[c], r)
			} else {
				out.Cols[c].AppendNull()
			}
		}
		out.AddRow(undrop.Delete, undrop.Position{CommitLSN: 1 << 40, Seq: 1}, 0)
	}
	return out
}

func (b *bench) all(def *undrop.Table) *batch.Batch {
	b.Helper()
	got := batch.New(def)
	for rec, err := range b.lake.Scan(b.Context(), b.load(def.TableName), ScanOptions{}) {
		require.NoError(b, err)
		require.NoError(b, ToBatch(rec, got))
	}
	return got
}

func keySet(b *batch.Batch) map[string]bool {
	out := map[string]bool{}
	for i := range b.Len() {
		out[string(b.AppendKey(nil, i))] = true
	}
	return out
}

// An equality delete takes older rows and spares those of its own snapshot.
func TestEqualityDeletes(t *testing.T) {
	for name, set := range map[string]func(def *undrop.Table){
		"integer key":        func(*undrop.Table) {},
		"several key kinds":  func(def *undrop.Table) { def.Key = []int{1, 11, 19, 21, 23, 27, 31} },
		"partitioned by key": func(def *undrop.Table) { def.Partition = []undrop.Transform{{Name: "bucket", Param: 4, Field: 0}} },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			def := zoo(undrop.Mirror)
			set(def)
			tab := b.ensure(def)
			old := herd(def, rand.New(rand.NewPCG(9, 1)), 0, 200)
			c := b.lake.WriterConfig(tab, def, "core")
			b.commit(&Stage{Table: tab, ParentOf: Main, Data: writeAll(t, c, undrop.LaneStream, old)})
			tab = b.load(def.TableName)

			gone := keysOf(old, 3, 50, 51, 52, 199)
			again := batch.New(def) // 50 comes back in the same snapshot
			again.AppendRow(old, 50)
			c = b.lake.WriterConfig(tab, def, "core")
			deletes, err := WriteEqualityDeletes(c, gone, nil)
			require.NoError(t, err)
			for _, d := range deletes {
				require.Equal(t, iceberg.EntryContentEqDeletes, d.Data.ContentType())
				require.Len(t, d.Data.EqualityFieldIDs(), len(def.Key))
			}
			b.commit(&Stage{Table: tab, ParentOf: Main, Data: writeAll(t, c, undrop.LaneStream, again), Deletes: deletes})

			want := keySet(old)
			for i := range gone.Len() {
				delete(want, string(gone.AppendKey(nil, i)))
			}
			want[string(again.AppendKey(nil, 0))] = true
			got := b.all(def)
			require.Equal(t, want, keySet(got))
			require.Equal(t, len(want), got.Len())
		})
	}
}

func TestEqualityDeletesOfSelectedRows(t *testing.T) {
	c := yard(t, ledger())
	b := entriesOf(c.Table, rand.New(rand.NewPCG(1, 1)), 100, 50, true)
	files, err := WriteEqualityDeletes(c, b, []int32{4, 7, 9})
	require.NoError(t, err)
	require.Len(t, files, 1)
	pf, err := file.NewParquetReader(bytes.NewReader(onDisk(t, files[0])))
	require.NoError(t, err)
	defer func() { require.NoError(t, pf.Close()) }()
	require.Equal(t, 1, pf.MetaData().Schema.NumColumns(), "the key and nothing else")
	r, err := pf.RowGroup(0).Column(0)
	require.NoError(t, err)
	vals := make([]int64, 3)
	_, n, err := r.(*file.Int64ColumnChunkReader).ReadBatch(3, vals, nil, nil)
	require.NoError(t, err)
	require.Equal(t, []int64{104, 107, 109}, vals[:n])
}

func TestEqualityDeletesThatWouldHitOthersAreRefused(t *testing.T) {
	rows := func(def *undrop.Table) *batch.Batch {
		return keysOf(entriesOf(def, rand.New(rand.NewPCG(1, 1)), 0, 3, true), 0, 1, 2)
	}
	for _, tc := range []struct {
		name, err string
		change    func(c *WriterConfig)
	}{
		{"no key", "has no key", func(c *WriterConfig) { c.Table.Key = nil }},
		{"an optional key", "not required", func(c *WriterConfig) {
			fields := slices.Clone(c.Schema.Fields())
			fields[0].Required = false
			c.Schema = iceberg.NewSchema(0, fields...)
		}},
		{"a partition that the key does not tell", "not among those that are written", func(c *WriterConfig) {
			c.Spec = iceberg.NewPartitionSpec(iceberg.PartitionField{SourceIDs: []int{7}, FieldID: 1000, Name: "d", Transform: iceberg.DayTransform{}})
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := yard(t, ledger())
			tc.change(&c)
			_, err := WriteEqualityDeletes(c, rows(c.Table), nil)
			require.ErrorContains(t, err, tc.err)
			require.Empty(t, names(t, c))
		})
	}
	t.Run("a null key", func(t *testing.T) {
		c := yard(t, ledger())
		b := rows(c.Table)
		b.Cols[0].Null[1], b.Cols[0].Nulls = true, 1
		_, err := WriteEqualityDeletes(c, b, nil)
		require.ErrorContains(t, err, "null")
		require.Empty(t, names(t, c))
	})
}

// A position delete takes rows of a file of its own snapshot, and no others.
func TestPositionDeletes(t *testing.T) {
	for name, parts := range map[string][]undrop.Transform{"unpartitioned": nil, "partitioned": {{Name: "bucket", Param: 3, Field: 0}}} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			def := zoo(undrop.Mirror)
			def.Partition = parts
			tab := b.ensure(def)
			rows := herd(def, rand.New(rand.NewPCG(9, 1)), 0, 5000)
			c := b.lake.WriterConfig(tab, def, "core")
			c.TargetFileSize, c.RowGroup = 200_000, 400
			w, err := NewWriter(c)
			require.NoError(t, err)
			want, undone := keySet(rows), map[int][]int64{}
			w.OnPlace(func(i int32, file int, row int64) {
				if i%7 == 0 || i > 4000 && i < 4100 {
					undone[file] = append(undone[file], row)
					delete(want, string(rows.AppendKey(nil, int(i))))
				}
			})
			require.NoError(t, w.Write(rows, nil, undrop.LaneStream))
			files, err := w.Close()
			require.NoError(t, err)
			require.Greater(t, len(files), 1)
			s := &Stage{Table: tab, ParentOf: Main, Data: files}
			for n, pos := range undone {
				d, err := WritePositionDeletes(c, files[n], pos)
				require.NoError(t, err)
				s.Deletes = append(s.Deletes, d)
			}
			b.commit(s)
			got := b.all(def)
			require.Equal(t, want, keySet(got))
			require.Equal(t, len(want), got.Len())
		})
	}
}

// Readers learn from these fields that the deletes concern one data file.
func TestAPositionDeleteIsBoundToItsFile(t *testing.T) {
	c := yard(t, ledger())
	data := writeAll(t, c, undrop.LaneStream, entriesOf(c.Table, rand.New(rand.NewPCG(1, 1)), 0, 10_000, true))[0]
	pos := []int64{0, 5, 6, 9999}
	for len(pos) < 6000 {
		pos = append(pos[:len(pos)-1], int64(len(pos)+10), 9999)
	}
	f, err := WritePositionDeletes(c, data, pos)
	require.NoError(t, err)
	path := []byte(data.Path)
	require.Equal(t, path, f.Data.LowerBoundValues()[2147483546])
	require.Equal(t, path, f.Data.UpperBoundValues()[2147483546])
	require.Equal(t, data.Path, *f.Data.ReferencedDataFile())
	require.Equal(t, data.Path, targetOf(f.Data))
	require.EqualValues(t, len(pos), f.Data.Count())
	raw := onDisk(t, f)
	require.EqualValues(t, len(raw), f.Data.FileSizeBytes())
	require.Less(t, len(raw), 2*len(pos), "cheaply encoded")

	pf, err := file.NewParquetReader(bytes.NewReader(raw))
	require.NoError(t, err)
	defer func() { require.NoError(t, pf.Close()) }()
	paths, err := pf.RowGroup(0).Column(0)
	require.NoError(t, err)
	names := make([]parquet.ByteArray, len(pos))
	_, n, err := paths.(*file.ByteArrayColumnChunkReader).ReadBatch(int64(len(pos)), names, nil, nil)
	require.NoError(t, err)
	for _, name := range names[:n] {
		require.Equal(t, data.Path, string(name))
	}
	positions, err := pf.RowGroup(0).Column(1)
	require.NoError(t, err)
	got := make([]int64, len(pos))
	_, n, err = positions.(*file.Int64ColumnChunkReader).ReadBatch(int64(len(pos)), got, nil, nil)
	require.NoError(t, err)
	require.Equal(t, pos, got[:n])
	require.EqualValues(t, 2147483546, pf.MetaData().Schema.Column(0).SchemaNode().FieldID())
	require.EqualValues(t, 2147483545, pf.MetaData().Schema.Column(1).SchemaNode().FieldID())
}

func TestPositionsThatMakeNoSenseAreRefused(t *testing.T) {
	c := yard(t, ledger())
	data := writeAll(t, c, undrop.LaneStream, entriesOf(c.Table, rand.New(rand.NewPCG(1, 1)), 0, 10, true))[0]
	for name, pos := range map[string][]int64{"none": {}, "twice": {1, 1}, "descending": {2, 1}, "beyond the end": {10}, "negative": {-1}} {
		t.Run(name, func(t *testing.T) {
			_, err := WritePositionDeletes(c, data, pos)
			require.Error(t, err)
		})
	}
	d, err := WritePositionDeletes(c, data, []int64{1})
	require.NoError(t, err)
	_, err = WritePositionDeletes(c, d, []int64{0})
	require.ErrorContains(t, err, "not a data file")
	c.Spec = iceberg.NewPartitionSpecID(3, iceberg.PartitionField{SourceIDs: []int{1}, FieldID: 1000, Name: "b", Transform: iceberg.BucketTransform{NumBuckets: 2}})
	_, err = WritePositionDeletes(c, data, []int64{1})
	require.ErrorContains(t, err, "partition spec")
}
