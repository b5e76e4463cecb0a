package lake

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// The library compares equality deletes with the values as a data file has them:
// once a key column is widened from int to long, a delete that was written after
// that does not take rows that were written before it. Tables with such a column
// are read with the library's scan and our own deletes.

// widenedIDs lists the columns of t that are long now and were int once.
func widenedIDs(t *Table) map[int]bool {
	m := t.Entry.Metadata
	schemas := m.Schemas()
	if len(schemas) < 2 {
		return nil
	}
	now := m.CurrentSchema()
	var out map[int]bool
	for _, s := range schemas {
		for _, f := range s.Fields() {
			if !f.Type.Equals(iceberg.PrimitiveTypes.Int32) {
				continue
			}
			if cur, ok := now.FindFieldByID(f.ID); ok && cur.Type.Equals(iceberg.PrimitiveTypes.Int64) {
				if out == nil {
					out = map[int]bool{}
				}
				out[f.ID] = true
			}
		}
	}
	return out
}

// scanWidened reads what scan would, and applies equality deletes on widened
// columns itself.
func (l *Lake) scanWidened(ctx context.Context, t *Table, o ScanOptions, scan *table.Scan, ids map[int]bool) (iter.Seq2[arrow.RecordBatch, error], error) {
	tasks, err := scan.PlanFiles(ctx)
	if err != nil {
		return nil, err
	}
	projection, err := scan.Projection()
	if err != nil {
		return nil, err
	}
	return func(yield func(arrow.RecordBatch, error) bool) {
		var rows int64
		// put hands a batch on, cut at the limit; it owns rec.
		put := func(rec arrow.RecordBatch) bool {
			if o.Limit > 0 && rows+rec.NumRows() > o.Limit {
				cut := rec.NewSlice(0, o.Limit-rows)
				rec.Release()
				rec = cut
			}
			rows += rec.NumRows()
			return yield(rec, nil) && (o.Limit <= 0 || rows < o.Limit)
		}
		deleted := map[string]map[string]bool{}
		for _, task := range tasks {
			more, err := l.readWidened(ctx, t, o, task, projection, ids, deleted, put)
			if err != nil {
				yield(nil, err)
			}
			if err != nil || !more {
				return
			}
		}
	}, nil
}

// readWidened reads one file. It answers false when put does.
func (l *Lake) readWidened(ctx context.Context, t *Table, o ScanOptions, task table.FileScanTask, projection *iceberg.Schema, ids map[int]bool,
	deleted map[string]map[string]bool, put func(arrow.RecordBatch) bool) (bool, error) {
	own := slices.DeleteFunc(slices.Clone(task.EqualityDeleteFiles), func(f iceberg.DataFile) bool {
		return !slices.ContainsFunc(f.EqualityFieldIDs(), func(id int) bool { return ids[id] })
	})
	task.EqualityDeleteFiles = slices.DeleteFunc(slices.Clone(task.EqualityDeleteFiles), func(f iceberg.DataFile) bool { return slices.Contains(own, f) })
	schema := t.Entry.Metadata.CurrentSchema()
	// The key is needed to apply the deletes, whatever was asked for. It may have
	// another name in the schema that is read, and always has the same id.
	wide := o
	wide.Limit = 0
	wide.Columns = nil
	for _, f := range projection.Fields() {
		wide.Columns = append(wide.Columns, f.Name)
	}
	snapshotSchema, err := l.scanSchema(t, o)
	if err != nil {
		return false, err
	}
	var keys []equalityKey
	for _, f := range own {
		k, err := l.equalityKey(ctx, schema, f, deleted)
		if err != nil {
			return false, fmt.Errorf("read delete file %s: %w", f.FilePath(), err)
		}
		keys = append(keys, k)
		for _, id := range k.ids {
			have, ok := snapshotSchema.FindFieldByID(id)
			if !ok {
				return false, fmt.Errorf("delete file %s names field id %d, which the schema does not have", f.FilePath(), id)
			}
			if !slices.Contains(wide.Columns, have.Name) {
				wide.Columns = append(wide.Columns, have.Name)
			}
		}
	}
	scan, err := l.scan(t, wide)
	if err != nil {
		return false, err
	}
	all, err := scan.Projection()
	if err != nil {
		return false, err
	}
	_, records, err := scan.ReadTasks(ctx, []table.FileScanTask{task})
	if err != nil {
		return false, err
	}
	for rec, err := range records {
		if err != nil {
			return false, err
		}
		named := withIDs(rec, all)
		rec.Release()
		left, err := drop(ctx, named, keys)
		named.Release()
		if err != nil {
			return false, err
		}
		if !put(only(left, projection)) {
			return false, nil
		}
	}
	return true, nil
}

