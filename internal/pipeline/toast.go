package pipeline

import (
	"context"
	"fmt"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
	"github.com/undrop/undrop/internal/lake"
)

// bases finds the values that an update did not repeat: PostgreSQL leaves out
// TOASTed columns that an UPDATE did not touch. They are in the newest earlier
// image of the row, in this commit or in the table before it.
type bases struct {
	lake  *lake.Lake
	table *lake.Table
	from  *lake.Snapshot // the table before this commit; nil: it is empty

	found   map[string]rowRef // by key, from the table
	latest  map[string]rowRef // by key, from this commit (not for mirrors: their entries know)
	spilled bool
	patched *batch.Batch
}

type rowRef struct {
	b *batch.Batch
	i int
}

// prefetch looks up, in one pass over the table, what the rows of a window will
// ask for.
func (s *bases) prefetch(ctx context.Context, t *undrop.Table, window []span) error {
	var partial, moved bool
	for _, w := range window {
		partial = partial || len(w.c.b.Unchanged) > 0
		moved = moved || len(w.c.b.PrevKey) > 0
	}
	if !partial || s.from == nil {
		return nil
	}
	before := map[string]rowRef{} // rows that name an old key, by that key
	if moved {
		for _, w := range window {
			for i := w.from; i < w.to; i++ {
				if w.c.b.Op[i] == undrop.Delete {
					before[string(w.c.b.AppendKey(nil, i))] = rowRef{w.c.b, i}
				}
			}
		}
	}
	keys, columns := batch.New(t), map[int]bool{}
	for _, w := range window {
		for i, cols := range w.c.b.Unchanged {
			if i < w.from || i >= w.to {
				continue
			}
			for _, c := range cols {
				columns[c] = true
			}
			src := rowRef{w.c.b, i}
			if prev, ok := w.c.b.PrevKey[i]; ok {
				if src, ok = before[string(prev)]; !ok {
					continue // found in an earlier part of this commit, or refused later
				}
			}
			keys.AppendRow(src.b, src.i)
		}
	}
	if keys.Len() == 0 {
		return nil
	}
	var cols []int
	for c := range t.Fields {
		if columns[c] {
			cols = append(cols, c)
		}
	}
	rows, _, err := s.lake.Lookup(ctx, s.table, s.from.ID, keys, cols)
	if err != nil {
		return fmt.Errorf("look up unchanged values of %s: %w", t.TableName, err)
	}
	if s.found == nil {
		s.found = map[string]rowRef{}
	}
	for i := range rows.Len() {
		k := string(rows.AppendKey(nil, i))
		if old, ok := s.found[k]; ok && old.b.Position(old.i).Compare(rows.Position(i)) > 0 {
			continue
		}
		s.found[k] = rowRef{rows, i}
	}
	return nil
}

// complete returns a batch whose last row is row i of b with its unchanged values
// filled in; nil when the row had to be refused.
func (s *bases) complete(f *folder, b *batch.Batch, i int) (*batch.Batch, error) {
	key := f.key
	if prev, ok := b.PrevKey[i]; ok {
		key = prev
	}
	base, ok := s.base(f, key)
	if !ok && s.spilled {
		return nil, fmt.Errorf("row at %s does not repeat its TOASTed values and the transaction is too large to hold them: ALTER TABLE %s REPLICA IDENTITY FULL", b.Position(i), f.product.Table.SourceRelation())
	}
	if s.patched == nil || s.patched.Len() >= chunkRows {
		s.patched = batch.New(b.Table)
	}
	p := s.patched
	missing := ""
	for c := range p.Cols {
		src, row := &b.Cols[c], i
		if unchangedColumn(b, i, c) {
			if !ok {
				missing = b.Table.Fields[c].Name
			} else {
				src, row = &base.b.Cols[c], base.i
			}
		}
		p.Cols[c].AppendFrom(src, row)
	}
	p.AddRow(b.Op[i], b.Position(i), b.At[i])
	if missing == "" {
		return p, nil
	}
	at := p.Len() - 1
	p.AddBad(at, undrop.Violation{Rule: "toast.unchanged", Path: missing,
		Detail: "the source did not repeat this value and no earlier image of the row is known: ALTER TABLE " + f.product.Table.SourceRelation() + " REPLICA IDENTITY FULL"})
	f.account.Quarantined++
	_, err := f.q.add(p, at, origin{lane: f.lane})
	return nil, err
}

func unchangedColumn(b *batch.Batch, i, c int) bool {
	for _, u := range b.Unchanged[i] {
		if u == c {
			return true
		}
	}
	return false
}

func (s *bases) base(f *folder, key []byte) (rowRef, bool) {
	if f.product.Table.Mode != undrop.Mirror {
		if r, ok := s.latest[string(key)]; ok {
			return r, true
		}
		r, ok := s.found[string(key)]
		return r, ok
	}
	if at := f.keys.lookup(key); at >= 0 {
		if e := &f.entries[at]; e.base != nil {
			return rowRef{e.base, int(e.baseRow)}, true
		}
	}
	r, ok := s.found[string(key)]
	return r, ok
}

// remember keeps the newest image of a key of a table that keeps every change.
func (s *bases) remember(f *folder, b *batch.Batch, i int) {
	if len(b.Unchanged) == 0 || f.product.Table.Mode != undrop.History {
		return
	}
	if s.latest == nil {
		s.latest = map[string]rowRef{}
	}
	s.latest[string(f.key)] = rowRef{b, i}
}

// forget drops the images of rows that were spilled.
func (s *bases) forget() { s.latest, s.patched, s.spilled = nil, nil, true }
