package lake

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/big"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/apache/iceberg-go"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// entry is what point reads need of a live file of a snapshot.
type entry struct {
	file         iceberg.DataFile // without column statistics
	seq          int64
	scope        string // partition spec and values: equality deletes act inside it
	global       bool   // of an unpartitioned spec: its equality deletes act everywhere
	lower, upper []byte // bounds of the first key column, nil: not known
	target       string // the data file of a position delete file, "": any
}

// cacheEntries bounds the entry cache; an entry takes about half a kilobyte.
const cacheEntries = 100_000

// entryCache keeps decoded manifests. A manifest never changes, so what was read
// once holds.
type entryCache struct {
	mu sync.Mutex
	m  map[string][]entry
	n  int
}

// entries lists the live entries of a manifest, with bounds of one column.
func (l *Lake) entries(t *Table, m iceberg.ManifestFile, column int) ([]entry, error) {
	key := fmt.Sprint(m.FilePath(), "#", column)
	l.cache.mu.Lock()
	got, ok := l.cache.m[key]
	l.cache.mu.Unlock()
	if ok {
		return got, nil
	}
	spec := t.Entry.Metadata.PartitionSpecByID(int(m.PartitionSpecID()))
	for e, err := range m.Entries(l.wh.FS, true) {
		if err != nil {
			return nil, lost(t, m.FilePath(), err)
		}
		f := e.DataFile()
		got = append(got, entry{
			file:   iceberg.DataFileWithoutColumnStats(f),
			seq:    e.SequenceNum(),
			scope:  scopeOf(f),
			global: spec != nil && spec.IsUnpartitioned(),
			lower:  bytes.Clone(f.LowerBoundValues()[column]),
			upper:  bytes.Clone(f.UpperBoundValues()[column]),
			target: targetOf(f),
		})
	}
	l.cache.mu.Lock()
	defer l.cache.mu.Unlock()
	if l.cache.m == nil || l.cache.n > cacheEntries {
		l.cache.m, l.cache.n = map[string][]entry{}, 0
	}
	l.cache.m[key] = got
	l.cache.n += len(got)
	return got, nil
}

func scopeOf(f iceberg.DataFile) string {
	var parts []string
	for id, v := range f.Partition() {
		parts = append(parts, fmt.Sprintf("%d=%v", id, v))
	}
	slices.Sort(parts)
	return fmt.Sprint(f.SpecID(), "/", strings.Join(parts, ","))
}

// targetOf is the only data file that a position delete file can touch.
func targetOf(f iceberg.DataFile) string {
	if f.ContentType() != iceberg.EntryContentPosDeletes {
		return ""
	}
	if ref := f.ReferencedDataFile(); ref != nil {
		return *ref
	}
	lower, upper := f.LowerBoundValues()[idDeletedFile], f.UpperBoundValues()[idDeletedFile]
	if len(lower) > 0 && bytes.Equal(lower, upper) {
		return string(lower)
	}
	return ""
}

// keyOrder holds the wanted values of the first key column, sorted, to compare
// with bounds. The zero keyOrder overlaps with everything.
type keyOrder struct {
	kind  undrop.Kind
	ints  []int64
	texts []string
}

// newKeyOrder reads the first key column. Kinds whose bounds writers disagree
// about (uuid) or that have none worth reading are not compared.
func newKeyOrder(keys *batch.Batch) keyOrder {
	c := &keys.Cols[keys.Table.Key[0]]
	o := keyOrder{kind: c.Type.Kind}
	switch o.kind {
	case undrop.Int32, undrop.Int64, undrop.Date, undrop.Time, undrop.Timestamp, undrop.TimestampTZ:
		o.ints = presentInts(c)
	case undrop.Decimal:
		if c.Type.Fixed() {
			o.ints = presentInts(c)
		}
	case undrop.String, undrop.Binary:
		for i := range c.Rows() {
			if !c.Null[i] {
				o.texts = append(o.texts, string(c.Bytes(i)))
			}
		}
		slices.Sort(o.texts)
	}
	return o
}

func presentInts(c *batch.Column) []int64 {
	var out []int64
	for i, v := range c.Ints {
		if !c.Null[i] {
			out = append(out, v)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// overlaps reports whether a file with these bounds can hold a wanted key.
func (o keyOrder) overlaps(lower, upper []byte) bool {
	switch {
	case lower == nil || upper == nil:
		return true
	case o.texts != nil:
		i := sort.SearchStrings(o.texts, string(lower))
		return i < len(o.texts) && o.texts[i] <= string(upper)
	case o.ints != nil:
		lo, ok1 := o.decode(lower)
		hi, ok2 := o.decode(upper)
		return !ok1 || !ok2 || o.within(lo, hi)
	}
	return true
}

// within reports whether a wanted value is in [lo, hi].
func (o keyOrder) within(lo, hi int64) bool {
	i, found := slices.BinarySearch(o.ints, lo)
	return found || i < len(o.ints) && o.ints[i] <= hi
}

// decode reads a bound in Iceberg's single-value form. A column that was widened
// has bounds of its old width in old files.
func (o keyOrder) decode(b []byte) (int64, bool) {
	if o.kind == undrop.Decimal {
		if len(b) == 0 || len(b) > 8 {
			return 0, false
		}
		n := new(big.Int).Set(batch.BigFrom16(b)) // any width
		return n.Int64(), true
	}
	switch len(b) {
	case 4:
		return int64(int32(binary.LittleEndian.Uint32(b))), true
	case 8:
		return int64(binary.LittleEndian.Uint64(b)), true
	}
	return 0, false
}