// scanSchema is the whole schema that a scan reads with.
func (l *Lake) scanSchema(t *Table, o ScanOptions) (*iceberg.Schema, error) {
	o.Columns = nil
	scan, err := l.scan(t, o)
	if err != nil {
		return nil, err
	}
	return scan.Projection()
}

// equalityKey is an equality delete file in memory.
type equalityKey struct {
	ids   []int
	types []undrop.Type
	gone  map[string]bool
}

func (l *Lake) equalityKey(ctx context.Context, schema *iceberg.Schema, f iceberg.DataFile, deleted map[string]map[string]bool) (equalityKey, error) {
	k := equalityKey{ids: f.EqualityFieldIDs(), gone: deleted[f.FilePath()]}
	for _, id := range k.ids {
		field, ok := schema.FindFieldByID(id)
		typ, known := primitiveOf(field.Type)
		if !ok || !known {
			return k, fmt.Errorf("field id %d cannot be compared", id)
		}
		k.types = append(k.types, typ)
	}
	if k.gone != nil {
		return k, nil
	}
	p, err := openParquet(l.wh.FS, f.FilePath())
	if err != nil {
		return k, err
	}
	k.gone = map[string]bool{}
	err = p.each(ctx, k.ids, nil, func(rec arrow.RecordBatch, _ int, _ int64) (bool, error) {
		return true, k.each(rec, func(_ int, key []byte) { k.gone[string(key)] = true })
	})
	deleted[f.FilePath()] = k.gone
	return k, errors.Join(err, p.Close())
}

// each calls f with the key of every row of rec.
func (k equalityKey) each(rec arrow.RecordBatch, f func(row int, key []byte)) error {
	cols := make([]batch.Column, len(k.ids))
	for i, id := range k.ids {
		a := byID(rec, id)
		if a == nil {
			return fmt.Errorf("there is no column with field id %d", id)
		}
		cols[i] = batch.NewColumn(k.types[i])
		if err := appendArrow(&cols[i], a, 0, a.Len()); err != nil {
			return err
		}
	}
	var key []byte
	for row := range int(rec.NumRows()) {
		key = key[:0]
		for i := range cols {
			key = cols[i].AppendValue(key, row)
		}
		f(row, key)
	}
	return nil
}

// drop makes a batch without the rows that the delete files name.
func drop(ctx context.Context, rec arrow.RecordBatch, keys []equalityKey) (arrow.RecordBatch, error) {
	keep := make([]bool, rec.NumRows())
	for i := range keep {
		keep[i] = true
	}
	for _, k := range keys {
		if err := k.each(rec, func(row int, key []byte) { keep[row] = keep[row] && !k.gone[string(key)] }); err != nil {
			return nil, err
		}
	}
	if !slices.Contains(keep, false) {
		rec.Retain()
		return rec, nil
	}
	mb := array.NewBooleanBuilder(memory.DefaultAllocator)
	defer mb.Release()
	mb.AppendValues(keep, nil)
	mask := mb.NewBooleanArray()
	defer mask.Release()
	return compute.FilterRecordBatch(ctx, rec, mask, compute.DefaultFilterOptions())
}

// only keeps the columns of a schema; it owns rec.
func only(rec arrow.RecordBatch, schema *iceberg.Schema) arrow.RecordBatch {
	defer rec.Release()
	var fields []arrow.Field
	var cols []arrow.Array
	for i, f := range rec.Schema().Fields() {
		if _, ok := schema.FindFieldByName(f.Name); ok {
			fields, cols = append(fields, f), append(cols, rec.Column(i))
		}
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), cols, rec.NumRows())
}

// primitiveOf is the contract's type for an Iceberg type that can be in a key.
func primitiveOf(t iceberg.Type) (undrop.Type, bool) {
	if d, ok := t.(iceberg.DecimalType); ok {
		return undrop.Type{Kind: undrop.Decimal, Precision: d.Precision(), Scale: d.Scale()}, true
	}
	for k := undrop.Bool; k <= undrop.TimestampTZ; k++ {
		if k != undrop.Decimal && t != nil && icebergType(undrop.Type{Kind: k}).Equals(t) {
			return undrop.Type{Kind: k}, true
		}
	}
	return undrop.Type{}, false
}
