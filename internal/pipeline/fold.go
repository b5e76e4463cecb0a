package pipeline

import (
	"cmp"
	"slices"
	"time"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
	"github.com/undrop/undrop/internal/lake"
)

// folder turns the changes of one table between two cuts into the rows and
// deletes of one snapshot, and counts every change exactly once.
//
// In a mirror the newest change of a key wins. The deletes that it writes reach
// older snapshots only; so a key must not be written twice in one snapshot: rows
// are held back until the end, and those that memory could not hold (spill) are
// taken back by position when a newer change of their key comes.
type folder struct {
	product *Product
	config  lake.WriterConfig
	// horizon: changes below it are older than what the table was loaded with.
	// Of them only that a key is gone at the end counts.
	horizon undrop.LSN
	fresh   bool                // the table has no rows yet: nothing to delete
	parked  map[string][]string // open records of quarantined keys
	now     time.Time
	bases   *bases

	keys    keyTable
	entries []entry
	key     []byte
	account undrop.Account
	q       *quarantiner
	lane    undrop.Lane

	truncated undrop.Position // changes before it are void
	removeAll bool

	writer  *lake.Writer
	placing []int           // entry of each row of the Write that is going on
	undone  map[int][]int64 // rows to take back, by file of this commit
	deletes []lake.File
	held    int // bytes of rows that are held back, estimated
}

// entry is the state of one key in this commit.
type entry struct {
	b    *batch.Batch // the newest change; nil when its row was written already
	row  int32
	pos  undrop.Position
	file int32 // where it was written, when b is nil
	at   int64

	state   uint8
	exists  bool         // an older snapshot may hold the key
	deleted bool         // its delete is written already
	imaged  bool         // base was known in this commit, even if it was spilled since
	base    *batch.Batch // the newest full image, for values that a later change does not repeat
	baseRow int32
}

const (
	untouched uint8 = iota // what the table was loaded with stands
	upserted
	removed
)

func newFolder(p *Product, config lake.WriterConfig) *folder {
	return &folder{product: p, config: config, q: newQuarantiner(p.Table), undone: map[int][]int64{}, lane: undrop.LaneStream}
}

// add folds rows [from,to) of a chunk, in order.
func (f *folder) add(c *chunk, from, to int, l *lane) error {
	for i := from; i < to; i++ {
		if err := f.change(c, i, l); err != nil {
			return err
		}
	}
	return nil
}

// change folds one row.
func (f *folder) change(c *chunk, i int, l *lane) error {
	b := c.b
	f.account.Read++
	pos := b.Position(i)
	switch {
	case c.dup[i], pos.Compare(f.truncated) < 0:
		f.account.Superseded++
		return nil
	case b.Op[i] == undrop.Read && f.lane == undrop.LaneStream:
		f.account.Superseded++ // the load has it
		return nil
	case b.Op[i] == undrop.Truncate && pos.CommitLSN < f.horizon:
		f.account.Superseded++ // the load was read after it
		return nil
	case b.Op[i] == undrop.Truncate:
		f.account.Applied++ // see findTruncate
		return nil
	}
	f.key = b.AppendKey(f.key[:0], i)
	if !f.void(b, i) {
		if refused, err := f.refuse(b, i, c.offsets[i], l); refused || err != nil {
			return err
		}
	}
	if f.product.Table.Mode != undrop.Mirror {
		return f.append(b, i, pos)
	}
	return f.fold(b, i, pos)
}

// refuse puts a row that breaks the contract, or whose key is parked, aside.
func (f *folder) refuse(b *batch.Batch, i int, offset int64, l *lane) (bool, error) {
	if len(b.Bad[i]) == 0 && f.baseParked(b, i) {
		b.AddBad(i, undrop.Violation{Rule: "toast.unchanged", Detail: "the source did not repeat a value that an earlier change, which waits in quarantine, may have set"})
	}
	bad := len(b.Bad[i]) > 0
	if f.product.Table.Mode != undrop.Mirror {
		if !bad {
			return false, nil
		}
	} else if records, open := f.parked[string(f.key)]; open && !bad {
		if f.product.Table.BadKeyLatest {
			for _, r := range records {
				f.q.resolve(r, StatusSuperseded, "a newer change of the key was applied at "+b.Position(i).String(), f.now)
			}
			delete(f.parked, string(f.key))
			return false, nil
		}
		b.AddBad(i, undrop.Violation{Rule: "key.parked", Detail: "an earlier change of this key waits in quarantine"})
		bad = true
	}
	if !bad {
		return false, nil
	}
	f.account.Quarantined++
	o := origin{lane: f.lane, offset: offset}
	if l != nil {
		o.topic, o.partition = l.topic, l.part
	}
	record, err := f.q.add(b, i, o)
	if len(f.product.Table.Key) > 0 {
		if f.parked == nil {
			f.parked = map[string][]string{}
		}
		f.parked[string(f.key)] = append(f.parked[string(f.key)], record)
	}
	return true, err
}

