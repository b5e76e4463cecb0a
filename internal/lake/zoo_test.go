package lake

import (
	"bytes"
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/stretchr/testify/require"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

func typ(k undrop.Kind) undrop.Type { return undrop.Type{Kind: k} }

func dec(p, s int) undrop.Type { return undrop.Type{Kind: undrop.Decimal, Precision: p, Scale: s} }

func listOf(id int, e undrop.Type) undrop.Type {
	return undrop.Type{Kind: undrop.List, Elem: &e, ElemID: id}
}

func mapOf(kid, vid int, k, v undrop.Type) undrop.Type {
	return undrop.Type{Kind: undrop.Map, Key: &k, Elem: &v, KeyID: kid, ElemID: vid}
}

func structOf(f ...undrop.Field) undrop.Type { return undrop.Type{Kind: undrop.Struct, Fields: f} }

// zoo is a table with a column of every kind, required, optional and nested.
func zoo(mode undrop.Mode) *undrop.Table {
	kinds := []undrop.Type{typ(undrop.Bool), typ(undrop.Int32), typ(undrop.Int64), typ(undrop.Float32), typ(undrop.Float64),
		dec(9, 2), dec(18, 6), dec(19, 0), dec(38, 10), typ(undrop.String), typ(undrop.Binary), typ(undrop.UUID), typ(undrop.Date),
		typ(undrop.Time), typ(undrop.Timestamp), typ(undrop.TimestampTZ)}
	t := &undrop.Table{TableName: undrop.TableName{Namespace: "zoo", Name: "animals"}, Mode: mode, Source: "core",
		Contract: undrop.ContractRef{ID: "zoo", Version: "1.0.0", Hash: "00"}, Schema: "public", Relation: "animals",
		Fields: []undrop.Field{{ID: 1, Name: "id", Type: typ(undrop.Int64), Required: true}}, Key: []int{0}}
	for i, k := range kinds {
		name := strings.NewReplacer("(", "_", ")", "", ",", "_").Replace(k.String())
		t.Fields = append(t.Fields, undrop.Field{ID: 2 + i, Name: "r_" + name, Type: k, Required: true},
			undrop.Field{ID: 102 + i, Name: "o_" + name, Type: k})
	}
	for i, n := range []undrop.Type{
		listOf(300, typ(undrop.Int32)),
		listOf(301, dec(38, 10)),
		listOf(302, listOf(303, typ(undrop.String))),
		listOf(304, structOf(undrop.Field{ID: 305, Name: "a", Type: typ(undrop.UUID), Required: true}, undrop.Field{ID: 306, Name: "b", Type: listOf(307, typ(undrop.Bool))})),
		mapOf(308, 309, typ(undrop.String), typ(undrop.TimestampTZ)),
		mapOf(310, 311, typ(undrop.Int64), mapOf(312, 313, typ(undrop.Date), typ(undrop.Float32))),
		structOf(undrop.Field{ID: 314, Name: "x", Type: typ(undrop.String)}, undrop.Field{ID: 315, Name: "y", Type: dec(5, 1), Required: true},
			undrop.Field{ID: 316, Name: "z", Type: structOf(undrop.Field{ID: 317, Name: "q", Type: typ(undrop.Float64)}, undrop.Field{ID: 318, Name: "l", Type: listOf(319, typ(undrop.Binary))})}),
	} {
		t.Fields = append(t.Fields, undrop.Field{ID: 200 + i, Name: "n" + string(rune('a'+i)), Type: n})
	}
	// "a.b" must not be taken for member b of a.
	t.Fields = append(t.Fields, undrop.Field{ID: 250, Name: "dotted.name", Type: typ(undrop.String)},
		undrop.Field{ID: 251, Name: "rs", Type: structOf(undrop.Field{ID: 252, Name: "m", Type: typ(undrop.Int32), Required: true}), Required: true})
	return t
}

// grow appends one value of c's type: edges, repetitions and nulls are likely.
func grow(c *batch.Column, r *rand.Rand, required bool) {
	if !required && r.IntN(4) == 0 {
		c.AppendNull()
		return
	}
	edge := func(lo, hi int64) int64 {
		switch r.IntN(8) {
		case 0:
			return lo
		case 1:
			return hi
		case 2:
			return 0
		case 3:
			return r.Int64N(10)
		}
		return lo + int64(r.Uint64()%uint64(hi-lo+1)) // wraps for the whole int64 range
	}
	switch t := c.Type; t.Kind {
	case undrop.Bool:
		c.AppendInt(r.Int64N(2))
	case undrop.Int32:
		c.AppendInt(edge(math.MinInt32, math.MaxInt32))
	case undrop.Int64:
		if x := edge(math.MinInt64/2, math.MaxInt64/2); r.IntN(9) == 0 {
			c.AppendInt([]int64{math.MinInt64, math.MaxInt64}[r.IntN(2)])
		} else {
			c.AppendInt(x)
		}
	case undrop.Float32:
		fs := []float32{0, float32(math.Copysign(0, -1)), float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), math.MaxFloat32, r.Float32() - 0.5}
		c.AppendInt(int64(math.Float64bits(float64(fs[r.IntN(len(fs))]))))
	case undrop.Float64:
		fs := []float64{0, math.Copysign(0, -1), math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, r.Float64() - 0.5}
		c.AppendInt(int64(math.Float64bits(fs[r.IntN(len(fs))])))
	case undrop.Decimal:
		limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(t.Precision)), nil)
		limit.Sub(limit, big.NewInt(1))
		n := new(big.Int)
		switch r.IntN(5) {
		case 0:
			n.Set(limit)
		case 1:
			n.Neg(limit)
		case 2:
			n.SetInt64(r.Int64N(5) - 2)
		default:
			n.SetUint64(r.Uint64()).Mul(n, new(big.Int).SetUint64(r.Uint64())).Mod(n, limit)
			if r.IntN(2) == 0 {
				n.Neg(n)
			}
		}
		if t.Fixed() {
			c.AppendInt(n.Int64())
		} else {
			c.AppendBytes(batch.AppendBig16(nil, n))
		}
	case undrop.String:
		words := []string{"", "a", "settled", "\U0010ffff\U0010ffff", strings.Repeat("\U0010ffff", 20), strings.Repeat("ы", 17), "zebra zebra zebra zebra", strings.Repeat("long ", 900)}
		if r.IntN(3) == 0 {
			c.AppendString(words[r.IntN(len(words))])
		} else {
			c.AppendString(words[r.IntN(3)] + string(rune(0x400+r.IntN(256))))
		}
	case undrop.Binary:
		v := make([]byte, r.IntN(40))
		for i := range v {
			v[i] = []byte{0, 0xff, byte(r.Uint32())}[r.IntN(3)]
		}
		c.AppendBytes(v)
	case undrop.UUID:
		var v [16]byte
		for i := range v {
			v[i] = byte(r.Uint32())
		}
		c.AppendBytes(v[:])
	case undrop.Date:
		c.AppendInt(edge(-719162, 2932896)) // years 1 to 9999
	case undrop.Time:
		c.AppendInt(edge(0, 86_400_000_000-1))
	case undrop.Timestamp, undrop.TimestampTZ:
		c.AppendInt(edge(-719162*86_400_000_000, 2932897*86_400_000_000-1))
	case undrop.List, undrop.Map:
		for range r.IntN(4) {
			if c.Key != nil {
				grow(c.Key, r, true)
			}
			grow(c.Elem, r, false)
		}
		c.EndList()
	case undrop.Struct:
		for i := range c.Fields {
			grow(&c.Fields[i], r, t.Fields[i].Required)
		}
		c.EndStruct()
	}
}

