package pipeline

import (
	"context"
	"slices"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// findOutdated finds the open records of a table that are older than its load: what
// became of their rows is in the load, as a row or as a record of its own. They park
// no key any more, and are closed in the commit that shows the loaded rows.
func (a *Apply) findOutdated(ctx context.Context, t *applied) error {
	t.stale = nil
	all, err := ReadQuarantine(ctx, a.Lake, t.product.Table.Namespace)
	if err != nil {
		return err
	}
	for _, r := range all {
		if r.Status != StatusOpen || r.Table != t.product.Table.TableName.String() || r.LSN+1 >= t.load.First {
			continue
		}
		t.stale = append(t.stale, r.RecordID)
		key := string(r.keyBytes)
		t.parked[key] = slices.DeleteFunc(t.parked[key], func(id string) bool { return id == r.RecordID })
		if len(t.parked[key]) == 0 {
			delete(t.parked, key)
		}
	}
	return nil
}

// closeOutdated closes the records that findOutdated found.
func (f *folder) closeOutdated(t *applied) {
	for _, id := range t.stale {
		f.q.resolve(id, StatusSuperseded, "the table was loaded again at "+t.load.First.String(), f.now)
	}
}

// void reports whether row i is a change that is older than what the table was
// loaded with: whatever it broke, the load has what came of it. A record that
// cannot be read does not say what it is older than.
func (f *folder) void(b *batch.Batch, i int) bool {
	return b.Op[i] != undrop.Read && b.Position(i).CommitLSN < f.horizon && !unreadable(b, i)
}

// unreadable reports whether row i stands for a record that could not be decoded.
func unreadable(b *batch.Batch, i int) bool {
	return slices.ContainsFunc(b.Bad[i], func(v undrop.Violation) bool { return v.Rule == "record.malformed" })
}
