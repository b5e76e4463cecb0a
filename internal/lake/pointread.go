package lake

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/iceberg-go"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// Field ids of the metadata columns that become the change columns.
var changeIDs = []int{idLSN, idSeq, idAt, idOp}

// pointReader finds the rows of a lookup in data files.
type pointReader struct {
	l    *Lake
	k    *lookup
	gone map[string]map[string]bool // equality delete file -> wanted keys that it names
}

// match is a row that has a wanted key.
type match struct {
	group int   // row group
	row   int64 // in the row group
	pos   int64 // in the file
	key   string
}

// read takes the live rows of one data file that have a wanted key.
func (r *pointReader) read(ctx context.Context, e entry, deletes []entry) error {
	f, err := openParquet(r.l.wh.FS, e.file.FilePath())
	if err != nil {
		return err
	}
	found, err := r.find(ctx, f)
	if err == nil && len(found) > 0 {
		if found, err = r.live(ctx, e, deletes, found); err == nil {
			err = r.fetch(ctx, f, found)
		}
	}
	return errors.Join(err, f.Close())
}

// find reads the key columns and notes where wanted keys are.
func (r *pointReader) find(ctx context.Context, f *parquetFile) ([]match, error) {
	var found []match
	scratch := batch.New(r.k.table)
	var buf []byte
	err := f.eachKey(ctx, r.k, scratch, func(group int, row, pos int64, i int) {
		buf = scratch.AppendKey(buf[:0], i)
		if r.k.wanted[string(buf)] {
			found = append(found, match{group, row, pos, string(buf)})
		}
	})
	return found, err
}

// live drops the matches that a delete file of the snapshot takes away.
func (r *pointReader) live(ctx context.Context, e entry, deletes []entry, found []match) ([]match, error) {
	for _, d := range deletes {
		var err error
		switch {
		case d.file.ContentType() == iceberg.EntryContentPosDeletes:
			// A position delete also reaches a data file of its own snapshot.
			if d.seq < e.seq || d.target != "" && d.target != e.file.FilePath() || d.target == "" && d.scope != e.scope {
				continue
			}
			var dead map[int64]bool
			if dead, err = r.positions(ctx, d, e.file.FilePath(), found); err == nil {
				found = slices.DeleteFunc(found, func(m match) bool { return dead[m.pos] })
			}
		case d.seq > e.seq && (d.global || d.scope == e.scope) && r.k.order.overlaps(d.lower, d.upper):
			var gone map[string]bool
			if gone, err = r.deletedKeys(ctx, d); err == nil {
				found = slices.DeleteFunc(found, func(m match) bool { return gone[m.key] })
			}
		}
		if err != nil {
			return nil, fmt.Errorf("read delete file %s: %w", d.file.FilePath(), err)
		}
		if len(found) == 0 {
			return nil, nil
		}
	}
	return found, nil
}

// deletedKeys lists the wanted keys that an equality delete file names.
func (r *pointReader) deletedKeys(ctx context.Context, d entry) (map[string]bool, error) {
	if gone, ok := r.gone[d.file.FilePath()]; ok {
		return gone, nil
	}
	f, err := openParquet(r.l.wh.FS, d.file.FilePath())
	if err != nil {
		return nil, err
	}
	gone := map[string]bool{}
	scratch := batch.New(r.k.table)
	var buf []byte
	err = f.eachKey(ctx, r.k, scratch, func(_ int, _, _ int64, i int) {
		buf = scratch.AppendKey(buf[:0], i)
		if _, ours := r.k.wanted[string(buf)]; ours {
			gone[string(buf)] = true
		}
	})
	r.gone[d.file.FilePath()] = gone
	return gone, errors.Join(err, f.Close())
}

// positions lists which of the matches a position delete file takes away.
func (r *pointReader) positions(ctx context.Context, d entry, path string, found []match) (map[int64]bool, error) {
	f, err := openParquet(r.l.wh.FS, d.file.FilePath())
	if err != nil {
		return nil, err
	}
	candidate, dead := map[int64]bool{}, map[int64]bool{}
	for _, m := range found {
		candidate[m.pos] = true
	}
	ids := []int{idDeletedPos}
	if d.target == "" {
		ids = append(ids, idDeletedFile)
	}
	err = f.each(ctx, ids, nil, func(rec arrow.RecordBatch, _ int, _ int64) (bool, error) {
		pos, ok := byID(rec, idDeletedPos).(*array.Int64)
		if !ok {
			return false, errors.New("it has no column pos")
		}
		paths := byID(rec, idDeletedFile)
		for i := range pos.Len() {
			if candidate[pos.Value(i)] && (d.target != "" || textAt(paths, i) == path) {
				dead[pos.Value(i)] = true
			}
		}
		return true, nil
	})
	return dead, errors.Join(err, f.Close())
}

// textAt is a string value of a plain or dictionary array, "" if there is none.
func textAt(a arrow.Array, i int) string {
	switch a := a.(type) {
	case *array.String:
		return a.Value(i)
	case *array.LargeString:
		return a.Value(i)
	case *array.Dictionary:
		return textAt(a.Dictionary(), a.GetValueIndex(i))
	}
	return ""
}

// fetch reads the columns of the rows that were found into the answer.
func (r *pointReader) fetch(ctx context.Context, f *parquetFile, found []match) error {
	ids := slices.Clone(changeIDs)
	for _, c := range r.k.fill {
		ids = append(ids, r.k.table.Fields[c].ID)
	}
	for len(found) > 0 {
		n := 1
		for n < len(found) && found[n].group == found[0].group {
			n++
		}
		if err := r.fetchGroup(ctx, f, ids, found[:n]); err != nil {
			return err
		}
		found = found[n:]
	}
	return nil
}

func (r *pointReader) fetchGroup(ctx context.Context, f *parquetFile, ids []int, rows []match) error {
	at := make([]int64, len(rows))
	for i, m := range rows {
		at[i] = m.row
	}
	return f.rows(ctx, ids, rows[0].group, at, func(n int, rec arrow.RecordBatch, i int) error {
		key := rows[n].key
		if !r.k.wanted[key] {
			return nil // a newer row has it
		}
		out := r.k.out
		row := out.Len()
		fields := rec.Schema().Fields()
		for c := range out.Cols {
			var a arrow.Array
			if slices.Contains(r.k.fill, c) {
				a = column(rec, fields, r.k.table.Fields[c])
			}
			if err := appendColumn(&out.Cols[c], a, i, i+1); err != nil {
				return fmt.Errorf("column %s: %w", r.k.table.Fields[c].Name, err)
			}
		}
		one := rec.NewSlice(int64(i), int64(i+1))
		defer one.Release()
		if err := appendChange(out, one); err != nil {
			return err
		}
		// The row was found by position: it must be the one that was meant.
		if got := string(out.AppendKey(nil, row)); got != key {
			return &undrop.Error{Code: undrop.Damaged, Op: "read row by position", Err: errors.New("another row is there"),
				Hint: "the data file changed after it was committed: compare its size and time with the table's manifests"}
		}
		r.k.at[key] = row
		r.k.wanted[key] = false
		r.k.left--
		return nil
	})
}
