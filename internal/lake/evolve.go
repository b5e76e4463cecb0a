package lake

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/catalog"
)

// Evolve brings a table's schema to what a newer contract version asks for, in
// one commit, and answers what it changed. Columns are matched by field id. What
// would give old rows another meaning is refused with nothing changed.
func (l *Lake) Evolve(ctx context.Context, t *Table, next *undrop.Table) ([]string, error) {
	plan, schema, err := planEvolve(t, next)
	if err != nil {
		return nil, err
	}
	m := t.Entry.Metadata
	c := catalog.Commit{Name: t.Name, Requirements: []table.Requirement{
		table.AssertTableUUID(m.TableUUID()),
		table.AssertCurrentSchemaID(m.CurrentSchema().ID),
		table.AssertLastAssignedFieldID(m.LastColumnID()),
	}}
	if schema != nil {
		c.Updates = append(c.Updates, table.NewAddSchemaUpdate(schema), table.NewSetCurrentSchemaUpdate(-1))
	}
	if want := contractProperty(next.Contract); m.Properties()[PropertyContract] != want {
		c.Updates = append(c.Updates, table.NewSetPropertiesUpdate(iceberg.Properties{PropertyContract: want}))
	}
	if len(c.Updates) == 0 {
		return plan, nil
	}
	if _, err := l.cat.Commit(ctx, []catalog.Commit{c}); err != nil {
		return nil, fmt.Errorf("evolve table %s: %w", t.Name, err)
	}
	return plan, nil
}

// PlanEvolve answers what Evolve would change, and refuses what it would refuse.
func PlanEvolve(t *Table, next *undrop.Table) ([]string, error) {
	plan, _, err := planEvolve(t, next)
	return plan, err
}

// planEvolve compares the table's schema with the contract's; the schema is nil
// when nothing in it changes.
func planEvolve(t *Table, next *undrop.Table) ([]string, *iceberg.Schema, error) {
	if err := t.owned(next); err != nil {
		return nil, nil, err
	}
	m := t.Entry.Metadata
	have, want := m.CurrentSchema(), IcebergSchema(next)
	e := evolution{empty: m.LastSequenceNumber() == 0, key: have.IdentifierFieldIDs, used: usedIDs(m)}
	spec, err := PartitionSpec(next, want)
	if err != nil {
		return nil, nil, err
	}
	current := m.PartitionSpec()
	e.sources = map[int]bool{}
	for _, f := range current.Fields() {
		for _, id := range f.SourceIDs {
			e.sources[id] = true
		}
	}
	if !samePartitioning(spec, current) {
		e.refuse("the partitioning changes from %s to %s", describeSpec(current), describeSpec(spec))
	}
	if !sameIDs(have.IdentifierFieldIDs, want.IdentifierFieldIDs) {
		e.refuse("the key changes")
	}
	// A column that another engine added is not the contract's to drop.
	fields := want.Fields()
	for _, f := range have.Fields() {
		if f.ID > lastOwnID && !slices.ContainsFunc(fields, func(w iceberg.NestedField) bool { return w.ID == f.ID }) {
			fields = append(slices.Clone(fields), f)
		}
	}
	e.compare("", have.Fields(), fields)
	if len(e.refused) > 0 {
		return nil, nil, &undrop.Error{
			Code: undrop.Refused,
			Op:   "evolve table " + t.Name.String(),
			Err:  errors.Join(e.refused...),
			Hint: "keep the column as it is and add a new one, or give the new version of the contract another table with the custom property undrop.table",
		}
	}
	if len(e.plan) == 0 {
		return nil, nil, nil
	}
	return e.plan, iceberg.NewSchemaWithIdentifiers(have.ID+1, want.IdentifierFieldIDs, fields...), nil
}

// lastOwnID is the highest field id that undrop gives: those of the metadata
// columns. Other engines continue above it.
const lastOwnID = idOp

// usedIDs are the field ids of all columns that the table ever had.
func usedIDs(m table.Metadata) map[int]bool {
	used := map[int]bool{}
	for _, s := range m.Schemas() {
		for _, f := range s.Fields() {
			collectIDs(f, used)
		}
	}
	return used
}

func collectIDs(f iceberg.NestedField, into map[int]bool) {
	into[f.ID] = true
	if n, ok := f.Type.(iceberg.NestedType); ok {
		for _, child := range n.Fields() {
			collectIDs(child, into)
		}
	}
}

// samePartitioning compares what is partitioned by, not what the parts are called:
// a column that was renamed leaves its old name there.
func samePartitioning(a, b iceberg.PartitionSpec) bool {
	if a.NumFields() != b.NumFields() {
		return false
	}
	for i, f := range a.Fields() {
		if g := b.Field(i); !slices.Equal(f.SourceIDs, g.SourceIDs) || !f.Transform.Equals(g.Transform) {
			return false
		}
	}
	return true
}

func describeSpec(s iceberg.PartitionSpec) string {
	if s.IsUnpartitioned() {
		return "none"
	}
	return s.String()
}

func sameIDs(a, b []int) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}
