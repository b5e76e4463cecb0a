package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/postgres"
	"github.com/undrop/undrop/internal/postgres/postgrestest"
)

const notes = "create table t (id int primary key, note text)"

func notesTable() *undrop.Table { return table("t", "*id int", "note string") }

// Positions, commits and messages of a stream, as the database knows them.
func TestStreamPositions(t *testing.T) {
	tab := notesTable()
	l := newLab(t, []*undrop.Table{tab}, notes)
	c := session(t, l.dsn)
	do(t, c, "insert into t values (1, 'a')")
	do(t, c, "begin")
	do(t, c, "insert into t values (2, 'b')")
	do(t, c, "select pg_logical_emit_message(true, 'outbox', 'in')")
	do(t, c, "insert into t values (3, 'c')")
	do(t, c, "commit")
	do(t, c, "begin")
	do(t, c, "select pg_logical_emit_message(true, 'outbox', 'never')")
	do(t, c, "select pg_logical_emit_message(false, 'outbox', 'even so')")
	do(t, c, "rollback")
	st := l.open(postgres.StreamConfig{})
	got := l.drain(st)
	b := got.rows[tab]
	if b.Len() != 3 || b.Seq[0] != 1 || b.Seq[1] != 1 || b.Seq[2] != 2 || b.LSN[1] != b.LSN[2] || b.LSN[0] >= b.LSN[1] {
		t.Fatalf("rows:\n%s at %v", rowsText(b), b.LSN)
	}
	// WAL says where the commit record begins and ends, if the extension is there.
	var found []string
	for _, m := range got.msgs {
		found = append(found, fmt.Sprintf("%s:%t", m.Content, m.Transactional))
	}
	if text := strings.Join(found, " "); !strings.HasPrefix(text, "in:true even so:false ") {
		t.Errorf("messages %s", text)
	}
	last := got.commits[len(got.commits)-1]
	if len(got.commits) == 0 || last.LSN != b.LSN[2] || last.EndLSN <= last.LSN || last.At.UnixMicro() != b.At[2] || time.Since(last.At) > time.Minute {
		t.Errorf("commits %+v; the last row is at %s", got.commits, b.LSN[2])
	}
	postgrestest.Exec(t, l.dsn, "create extension if not exists pg_walinspect")
	rows := postgrestest.Query(t, l.dsn, fmt.Sprintf("select start_lsn, end_lsn, record_type from pg_get_wal_record_info('%s')", last.LSN))
	if rows[0][0] != last.LSN.String() || rows[0][1] != last.EndLSN.String() || rows[0][2] != "COMMIT" {
		t.Errorf("at %s the WAL has %v", last.LSN, rows)
	}
}

// A chunk that holds no transaction still says how far the source is.
func TestStreamPositionOfIdleSource(t *testing.T) {
	tab := notesTable()
	l := newLab(t, []*undrop.Table{tab}, notes, "create table other (id int)")
	st := l.open(postgres.StreamConfig{})
	l.drain(st)
	l.exec("insert into other select generate_series(1, 1000)")
	at, err := l.src.InsertPosition(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the position passes what other tables wrote", func() bool {
		chunk, err := st.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(chunk.Batches) > 0 {
			t.Fatalf("rows of a table that is not published: %v", chunk.Batches[0].Table.Relation)
		}
		return chunk.Position+64 >= at
	})
}

// What was published before is not delivered again, wherever the slot starts.
func TestStreamSkipsWhatWasPublished(t *testing.T) {
	tab := notesTable()
	l := newLab(t, []*undrop.Table{tab}, notes)
	l.exec("insert into t values (1, 'a')", "alter table t add extra int", "insert into t values (2, 'b')", "insert into t values (3, 'c')")
	first := l.open(postgres.StreamConfig{})
	all := l.drain(first).rows[tab]
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	st := l.open(postgres.StreamConfig{SkipThrough: all.LSN[1]})
	again := l.drain(st)
	want(t, "rows after the skipped", rowsText(again.rows[tab]), `c 1 {"id":3,"note":"c"}`)
	if again.rows[tab].LSN[0] != all.LSN[2] {
		t.Errorf("at %s, was at %s", again.rows[tab].LSN[0], all.LSN[2])
	}
}

