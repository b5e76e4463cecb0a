package lake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/catalog"
)

// The properties by which a table says what made it.
const (
	PropertyContract = "undrop.contract" // JSON of undrop.ContractRef
	PropertyMode     = "undrop.mode"
	PropertySource   = "undrop.source"   // name of the source in the configuration
	PropertyRelation = "undrop.relation" // schema.table in the source
)

// Ensure loads the table that a contract asks for and makes it first if it is
// missing; props are added to the properties of a new table. A table of that name
// that something else made is refused, not written to. The schema of a table that
// exists is not compared: Evolve does that.
func (l *Lake) Ensure(ctx context.Context, t *undrop.Table, props iceberg.Properties) (*Table, error) {
	have, err := l.Load(ctx, t.TableName)
	if errors.Is(err, ErrNoTable) {
		if have, err = l.create(ctx, t, props); errors.Is(err, catalog.ErrExists) {
			have, err = l.Load(ctx, t.TableName) // another process was first
		}
	}
	if err != nil {
		return nil, err
	}
	return have, have.owned(t)
}

func (l *Lake) create(ctx context.Context, t *undrop.Table, props iceberg.Properties) (*Table, error) {
	schema := IcebergSchema(t)
	spec, err := PartitionSpec(t, schema)
	if err != nil {
		return nil, err
	}
	all := iceberg.Properties{
		table.PropertyFormatVersion:               "2",
		table.WriteFormatDefaultKey:               "parquet",
		"write.parquet.compression-codec":         "zstd",
		"write.parquet.compression-level":         "1",
		table.WriteDeleteModeKey:                  table.WriteModeMergeOnRead,
		table.MetadataDeleteAfterCommitEnabledKey: "true",
		table.MetadataPreviousVersionsMaxKey:      "100",
		// Whoever expires snapshots by the table's own rule keeps two weeks.
		table.MaxSnapshotAgeMsKey:   "1209600000",
		table.MinSnapshotsToKeepKey: "1",
		table.GCEnabledKey:          "true",
		PropertyContract:            contractProperty(t.Contract),
		PropertyMode:                string(t.Mode),
		PropertySource:              t.Source,
		PropertyRelation:            t.SourceRelation(),
	}
	for k, v := range props {
		all[k] = v
	}
	e, err := l.cat.Create(ctx, t.TableName, schema, spec, all)
	if err != nil {
		return nil, err
	}
	return &Table{Name: t.TableName, Entry: e}, nil
}

func contractProperty(c undrop.ContractRef) string {
	raw, err := json.Marshal(c)
	if err != nil { // three strings always marshal
		panic(err)
	}
	return string(raw)
}

// Contract is the version of the contract that the table's schema follows; the
// zero value if no contract made it.
func (t *Table) Contract() (undrop.ContractRef, error) {
	var c undrop.ContractRef
	raw := t.Entry.Metadata.Properties()[PropertyContract]
	if raw == "" {
		return c, nil
	}
	if err := json.Unmarshal([]byte(raw), &c); err != nil {
		return c, fmt.Errorf("read property %s of table %s: %w", PropertyContract, t.Name, err)
	}
	return c, nil
}

// owned refuses a table that was made by something else than this contract.
func (t *Table) owned(want *undrop.Table) error {
	c, err := t.Contract()
	if err != nil {
		return err
	}
	p := t.Entry.Metadata.Properties()
	refuse := func(format string, args ...any) error {
		return &undrop.Error{
			Code: undrop.Refused,
			Op:   "use table " + t.Name.String(),
			Err:  fmt.Errorf(format, args...),
			Hint: "give the contract another table with the custom property undrop.table, or look at this one: undrop table show " + t.Name.String(),
		}
	}
	switch {
	case c.ID == "":
		return refuse("it exists and was not made by undrop")
	case c.ID != want.Contract.ID:
		return refuse("it belongs to contract %s, not to %s", c.ID, want.Contract.ID)
	case p[PropertyMode] != string(want.Mode):
		return refuse("it is a %s table, the contract asks for %s", p[PropertyMode], want.Mode)
	case p[PropertySource] != want.Source:
		return refuse("it is fed by source %s, the contract names %s", p[PropertySource], want.Source)
	case p[PropertyRelation] != want.SourceRelation():
		return refuse("it holds %s, the contract names %s", p[PropertyRelation], want.SourceRelation())
	}
	return nil
}
