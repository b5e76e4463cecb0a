package lake

import (
	"context"
	"fmt"
	"iter"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// ScanOptions select what Scan reads.
type ScanOptions struct {
	SnapshotID int64    // 0: the head of main, with the current schema
	Columns    []string // by the names of the schema that is read; none: all
	Filter     iceberg.BooleanExpression
	Limit      int64 // rows, 0: no limit
	// Current reads an older snapshot with the table's current schema: renamed
	// columns have their new names, newer ones are null. Otherwise the schema is
	// the snapshot's own.
	Current bool
	// Concurrency is how many files are decoded at once. Beyond 1 each of them may
	// be in memory whole.
	Concurrency int
}

// Scan reads a snapshot with all deletes applied. A record batch is valid until
// the next step of the iteration; Retain it to keep it longer. A table without a
// snapshot on main has no rows.
func (l *Lake) Scan(ctx context.Context, t *Table, o ScanOptions) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		fail := func(err error) { yield(nil, fmt.Errorf("scan table %s: %w", t.Name, err)) }
		scan, err := l.scan(t, o)
		if err != nil {
			fail(err)
			return
		}
		if scan == nil {
			return
		}
		var records iter.Seq2[arrow.RecordBatch, error]
		if ids := widenedIDs(t); len(ids) > 0 {
			records, err = l.scanWidened(ctx, t, o, scan, ids)
		} else {
			_, records, err = scan.ToArrowRecords(ctx)
		}
		if err != nil {
			fail(err)
			return
		}
		projection, err := scan.Projection()
		if err != nil {
			fail(err)
			return
		}
		for rec, err := range records {
			if err != nil {
				fail(err)
				return
			}
			named := withIDs(rec, projection)
			rec.Release()
			ok := yield(named, nil)
			named.Release()
			if !ok {
				return
			}
		}
	}
}

// withIDs puts the field ids, which the library leaves out, on the columns of rec:
// a column that was renamed can be told by nothing else.
func withIDs(rec arrow.RecordBatch, schema *iceberg.Schema) arrow.RecordBatch {
	fields := rec.Schema().Fields()
	for i := range fields {
		if f, ok := schema.FindFieldByName(fields[i].Name); ok {
			fields[i].Metadata = arrow.NewMetadata([]string{fieldIDKey}, []string{strconv.Itoa(f.ID)})
		}
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), rec.Columns(), rec.NumRows())
}

// scan makes the library's scan; nil when there is no snapshot to read.
func (l *Lake) scan(t *Table, o ScanOptions) (*table.Scan, error) {
	id := o.SnapshotID
	if id == 0 {
		head := t.Head(Main)
		if head == nil {
			return nil, nil
		}
		id, o.Current = head.ID, true
	} else if t.Snapshot(id) == nil {
		return nil, fmt.Errorf("it has no snapshot %d", id)
	}
	opts := []table.ScanOption{table.WithMaxConcurrency(max(1, o.Concurrency))}
	if len(o.Columns) > 0 {
		opts = append(opts, table.WithSelectedFields(o.Columns...))
	}
	if o.Filter != nil {
		opts = append(opts, table.WithRowFilter(o.Filter))
	}
	if o.Limit > 0 {
		opts = append(opts, table.WithLimit(o.Limit))
	}
	if !o.Current {
		return l.Iceberg(t).Scan(append(opts, table.WithSnapshotID(id))...), nil
	}
	at, branch, err := pinned(t, id)
	if err != nil {
		return nil, err
	}
	return l.Iceberg(at).Scan(opts...).UseRef(branch)
}

// pinned names a branch whose head is the snapshot: the library reads branches
// with the current schema and bare ids with the snapshot's. A branch that does
// not exist is added to the copy in memory only.
func pinned(t *Table, id int64) (*Table, string, error) {
	m := t.Entry.Metadata
	for name, ref := range m.Refs() {
		if ref.SnapshotID == id && ref.SnapshotRefType == table.BranchRef {
			return t, name, nil
		}
	}
	const branch = "undrop-scan"
	m, err := table.UpdateTableMetadata(m, []table.Update{table.NewSetSnapshotRefUpdate(branch, id, table.BranchRef, 0, 0, 0)}, "")
	if err != nil {
		return nil, "", err
	}
	e := *t.Entry
	e.Metadata = m
	return &Table{Name: t.Name, Entry: &e}, branch, nil
}

// CountRows counts the live rows of a snapshot (0: the head of main). Without
// delete files the manifests say it; otherwise the rows are read.
func (l *Lake) CountRows(ctx context.Context, t *Table, snapshotID int64) (int64, error) {
	scan, err := l.scan(t, ScanOptions{SnapshotID: snapshotID})
	if err != nil || scan == nil {
		return 0, err
	}
	tasks, err := scan.PlanFiles(ctx)
	if err != nil {
		return 0, fmt.Errorf("count rows of table %s: %w", t.Name, err)
	}
	var n int64
	clean := true
	for _, task := range tasks {
		n += task.File.Count()
		clean = clean && len(task.DeleteFiles)+len(task.EqualityDeleteFiles)+len(task.DeletionVectorFiles) == 0
	}
	if clean {
		return n, nil
	}
	column := t.Entry.Metadata.CurrentSchema().Field(0).Name
	if _, ok := t.Entry.Metadata.CurrentSchema().FindFieldByName(metaSeq); ok {
		column = metaSeq
	}
	n = 0
	for rec, err := range l.Scan(ctx, t, ScanOptions{SnapshotID: snapshotID, Columns: []string{column}, Current: true}) {
		if err != nil {
			return 0, err
		}
		n += rec.NumRows()
	}
	return n, nil
}
