package postgres_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
	"github.com/undrop/undrop/internal/postgres"
	"github.com/undrop/undrop/internal/postgres/postgrestest"
)

// lab is a database with a publication and a slot, and tables under contract.
type lab struct {
	*testing.T
	dsn    string
	src    *postgres.Source
	tables []*undrop.Table
}

// newLab runs setup, publishes the tables and makes the slot.
func newLab(t *testing.T, tables []*undrop.Table, setup ...string) *lab {
	t.Helper()
	dsn := postgrestest.NewDatabase(t, setup...)
	l := &lab{T: t, dsn: dsn, src: open(t, dsn), tables: tables}
	names := []string{}
	for _, tab := range tables {
		names = append(names, pgx.Identifier{tab.Schema, tab.Relation}.Sanitize())
	}
	slices.Sort(names)
	l.exec("create publication undrop_core for table "+strings.Join(slices.Compact(names), ", ")+" with (publish_via_partition_root = true)",
		"select pg_create_logical_replication_slot('"+slotFor(dsn)+"', 'pgoutput')")
	return l
}

func (l *lab) exec(sql ...string) {
	l.Helper()
	postgrestest.Exec(l, l.dsn, sql...)
}

func (l *lab) relation(t *undrop.Table) undrop.Relation {
	l.Helper()
	rels, err := l.src.Relations(l.Context(), []string{t.SourceRelation()}, false)
	if err != nil || len(rels) != 1 {
		l.Fatalf("relation %s: %v, %v", t.SourceRelation(), rels, err)
	}
	return rels[0]
}

// exportSnapshot exports the present snapshot and keeps it until the test ends.
func (l *lab) exportSnapshot() string {
	l.Helper()
	c, err := pgx.Connect(l.Context(), l.dsn)
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { _ = c.Close(context.Background()) })
	var id string
	if _, err := c.Exec(l.Context(), "begin isolation level repeatable read"); err != nil {
		l.Fatal(err)
	}
	if err := c.QueryRow(l.Context(), "select pg_export_snapshot()").Scan(&id); err != nil {
		l.Fatal(err)
	}
	return id
}

// copied reads every row of a table in the present snapshot.
func (l *lab) copied(t *undrop.Table) *batch.Batch {
	l.Helper()
	w, err := l.src.Worker(l.Context(), l.exportSnapshot())
	if err != nil {
		l.Fatal(err)
	}
	defer w.Close()
	leaves, err := l.src.Leaves(l.Context(), t)
	if err != nil {
		l.Fatal(err)
	}
	all := batch.New(t)
	for _, leaf := range leaves {
		if _, err := w.CopyRange(l.Context(), t, l.relation(t), undrop.Range{Leaf: leaf.Name}, postgres.RowStamp{Position: undrop.Position{CommitLSN: 7}, At: 8}, 0, func(b *batch.Batch) error {
			for i := range b.Len() {
				all.AppendRow(b, i)
			}
			return nil
		}); err != nil {
			l.Fatal(err)
		}
	}
	return all
}

// streamed is what a stream brought up to a barrier.
type streamed struct {
	rows    map[*undrop.Table]*batch.Batch
	commits []postgres.Commit
	drifts  []*postgres.Drift
	msgs    []postgres.Message
	chunks  int
	longest int // rows of the longest chunk
}

func (l *lab) open(cfg postgres.StreamConfig) *postgres.Stream {
	l.Helper()
	cfg.Tables = l.tables
	st, err := l.src.Stream(l.Context(), cfg)
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() {
		if err := st.Close(); err != nil {
			l.Errorf("close stream: %v", err)
		}
	})
	return st
}

