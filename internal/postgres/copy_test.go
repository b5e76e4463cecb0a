package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
	"github.com/undrop/undrop/internal/postgres"
	"github.com/undrop/undrop/internal/postgres/postgrestest"
)

// The ranges of a table are disjoint and together hold every row; batches are
// whole, and each row carries the stamp.
func TestCopyRanges(t *testing.T) {
	tab := notesTable()
	l := newLab(t, []*undrop.Table{tab}, notes, "insert into t select g, repeat('x', 50) from generate_series(1, 40000) g")
	w, err := l.src.Worker(t.Context(), l.exportSnapshot())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	l.exec("insert into t values (50001, 'later')", "delete from t where id <= 100")
	leaves, err := l.src.Leaves(t.Context(), tab)
	if err != nil {
		t.Fatal(err)
	}
	at := postgres.RowStamp{Position: undrop.Position{CommitLSN: 99}, At: 1234}
	seen := map[int64]bool{}
	var sizes []int
	step := leaves[0].Pages/3 + 1
	for from := uint32(0); from <= 2*step; from += step {
		r := undrop.Range{From: from, To: from + step}
		if from == 2*step {
			r.To = 0
		}
		total := 0
		rows, err := w.CopyRange(t.Context(), tab, l.relation(tab), r, at, 0, func(b *batch.Batch) error {
			total += b.Len()
			sizes = append(sizes, b.Len())
			for i, id := range b.Cols[0].Ints {
				if seen[id] || b.Op[i] != undrop.Read || b.Position(i) != at.Position || b.At[i] != 1234 {
					return fmt.Errorf("row %d: %s %s at %d, seen before: %t", id, b.Op[i], b.Position(i), b.At[i], seen[id])
				}
				seen[id] = true
			}
			return nil
		})
		if err != nil || int(rows) != total {
			t.Fatalf("range %+v: %d rows, %d given, %v", r, rows, total, err)
		}
	}
	if len(seen) != 40000 || seen[50001] {
		t.Errorf("%d rows", len(seen))
	}
	if slices.Max(sizes) != 8192 {
		t.Errorf("batches of %v rows", sizes)
	}
}

// Only what a later transaction may have written is read again.
func TestCopyChangedSince(t *testing.T) {
	tab := notesTable()
	l := newLab(t, []*undrop.Table{tab}, notes, "insert into t select g, 'old' from generate_series(1, 1000) g")
	// A transaction that is running when the first snapshot is taken.
	c := session(t, l.dsn)
	do(t, c, "begin")
	do(t, c, "insert into t values (2000, 'was running')")
	xmin := postgrestest.Query(t, l.dsn, "select pg_snapshot_xmin(pg_current_snapshot())::text::bigint % 4294967296")[0][0]
	var since uint32
	if _, err := fmt.Sscan(xmin, &since); err != nil {
		t.Fatal(err)
	}
	do(t, c, "commit")
	l.exec("update t set note = 'new' where id in (5, 500)", "vacuum freeze t")
	w, err := l.src.Worker(t.Context(), l.exportSnapshot())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var ids []int64
	if _, err := w.CopyRange(t.Context(), tab, l.relation(tab), undrop.Range{}, postgres.RowStamp{}, since, func(b *batch.Batch) error {
		ids = append(ids, b.Cols[0].Ints...)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if slices.Sort(ids); !slices.Equal(ids, []int64{5, 500, 2000}) {
		t.Errorf("read %v", ids)
	}
}

// The leaves of a partitioned table are read one by one, whatever their columns'
// order.
func TestCopyOfPartitions(t *testing.T) {
	tab := table("t", "*id int", "*k string", "note string")
	l := newLab(t, []*undrop.Table{tab}, `create table t (id int, k text, note text, primary key (id, k)) partition by list (k);
		create table t_a partition of t for values in ('a'); create table "T b" (note text, k text not null, gone int, id int not null);
		alter table "T b" drop gone; alter table t attach partition "T b" for values in ('b')`, "insert into t values (1, 'a', 'x'), (2, 'b', 'y')")
	want(t, "rows", rowsText(l.copied(tab)), `r 0 {"id":2,"k":"b","note":"y"}
r 0 {"id":1,"k":"a","note":"x"}`)
}

// A table that inherits is read without its children: they are not what was
// contracted.
func TestCopyReadsOnlyTheTable(t *testing.T) {
	tab := notesTable()
	l := newLab(t, []*undrop.Table{tab}, notes+"; create table child () inherits (t); insert into t values (1, 'a'); insert into child values (2, 'b')")
	want(t, "rows", rowsText(l.copied(tab)), `r 0 {"id":1,"note":"a"}`)
}

// What is not MVCC-safe would make rows vanish from the snapshot in silence.
func TestCopyRefusesARewrittenTable(t *testing.T) {
	for name, c := range map[string]struct{ sql, err string }{
		"alter type":             {"alter table t alter id type bigint using id + 0", "was rewritten after the snapshot"},
		"truncate":               {"truncate t", "was rewritten after the snapshot"},
		"vacuum full":            {"vacuum full t", "was rewritten after the snapshot"},
		"other type, same bytes": {"alter table t alter note type bytea using note::bytea", "rewritten"},
		"type without rewrite":   {"alter table t alter id type oid", "is another type now"},
		"dropped column":         {"alter table t drop note", `column "note" does not exist`},
		"dropped":                {"drop table t", "does not exist"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tab := notesTable()
			l := newLab(t, []*undrop.Table{tab}, notes, "insert into t select g, 'x' from generate_series(1, 1000) g")
			rel := l.relation(tab)
			w, err := l.src.Worker(t.Context(), l.exportSnapshot())
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			l.exec(c.sql)
			_, err = w.CopyRange(t.Context(), tab, rel, undrop.Range{}, postgres.RowStamp{}, 0, func(*batch.Batch) error { return nil })
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want %q", err, c.err)
			}
			if _, err := w.CopyRange(t.Context(), tab, rel, undrop.Range{}, postgres.RowStamp{}, 0, nil); err == nil {
				t.Error("a worker that failed goes on")
			}
		})
	}
}

