package pipeline

import (
	"context"
	"fmt"

	"github.com/cespare/xxhash/v2"

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
	spilled bool
	patched *batch.Batch

	// Of this commit, for tables that keep every change; a mirror's entries know.
	latest  map[string]int      // by key, the entry with the newest image
	indexed int                 // entries that latest knows of
	written map[uint64]struct{} // hashes of keys whose newest image was spilled
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
		return nil, haltf("row at %s does not repeat its TOASTed values and the transaction is too large to hold them: ALTER TABLE %s REPLICA IDENTITY FULL", b.Position(i), f.product.Table.SourceRelation())
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

// base is the newest earlier image of a key; false when there is none, or when it
// was spilled: then what the table has is older than it.
func (s *bases) base(f *folder, key []byte) (rowRef, bool) {
	if f.product.Table.Mode != undrop.Mirror {
		if e := s.newest(f, key); e != nil {
			return rowRef{e.b, int(e.row)}, true
		}
		if _, gone := s.written[xxhash.Sum64(key)]; gone {
			return rowRef{}, false
		}
	} else if at := f.keys.lookup(key); at >= 0 {
		if e := &f.entries[at]; e.imaged {
			return rowRef{e.base, int(e.baseRow)}, e.base != nil
		}
	}
	r, ok := s.found[string(key)]
	return r, ok
}

// newest finds the newest image of a key among the entries of a table that keeps
// every change. They are indexed when the first row asks: most tables never do. A
// delete names a key and is no image.
func (s *bases) newest(f *folder, key []byte) *entry {
	if s.latest == nil {
		s.latest = map[string]int{}
	}
	var k []byte
	for ; s.indexed < len(f.entries); s.indexed++ {
		e := &f.entries[s.indexed]
		if e.b.Op[e.row] == undrop.Delete {
			continue
		}
		k = e.b.AppendKey(k[:0], int(e.row))
		if at, ok := s.latest[string(k)]; !ok || f.entries[at].pos.Compare(e.pos) < 0 {
			s.latest[string(k)] = s.indexed
		}
	}
	if at, ok := s.latest[string(key)]; ok {
		return &f.entries[at]
	}
	return nil
}

// forget drops the images of rows that were spilled, and remembers whose they were.
func (s *bases) forget(f *folder) {
	if f.product.Table.Mode == undrop.History && len(f.product.Table.Key) > 0 {
		if s.written == nil {
			s.written = map[uint64]struct{}{}
		}
		var k []byte
		for i := range f.entries {
			e := &f.entries[i]
			k = e.b.AppendKey(k[:0], int(e.row))
			s.written[xxhash.Sum64(k)] = struct{}{}
		}
	}
	s.latest, s.indexed, s.patched, s.spilled = nil, 0, nil, true
}
