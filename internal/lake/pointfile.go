package lake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	iceio "github.com/apache/iceberg-go/io"

	"github.com/undrop/undrop/internal/batch"
)

// pointBatch is how many rows are decoded at a time: columns that are looked up
// tend to be wide.
const pointBatch = 4096

// parquetFile reads columns of a Parquet file by field id.
type parquetFile struct {
	raw    *file.Reader
	arrow  *pqarrow.FileReader
	leaves map[int][]int // field id of a root column -> its leaves
	nested map[int]bool
}

func openParquet(fs iceio.IO, path string) (*parquetFile, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	raw, err := file.NewParquetReader(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	p := &parquetFile{raw: raw, leaves: map[int][]int{}, nested: map[int]bool{}}
	if p.arrow, err = pqarrow.NewFileReader(raw, pqarrow.ArrowReadProperties{BatchSize: pointBatch}, memory.DefaultAllocator); err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	sc := raw.MetaData().Schema
	for i := range sc.NumColumns() {
		root := sc.ColumnRoot(i)
		id := int(root.FieldID())
		p.leaves[id] = append(p.leaves[id], i)
		p.nested[id] = sc.Column(i).MaxRepetitionLevel() > 0 || len(sc.Column(i).ColumnPath()) > 1
	}
	return p, nil
}

// Close closes the file.
func (p *parquetFile) Close() error { return p.raw.Close() }

// columns lists the leaves of root columns; those that the file lacks are left out.
func (p *parquetFile) columns(ids []int) []int {
	var out []int
	for _, id := range ids {
		out = append(out, p.leaves[id]...)
	}
	slices.Sort(out)
	return out
}

// each calls f with all rows of the chosen columns, with the row group and the
// row in it of each batch's first row. skip leaves out row groups; f answers
// false to stop.
func (p *parquetFile) each(ctx context.Context, ids []int, skip func(group int) bool, f func(rec arrow.RecordBatch, group int, row int64) (bool, error)) error {
	for g := range p.raw.NumRowGroups() {
		if skip != nil && skip(g) {
			continue
		}
		rr, err := p.arrow.GetRecordReader(ctx, p.columns(ids), []int{g})
		if err != nil {
			return err
		}
		row, more := int64(0), true
		for more && rr.Next() {
			rec := rr.RecordBatch()
			if more, err = f(rec, g, row); err != nil {
				more = false
			}
			row += rec.NumRows()
		}
		if err == nil && more {
			err = endOf(rr)
		}
		rr.Release()
		if err != nil || !more {
			return err
		}
		if want := p.raw.MetaData().RowGroup(g).NumRows(); row != want {
			return fmt.Errorf("row group %d has %d rows, its footer says %d", g, row, want)
		}
	}
	return nil
}

// eachKey reads the key columns into scratch, batch by batch, and calls f for
// each row with where it is in the file and in scratch.
func (p *parquetFile) eachKey(ctx context.Context, k *lookup, scratch *batch.Batch, f func(group int, row, pos int64, i int)) error {
	for _, id := range k.keyIDs {
		if len(p.leaves[id]) == 0 {
			return fmt.Errorf("there is no column with field id %d, which is part of the key", id)
		}
	}
	base := make([]int64, p.raw.NumRowGroups()+1)
	for g := range p.raw.NumRowGroups() {
		base[g+1] = base[g] + p.raw.MetaData().RowGroup(g).NumRows()
	}
	skip := func(g int) bool { return !p.mayHold(g, k) }
	return p.each(ctx, k.keyIDs, skip, func(rec arrow.RecordBatch, g int, row int64) (bool, error) {
		fields := rec.Schema().Fields()
		for _, c := range k.table.Key {
			scratch.Cols[c].Reset()
			if err := appendColumn(&scratch.Cols[c], column(rec, fields, k.table.Fields[c]), 0, int(rec.NumRows())); err != nil {
				return false, fmt.Errorf("column %s: %w", k.table.Fields[c].Name, err)
			}
		}
		for i := range int(rec.NumRows()) {
			f(g, row+int64(i), base[g]+row+int64(i), i)
		}
		return true, nil
	})
}

// mayHold compares a row group's statistics with the wanted keys.
func (p *parquetFile) mayHold(group int, k *lookup) bool {
	leaf := p.leaves[k.column]
	if len(leaf) != 1 {
		return true
	}
	chunk, err := p.raw.MetaData().RowGroup(group).ColumnChunk(leaf[0])
	if err != nil {
		return true
	}
	stats, err := chunk.Statistics()
	if err != nil || stats == nil || !stats.HasMinMax() {
		return true
	}
	switch s := stats.(type) {
	case *metadata.Int32Statistics:
		return k.order.ints == nil || k.order.within(int64(s.Min()), int64(s.Max()))
	case *metadata.Int64Statistics:
		return k.order.ints == nil || k.order.within(s.Min(), s.Max())
	case *metadata.ByteArrayStatistics:
		return k.order.texts == nil || k.order.overlaps(s.Min(), s.Max())
	}
	return true
}

// rows calls f for chosen rows of one row group, in order: n counts them, i is
// the row in rec. Pages between far rows are skipped where the file has an index
// of them and no column is nested.
func (p *parquetFile) rows(ctx context.Context, ids []int, group int, at []int64, f func(n int, rec arrow.RecordBatch, i int) error) error {
	rr, err := p.arrow.GetRecordReader(ctx, p.columns(ids), []int{group})
	if err != nil {
		return err
	}
	defer rr.Release()
	seek := !slices.ContainsFunc(ids, func(id int) bool { return p.nested[id] })
	next, n := int64(0), 0
	for n < len(at) {
		if seek && at[n]-next > 2*pointBatch {
			if err := rr.SeekToRow(at[n]); err != nil {
				return err
			}
			next = at[n]
		}
		if !rr.Next() {
			return errors.Join(endOf(rr), fmt.Errorf("row group %d ends before row %d", group, at[n]))
		}
		rec := rr.RecordBatch()
		for ; n < len(at) && at[n] < next+rec.NumRows(); n++ {
			if err := f(n, rec, int(at[n]-next)); err != nil {
				return err
			}
		}
		next += rec.NumRows()
	}
	return nil
}

// endOf is the error that ended a reader, nil if it came to its end.
func endOf(rr pqarrow.RecordReader) error {
	if err := rr.Err(); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// byID finds a column of a record by field id.
func byID(rec arrow.RecordBatch, id int) arrow.Array {
	for i, f := range rec.Schema().Fields() {
		if have, ok := fieldID(f); ok && have == id {
			return rec.Column(i)
		}
	}
	return nil
}
