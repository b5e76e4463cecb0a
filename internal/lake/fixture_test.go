package lake

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/stretchr/testify/require"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
	"github.com/undrop/undrop/internal/catalog"
)

// row is a row of the tests' table; an empty note is null.
type row struct {
	id   int64
	note string
	tags []string
}

// payments is the tests' contract table.
func payments(mode undrop.Mode) *undrop.Table {
	return &undrop.Table{
		TableName: undrop.TableName{Namespace: "bank", Name: "payments"},
		Contract:  undrop.ContractRef{ID: "payments", Version: "1.0.0", Hash: "00"},
		Mode:      mode, Source: "core", Schema: "public", Relation: "payments",
		Fields: []undrop.Field{
			{ID: 1, Name: "id", Type: undrop.Type{Kind: undrop.Int64}, Required: true},
			{ID: 2, Name: "note", Type: undrop.Type{Kind: undrop.String}},
			{ID: 3, Name: "tags", Type: undrop.Type{Kind: undrop.List, Elem: &undrop.Type{Kind: undrop.String}, ElemID: 4}},
		},
		Key: []int{0},
	}
}

// bench is a lake in a folder of its own.
type bench struct {
	testing.TB
	dir  string
	def  *undrop.Table
	lake *Lake
}

func newBench(t testing.TB) *bench { return openBench(t, t.TempDir()) }

// openBench opens the lake in dir with connections of its own, as another process
// would.
func openBench(t testing.TB, dir string) *bench {
	t.Helper()
	wh, err := OpenWarehouse(dir + "/warehouse")
	require.NoError(t, err)
	cat, err := catalog.OpenSQLite(context.Background(), dir+"/state/catalog.db", wh.FS, wh.Location)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cat.Close()) })
	return &bench{TB: t, dir: dir, def: payments(undrop.Mirror), lake: Open(cat, wh)}
}

func (b *bench) ensure(def *undrop.Table) *Table {
	b.Helper()
	t, err := b.lake.Ensure(b.Context(), def, nil)
	require.NoError(b, err)
	return t
}

func (b *bench) load(name undrop.TableName) *Table {
	b.Helper()
	t, err := b.lake.Load(b.Context(), name)
	require.NoError(b, err)
	return t
}

func (b *bench) commit(stages ...*Stage) []Snapshot {
	b.Helper()
	out, err := b.lake.Commit(b.Context(), stages)
	require.NoError(b, err)
	return out
}

func fileOf(df iceberg.DataFile) File {
	return File{Data: df, Path: df.FilePath(), Rows: df.Count(), Bytes: df.FileSizeBytes()}
}

// fill makes an arrow record of rows for the columns that the schema has.
func fill(sc *arrow.Schema, rows []row) arrow.RecordBatch {
	rb := array.NewRecordBuilder(memory.DefaultAllocator, sc)
	defer rb.Release()
	for i, f := range sc.Fields() {
		for n, r := range rows {
			switch f.Name {
			case "id":
				if w, ok := rb.Field(i).(*array.Int32Builder); ok {
					w.Append(int32(r.id))
				} else {
					rb.Field(i).(*array.Int64Builder).Append(r.id)
				}
			case "note":
				if r.note == "" {
					rb.Field(i).AppendNull()
				} else {
					rb.Field(i).(*array.StringBuilder).Append(r.note)
				}
			case "tags":
				l := rb.Field(i).(*array.ListBuilder)
				if r.tags == nil {
					l.AppendNull()
					continue
				}
				l.Append(true)
				for _, tag := range r.tags {
					l.ValueBuilder().(*array.StringBuilder).Append(tag)
				}
			case "_undrop_lsn", "_undrop_seq":
				rb.Field(i).(*array.Int64Builder).Append(int64(n))
			case "_undrop_committed_at":
				rb.Field(i).(*array.TimestampBuilder).Append(arrow.Timestamp(1_700_000_000_000_000 + n))
			case "_undrop_source", "_undrop_lane":
				rb.Field(i).(*array.StringBuilder).Append("stream")
			default:
				rb.Field(i).AppendNull()
			}
		}
	}
	return rb.NewRecordBatch()
}

func one(rec arrow.RecordBatch) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) { yield(rec, nil) }
}

// data writes rows with the library's writer: the commit must not depend on ours.
func (b *bench) data(t *Table, rows ...row) []File {
	b.Helper()
	sc, err := table.SchemaToArrowSchema(t.Entry.Metadata.CurrentSchema(), nil, true, false)
	require.NoError(b, err)
	var out []File
	for df, err := range table.WriteRecords(b.Context(), b.lake.Iceberg(t), sc, one(fill(sc, rows))) {
		require.NoError(b, err)
		out = append(out, fileOf(df))
	}
	return out
}

