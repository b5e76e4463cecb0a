package catalog

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/stretchr/testify/require"
)

// What we write is what the library would write, and it reads it as the same.
func TestEncodingIsTheLibrarys(t *testing.T) {
	m, err := newMetadata(schema(), *iceberg.UnpartitionedSpec, "file:///w/bank/x", iceberg.Properties{"a": "<&>\u2028 \"q\""})
	require.NoError(t, err)
	var known snapshotsJSON
	check := func() {
		t.Helper()
		var raw []byte
		raw, known, err = encode(m, known)
		require.NoError(t, err)
		theirs, err := json.Marshal(m)
		require.NoError(t, err)
		require.JSONEq(t, string(theirs), string(raw))
		back, err := table.ParseMetadataBytes(raw)
		require.NoError(t, err)
		require.True(t, back.Equals(m))
	}
	check()
	apply := func(updates ...table.Update) {
		t.Helper()
		m, err = table.UpdateTableMetadata(m, updates, fmt.Sprintf("file:///w/bank/x/metadata/%d.metadata.json", m.LastSequenceNumber()))
		require.NoError(t, err)
		check()
	}
	var parent *int64
	for i := range int64(5) {
		id, sid := 100+i, 0
		s := &table.Snapshot{SnapshotID: id, ParentSnapshotID: parent, SequenceNumber: i + 1, TimestampMs: m.LastUpdatedMillis() + 1, SchemaID: &sid,
			ManifestList: "file:///l", Summary: &table.Summary{Operation: table.OpAppend, Properties: iceberg.Properties{"undrop.source": `{"lsn":"0/1","x":"<é>"}`}}}
		branch := []string{"main", "undrop-load"}[i%2]
		apply(table.NewAddSnapshotUpdate(s), table.NewSetSnapshotRefUpdate(branch, id, table.BranchRef, 1000*i, 0, int(i)))
		parent = &id
	}
	fields := append(m.CurrentSchema().Fields(), iceberg.NestedField{ID: 30, Name: "more", Type: &iceberg.ListType{ElementID: 31, Element: iceberg.PrimitiveTypes.UUID}})
	apply(table.NewAddSchemaUpdate(iceberg.NewSchemaWithIdentifiers(1, []int{7}, fields...)), table.NewSetCurrentSchemaUpdate(-1))
	apply(table.NewSetPropertiesUpdate(iceberg.Properties{"k": "v"}), table.NewRemovePropertiesUpdate([]string{"a"}))
	apply(table.NewSetStatisticsUpdate(table.StatisticsFile{SnapshotID: 104, StatisticsPath: "file:///s", BlobMetadata: []table.BlobMetadata{}}))
	apply(table.NewRemoveSnapshotRefUpdate("undrop-load"))
	apply(table.NewRemoveSnapshotsUpdate([]int64{101, 100}, false))
	require.Len(t, known, 3, "what is gone is not kept")
}
