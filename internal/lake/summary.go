package lake

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	undrop "github.com/undrop/undrop"
)

// Source reads undrop.source, nil if the snapshot has none.
func (s *Snapshot) Source() (*undrop.SourceMark, error) {
	raw, ok := s.Summary[undrop.SummarySource]
	if !ok {
		return nil, nil
	}
	var m undrop.SourceMark
	if err := json.Unmarshal([]byte(raw), &m); err != nil {
		return nil, fmt.Errorf("read %s of snapshot %d: %w", undrop.SummarySource, s.ID, err)
	}
	return &m, nil
}

// tally is what a set of files holds.
type tally struct {
	data, records, size      int64
	eqFiles, eqDeletes       int64
	positionFiles, positions int64
}

func (t *tally) add(f iceberg.DataFile) {
	t.size += f.FileSizeBytes()
	switch f.ContentType() {
	case iceberg.EntryContentData:
		t.data++
		t.records += f.Count()
	case iceberg.EntryContentEqDeletes:
		t.eqFiles++
		t.eqDeletes += f.Count()
	case iceberg.EntryContentPosDeletes:
		t.positionFiles++
		t.positions += f.Count()
	}
}

func (t *tally) deletes() int64 { return t.eqFiles + t.positionFiles }

// counters makes the summary that the Iceberg specification describes, as Java
// writes it.
type counters struct {
	added, removed tally
	partitions     map[string]bool
}

func (c *counters) add(f iceberg.DataFile) {
	c.added.add(f)
	c.touch(f)
}

func (c *counters) remove(f iceberg.DataFile) {
	c.removed.add(f)
	c.touch(f)
}

func (c *counters) touch(f iceberg.DataFile) {
	var parts []string
	for id, v := range f.Partition() {
		parts = append(parts, fmt.Sprint(id, "=", v))
	}
	slices.Sort(parts)
	if c.partitions == nil {
		c.partitions = map[string]bool{}
	}
	c.partitions[fmt.Sprint(f.SpecID(), strings.Join(parts, ","))] = true
}

func (c *counters) operation() table.Operation {
	gone := c.added.deletes() > 0 || c.removed.data+c.removed.deletes() > 0
	switch {
	case !gone:
		return table.OpAppend
	case c.added.data == 0:
		return table.OpDelete
	default:
		return table.OpOverwrite
	}
}

// properties lists the counters of this snapshot and the totals of the table,
// which continue those of the parent.
func (c *counters) properties(parent *table.Snapshot) map[string]string {
	out := map[string]string{"changed-partition-count": strconv.Itoa(len(c.partitions))}
	put := func(key string, n int64) {
		if n > 0 {
			out[key] = strconv.FormatInt(n, 10)
		}
	}
	put("added-data-files", c.added.data)
	put("added-records", c.added.records)
	put("added-files-size", c.added.size)
	put("added-delete-files", c.added.deletes())
	put("added-equality-delete-files", c.added.eqFiles)
	put("added-equality-deletes", c.added.eqDeletes)
	put("added-position-delete-files", c.added.positionFiles)
	put("added-position-deletes", c.added.positions)
	put("deleted-data-files", c.removed.data)
	put("deleted-records", c.removed.records)
	put("removed-files-size", c.removed.size)
	put("removed-delete-files", c.removed.deletes())
	put("removed-equality-delete-files", c.removed.eqFiles)
	put("removed-equality-deletes", c.removed.eqDeletes)
	put("removed-position-delete-files", c.removed.positionFiles)
	put("removed-position-deletes", c.removed.positions)
	total := func(key string, change int64) {
		before := int64(0)
		if parent != nil {
			var err error
			if parent.Summary == nil {
				return
			}
			// A total that another writer left out is unknown, not zero.
			if before, err = strconv.ParseInt(parent.Summary.Properties[key], 10, 64); err != nil {
				return
			}
		}
		out[key] = strconv.FormatInt(before+change, 10)
	}
	total("total-data-files", c.added.data-c.removed.data)
	total("total-records", c.added.records-c.removed.records)
	total("total-files-size", c.added.size-c.removed.size)
	total("total-delete-files", c.added.deletes()-c.removed.deletes())
	total("total-equality-deletes", c.added.eqDeletes-c.removed.eqDeletes)
	total("total-position-deletes", c.added.positions-c.removed.positions)
	return out
}
