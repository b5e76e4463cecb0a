package lake

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"strconv"
	"strings"
	"time"

	iceio "github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/catalog"
)

// What a caller can tell apart with errors.Is.
var (
	ErrNoTable  = catalog.ErrNoTable
	ErrConflict = catalog.ErrConflict
	ErrUnknown  = catalog.ErrUnknown
)

// Main is the branch that readers see.
const Main = table.MainBranch

// Lake is a warehouse of tables behind a catalog. It is safe for concurrent use.
type Lake struct {
	cat catalog.Catalog
	wh  *Warehouse
	now func() time.Time

	cache entryCache
}

// Open joins a catalog and the warehouse that holds its tables' files. It does
// not take either over: close the catalog when the lake is no longer used.
func Open(cat catalog.Catalog, wh *Warehouse) *Lake {
	return &Lake{cat: cat, wh: wh, now: time.Now}
}

// Table is a table as it was when it was loaded; it does not change. Commits are
// checked against exactly this state.
type Table struct {
	Name  undrop.TableName
	Entry *catalog.Entry
}

// Load reads a table; ErrNoTable if there is none.
func (l *Lake) Load(ctx context.Context, name undrop.TableName) (*Table, error) {
	e, err := l.cat.Load(ctx, name)
	if err != nil {
		return nil, err
	}
	return &Table{Name: name, Entry: e}, nil
}

// List names the tables of a namespace, sorted; "" lists every table.
func (l *Lake) List(ctx context.Context, namespace string) ([]undrop.TableName, error) {
	return l.cat.List(ctx, namespace)
}

// Snapshot is one committed state of a table.
type Snapshot struct {
	ID       int64
	Parent   *int64
	Sequence int64
	Time     time.Time         // of the commit, by our clock
	Summary  map[string]string // with "operation"; undrop.* keys are JSON objects
}

// Head is the newest snapshot of a branch, nil if the branch does not exist.
func (t *Table) Head(branch string) *Snapshot {
	return fromIceberg(t.Entry.Metadata.SnapshotByName(branch))
}

// Snapshot finds a snapshot by id, nil if the table does not have it.
func (t *Table) Snapshot(id int64) *Snapshot {
	return fromIceberg(t.Entry.Metadata.SnapshotByID(id))
}

// Lineage walks from the head of a branch to its oldest ancestor. A table may
// have very many: who looks for one stops at it.
func (t *Table) Lineage(branch string) iter.Seq[*Snapshot] {
	return func(yield func(*Snapshot) bool) {
		for s := t.Head(branch); s != nil && yield(s) && s.Parent != nil; {
			s = t.Snapshot(*s.Parent)
		}
	}
}

// Snapshots lists the head of a branch and its ancestors, newest first.
func (t *Table) Snapshots(branch string) []Snapshot {
	var out []Snapshot
	for s := range t.Lineage(branch) {
		out = append(out, *s)
	}
	return out
}

// Find selects a snapshot of main's history: "" is the newest, "snapshot:ID" one
// by id, "source:LSN" the newest state up to a position of the source, an RFC 3339
// time the state that readers saw then.
func (t *Table) Find(at string) (*Snapshot, error) {
	var s *Snapshot
	var err error
	switch {
	case at == "":
		s = t.Head(Main)
	case strings.HasPrefix(at, "snapshot:"):
		var id int64
		if id, err = strconv.ParseInt(at[len("snapshot:"):], 10, 64); err == nil {
			s = t.Snapshot(id)
		}
	case strings.HasPrefix(at, "source:"):
		var lsn undrop.LSN
		if lsn, err = undrop.ParseLSN(at[len("source:"):]); err == nil {
			s, err = t.atLSN(lsn)
		}
	case strings.HasPrefix(at, "journal:"):
		err = errors.New("this catalog keeps no journal")
	default:
		var when time.Time
		if when, err = time.Parse(time.RFC3339Nano, at); err == nil {
			s = t.atTime(when)
		}
	}
	if err == nil && s == nil {
		err = errors.New("there is no such snapshot")
	}
	if err != nil {
		return nil, &undrop.Error{
			Code: undrop.BadInput,
			Op:   fmt.Sprintf("find %q in table %s", at, t.Name),
			Err:  err,
			Hint: "undrop table show " + t.Name.String() + "; use snapshot:ID, source:LSN such as source:0/16B3748, or a time such as 2006-01-02T15:04:05Z",
		}
	}
	return s, nil
}

// atLSN finds the newest state that main ever had whose cut is at or before lsn.
// The snapshot log is searched, not the ancestors of the head: a table that was
// loaded again has a head with other ancestors.
func (t *Table) atLSN(lsn undrop.LSN) (*Snapshot, error) {
	var best *Snapshot
	for e := range t.Entry.Metadata.SnapshotLogs() {
		s := t.Snapshot(e.SnapshotID)
		if s == nil {
			continue // expired
		}
		mark, err := s.Source()
		if err != nil {
			return nil, err
		}
		if mark != nil && mark.LSN <= lsn {
			best = s
		}
	}
	return best, nil
}

func (t *Table) atTime(when time.Time) *Snapshot {
	var best *Snapshot
	for e := range t.Entry.Metadata.SnapshotLogs() {
		if e.TimestampMs <= when.UnixMilli() {
			best = t.Snapshot(e.SnapshotID)
		}
	}
	return best
}

// Iceberg is the table in the library's own terms, for reading only: it has no
// catalog to commit to.
func (l *Lake) Iceberg(t *Table) *table.Table {
	return table.New(table.Identifier{t.Name.Namespace, t.Name.Name}, t.Entry.Metadata, t.Entry.Location,
		func(context.Context) (iceio.IO, error) { return l.wh.FS, nil }, nil)
}

// WriterConfig is what a writer of files for t needs: p is the contract's table,
// source goes into the metadata column _undrop_source.
func (l *Lake) WriterConfig(t *Table, p *undrop.Table, source string) WriterConfig {
	return WriterConfig{
		Warehouse: l.wh,
		Table:     p,
		Dir:       t.DataDir(),
		Schema:    t.Entry.Metadata.CurrentSchema(),
		Spec:      t.Entry.Metadata.PartitionSpec(),
		Stamp:     Stamp{Source: source},
	}
}

// DataDir is where the table's data files go.
func (t *Table) DataDir() string {
	if dir := t.Entry.Metadata.Properties()[table.WriteDataPathKey]; dir != "" {
		return strings.TrimSuffix(dir, "/")
	}
	return strings.TrimSuffix(t.Entry.Metadata.Location(), "/") + "/data"
}

func (t *Table) metadataDir() string {
	if dir := t.Entry.Metadata.Properties()[table.WriteMetadataPathKey]; dir != "" {
		return strings.TrimSuffix(dir, "/")
	}
	return strings.TrimSuffix(t.Entry.Metadata.Location(), "/") + "/metadata"
}

func fromIceberg(s *table.Snapshot) *Snapshot {
	if s == nil {
		return nil
	}
	out := &Snapshot{ID: s.SnapshotID, Parent: s.ParentSnapshotID, Sequence: s.SequenceNumber, Time: time.UnixMilli(s.TimestampMs).UTC(), Summary: map[string]string{}}
	if s.Summary != nil {
		maps.Copy(out.Summary, s.Summary.Properties)
		out.Summary["operation"] = string(s.Summary.Operation)
	}
	return out
}