// herd makes n rows of t; ids count from first.
func herd(t *undrop.Table, r *rand.Rand, first, n int) *batch.Batch {
	b := batch.New(t)
	for i := range n {
		b.Cols[0].AppendInt(int64(first + i))
		for c := 1; c < len(b.Cols); c++ {
			grow(&b.Cols[c], r, t.Fields[c].Required)
		}
		b.AddRow([]undrop.Op{undrop.Create, undrop.Update, undrop.Delete}[r.IntN(3)],
			undrop.Position{CommitLSN: undrop.LSN(1000 + (first+i)/10), Seq: int64((first+i)%10 + 1)}, int64(1_700_000_000_000_000+(first+i)/10))
	}
	return b
}

// yard is a folder to write into.
func yard(t testing.TB, def *undrop.Table) WriterConfig {
	t.Helper()
	wh, err := OpenWarehouse(t.TempDir())
	require.NoError(t, err)
	sc := IcebergSchema(def)
	spec, err := PartitionSpec(def, sc)
	require.NoError(t, err)
	return WriterConfig{Warehouse: wh, Table: def, Dir: wh.Location + "/" + def.Name + "/data", Schema: sc, Spec: spec, Stamp: Stamp{"core"}}
}

// writeAll writes batches with one writer.
func writeAll(t testing.TB, c WriterConfig, lane undrop.Lane, bs ...*batch.Batch) []File {
	t.Helper()
	w, err := NewWriter(c)
	require.NoError(t, err)
	for _, b := range bs {
		require.NoError(t, w.Write(b, nil, lane))
	}
	files, err := w.Close()
	require.NoError(t, err)
	return files
}

