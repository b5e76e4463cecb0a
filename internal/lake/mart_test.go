package lake

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// mart is a mirror with a composite key, partitioned by it.
func mart() *undrop.Table {
	return &undrop.Table{
		TableName: undrop.TableName{Namespace: "bank", Name: "ledger"},
		Contract:  undrop.ContractRef{ID: "ledger", Version: "1.0.0"},
		Mode:      undrop.Mirror, Source: "core", Schema: "public", Relation: "ledger",
		Fields: []undrop.Field{
			{ID: 1, Name: "body", Type: undrop.Type{Kind: undrop.String}},
			{ID: 2, Name: "account", Type: undrop.Type{Kind: undrop.String}, Required: true},
			{ID: 3, Name: "no", Type: undrop.Type{Kind: undrop.Int32}, Required: true},
			{ID: 4, Name: "sum", Type: undrop.Type{Kind: undrop.Decimal, Precision: 30, Scale: 4}},
		},
		Key:       []int{1, 2},
		Partition: []undrop.Transform{{Name: "bucket", Param: 3, Field: 1}},
	}
}

type post struct {
	account string
	no      int64
	body    string
}

func (p post) append(b *batch.Batch, lsn int) {
	b.Cols[0].AppendString(p.body)
	b.Cols[1].AppendString(p.account)
	b.Cols[2].AppendInt(p.no)
	b.Cols[3].AppendNull()
	b.AddRow(undrop.Update, undrop.Position{CommitLSN: undrop.LSN(lsn), Seq: 1}, int64(lsn))
}

// Random changes through our own writers, against a map: every snapshot is what
// the map was, every key is found or not found as the map says.
func TestMartEqualsModel(t *testing.T) {
	b := newBench(t)
	def := mart()
	tb := b.ensure(def)
	config := b.lake.WriterConfig(tb, def, "core")
	rng := rand.New(rand.NewPCG(1, 2))
	model, past := map[string]post{}, map[int64]map[string]post{}
	key := func(p post) string {
		one := batch.New(def)
		p.append(one, 0)
		return string(one.AppendKey(nil, 0))
	}
	for step := range 60 {
		s := &Stage{Table: tb, ParentOf: Main, Summary: mark(undrop.LSN(step))}
		if step == 30 {
			s.RemoveAll = true
			clear(model)
		}
		rows, keys := batch.New(def), batch.New(def)
		touched := map[string]bool{}
		for range rng.IntN(60) {
			p := post{fmt.Sprint("acc-", rng.IntN(9)), rng.Int64N(12) - 6, fmt.Sprint("v", step)}
			k := key(p)
			if touched[k] {
				continue
			}
			touched[k] = true
			p.append(keys, step)
			delete(model, k)
			if rng.IntN(4) > 0 {
				p.append(rows, step)
				model[k] = p
			}
		}
		w, err := NewWriter(config)
		require.NoError(t, err)
		type place struct {
			file int
			row  int64
		}
		places := make([]place, rows.Len())
		w.OnPlace(func(i int32, file int, row int64) { places[i] = place{file, row} })
		require.NoError(t, w.Write(rows, nil, undrop.LaneStream))
		s.Data, err = w.Close()
		require.NoError(t, err)
		// Take back some rows of this very commit, by position.
		gone := map[int][]int64{}
		for i := range rows.Len() {
			if rng.IntN(5) == 0 {
				gone[places[i].file] = append(gone[places[i].file], places[i].row)
				delete(model, string(rows.AppendKey(nil, i)))
			}
		}
		if keys.Len() > 0 {
			s.Deletes, err = WriteEqualityDeletes(config, keys, nil)
			require.NoError(t, err)
		}
		for _, f := range slices.Sorted(maps.Keys(gone)) {
			slices.Sort(gone[f])
			d, err := WritePositionDeletes(config, s.Data[f], gone[f])
			require.NoError(t, err)
			s.Deletes = append(s.Deletes, d)
		}
		snap := b.commit(s)[0]
		past[snap.ID] = maps.Clone(model)
		tb = b.load(tb.Name)
		if step%20 == 9 {
			b.equals(tb, def, snap.ID, model)
		}
	}
	for i, snap := range tb.Snapshots(Main) {
		if i%6 == 0 {
			b.equals(tb, def, snap.ID, past[snap.ID])
		}
	}
}

func (b *bench) equals(tb *Table, def *undrop.Table, id int64, want map[string]post) {
	b.Helper()
	post := func(rows *batch.Batch, i int) post {
		return post{string(rows.Cols[1].Bytes(i)), rows.Cols[2].Ints[i], string(rows.Cols[0].Bytes(i))}
	}
	got := batch.New(def)
	for rec, err := range b.lake.Scan(b.Context(), tb, ScanOptions{SnapshotID: id}) {
		require.NoError(b, err)
		require.NoError(b, ToBatch(rec, got))
	}
	require.Equal(b, len(want), got.Len())
	for i := range got.Len() {
		require.Equal(b, want[string(got.AppendKey(nil, i))], post(got, i))
		require.EqualValues(b, got.At[i], got.LSN[i])
	}
	n, err := b.lake.CountRows(b.Context(), tb, id)
	require.NoError(b, err)
	require.EqualValues(b, len(want), n)

	all := batch.New(def)
	for a := range 9 {
		for no := range int64(12) {
			(postOf(a, no-6)).append(all, 0)
		}
	}
	rows, at, err := b.lake.Lookup(b.Context(), tb, id, all, []int{0})
	require.NoError(b, err)
	require.Len(b, at, len(want))
	for k, i := range at {
		require.Equal(b, want[k], post(rows, i))
	}
}

func postOf(account int, no int64) post { return post{account: fmt.Sprint("acc-", account), no: no} }
