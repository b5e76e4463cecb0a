package lake

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"
	"github.com/apache/iceberg-go"
	"github.com/stretchr/testify/require"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// A text column that looks repetitive at first and is not must lose nothing when
// its dictionary is given up, in the middle of a row group or later.
func TestDictionariesAreGivenUpWithoutLoss(t *testing.T) {
	def := ledger()
	for _, unique := range []int{0, 50, 4096, 5000, 12_000, 30_000} {
		t.Run(fmt.Sprint("unique from ", unique), func(t *testing.T) {
			b := batch.New(def)
			for i := range 25_000 {
				v := "same"
				if i >= unique {
					v = fmt.Sprint("value ", i)
				}
				for c, f := range def.Fields {
					switch {
					case f.Name == "note" && i%5 == 0:
						b.Cols[c].AppendNull()
					case f.Type.Kind == undrop.String:
						b.Cols[c].AppendString(v)
					default:
						b.Cols[c].AppendInt(int64(i))
					}
				}
				b.AddRow(undrop.Update, undrop.Position{CommitLSN: undrop.LSN(max(0, i-unique)), Seq: int64(i)}, int64(max(0, i-unique)))
			}
			c := yard(t, def)
			c.RowGroup = 10_000
			sameRows(t, b, nil, readBack(t, def, writeAll(t, c, undrop.LaneStream, b)...), false)
		})
	}
}

func TestFooters(t *testing.T) {
	def := zoo(undrop.Mirror)
	c := yard(t, def)
	files := writeAll(t, c, undrop.LaneReplay, herd(def, rand.New(rand.NewPCG(1, 9)), 0, 2000))
	pf, err := file.NewParquetReader(bytes.NewReader(onDisk(t, files[0])))
	require.NoError(t, err)
	defer func() { require.NoError(t, pf.Close()) }()
	ids := map[int]bool{}
	var walk func(n schema.Node)
	walk = func(n schema.Node) {
		if n.FieldID() > 0 {
			ids[int(n.FieldID())] = true
		} else {
			require.Contains(t, []string{"table", "list", "key_value"}, n.Name())
		}
		if g, ok := n.(*schema.GroupNode); ok {
			for i := range g.NumFields() {
				walk(g.Field(i))
			}
			return
		}
		_, isInt := n.LogicalType().(schema.IntLogicalType)
		_, isIntP := n.LogicalType().(*schema.IntLogicalType)
		require.False(t, isInt || isIntP, "%s is annotated as an integer, which Spark cannot promote", n.Name())
		switch n.Name() {
		case "r_int", "r_long":
			require.Equal(t, schema.ConvertedTypes.None, n.ConvertedType())
		case "r_decimal_9_2":
			require.Equal(t, parquet.Types.Int32, n.(*schema.PrimitiveNode).PhysicalType())
		case "r_decimal_18_6":
			require.Equal(t, parquet.Types.Int64, n.(*schema.PrimitiveNode).PhysicalType())
		case "r_decimal_19_0":
			require.Equal(t, 9, n.(*schema.PrimitiveNode).TypeLength())
		case "r_decimal_38_10":
			require.Equal(t, 16, n.(*schema.PrimitiveNode).TypeLength())
		case "r_uuid":
			require.Equal(t, schema.UUIDLogicalType{}, n.LogicalType())
		case "r_timestamp":
			require.False(t, n.LogicalType().(schema.TimestampLogicalType).IsAdjustedToUTC())
		case "r_timestamptz":
			require.True(t, n.LogicalType().(schema.TimestampLogicalType).IsAdjustedToUTC())
		}
	}
	walk(pf.MetaData().Schema.Root())
	want := map[int]bool{}
	for _, f := range c.Schema.Fields() {
		collectIDs(f, want)
	}
	require.Equal(t, want, ids)
	for i := range pf.MetaData().Schema.NumColumns() {
		cc, err := pf.MetaData().RowGroup(0).ColumnChunk(i)
		require.NoError(t, err)
		for _, e := range cc.Encodings() {
			require.Contains(t, []parquet.Encoding{parquet.Encodings.Plain, parquet.Encodings.PlainDict, parquet.Encodings.RLEDict, parquet.Encodings.RLE}, e)
		}
	}
}

func TestMetadataColumnsSayWhereARowComesFrom(t *testing.T) {
	def := ledger()
	c := yard(t, def)
	files := writeAll(t, c, "reserve:2019-archive", entriesOf(def, rand.New(rand.NewPCG(1, 1)), 0, 3, true))
	pf, err := file.NewParquetReader(bytes.NewReader(onDisk(t, files[0])))
	require.NoError(t, err)
	defer func() { require.NoError(t, pf.Close()) }()
	for _, tc := range []struct{ name, want string }{{metaSource, "core"}, {metaLane, "reserve:2019-archive"}} {
		r, err := pf.RowGroup(0).Column(pf.MetaData().Schema.ColumnIndexByName(tc.name))
		require.NoError(t, err)
		vals := make([]parquet.ByteArray, 3)
		_, n, err := r.(*file.ByteArrayColumnChunkReader).ReadBatch(3, vals, nil, nil)
		require.NoError(t, err)
		require.Equal(t, 3, n)
		for _, v := range vals {
			require.Equal(t, tc.want, string(v))
		}
	}
}

func TestASchemaThatIsAheadOrBehind(t *testing.T) {
	def := ledger()
	b := entriesOf(def, rand.New(rand.NewPCG(1, 1)), 0, 100, true)
	change := func(fn func(f []iceberg.NestedField) []iceberg.NestedField) *iceberg.Schema {
		return iceberg.NewSchema(1, fn(slices.Clone(IcebergSchema(def).Fields()))...)
	}
	for _, tc := range []struct {
		name, err string
		schema    *iceberg.Schema
	}{
		{"a column of another engine", "", change(func(f []iceberg.NestedField) []iceberg.NestedField {
			return append(f, iceberg.NestedField{ID: 10100, Name: "extra", Type: iceberg.PrimitiveTypes.String})
		})},
		{"a required column of another engine", "does not have it", change(func(f []iceberg.NestedField) []iceberg.NestedField {
			return append(f, iceberg.NestedField{ID: 10100, Name: "extra", Type: iceberg.PrimitiveTypes.String, Required: true})
		})},
		{"widened by a newer version", "", change(func(f []iceberg.NestedField) []iceberg.NestedField {
			f[2].Type = iceberg.DecimalTypeOf(14, 2)
			return f
		})},
		{"renamed and moved", "", change(func(f []iceberg.NestedField) []iceberg.NestedField {
			f[1].Name = "account"
			f[1], f[4] = f[4], f[1]
			return f
		})},
		{"narrower", "must follow the contract first", change(func(f []iceberg.NestedField) []iceberg.NestedField {
			f[2].Type = iceberg.DecimalTypeOf(10, 2)
			return f
		})},
		{"without a column", "must follow the contract first", change(func(f []iceberg.NestedField) []iceberg.NestedField { return f[1:] })},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := yard(t, def)
			c.Schema = tc.schema
			w, err := NewWriter(c)
			if tc.err != "" {
				require.ErrorContains(t, err, tc.err)
				return
			}
			require.NoError(t, err)
			require.NoError(t, w.Write(b, nil, undrop.LaneStream))
			files, err := w.Close()
			require.NoError(t, err)
			got := readBack(t, def, files...)
			sameRows(t, b, nil, got, false)
		})
	}
}
