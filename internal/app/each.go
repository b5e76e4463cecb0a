package app

import (
	"context"

	"github.com/undrop/undrop/internal/batch"
	"github.com/undrop/undrop/internal/lake"
)

// EachRow reads a snapshot of a mart table (see lake.Table.Find), deletes applied,
// and calls f with one batch after another. A batch is valid until f returns.
func (a *App) EachRow(ctx context.Context, name, at string, f func(*batch.Batch) error) error {
	t, err := a.load(ctx, name)
	if err != nil {
		return err
	}
	s, err := t.Find(at)
	if err != nil {
		return err
	}
	table, err := lake.TableOf(t.Entry.Metadata.CurrentSchema(), t.Name, false)
	if err != nil {
		return err
	}
	b := batch.New(table)
	for rec, err := range a.lake.Scan(ctx, t, lake.ScanOptions{SnapshotID: s.ID, Current: true}) {
		if err != nil {
			return err
		}
		b.Reset()
		if err := lake.ToBatch(rec, b); err != nil {
			return err
		}
		if err := f(b); err != nil {
			return err
		}
	}
	return nil
}

// CatchUp returns when every table of the running pipeline names a position that
// is not older than what the sources hold now. Up must be running, with both
// capture and apply.
func (a *App) CatchUp(ctx context.Context) error {
	if err := a.catchUp(ctx, map[string]bool{"capture": true, "apply": true}); err != nil {
		return err
	}
	return context.Cause(ctx)
}
