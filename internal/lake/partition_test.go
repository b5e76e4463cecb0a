package lake

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/apache/iceberg-go"
	"github.com/stretchr/testify/require"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// transforms lists every transform that a type takes.
func transforms(typ undrop.Type) []undrop.Transform {
	var out []undrop.Transform
	for _, tr := range []undrop.Transform{{Name: "identity"}, {Name: "bucket", Param: 7}, {Name: "bucket", Param: 1 << 20}, {Name: "truncate", Param: 3},
		{Name: "truncate", Param: 10_000}, {Name: "year"}, {Name: "month"}, {Name: "day"}, {Name: "hour"}} {
		if it, _, err := transformOf(tr); err == nil && it.CanTransform(icebergType(typ)) && typ.Kind != undrop.Float32 && typ.Kind != undrop.Float64 {
			out = append(out, tr)
		}
	}
	return out
}

// Our transforms give what the library's give, for every type and edge.
func TestTransformsAreTheLibrarys(t *testing.T) {
	def := zoo(undrop.History)
	b := herd(def, rand.New(rand.NewPCG(11, 12)), 0, 1500)
	tried := 0
	for i, f := range def.Fields {
		if f.Type.Nested() {
			continue
		}
		for _, tr := range transforms(f.Type) {
			tried++
			tr.Field = i
			d := *def
			d.Partition = []undrop.Transform{tr}
			c := yard(t, &d)
			p, err := newPartitioner(&c, nil)
			require.NoError(t, err)
			lib := c.Spec.Field(0).Transform
			for row := range b.Len() {
				key, err := p.key(nil, b, row)
				if err != nil {
					require.Equal(t, "truncate", tr.Name) // below the smallest number: the library's answer wraps
					continue
				}
				part, err := p.describe(string(key))
				require.NoError(t, err)
				got := part.values[1000]
				if b.Cols[i].Null[row] {
					require.Nil(t, got)
					continue
				}
				want := lib.Apply(iceberg.Optional[iceberg.Literal]{Valid: true, Val: literal(t, f.Type, &b.Cols[i], row)})
				require.True(t, want.Valid)
				// Literals that are numbers compare by their text; that is exact here.
				require.Equal(t, plainValue(want.Val.Any()), plainValue(got), "%s of %s %s", lib, f.Type, b.Cols[i].AppendText(nil, row))
			}
		}
	}
	require.Greater(t, tried, 60)
}

func plainValue(v any) string {
	if d, ok := v.(iceberg.Decimal); ok {
		return d.String()
	}
	if b, ok := v.([]byte); ok {
		return fmt.Sprintf("%x", b)
	}
	if r := reflect.ValueOf(v); r.CanInt() {
		return fmt.Sprint(r.Int())
	}
	return fmt.Sprint(v)
}

// Files of a partitioned table hold rows of their partition only, and a manifest
// gives the partition back as it was.
func TestPartitionedFiles(t *testing.T) {
	for _, name := range []string{"o_boolean", "o_int", "o_long", "o_decimal_9_2", "o_decimal_38_10", "o_string", "o_binary", "o_uuid", "o_date", "o_time", "o_timestamp", "o_timestamptz"} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			def := zoo(undrop.Events)
			for i, f := range def.Fields {
				if f.Name != name {
					continue
				}
				for _, tr := range transforms(f.Type) {
					if tr.Name == "identity" || tr.Name == "bucket" && tr.Param == 7 || tr.Name == "day" && f.Type.Kind != undrop.Date {
						tr.Field = i
						def.Partition = append(def.Partition, tr)
					}
				}
			}
			tab := b.ensure(def)
			want := herd(def, rand.New(rand.NewPCG(5, 6)), 0, 90)
			c := b.lake.WriterConfig(tab, def, "core")
			files := writeAll(t, c, undrop.LaneStream, want)
			require.Greater(t, len(files), 1)
			p, err := newPartitioner(&c, nil)
			require.NoError(t, err)
			byPath := map[string]File{}
			rows := 0
			for _, f := range files {
				byPath[f.Path] = f
				got := readBack(t, def, f)
				for i := range got.Len() {
					key, err := p.key(nil, got, i)
					require.NoError(t, err)
					part, err := p.describe(string(key))
					require.NoError(t, err)
					require.Equal(t, part.values, f.Data.Partition())
				}
				rows += got.Len()
			}
			require.Equal(t, want.Len(), rows)
			b.commit(&Stage{Table: tab, ParentOf: Main, Data: files})
			tab = b.load(def.TableName)
			manifests, err := tab.Entry.Metadata.CurrentSnapshot().Manifests(b.lake.wh.FS)
			require.NoError(t, err)
			for _, m := range manifests {
				for e, err := range m.Entries(b.lake.wh.FS, true) {
					require.NoError(t, err)
					back := e.DataFile().Partition()
					for id, v := range byPath[e.DataFile().FilePath()].Data.Partition() {
						require.Equal(t, plainValue(v), plainValue(back[id]))
					}
				}
			}
			got := batch.New(def)
			for rec, err := range b.lake.Scan(t.Context(), tab, ScanOptions{}) {
				require.NoError(t, err)
				require.NoError(t, ToBatch(rec, got))
			}
			require.Equal(t, want.Len(), got.Len())
		})
	}
}

// With more partitions than files may be open, files end early and no row is lost.
func TestManyPartitions(t *testing.T) {
	def := ledger()
	def.Partition = []undrop.Transform{{Name: "bucket", Param: 3 * openFiles, Field: 0}}
	c := yard(t, def)
	r := rand.New(rand.NewPCG(1, 1))
	w, err := NewWriter(c)
	require.NoError(t, err)
	for i := range 3 {
		require.NoError(t, w.Write(entriesOf(def, r, i*2000, 2000, true), nil, undrop.LaneStream))
		require.LessOrEqual(t, len(w.open), openFiles)
	}
	files, err := w.Close()
	require.NoError(t, err)
	require.Greater(t, len(files), 3*openFiles)
	ids := map[int64]bool{}
	got := readBack(t, def, files...)
	for _, id := range got.Cols[0].Ints {
		ids[id] = true
	}
	require.Len(t, ids, 6000)
	require.Equal(t, 6000, got.Len())
}