// baseParked reports whether a row leaves out values of which the newest are in
// quarantine, under its own key or the one that it had before: what the table has
// is older.
func (f *folder) baseParked(b *batch.Batch, i int) bool {
	if _, partial := b.Unchanged[i]; !partial || len(f.parked) == 0 || b.Op[i] == undrop.Delete {
		return false
	}
	key, moved := b.PrevKey[i]
	if !moved {
		if key = f.key; f.product.Table.Mode == undrop.Mirror && !f.product.Table.BadKeyLatest {
			return false // parked as a whole
		}
	}
	_, parked := f.parked[string(key)]
	return parked
}

// append keeps every change: history and events.
func (f *folder) append(b *batch.Batch, i int, pos undrop.Position) error {
	if pos.CommitLSN < f.horizon && b.Op[i] != undrop.Read {
		f.account.Superseded++
		return nil
	}
	if _, partial := b.Unchanged[i]; partial {
		p, err := f.bases.complete(f, b, i)
		if err != nil {
			return err
		}
		if p == nil {
			return nil // refused
		}
		b, i = p, p.Len()-1
	}
	f.account.Applied++
	e := entry{b: b, row: int32(i), pos: pos, state: upserted}
	f.entries = append(f.entries, e)
	f.held += 128
	return nil
}

// fold keeps the newest change of each key.
func (f *folder) fold(b *batch.Batch, i int, pos undrop.Position) error {
	at, added := f.keys.find(f.key)
	if added {
		f.entries = append(f.entries, entry{file: -1, exists: !f.fresh && b.Op[i] != undrop.Create})
	}
	e := &f.entries[at]
	if !added && pos.Compare(e.pos) < 0 {
		f.account.Superseded++
		return nil
	}
	if b.Op[i] != undrop.Read && pos.CommitLSN < f.horizon {
		f.below(e, b, i, pos)
		return nil
	}
	if _, partial := b.Unchanged[i]; partial && b.Op[i] != undrop.Delete {
		p, err := f.bases.complete(f, b, i)
		if err != nil {
			return err
		}
		if p == nil {
			return nil // refused
		}
		b, i = p, p.Len()-1
		e = &f.entries[at]
	}
	f.replace(e)
	e.b, e.row, e.pos = b, int32(i), pos
	f.account.Applied++
	if b.Op[i] == undrop.Delete {
		e.state = removed
		return nil
	}
	e.state = upserted
	e.base, e.baseRow, e.imaged = b, int32(i), true
	f.held += 128
	return nil
}

// below takes a change that is older than the load: the table holds what came of
// it, except that it may still hold a row that is gone.
func (f *folder) below(e *entry, b *batch.Batch, i int, pos undrop.Position) {
	f.replace(e)
	// Whatever the change was, the load may hold the key: also one that the stream
	// only now says was created.
	e.pos, e.exists = pos, !f.fresh
	if b.Op[i] == undrop.Delete {
		e.b, e.row, e.state = b, int32(i), removed
		f.account.Applied++
		return
	}
	e.b, e.state = nil, untouched
	f.account.Superseded++
}

// replace voids what an entry held.
func (f *folder) replace(e *entry) {
	if e.state == untouched {
		return
	}
	f.account.Applied--
	f.account.Superseded++
	if e.state == upserted && e.b == nil && e.file >= 0 {
		f.undone[int(e.file)] = append(f.undone[int(e.file)], e.at)
		e.file = -1
	}
	e.state = untouched
}

// truncate voids everything before pos.
func (f *folder) truncate(pos undrop.Position) error {
	if pos.CommitLSN < f.horizon || pos.Compare(f.truncated) <= 0 {
		return nil
	}
	if !f.product.Table.TruncateApplies {
		return haltf("TRUNCATE of the source table at %s: the contract says undrop.onTruncate: halt", pos)
	}
	if f.product.Table.Mode != undrop.Mirror {
		return haltf("TRUNCATE of the source table at %s: a %s table cannot say it", pos, f.product.Table.Mode)
	}
	f.truncated, f.removeAll = pos, true
	f.unpark(pos)
	for i := range f.entries {
		e := &f.entries[i]
		if e.pos.Compare(pos) < 0 {
			f.replace(e)
			e.exists = false
		}
	}
	return nil
}

