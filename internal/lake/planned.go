package lake

import (
	"fmt"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/catalog"
)

// Planned is the table as Evolve would make it, and the updates that make it so,
// without committing them: rows that replace a table are written with the new
// schema while readers still have the old rows under the old one. Stage.Updates
// takes the updates, so that both change in one step. Without a change it is t.
func (l *Lake) Planned(t *Table, next *undrop.Table) (*Table, []table.Update, error) {
	_, schema, err := planEvolve(t, next)
	if err != nil || schema == nil {
		return t, nil, err
	}
	updates := []table.Update{table.NewAddSchemaUpdate(schema), table.NewSetCurrentSchemaUpdate(-1),
		table.NewSetPropertiesUpdate(iceberg.Properties{PropertyContract: contractProperty(next.Contract)})}
	m, err := table.UpdateTableMetadata(t.Entry.Metadata, updates, "")
	if err != nil {
		return nil, nil, fmt.Errorf("plan the schema of table %s: %w", t.Name, err)
	}
	return &Table{Name: t.Name, Entry: &catalog.Entry{Name: t.Entry.Name, Location: t.Entry.Location, Metadata: m}}, updates, nil
}

// Added are the columns of next, by index, that hold something for which the table
// has no column yet: its rows have no values there, whatever the source has.
func Added(t *Table, next *undrop.Table) []int {
	have := map[int]bool{}
	for _, f := range t.Entry.Metadata.CurrentSchema().Fields() {
		collectIDs(f, have)
	}
	var added []int
	want := IcebergSchema(next).Fields()
	for i := range next.Fields {
		ids := map[int]bool{}
		collectIDs(want[i], ids)
		for id := range ids {
			if !have[id] {
				added = append(added, i)
				break
			}
		}
	}
	return added
}
