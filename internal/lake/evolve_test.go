package lake

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

func version(def *undrop.Table, v string, change func(*undrop.Table)) *undrop.Table {
	next := *def
	next.Fields = slices.Clone(def.Fields)
	next.Contract.Version = v
	change(&next)
	return &next
}

// Rows of every version are read with every later schema.
func TestEvolutionKeepsOldRows(t *testing.T) {
	b := newBench(t)
	v1 := payments(undrop.Mirror)
	v1.Fields[0].Type = undrop.Type{Kind: undrop.Int32}
	v1.Fields = append(v1.Fields,
		undrop.Field{ID: 5, Name: "amount", Type: undrop.Type{Kind: undrop.Decimal, Precision: 9, Scale: 2}, Required: false},
		undrop.Field{ID: 6, Name: "rate", Type: undrop.Type{Kind: undrop.Float32}},
		undrop.Field{ID: 7, Name: "gone", Type: undrop.Type{Kind: undrop.String}})
	tb := b.ensure(v1)
	first := b.commit(&Stage{Table: tb, ParentOf: Main, Data: b.data(tb, row{1, "a", []string{"t"}}, row{2, "b", nil})})[0]
	tb = b.load(tb.Name)
	b.commit(&Stage{Table: tb, ParentOf: Main, Deletes: b.eqDeletes(tb, 2), Data: b.data(tb, row{3, "c", nil})})
	tb = b.load(tb.Name)

	v2 := version(v1, "1.1.0", func(n *undrop.Table) {
		n.Fields[0].Type = undrop.Type{Kind: undrop.Int64}
		n.Fields[1].Name, n.Fields[1].Doc = "remark", "what the customer wrote"
		n.Fields[3].Type.Precision = 30
		n.Fields[4].Type = undrop.Type{Kind: undrop.Float64}
		n.Fields = append(n.Fields[:5:5], undrop.Field{ID: 8, Name: "added", Type: undrop.Type{Kind: undrop.Int64}})
		n.Fields[1], n.Fields[2] = n.Fields[2], n.Fields[1]
	})
	want := []string{
		"drop column gone",
		"widen column id from int to long",
		"rename column note to remark",
		"describe column remark",
		"widen column amount from decimal(9, 2) to decimal(30, 2)",
		"widen column rate from float to double",
		"add column added long (id 8)",
		"reorder columns",
	}
	plan, err := PlanEvolve(tb, v2)
	require.NoError(t, err)
	require.ElementsMatch(t, want, plan)
	got, err := b.lake.Evolve(t.Context(), tb, v2)
	require.NoError(t, err)
	require.Equal(t, plan, got)
	_, err = b.lake.Evolve(t.Context(), tb, v2)
	require.ErrorIs(t, err, ErrConflict, "the table is not what it was")

	tb = b.load(tb.Name)
	c, err := tb.Contract()
	require.NoError(t, err)
	require.Equal(t, "1.1.0", c.Version)
	plan, err = b.lake.Evolve(t.Context(), tb, v2)
	require.NoError(t, err)
	require.Empty(t, plan)

	// A delete file of the old key type takes old rows, one of the new type both.
	read := func(o ScanOptions) map[int64]string {
		into, out := batch.New(v2), map[int64]string{}
		for rec, err := range b.lake.Scan(t.Context(), tb, o) {
			require.NoError(t, err)
			require.NoError(t, ToBatch(rec, into))
		}
		for i := range into.Len() {
			out[into.Cols[0].Ints[i]] = string(into.Cols[2].Bytes(i))
		}
		return out
	}
	require.Equal(t, map[int64]string{1: "a", 3: "c"}, read(ScanOptions{}))
	require.Equal(t, map[int64]string{1: "a", 2: "b"}, read(ScanOptions{SnapshotID: first.ID, Current: true}))
	b.commit(&Stage{Table: tb, ParentOf: Main, Deletes: b.eqDeletes(tb, 1)})
	tb = b.load(tb.Name)
	require.Equal(t, map[int64]string{3: "c"}, read(ScanOptions{}))
	keys := batch.New(v2)
	for _, id := range []int64{1, 2, 3} {
		addKey(keys, id)
	}
	rows, at, err := b.lake.Lookup(t.Context(), tb, tb.Head(Main).ID, keys, []int{1, 2, 3, 5})
	require.NoError(t, err)
	require.Len(t, at, 1)
	require.Equal(t, "c", string(rows.Cols[2].Bytes(at[string(keys.AppendKey(nil, 2))])))
}

func addKey(b *batch.Batch, id int64) {
	for c := range b.Cols {
		if c == 0 {
			b.Cols[c].AppendInt(id)
		} else {
			b.Cols[c].AppendNull()
		}
	}
	b.AddRow(undrop.Update, undrop.Position{}, 0)
}