// unpark closes the records that a TRUNCATE made pointless: replayed, they would
// bring back rows that the source gave up.
func (f *folder) unpark(pos undrop.Position) {
	here := f.q.opened()
	for key, records := range f.parked {
		var later []string
		for _, r := range records {
			if at, ok := here[r]; ok && at.Compare(pos) > 0 {
				later = append(later, r)
				continue
			}
			f.q.resolve(r, StatusSuperseded, "the source table was truncated at "+pos.String(), f.now)
		}
		if f.parked[key] = later; len(later) == 0 {
			delete(f.parked, key)
		}
	}
}

// spill writes the rows that are held back and frees their memory.
func (f *folder) spill() error {
	if err := f.write(); err != nil {
		return err
	}
	if err := f.writeDeletes(); err != nil {
		return err
	}
	f.bases.forget(f)
	for i := range f.entries {
		e := &f.entries[i]
		e.b, e.base = nil, nil
	}
	if f.product.Table.Mode != undrop.Mirror {
		f.entries = f.entries[:0]
	}
	f.held = 0
	return nil
}

// write writes every row that is held back.
func (f *folder) write() error {
	if f.writer == nil {
		w, err := lake.NewWriter(f.config)
		if err != nil {
			return err
		}
		f.writer = w
		w.OnPlace(func(i int32, file int, row int64) {
			e := &f.entries[f.placing[i]]
			e.file, e.at = int32(file), row
		})
	}
	var order []int
	for i := range f.entries {
		if e := &f.entries[i]; e.state == upserted && e.b != nil {
			order = append(order, i)
		}
	}
	// Batches in the order of their first entry, rows ascending: one Write each.
	rank := map[*batch.Batch]int{}
	for _, i := range order {
		if b := f.entries[i].b; rank[b] == 0 {
			rank[b] = len(rank) + 1
		}
	}
	slices.SortFunc(order, func(i, j int) int {
		a, b := &f.entries[i], &f.entries[j]
		return cmp.Or(cmp.Compare(rank[a.b], rank[b.b]), cmp.Compare(a.row, b.row))
	})
	var rows []int32
	for n := 0; n < len(order); {
		b := f.entries[order[n]].b
		rows, f.placing = rows[:0], f.placing[:0]
		for n < len(order) && f.entries[order[n]].b == b {
			rows = append(rows, f.entries[order[n]].row)
			f.placing = append(f.placing, order[n])
			n++
		}
		if err := f.writer.Write(b, rows, f.lane); err != nil {
			return err
		}
	}
	return nil
}

// writeDeletes writes the deletes of keys that an older snapshot may hold.
func (f *folder) writeDeletes() error {
	if f.removeAll {
		return nil // every older row goes with its file
	}
	keys := batch.New(f.product.Table)
	for i := range f.entries {
		e := &f.entries[i]
		if !e.exists || e.deleted || e.state == untouched || e.b == nil {
			continue
		}
		keys.AppendRow(e.b, int(e.row))
		e.deleted = true
	}
	if keys.Len() == 0 {
		return nil
	}
	files, err := lake.WriteEqualityDeletes(f.config, keys, nil)
	if err != nil {
		return err
	}
	f.deletes = append(f.deletes, files...)
	return nil
}

// finish writes what is left and returns the files of the snapshot.
func (f *folder) finish() (data, deletes []lake.File, err error) {
	if err := f.account.Check(); err != nil {
		return nil, nil, err
	}
	if f.product.Table.Mode == undrop.Mirror {
		if err := f.writeDeletes(); err != nil {
			return nil, nil, err
		}
	}
	if err := f.write(); err != nil {
		return nil, nil, err
	}
	if data, err = f.writer.Close(); err != nil {
		return nil, nil, err
	}
	for n, rows := range f.undone {
		slices.Sort(rows)
		d, err := lake.WritePositionDeletes(f.config, data[n], rows)
		if err != nil {
			return nil, nil, err
		}
		f.deletes = append(f.deletes, d)
	}
	return data, f.deletes, nil
}

// abort drops files that were written for a commit that will not be.
func (f *folder) abort() {
	if f.writer != nil {
		f.writer.Abort()
	}
}
