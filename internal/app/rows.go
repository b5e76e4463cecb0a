package app

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/undrop/undrop/internal/batch"
	"github.com/undrop/undrop/internal/lake"
)

// RowsOptions select the rows that Rows answers.
type RowsOptions struct {
	At    string // see lake.Table.Find
	Where string // COLUMN OP VALUE [and …], OP one of = != < <= > >=; see parseWhere
	Limit int64
	Meta  bool // with undrop's own columns
}

// Rows reads rows of a mart table as JSON objects, deletes applied.
func (a *App) Rows(ctx context.Context, name string, o RowsOptions) (*RowsAnswer, error) {
	t, err := a.load(ctx, name)
	if err != nil {
		return nil, err
	}
	out := &RowsAnswer{Table: name, Columns: []string{}, Rows: []json.RawMessage{}}
	s, err := t.Find(o.At)
	if o.At == "" && t.Head(lake.Main) == nil {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	out.SnapshotID = &s.ID
	if out.Source, err = sourceInfo(s); err != nil {
		return nil, err
	}
	schema := t.Entry.Metadata.CurrentSchema()
	table, err := lake.TableOf(schema, t.Name, o.Meta)
	if err != nil {
		return nil, err
	}
	for _, f := range table.Fields {
		out.Columns = append(out.Columns, f.Name)
	}
	var where filter
	scan := lake.ScanOptions{SnapshotID: s.ID, Current: true}
	switch {
	case o.Where != "":
		if where, err = parseWhere(o.Where, table); err != nil {
			return nil, err
		}
	case o.Limit > 0:
		scan.Limit = o.Limit + 1
	}
	b := batch.New(table)
	for rec, err := range a.lake.Scan(ctx, t, scan) {
		if err != nil {
			return nil, err
		}
		b.Reset()
		if err := lake.ToBatch(rec, b); err != nil {
			return nil, err
		}
		for i := range b.Len() {
			if !where.match(b, i) {
				continue
			}
			if o.Limit > 0 && int64(len(out.Rows)) == o.Limit {
				out.Truncated = true
				return out, nil
			}
			out.Rows = append(out.Rows, b.AppendRowJSON(nil, i))
		}
	}
	return out, nil
}

func readSummary(s *lake.Snapshot, key string, v any) (bool, error) {
	text, ok := s.Summary[key]
	if !ok {
		return false, nil
	}
	if err := json.Unmarshal([]byte(text), v); err != nil {
		return false, fmt.Errorf("read %s of snapshot %d: %w", key, s.ID, err)
	}
	return true, nil
}