// The slot moves to what was acknowledged, and no further.
func TestStreamAcknowledges(t *testing.T) {
	tab := notesTable()
	l := newLab(t, []*undrop.Table{tab}, notes)
	flushed := func() undrop.LSN {
		st, err := l.src.SlotState(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return st.ConfirmedFlush
	}
	before := flushed()
	l.exec("insert into t values (1, 'a')", "insert into t values (2, 'b')")
	st := l.open(postgres.StreamConfig{StatusInterval: 20 * time.Millisecond, MaxRows: 1})
	got := l.drain(st)
	if now := flushed(); now != before {
		t.Errorf("slot moved from %s to %s before anything was acknowledged", before, now)
	}
	var ends []undrop.LSN
	for _, c := range got.commits {
		if c.LSN == got.rows[tab].LSN[0] {
			ends = append(ends, c.EndLSN)
		}
	}
	if len(ends) != 1 {
		t.Fatalf("commits %+v", got.commits)
	}
	st.Ack(ends[0])
	st.Ack(ends[0] - 8) // an older one changes nothing
	eventually(t, "the slot is where it was acknowledged to", func() bool { return flushed() == ends[0] })
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	want(t, "after the acknowledged", rowsText(l.stream().rows[tab]), `c 1 {"id":2,"note":"b"}`)
}

// The newest acknowledgement reaches the server when the stream is closed.
func TestStreamAcknowledgesOnClose(t *testing.T) {
	tab := notesTable()
	l := newLab(t, []*undrop.Table{tab}, notes)
	l.exec("insert into t values (1, 'a')")
	st := l.open(postgres.StreamConfig{StatusInterval: time.Hour})
	got := l.drain(st)
	end := got.commits[len(got.commits)-1].EndLSN
	st.Ack(end)
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the slot is where it was acknowledged to", func() bool {
		s, err := l.src.SlotState(t.Context())
		return err == nil && s.ConfirmedFlush == end && !s.Active
	})
}

// A reader that does not come back for several times wal_sender_timeout, while
// the server has more to send than sockets hold, keeps its connection.
func TestStreamOutlivesASlowReader(t *testing.T) {
	tab := notesTable()
	l := newLab(t, []*undrop.Table{tab}, notes)
	l.src = open(t, l.dsn+"&wal_sender_timeout=600ms")
	if !strings.Contains(l.dsn, "?") {
		l.src = open(t, l.dsn+"?wal_sender_timeout=600ms")
	}
	l.exec("insert into t select g, repeat('x', 100) from generate_series(1, 200000) g")
	st := l.open(postgres.StreamConfig{})
	eventually(t, "the stream has been open for four times the timeout", func() bool {
		rows := postgrestest.Query(t, l.dsn, "select count(*) from pg_stat_replication r join pg_replication_slots s on s.active_pid = r.pid where database = current_database()")
		if rows[0][0] != "1" {
			t.Fatal("the server ended the stream")
		}
		rows = postgrestest.Query(t, l.dsn, "select clock_timestamp() - backend_start > '2.4 s' from pg_stat_replication r join pg_replication_slots s on s.active_pid = r.pid where database = current_database()")
		return len(rows) == 1 && rows[0][0] == "t"
	})
	if n := l.drain(st).rows[tab].Len(); n != 200000 {
		t.Errorf("%d rows", n)
	}
}

