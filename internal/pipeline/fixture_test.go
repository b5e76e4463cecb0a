package pipeline

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
	"github.com/undrop/undrop/internal/catalog"
	"github.com/undrop/undrop/internal/lake"
)

// bench is a lake in a folder of its own with one table, folded into by hand.
type bench struct {
	testing.TB
	lake    *lake.Lake
	product *Product
	table   *lake.Table
	total   undrop.Account
}

// noRules accepts every row that decoded.
type noRules struct{}

func (noRules) Check(*batch.Batch, int) {}

func payments(mode undrop.Mode) *undrop.Table {
	return &undrop.Table{
		TableName: undrop.TableName{Namespace: "bank", Name: "payments"},
		Contract:  undrop.ContractRef{ID: "payments", Version: "1.0.0", Hash: "00"},
		Mode:      mode, Source: "core", Schema: "public", Relation: "payments", Topic: "core.public.payments",
		Fields: []undrop.Field{
			{ID: 1, Name: "id", Source: "id", Type: undrop.Type{Kind: undrop.Int64}, Required: true},
			{ID: 2, Name: "note", Source: "note", Type: undrop.Type{Kind: undrop.String}},
		},
		Key: []int{0},
	}
}

func newBench(t testing.TB, table *undrop.Table) *bench {
	t.Helper()
	dir := t.TempDir()
	wh, err := lake.OpenWarehouse(dir + "/warehouse")
	require.NoError(t, err)
	cat, err := catalog.OpenSQLite(context.Background(), dir+"/catalog.db", wh.FS, wh.Location)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cat.Close()) })
	b := &bench{TB: t, lake: lake.Open(cat, wh), product: &Product{Table: table, NewChecker: func() Checker { return noRules{} }}}
	b.table, err = b.lake.Ensure(context.Background(), table, nil)
	require.NoError(t, err)
	return b
}

// row is a change of the tests' table. A note of "~" was not sent (TOAST), one of
// "!" breaks the contract.
type row struct {
	op   undrop.Op
	id   int64
	note string
	lsn  undrop.LSN
	seq  int64
	prev int64 // the key before a key change
	dup  bool
}

// chunkOf makes a chunk of changes whose offsets begin at from.
func (b *bench) chunkOf(from int64, rows ...row) *chunk {
	c := &chunk{b: batch.New(b.product.Table)}
	for i, r := range rows {
		c.b.Cols[0].AppendInt(r.id)
		switch r.note {
		case "~":
			c.b.Cols[1].AppendNull()
			c.b.AddUnchanged(i, 1)
		case "!":
			c.b.Cols[1].AppendNull()
			c.b.AddBad(i, undrop.Violation{Rule: "enum", Path: "note", Actual: "!", Detail: "a note"})
		case "":
			c.b.Cols[1].AppendNull()
		default:
			c.b.Cols[1].AppendString(r.note)
		}
		seq := r.seq
		if seq == 0 && r.op != undrop.Read {
			seq = 1
		}
		c.b.AddRow(r.op, undrop.Position{CommitLSN: r.lsn, Seq: seq}, 1)
		if r.prev != 0 {
			k := batch.New(b.product.Table)
			k.Cols[0].AppendInt(r.prev)
			k.Cols[1].AppendNull()
			k.AddRow(undrop.Create, undrop.Position{}, 0)
			c.b.SetPrevKey(i, k.AppendKey(nil, 0))
		}
		c.offsets, c.dup = append(c.offsets, from+int64(i)), append(c.dup, r.dup)
	}
	return c
}

// folder is a folder over the head of a branch.
func (b *bench) folder(branch string) *folder {
	f := newFolder(b.product, b.lake.WriterConfig(b.table, b.product.Table, "core"))
	f.now = time.Unix(1, 0)
	f.bases = &bases{lake: b.lake, table: b.table, from: b.table.Head(branch)}
	return f
}

// fold folds windows of chunks into f, spilling after each but the last.
func (b *bench) fold(f *folder, windows ...[]*chunk) error {
	a := &Apply{}
	for n, w := range windows {
		var spans []span
		for _, c := range w {
			spans = append(spans, span{c: c, to: c.b.Len()})
		}
		if err := a.foldWindow(context.Background(), f, spans); err != nil {
			return err
		}
		if n < len(windows)-1 {
			if err := f.spill(); err != nil {
				return err
			}
		}
	}
	return nil
}

// commit publishes what f holds to a branch.
func (b *bench) commit(f *folder, branch, parent string) {
	b.Helper()
	data, deletes, err := f.finish()
	require.NoError(b, err)
	require.NoError(b, f.account.Check())
	s := &lake.Stage{Table: b.table, Branch: branch, ParentOf: parent, Data: data, Deletes: deletes, RemoveAll: f.removeAll, Summary: map[string]string{}}
	quarantines, err := stageQuarantines(context.Background(), b.lake, f.q)
	require.NoError(b, err)
	_, err = b.lake.Commit(context.Background(), append([]*lake.Stage{s}, quarantines...))
	require.NoError(b, err)
	b.table, err = b.lake.Load(context.Background(), b.product.Table.TableName)
	require.NoError(b, err)
	b.total = b.total.Add(f.account)
}

// apply folds and commits to main in one go.
func (b *bench) apply(rows ...row) undrop.Account {
	b.Helper()
	f := b.folder("main")
	require.NoError(b, b.fold(f, []*chunk{b.chunkOf(0, rows...)}))
	b.commit(f, "main", "main")
	return f.account
}

// rows reads a branch as "id=note" lines, sorted; a row that is there twice is
// there twice.
func (b *bench) rows(branch string) []string {
	b.Helper()
	out := []string{}
	head := b.table.Head(branch)
	if head == nil {
		return out
	}
	got := batch.New(b.product.Table)
	for rec, err := range b.lake.Scan(context.Background(), b.table, lake.ScanOptions{SnapshotID: head.ID}) {
		require.NoError(b, err)
		require.NoError(b, lake.ToBatch(rec, got))
	}
	for i := range got.Len() {
		note := ""
		if !got.Cols[1].Null[i] {
			note = string(got.Cols[1].Bytes(i))
		}
		out = append(out, fmt.Sprintf("%d=%s", got.Cols[0].Ints[i], note))
	}
	slices.Sort(out)
	return out
}

// model is what the rows must be.
type model map[int64]string

func (m model) rows() []string {
	out := []string{}
	for _, id := range slices.Sorted(maps.Keys(m)) {
		out = append(out, fmt.Sprintf("%d=%s", id, m[id]))
	}
	slices.Sort(out)
	return out
}

func (m model) take(r row) {
	switch r.op {
	case undrop.Delete:
		delete(m, r.id)
	case undrop.Truncate:
		clear(m)
	default:
		if r.note == "~" {
			return
		}
		m[r.id] = r.note
	}
}
