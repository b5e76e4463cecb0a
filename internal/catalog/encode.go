package catalog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"

	undrop "github.com/undrop/undrop"
)

// head is table metadata of format version 2 without its snapshots, in the order
// of the specification.
type head struct {
	FormatVersion      int                             `json:"format-version"`
	UUID               uuid.UUID                       `json:"table-uuid"`
	Location           string                          `json:"location"`
	LastSequenceNumber int64                           `json:"last-sequence-number"`
	LastUpdatedMS      int64                           `json:"last-updated-ms"`
	LastColumnID       int                             `json:"last-column-id"`
	CurrentSchemaID    int                             `json:"current-schema-id"`
	Schemas            []*iceberg.Schema               `json:"schemas"`
	DefaultSpecID      int                             `json:"default-spec-id"`
	Specs              []iceberg.PartitionSpec         `json:"partition-specs"`
	LastPartitionID    *int                            `json:"last-partition-id,omitempty"`
	DefaultSortOrderID int                             `json:"default-sort-order-id"`
	SortOrders         []table.SortOrder               `json:"sort-orders"`
	Properties         iceberg.Properties              `json:"properties,omitempty"`
	CurrentSnapshotID  *int64                          `json:"current-snapshot-id,omitempty"`
	Refs               map[string]table.SnapshotRef    `json:"refs,omitempty"`
	SnapshotLog        []table.SnapshotLogEntry        `json:"snapshot-log,omitempty"`
	MetadataLog        []table.MetadataLogEntry        `json:"metadata-log,omitempty"`
	Statistics         []table.StatisticsFile          `json:"statistics,omitempty"`
	PartitionStats     []table.PartitionStatisticsFile `json:"partition-statistics,omitempty"`
}

// snapshotsJSON keeps the JSON of a table's snapshots by id. A snapshot never
// changes, and encoding a thousand of them takes longer than all the rest of a
// commit.
type snapshotsJSON map[int64][]byte

// encode makes the bytes of a metadata file, and what is worth keeping for the
// next one. The library encodes what only it knows how to.
func encode(m table.Metadata, known snapshotsJSON) ([]byte, snapshotsJSON, error) {
	if m.Version() != 2 {
		raw, err := json.Marshal(m)
		return raw, nil, err
	}
	h := head{
		FormatVersion: m.Version(), UUID: m.TableUUID(), Location: m.Location(),
		LastSequenceNumber: m.LastSequenceNumber(), LastUpdatedMS: m.LastUpdatedMillis(), LastColumnID: m.LastColumnID(),
		CurrentSchemaID: m.CurrentSchema().ID, Schemas: m.Schemas(),
		DefaultSpecID: m.DefaultPartitionSpec(), Specs: m.PartitionSpecs(), LastPartitionID: m.LastPartitionSpecID(),
		DefaultSortOrderID: m.DefaultSortOrder(), SortOrders: m.SortOrders(),
		Properties: m.Properties(), Refs: map[string]table.SnapshotRef{},
		SnapshotLog: slices.Collect(m.SnapshotLogs()), MetadataLog: slices.Collect(m.PreviousFiles()),
		Statistics: slices.Collect(m.Statistics()), PartitionStats: slices.Collect(m.PartitionStatistics()),
	}
	if s := m.CurrentSnapshot(); s != nil {
		h.CurrentSnapshotID = &s.SnapshotID
	}
	for name, ref := range m.Refs() {
		h.Refs[name] = ref
	}
	raw, err := json.Marshal(h)
	if err != nil {
		return nil, nil, err
	}
	snapshots := m.Snapshots()
	if len(snapshots) == 0 {
		return raw, nil, nil
	}
	keep := make(snapshotsJSON, len(snapshots))
	parts := make([][]byte, len(snapshots))
	for i, s := range snapshots {
		if parts[i] = known[s.SnapshotID]; parts[i] == nil {
			if parts[i], err = json.Marshal(s); err != nil {
				return nil, nil, fmt.Errorf("snapshot %d: %w", s.SnapshotID, err)
			}
		}
		keep[s.SnapshotID] = parts[i]
	}
	raw = append(raw[:len(raw)-1], `,"snapshots":[`...)
	raw = append(raw, bytes.Join(parts, []byte(","))...)
	return append(raw, "]}"...), keep, nil
}

// write makes a metadata file durable.
func (c *sqlite) write(name undrop.TableName, location string, m table.Metadata) error {
	c.mu.Lock()
	known := c.encoded[name]
	c.mu.Unlock()
	raw, keep, err := encode(m, known)
	if err != nil {
		return fmt.Errorf("encode %s: %w", location, err)
	}
	c.mu.Lock()
	c.encoded[name] = keep
	c.mu.Unlock()
	if err := c.fs.WriteFile(location, raw); err != nil {
		return fmt.Errorf("write %s: %w", location, err)
	}
	return nil
}
