package lake

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/apache/iceberg-go"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// Lookup reads the live rows of a snapshot by key: those whose key cells equal
// the key cells of a row of keys. The answer has the key columns, the columns cols
// (indexes into Fields) and the change columns filled, everything else null; the
// map leads from a key (batch.AppendKey) to its row. A key that is not in the map
// is not in the snapshot. Where a key has several live rows, which a mirror table
// does not, the newest is taken.
//
// Files whose bounds exclude every key are not opened, and of the others only key
// columns are read until a key is found.
func (l *Lake) Lookup(ctx context.Context, t *Table, snapshotID int64, keys *batch.Batch, cols []int) (*batch.Batch, map[string]int, error) {
	if len(keys.Table.Key) == 0 {
		return nil, nil, fmt.Errorf("look up rows of table %s: it has no key", t.Name)
	}
	k := newLookup(keys, cols)
	if k.left == 0 {
		return k.out, k.at, nil
	}
	snap := t.Entry.Metadata.SnapshotByID(snapshotID)
	if snap == nil {
		return nil, nil, fmt.Errorf("look up rows of table %s: it has no snapshot %d", t.Name, snapshotID)
	}
	manifests, err := l.live(t, snap)
	if err != nil {
		return nil, nil, err
	}
	var data, deletes []entry
	for _, m := range manifests {
		got, err := l.entries(t, m, k.column)
		if err != nil {
			return nil, nil, err
		}
		for _, e := range got {
			switch {
			case e.file.ContentType() != iceberg.EntryContentData:
				deletes = append(deletes, e)
			case k.order.overlaps(e.lower, e.upper):
				data = append(data, e)
			}
		}
	}
	if !k.plain(data, deletes) {
		return l.lookupByScan(ctx, t, snapshotID, k)
	}
	// Newest first: a key that was found needs no older file.
	slices.SortStableFunc(data, func(a, b entry) int { return cmp.Compare(b.seq, a.seq) })
	reader := &pointReader{l: l, k: k, gone: map[string]map[string]bool{}}
	for _, e := range data {
		if k.left == 0 {
			break
		}
		if err := reader.read(ctx, e, deletes); err != nil {
			return nil, nil, fmt.Errorf("look up rows of table %s in %s: %w", t.Name, e.file.FilePath(), err)
		}
	}
	return k.out, k.at, nil
}

// lookup is the state of one Lookup.
type lookup struct {
	table  *undrop.Table
	wanted map[string]bool // by key: still to be found
	left   int
	order  keyOrder
	column int   // field id of the first key column
	keyIDs []int // field ids of the key, sorted
	fill   []int // indexes of the columns to read: key, then cols
	out    *batch.Batch
	at     map[string]int
}

func newLookup(keys *batch.Batch, cols []int) *lookup {
	t := keys.Table
	k := &lookup{table: t, wanted: map[string]bool{}, order: newKeyOrder(keys), column: t.Fields[t.Key[0]].ID, out: batch.New(t), at: map[string]int{}}
	for _, c := range t.Key {
		k.keyIDs = append(k.keyIDs, t.Fields[c].ID)
	}
	slices.Sort(k.keyIDs)
	k.fill = slices.Clone(t.Key)
	for _, c := range cols {
		if !slices.Contains(k.fill, c) {
			k.fill = append(k.fill, c)
		}
	}
	for i := range keys.Len() {
		if slices.ContainsFunc(t.Key, func(c int) bool { return keys.Cols[c].Null[i] }) {
			continue // nothing equals null
		}
		k.wanted[string(keys.AppendKey(nil, i))] = true
	}
	k.left = len(k.wanted)
	return k
}

// plain reports whether the files are of the kinds that pointReader knows. What
// other engines may have added is left to the library's scan.
func (k *lookup) plain(data, deletes []entry) bool {
	for _, e := range slices.Concat(data, deletes) {
		if e.file.FileFormat() != iceberg.ParquetFile {
			return false
		}
		if e.file.ContentType() == iceberg.EntryContentEqDeletes && !sameIDs(e.file.EqualityFieldIDs(), k.keyIDs) {
			return false
		}
	}
	return true
}

// take copies row i of b into the answer.
func (k *lookup) take(key string, b *batch.Batch, i int) {
	k.at[key] = k.out.Len()
	for c := range k.out.Cols {
		if b.Cols[c].Rows() > i {
			k.out.Cols[c].AppendFrom(&b.Cols[c], i)
		} else {
			k.out.Cols[c].AppendNull()
		}
	}
	k.out.AddRow(b.Op[i], b.Position(i), b.At[i])
	k.wanted[key] = false
	k.left--
}

// lookupByScan answers with the library's scan, whatever the files are.
func (l *Lake) lookupByScan(ctx context.Context, t *Table, snapshotID int64, k *lookup) (*batch.Batch, map[string]int, error) {
	o := ScanOptions{SnapshotID: snapshotID, Current: true}
	schema := t.Entry.Metadata.CurrentSchema()
	for _, c := range k.fill {
		if f, ok := schema.FindFieldByID(k.table.Fields[c].ID); ok {
			o.Columns = append(o.Columns, f.Name)
		}
	}
	for _, name := range []string{metaLSN, metaSeq, metaAt, metaOp} {
		if _, ok := schema.FindFieldByName(name); ok {
			o.Columns = append(o.Columns, name)
		}
	}
	b := batch.New(k.table)
	for rec, err := range l.Scan(ctx, t, o) {
		if err != nil {
			return nil, nil, err
		}
		b.Reset()
		if err := ToBatch(rec, b); err != nil {
			return nil, nil, fmt.Errorf("look up rows of table %s: %w", t.Name, err)
		}
		for i := range b.Len() {
			key := string(b.AppendKey(nil, i))
			if k.wanted[key] {
				k.take(key, b, i)
			}
		}
	}
	return k.out, k.at, nil
}