// eqDeletes writes an equality delete file that names keys.
func (b *bench) eqDeletes(t *Table, ids ...int64) []File {
	b.Helper()
	schema := t.Entry.Metadata.CurrentSchema()
	key, err := schema.Select(true, "id")
	require.NoError(b, err)
	sc, err := table.SchemaToArrowSchema(key, nil, true, false)
	require.NoError(b, err)
	var rows []row
	for _, id := range ids {
		rows = append(rows, row{id: id})
	}
	dfs, err := b.lake.Iceberg(t).NewTransaction().WriteEqualityDeletes(b.Context(), []int{1}, one(fill(sc, rows)))
	require.NoError(b, err)
	var out []File
	for _, df := range dfs {
		out = append(out, fileOf(df))
	}
	return out
}

var deleteFiles atomic.Int64

// posDeletes writes a position delete file for one data file.
func (b *bench) posDeletes(t *Table, f File, bound bool, positions ...int64) File {
	b.Helper()
	rb := array.NewRecordBuilder(memory.DefaultAllocator, table.PositionalDeleteArrowSchema)
	defer rb.Release()
	for _, p := range positions {
		rb.Field(0).(*array.StringBuilder).Append(f.Path)
		rb.Field(1).(*array.Int64Builder).Append(p)
	}
	rec := rb.NewRecordBatch()
	defer rec.Release()
	var buf bytes.Buffer
	w, err := pqarrow.NewFileWriter(table.PositionalDeleteArrowSchema, &buf, parquet.NewWriterProperties(), pqarrow.DefaultWriterProps())
	require.NoError(b, err)
	require.NoError(b, w.Write(rec))
	require.NoError(b, w.Close())
	path := fmt.Sprintf("%s/d%d.parquet", t.DataDir(), deleteFiles.Add(1))
	require.NoError(b, b.lake.wh.FS.WriteFile(path, buf.Bytes()))
	bl, err := iceberg.NewDataFileBuilder(t.Entry.Metadata.PartitionSpec(), iceberg.EntryContentPosDeletes, path, iceberg.ParquetFile,
		f.Data.Partition(), nil, nil, int64(len(positions)), int64(buf.Len()))
	require.NoError(b, err)
	if bound {
		le := func(v int64) []byte { return binary.LittleEndian.AppendUint64(nil, uint64(v)) }
		bl.LowerBoundValues(map[int][]byte{idDeletedFile: []byte(f.Path), idDeletedPos: le(positions[0])})
		bl.UpperBoundValues(map[int][]byte{idDeletedFile: []byte(f.Path), idDeletedPos: le(positions[len(positions)-1])})
		bl.ReferencedDataFile(f.Path)
	}
	return fileOf(bl.Build())
}

// read scans a snapshot (0: main) into rows by key; a key twice is a failure.
func (b *bench) read(t *Table, snapshot int64) map[int64]row {
	b.Helper()
	got := batch.New(b.def)
	for rec, err := range b.lake.Scan(b.Context(), t, ScanOptions{SnapshotID: snapshot}) {
		require.NoError(b, err)
		require.NoError(b, ToBatch(rec, got))
	}
	out := map[int64]row{}
	for i := range got.Len() {
		r := rowOf(got, i)
		if _, twice := out[r.id]; twice {
			b.Fatalf("key %d has two rows", r.id)
		}
		out[r.id] = r
	}
	return out
}

func rowOf(b *batch.Batch, i int) row {
	r := row{id: b.Cols[0].Ints[i]}
	if !b.Cols[1].Null[i] {
		r.note = string(b.Cols[1].Bytes(i))
	}
	if c := &b.Cols[2]; !c.Null[i] {
		r.tags = []string{}
		for j := c.Off[i]; j < c.Off[i+1]; j++ {
			r.tags = append(r.tags, string(c.Elem.Bytes(int(j))))
		}
	}
	return r
}

func keyed(rows ...row) map[int64]row {
	out := map[int64]row{}
	for _, r := range rows {
		out[r.id] = r
	}
	return out
}

func numbers(n int64) []row {
	var out []row
	for i := range n {
		out = append(out, row{id: i, note: fmt.Sprint("n", i)})
	}
	return out
}

func mark(lsn undrop.LSN) map[string]string {
	raw, _ := json.Marshal(undrop.SourceMark{Source: "core", LSN: lsn, Complete: true})
	return map[string]string{undrop.SummarySource: string(raw)}
}

func sorted(m map[int64]row) []int64 { return slices.Sorted(maps.Keys(m)) }
