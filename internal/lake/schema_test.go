package lake

import (
	"errors"
	"testing"

	"github.com/apache/iceberg-go"
	"github.com/stretchr/testify/require"

	undrop "github.com/undrop/undrop"
)

func TestSchemaKeepsTheContractsIDs(t *testing.T) {
	def := zoo(undrop.Mirror)
	s := IcebergSchema(def)
	require.Equal(t, []int{1}, s.IdentifierFieldIDs)
	for _, f := range def.Fields {
		got, ok := s.FindFieldByID(f.ID)
		require.True(t, ok)
		require.Equal(t, f.Name, got.Name)
		require.Equal(t, f.Required, got.Required)
	}
	for id, name := range map[int]string{300: "na.element", 303: "nc.element.element", 305: "nd.element.a", 309: "ne.value", 312: "nf.value.key", 318: "ng.z.l"} {
		got, ok := s.FindColumnName(id)
		require.True(t, ok)
		require.Equal(t, name, got)
	}
}

func TestMetadataColumnsOfEachMode(t *testing.T) {
	for mode, want := range map[undrop.Mode][]string{
		undrop.Mirror:  {"_undrop_source", "_undrop_lsn", "_undrop_seq", "_undrop_committed_at", "_undrop_lane"},
		undrop.Events:  {"_undrop_source", "_undrop_lsn", "_undrop_seq", "_undrop_committed_at", "_undrop_lane"},
		undrop.History: {"_undrop_source", "_undrop_lsn", "_undrop_seq", "_undrop_committed_at", "_undrop_lane", "_undrop_op"},
	} {
		def := ledger()
		def.Mode = mode
		s := IcebergSchema(def)
		var got []string
		for i, f := range s.Fields()[len(def.Fields):] {
			require.Equal(t, 10001+i, f.ID)
			require.True(t, f.Required)
			got = append(got, f.Name)
		}
		require.Equal(t, want, got)
		require.Equal(t, mode == undrop.Mirror, len(s.IdentifierFieldIDs) == 1)
	}
}

// The row of a delete holds only the key.
func TestHistoryRequiresTheKeyOnly(t *testing.T) {
	def := ledger()
	def.Mode, def.Key = undrop.History, []int{1}
	for i, f := range IcebergSchema(def).Fields()[:len(def.Fields)] {
		require.Equal(t, i == 1, f.Required, f.Name)
	}
}

func TestPartitionSpecs(t *testing.T) {
	for _, tc := range []struct {
		name  string
		mode  undrop.Mode
		parts []undrop.Transform
		want  string // of the spec, or of the error
	}{
		{"none", undrop.Mirror, nil, "[]"},
		{"a mirror by its key", undrop.Mirror, []undrop.Transform{{Name: "bucket", Param: 16, Field: 0}}, "[\n\t1000: id_bucket: bucket[16](1)\n]"},
		{"two buckets of one column", undrop.Mirror, []undrop.Transform{{Name: "bucket", Param: 16, Field: 0}, {Name: "bucket", Param: 8, Field: 0}},
			"[\n\t1000: id_bucket: bucket[16](1)\n\t1001: id_bucket_2: bucket[8](1)\n]"},
		{"a mirror by another column", undrop.Mirror, []undrop.Transform{{Name: "day", Field: 6}}, "created_at is not part of the key"},
		{"a history by time", undrop.History, []undrop.Transform{{Name: "day", Field: 6}, {Name: "identity", Field: 3}}, "[\n\t1000: created_at_day: day(7)\n\t1001: currency: identity(4)\n]"},
		{"a transform that does not fit", undrop.History, []undrop.Transform{{Name: "hour", Field: 3}}, "hour does not take column currency"},
		{"an unknown transform", undrop.History, []undrop.Transform{{Name: "zorder", Field: 3}}, "no transform"},
		{"no width", undrop.History, []undrop.Transform{{Name: "truncate", Field: 3}}, "positive number"},
		{"days and hours of one column", undrop.History, []undrop.Transform{{Name: "day", Field: 6}, {Name: "hour", Field: 6}}, "redundant"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			def := ledger()
			def.Mode, def.Partition = tc.mode, tc.parts
			spec, err := PartitionSpec(def, IcebergSchema(def))
			if err != nil {
				var e *undrop.Error
				require.True(t, errors.As(err, &e))
				require.NotEmpty(t, e.Hint)
				require.ErrorContains(t, err, tc.want)
				return
			}
			require.Equal(t, tc.want, spec.String())
		})
	}
}

func TestAPartitionIsNotNamedLikeAColumn(t *testing.T) {
	def := ledger()
	def.Mode = undrop.History
	def.Fields[1].Name = "created_at_day"
	def.Partition = []undrop.Transform{{Name: "day", Field: 6}}
	spec, err := PartitionSpec(def, IcebergSchema(def))
	require.NoError(t, err)
	require.Equal(t, "created_at_day_2", spec.Field(0).Name)
	require.Equal(t, iceberg.DayTransform{}, spec.Field(0).Transform)
}