func TestEvolutionRefusesWhatWouldLie(t *testing.T) {
	b := newBench(t)
	v1 := payments(undrop.Mirror)
	v1.Fields = append(v1.Fields, undrop.Field{ID: 5, Name: "amount", Type: undrop.Type{Kind: undrop.Decimal, Precision: 9, Scale: 2}})
	tb := b.ensure(v1)
	b.commit(&Stage{Table: tb, ParentOf: Main, Data: b.data(tb, row{1, "a", nil})})
	tb = b.load(tb.Name)
	cases := map[string]func(*undrop.Table){
		"type":      func(n *undrop.Table) { n.Fields[1].Type = undrop.Type{Kind: undrop.Int64} },
		"narrower":  func(n *undrop.Table) { n.Fields[0].Type = undrop.Type{Kind: undrop.Int32} },
		"scale":     func(n *undrop.Table) { n.Fields[3].Type.Precision, n.Fields[3].Type.Scale = 12, 3 },
		"precision": func(n *undrop.Table) { n.Fields[3].Type.Precision = 8 },
		"required":  func(n *undrop.Table) { n.Fields[1].Required = true },
		"added required": func(n *undrop.Table) {
			n.Fields = append(n.Fields, undrop.Field{ID: 9, Name: "n", Type: undrop.Type{Kind: undrop.Int64}, Required: true})
		},
		"key dropped":    func(n *undrop.Table) { n.Fields, n.Key = n.Fields[1:], []int{0} },
		"key changed":    func(n *undrop.Table) { n.Key = []int{0, 1} },
		"list to string": func(n *undrop.Table) { n.Fields[2].Type = undrop.Type{Kind: undrop.String} },
		"element type":   func(n *undrop.Table) { n.Fields[2].Type.Elem = &undrop.Type{Kind: undrop.Int64} },
		"mode":           func(n *undrop.Table) { n.Mode = undrop.History },
		"other contract": func(n *undrop.Table) { n.Contract.ID = "cards" },
		"other source":   func(n *undrop.Table) { n.Source = "legacy" },
		"other relation": func(n *undrop.Table) { n.Relation = "old_payments" },
	}
	for what, change := range cases {
		t.Run(what, func(t *testing.T) {
			_, err := b.lake.Evolve(t.Context(), tb, version(v1, "2.0.0", change))
			require.Equal(t, undrop.Refused, undrop.CodeOf(err), "%v", err)
			require.Equal(t, tb.Entry.Location, b.load(tb.Name).Entry.Location, "nothing changed")
		})
	}
	dropped := version(v1, "1.1.0", func(n *undrop.Table) { n.Fields = n.Fields[:3] })
	_, err := b.lake.Evolve(t.Context(), tb, dropped)
	require.NoError(t, err)
	again := version(dropped, "1.2.0", func(n *undrop.Table) {
		n.Fields = append(n.Fields, undrop.Field{ID: 5, Name: "other", Type: undrop.Type{Kind: undrop.Decimal, Precision: 9, Scale: 2}})
	})
	_, err = b.lake.Evolve(t.Context(), b.load(tb.Name), again)
	require.ErrorContains(t, err, "field id 5")
}

// A key column that is renamed is still what the table is partitioned by.
func TestPartitionsSurviveRenames(t *testing.T) {
	for _, transform := range []undrop.Transform{{Name: "bucket", Param: 3, Field: 1}, {Name: "identity", Field: 1}, {Name: "truncate", Param: 3, Field: 1}} {
		t.Run(transform.Name, func(t *testing.T) {
			b := newBench(t)
			v1 := mart()
			v1.Partition = []undrop.Transform{transform}
			tb := b.ensure(v1)
			write := func(def *undrop.Table, posts ...post) {
				rows := batch.New(def)
				for _, p := range posts {
					p.append(rows, 1)
				}
				config := b.lake.WriterConfig(tb, def, "core")
				w, err := NewWriter(config)
				require.NoError(t, err)
				require.NoError(t, w.Write(rows, nil, undrop.LaneStream))
				s := &Stage{Table: tb, ParentOf: Main}
				s.Data, err = w.Close()
				require.NoError(t, err)
				s.Deletes, err = WriteEqualityDeletes(config, rows, nil)
				require.NoError(t, err)
				b.commit(s)
				tb = b.load(tb.Name)
			}
			write(v1, post{"acc-1", 1, "a"}, post{"acc-2", 1, "b"}, post{"other", 1, "c"})
			v2 := version(v1, "1.1.0", func(n *undrop.Table) { n.Fields[1].Name = "acct" })
			plan, err := b.lake.Evolve(t.Context(), tb, v2)
			require.NoError(t, err)
			require.Equal(t, []string{"rename column account to acct"}, plan)
			tb = b.load(tb.Name)
			write(v2, post{"acc-1", 1, "new"}, post{"acc-3", 1, "d"})
			got := batch.New(v2)
			for rec, err := range b.lake.Scan(t.Context(), tb, ScanOptions{}) {
				require.NoError(t, err)
				require.NoError(t, ToBatch(rec, got))
			}
			bodies := map[string]string{}
			for i := range got.Len() {
				bodies[string(got.Cols[1].Bytes(i))] = string(got.Cols[0].Bytes(i))
			}
			require.Equal(t, map[string]string{"acc-1": "new", "acc-2": "b", "acc-3": "d", "other": "c"}, bodies)
			require.Equal(t, 4, got.Len())

			_, err = b.lake.Evolve(t.Context(), tb, version(v2, "1.2.0", func(n *undrop.Table) { n.Partition = nil }))
			require.Equal(t, undrop.Refused, undrop.CodeOf(err))
			require.ErrorContains(t, err, "partitioning")
		})
	}
}

func TestTableOfAnotherIsNotTaken(t *testing.T) {
	b := newBench(t)
	b.ensure(b.def)
	b.ensure(b.def) // twice is fine
	theirs := payments(undrop.Mirror)
	theirs.Contract.ID = "cards"
	_, err := b.lake.Ensure(t.Context(), theirs, nil)
	require.Equal(t, undrop.Refused, undrop.CodeOf(err))
}