// A transaction that is larger than a chunk comes in parts, in bounded memory,
// and only its end is a commit.
func TestLargeTransactionInBoundedMemory(t *testing.T) {
	tab := notesTable()
	l := newLab(t, []*undrop.Table{tab}, notes)
	const rows = 300_000
	l.exec("insert into t values (0, 'first')", fmt.Sprintf("insert into t select g, repeat('x', 200) from generate_series(1, %d) g", rows))
	st := l.open(postgres.StreamConfig{MaxRows: 4096})
	var before, during runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	seen, inside, next := 0, 0, int64(0)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for ended := false; seen < rows+1 || !ended; {
		chunk, err := st.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range chunk.Batches {
			if b.Len() > 2*4096 {
				t.Fatalf("a chunk of %d rows", b.Len())
			}
			seen += b.Len()
			for _, seq := range b.Seq {
				if seq != next+1 && seq != 1 {
					t.Fatalf("seq %d after %d", seq, next)
				}
				next = seq
			}
		}
		ended = chunk.Commit != nil
		if chunk.Commit == nil && len(chunk.Batches) > 0 {
			inside++
			if chunk.Position != 0 {
				t.Fatalf("position %s inside a transaction", chunk.Position)
			}
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&during)
	if grown := int64(during.HeapAlloc) - int64(before.HeapAlloc); grown > 32<<20 {
		t.Errorf("heap grew by %d MiB", grown>>20)
	}
	if inside < rows/4096-2 {
		t.Errorf("only %d chunks ended inside the transaction", inside)
	}
}

// Two contracts may read the same relation.
func TestTwoTablesOfOneRelation(t *testing.T) {
	mirror, history := notesTable(), table("t", "note string", "id int")
	history.Name = "t_history"
	l := newLab(t, []*undrop.Table{mirror, history}, notes+"; alter table t replica identity full")
	l.exec("insert into t values (1, 'a')", "update t set note = 'b'")
	got := l.stream()
	want(t, "mirror", rowsText(got.rows[mirror]), `c 1 {"id":1,"note":"a"}
u 1 {"id":1,"note":"b"}`)
	want(t, "history", rowsText(got.rows[history]), `c 2 {"note":"a","id":1}
d 2 {"note":"a","id":1}
c 3 {"note":"b","id":1}`)
}

// What goes wrong says what and why, and the stream stays broken.
func TestStreamErrors(t *testing.T) {
	tab := notesTable()
	l := newLab(t, []*undrop.Table{tab}, notes)
	none, err := postgres.Open(t.Context(), postgres.Config{Name: "core", DSN: l.dsn, Publication: "undrop_core", Slot: "not_there"})
	if err != nil {
		t.Fatal(err)
	}
	defer none.Close()
	_, err = none.Stream(t.Context(), postgres.StreamConfig{Tables: l.tables})
	wantHint(t, err, `replication slot "not_there" does not exist`, "undrop status")

	st := l.open(postgres.StreamConfig{})
	l.drain(st)
	l.exec("select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = '" + slotFor(l.dsn) + "'")
	var ended error
	eventually(t, "the stream notices that it was ended", func() bool {
		_, ended = st.Next(t.Context())
		return ended != nil
	})
	if _, again := st.Next(t.Context()); !errors.Is(again, ended) {
		t.Errorf("then %v", again)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}

	st = l.open(postgres.StreamConfig{MaxWait: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := st.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// Few changes are delivered soon after they were committed.
func TestTrickleLatency(t *testing.T) {
	tab := notesTable()
	l := newLab(t, []*undrop.Table{tab}, notes)
	st := l.open(postgres.StreamConfig{})
	l.drain(st)
	c := session(t, l.dsn)
	var took []time.Duration
	for i := range 20 {
		done := make(chan time.Time, 1)
		go func() {
			_, _ = c.Exec(t.Context(), "insert into t values ($1, 'x')", i)
			done <- time.Now()
		}()
		for {
			chunk, err := st.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(chunk.Batches) > 0 {
				took = append(took, time.Since(<-done))
				break
			}
		}
	}
	quick := 0
	for _, d := range took {
		if d < 40*time.Millisecond {
			quick++
		}
	}
	if quick < 10 {
		t.Errorf("latencies %v", took)
	}
	t.Logf("latencies %v", took)
}