// drain reads st up to a barrier that is written now.
func (l *lab) drain(st *postgres.Stream) *streamed {
	l.Helper()
	mark := fmt.Sprintf("mark %d", time.Now().UnixNano())
	if _, err := l.src.Barrier(l.Context(), "test", mark); err != nil {
		l.Fatal(err)
	}
	out := &streamed{rows: map[*undrop.Table]*batch.Batch{}}
	for _, t := range l.tables {
		out.rows[t] = batch.New(t)
	}
	ctx, cancel := context.WithTimeout(l.Context(), time.Minute)
	defer cancel()
	for {
		chunk, err := st.Next(ctx)
		if err != nil {
			l.Fatalf("stream: %v", err)
		}
		rows := 0
		for _, b := range chunk.Batches {
			rows += b.Len()
			for i := range b.Len() {
				out.rows[b.Table].AppendRow(b, i)
			}
		}
		out.chunks++
		out.longest = max(out.longest, rows)
		if chunk.Commit != nil {
			out.commits = append(out.commits, *chunk.Commit)
		}
		out.drifts = append(out.drifts, chunk.Drifts...)
		out.msgs = append(out.msgs, chunk.Messages...)
		for _, m := range chunk.Messages {
			if string(m.Content) == mark {
				return out
			}
		}
	}
}

// stream reads everything up to now from the slot.
func (l *lab) stream() *streamed {
	l.Helper()
	return l.drain(l.open(postgres.StreamConfig{}))
}

// rowsText prints rows one a line: op, seq, JSON, and what is known aside.
func rowsText(b *batch.Batch) string {
	var out strings.Builder
	for i := range b.Len() {
		fmt.Fprintf(&out, "%s %d %s", b.Op[i], b.Seq[i], b.AppendRowJSON(nil, i))
		for _, c := range b.Unchanged[i] {
			fmt.Fprintf(&out, " unchanged:%s", b.Table.Fields[c].Name)
		}
		for _, v := range b.Bad[i] {
			fmt.Fprintf(&out, " bad:%s@%s", v.Rule, v.Path)
		}
		if _, ok := b.PrevKey[i]; ok {
			out.WriteString(" moved")
		}
		if raw, ok := b.Raw[i]; ok {
			out.WriteString(" raw:" + raw)
		}
		out.WriteByte('\n')
	}
	return out.String()
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if strings.TrimSpace(got) != strings.TrimSpace(want) {
		t.Errorf("%s:\n%s\nwant:\n%s", what, strings.TrimSpace(got), strings.TrimSpace(want))
	}
}

// table is a contract on public.<relation>; a column is "name type", with * for
// the key.
func table(relation string, columns ...string) *undrop.Table {
	t := &undrop.Table{TableName: undrop.TableName{Namespace: "m", Name: strings.ToLower(relation)}, Schema: "public", Relation: relation, Mode: undrop.Mirror}
	for i, c := range columns {
		name, typ, _ := strings.Cut(c, " ")
		if strings.HasPrefix(name, "*") {
			name = name[1:]
			t.Key = append(t.Key, i)
		}
		t.Fields = append(t.Fields, undrop.Field{ID: i + 1, Name: name, Source: name, Type: typeOf(typ)})
	}
	return t
}

// typeOf reads "int", "decimal(12,2)", "list<long>", "map", "struct<a:int,b:list<string>>".
func typeOf(s string) undrop.Type {
	inner := func(prefix string) (string, bool) {
		in, ok := strings.CutPrefix(s, prefix+"<")
		return strings.TrimSuffix(in, ">"), ok
	}
	str := undrop.Type{Kind: undrop.String}
	if in, ok := inner("list"); ok {
		e := typeOf(in)
		return undrop.Type{Kind: undrop.List, Elem: &e}
	}
	if in, ok := inner("struct"); ok {
		t := undrop.Type{Kind: undrop.Struct}
		depth, from := 0, 0
		for i, ch := range in + "," {
			switch {
			case ch == '<' || ch == '(':
				depth++
			case ch == '>' || ch == ')':
				depth--
			case ch == ',' && depth == 0:
				name, typ, _ := strings.Cut(in[from:i], ":")
				t.Fields = append(t.Fields, undrop.Field{Name: name, Type: typeOf(typ)})
				from = i + 1
			}
		}
		return t
	}
	if s == "map" {
		return undrop.Type{Kind: undrop.Map, Key: &str, Elem: &str}
	}
	var p, sc int
	if n, _ := fmt.Sscanf(s, "decimal(%d,%d)", &p, &sc); n == 2 {
		return undrop.Type{Kind: undrop.Decimal, Precision: p, Scale: sc}
	}
	for k := undrop.Bool; k <= undrop.TimestampTZ; k++ {
		if k.String() == s {
			return undrop.Type{Kind: k}
		}
	}
	panic("no type " + s)
}