func onDisk(t testing.TB, f File) []byte {
	t.Helper()
	raw, err := os.ReadFile(strings.TrimPrefix(f.Path, "file://"))
	require.NoError(t, err)
	return raw
}

// readBack reads files with arrow-go's own reader.
func readBack(t testing.TB, def *undrop.Table, files ...File) *batch.Batch {
	t.Helper()
	out := batch.New(def)
	for _, f := range files {
		raw := onDisk(t, f)
		require.EqualValues(t, len(raw), f.Bytes)
		require.EqualValues(t, len(raw), f.Data.FileSizeBytes())
		pf, err := file.NewParquetReader(bytes.NewReader(raw), file.WithReadProps(parquet.NewReaderProperties(memory.DefaultAllocator)))
		require.NoError(t, err)
		require.EqualValues(t, f.Rows, pf.NumRows())
		require.EqualValues(t, f.Rows, f.Data.Count())
		require.Len(t, f.Data.SplitOffsets(), pf.NumRowGroups())
		r, err := pqarrow.NewFileReader(pf, pqarrow.ArrowReadProperties{BatchSize: 1000}, memory.DefaultAllocator)
		require.NoError(t, err)
		rr, err := r.GetRecordReader(t.Context(), nil, nil)
		require.NoError(t, err)
		for rr.Next() {
			require.NoError(t, ToBatch(rr.RecordBatch(), out))
		}
		require.NoError(t, rr.Err())
		rr.Release()
		require.NoError(t, pf.Close())
	}
	return out
}

// sameRows compares rows of got from row 0 on with rows of want.
func sameRows(t testing.TB, want *batch.Batch, rows []int32, got *batch.Batch, op bool) {
	t.Helper()
	if rows == nil {
		for i := range want.Len() {
			rows = append(rows, int32(i))
		}
	}
	require.Equal(t, len(rows), got.Len())
	for i, w := range rows {
		for c := range want.Cols {
			require.True(t, got.Cols[c].EqualFrom(i, &want.Cols[c], int(w)), "row %d, column %s: got %s, want %s", i, want.Table.Fields[c].Name,
				got.Cols[c].AppendJSON(nil, i), want.Cols[c].AppendJSON(nil, int(w)))
		}
		require.Equal(t, want.Position(int(w)), got.Position(i))
		require.Equal(t, want.At[w], got.At[i])
		if op {
			require.Equal(t, want.Op[w], got.Op[i])
		}
	}
}

// readBackRaw counts the rows of a file that nobody described.
func readBackRaw(t testing.TB, def *undrop.Table, f File) int {
	t.Helper()
	pf, err := file.NewParquetReader(bytes.NewReader(onDisk(t, f)))
	require.NoError(t, err)
	defer func() { require.NoError(t, pf.Close()) }()
	r, err := pqarrow.NewFileReader(pf, pqarrow.ArrowReadProperties{BatchSize: 1000}, memory.DefaultAllocator)
	require.NoError(t, err)
	rr, err := r.GetRecordReader(t.Context(), nil, nil)
	require.NoError(t, err)
	defer rr.Release()
	out := batch.New(def)
	for rr.Next() {
		require.NoError(t, ToBatch(rr.RecordBatch(), out))
	}
	require.NoError(t, rr.Err())
	return out.Len()
}