// A rewrite has to wait until the worker is done with the table.
func TestCopyHoldsOffRewrites(t *testing.T) {
	tab := notesTable()
	l := newLab(t, []*undrop.Table{tab}, notes, "insert into t select g, 'x' from generate_series(1, 1000) g")
	w, err := l.src.Worker(t.Context(), l.exportSnapshot())
	if err != nil {
		t.Fatal(err)
	}
	rows, err := w.CopyRange(t.Context(), tab, l.relation(tab), undrop.Range{To: 1}, postgres.RowStamp{}, 0, func(*batch.Batch) error { return nil })
	if err != nil || rows == 0 {
		t.Fatal(rows, err)
	}
	c := session(t, l.dsn)
	do(t, c, "set lock_timeout = '50ms'")
	if _, err := c.Exec(t.Context(), "truncate t"); err == nil {
		t.Error("the table was truncated between two ranges")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	do(t, c, "set lock_timeout = 0")
	do(t, c, "truncate t")
}

// A consumer's error and a cancelled context end the copy, and are what comes back.
func TestCopyEndsEarly(t *testing.T) {
	tab := notesTable()
	l := newLab(t, []*undrop.Table{tab}, notes, "insert into t select g, repeat('x', 200) from generate_series(1, 60000) g")
	id := l.exportSnapshot()
	stop := errors.New("stop here")
	w, err := l.src.Worker(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.CopyRange(t.Context(), tab, l.relation(tab), undrop.Range{}, postgres.RowStamp{}, 0, func(*batch.Batch) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("error %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if w, err = l.src.Worker(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := w.CopyRange(ctx, tab, l.relation(tab), undrop.Range{}, postgres.RowStamp{}, 0, func(*batch.Batch) error { cancel(); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if _, err := l.src.Worker(t.Context(), "00000003-0000001B-1"); err == nil || !strings.Contains(err.Error(), "enter snapshot") {
		t.Errorf("a snapshot that is not there: %v", err)
	}
}

// A database that does not check its text may hold what is no text.
func TestTextThatIsNotUTF8(t *testing.T) {
	admin := postgrestest.NewDatabase(t)
	name := "ascii_" + slotFor(admin)
	postgrestest.Exec(t, admin, "create database "+name+" encoding 'SQL_ASCII' template template0 lc_collate 'C' lc_ctype 'C'")
	dsn := strings.Replace(admin, admin[strings.LastIndexByte(admin, '/')+1:], name, 1)
	if i := strings.IndexByte(admin, '?'); i >= 0 {
		dsn = admin[:strings.LastIndexByte(admin[:i], '/')+1] + name + admin[i:]
	}
	t.Cleanup(func() { postgrestest.Exec(t, admin, "drop database "+name+" with (force)") })
	tab := notesTable()
	l := &lab{T: t, dsn: dsn, src: open(t, dsn), tables: []*undrop.Table{tab}}
	l.exec(notes, "create publication undrop_core for table t", "select pg_create_logical_replication_slot('"+slotFor(dsn)+"', 'pgoutput')")
	t.Cleanup(func() {
		eventually(t, "the slot is let go", func() bool {
			return postgrestest.Query(t, dsn, "select count(*) from pg_replication_slots where active and database = current_database()")[0][0] == "0"
		})
		l.exec("select pg_drop_replication_slot('" + slotFor(dsn) + "')")
	})
	l.exec(`insert into t values (1, E'caf\xe9')`)
	text := ` {"id":1,"note":null} bad:text.encoding@note raw:{"id":"1","note":{"\\x":"636166e9"}}`
	want(t, "copy", rowsText(l.copied(tab)), "r 0"+text)
	live := l.stream().rows[tab]
	want(t, "stream", rowsText(live), "c 1"+text)
	replayRaw(t, tab, live)
}
