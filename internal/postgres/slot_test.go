package postgres_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/postgres"
	"github.com/undrop/undrop/internal/postgres/postgrestest"
)

// eventually polls ok until it says yes, for at most ten seconds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("after 10 s still not so: %s", what)
		case <-tick.C:
		}
	}
}

// session opens a connection that stays for the test.
func session(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

func do(t *testing.T, c *pgx.Conn, sql string) {
	t.Helper()
	if _, err := c.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

const slotTable = "create table t (id int primary key); create publication undrop_core for table t"

// inSnapshot reads the ids that a snapshot sees.
func inSnapshot(t *testing.T, dsn, id string) string {
	t.Helper()
	c := session(t, dsn)
	do(t, c, "begin isolation level repeatable read read only")
	do(t, c, "set transaction snapshot '"+id+"'")
	var ids string
	if err := c.QueryRow(t.Context(), "select coalesce(string_agg(id::text, ',' order by id), '') from t").Scan(&ids); err != nil {
		t.Fatal(err)
	}
	do(t, c, "commit")
	return ids
}

// The exported snapshot holds exactly what had committed before its LSN; the
// slot's changes begin there.
func TestSnapshotIsExactlyTheSlotsBeginning(t *testing.T) {
	dsn := postgrestest.NewDatabase(t, slotTable, "insert into t values (1)")
	s := open(t, dsn)
	before, err := s.InsertPosition(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	snap, err := s.CreateSlot(t.Context(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	postgrestest.Exec(t, dsn, "insert into t values (2)")
	if got := inSnapshot(t, dsn, snap.ID); got != "1" {
		t.Errorf("snapshot sees %q, want only what was there before: 1", got)
	}
	if snap.LSN < before {
		t.Errorf("consistent point %s is before %s, where the insert of row 1 was already in the log", snap.LSN, before)
	}
	if since := time.Since(snap.At); since < -time.Minute || since > time.Minute {
		t.Errorf("snapshot was taken at %s, %s ago", snap.At, since)
	}
	xids := postgrestest.Query(t, dsn, "select xmin from t where id = 1 union all (select xmin from t where id = 2)")
	var one, two uint32
	if _, err := fmt.Sscan(xids[0][0]+" "+xids[1][0], &one, &two); err != nil {
		t.Fatal(err)
	}
	if snap.Xmin <= one || snap.Xmin > two {
		t.Errorf("xmin %d: want it after row 1's %s and not after row 2's %s", snap.Xmin, xids[0][0], xids[1][0])
	}
	st, err := s.SlotState(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !st.Exists || st.Active || st.Plugin != "pgoutput" || st.ConfirmedFlush != snap.LSN || st.Restart == 0 || st.WALStatus != "reserved" || st.Lost() {
		t.Errorf("slot is %+v, want it idle at %s", st, snap.LSN)
	}
	changes := postgrestest.Query(t, dsn, `select encode(data, 'escape') from pg_logical_slot_peek_binary_changes('`+slotFor(dsn)+`', null, null, 'proto_version', '1', 'publication_names', 'undrop_core')`)
	inserts := 0
	for _, c := range changes {
		if strings.HasPrefix(c[0], "I") {
			inserts++
		}
	}
	if inserts != 1 {
		t.Errorf("the slot holds %d inserts, want the one after the snapshot", inserts)
	}

	if err := snap.Close(); err != nil {
		t.Fatal(err)
	}
	c := session(t, dsn)
	do(t, c, "begin isolation level repeatable read")
	if _, err := c.Exec(t.Context(), "set transaction snapshot '"+snap.ID+"'"); err == nil {
		t.Error("a closed snapshot can still be used")
	}
	if _, err := s.CreateSlot(t.Context(), time.Minute); err == nil {
		t.Error("a slot was created twice")
	} else {
		wantHint(t, err, "already exists", "pg_drop_replication_slot")
	}
	if err := s.DropSlot(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.DropSlot(t.Context()); err != nil {
		t.Errorf("dropping a slot that is gone: %v", err)
	}
	if st, err = s.SlotState(t.Context()); err != nil || st.Exists {
		t.Errorf("slot after drop: %+v, %v", st, err)
	}
}

// A temporary slot is there while its snapshot is, and no longer.
func TestTemporarySnapshotLeavesNoSlot(t *testing.T) {
	dsn := postgrestest.NewDatabase(t, slotTable, "insert into t values (1)")
	s := open(t, dsn)
	snap, err := s.TemporarySnapshot(t.Context(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	slots := "select slot_name from pg_replication_slots where database = current_database()"
	if got := postgrestest.Query(t, dsn, slots); len(got) != 1 || !strings.HasPrefix(got[0][0], slotFor(dsn)+"_load_") {
		t.Errorf("slots during the snapshot: %v", got)
	}
	if got := inSnapshot(t, dsn, snap.ID); got != "1" {
		t.Errorf("snapshot sees %q", got)
	}
	if err := snap.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the temporary slot is gone", func() bool { return len(postgrestest.Query(t, dsn, slots)) == 0 })
}

// A slot waits for running transactions; when it may not wait any longer it names
// them and leaves nothing behind, whether it waits for a session or for a prepared transaction.
func TestSlotCreationThatWaitsTooLong(t *testing.T) {
	for _, prepared := range []bool{false, true} {
		t.Run(fmt.Sprintf("prepared=%v", prepared), func(t *testing.T) {
			dsn := postgrestest.NewDatabase(t, slotTable)
			s := open(t, dsn)
			holder := session(t, dsn)
			do(t, holder, "set application_name = 'month end'")
			do(t, holder, "begin")
			do(t, holder, "insert into t values (1)")
			want := []string{fmt.Sprintf("pid %d", holder.PgConn().PID()), "month end", "idle in transaction"}
			if prepared {
				do(t, holder, "prepare transaction 'two_phase'")
				want = []string{"prepared transaction 'two_phase'"}
				defer postgrestest.Exec(t, dsn, "rollback prepared 'two_phase'")
			}
			_, err := s.CreateSlot(t.Context(), 300*time.Millisecond)
			for _, w := range want {
				wantHint(t, err, w, "try again")
			}
			if got := undrop.CodeOf(err); got != undrop.Refused {
				t.Errorf("code %s, want refused", got)
			}
			if got := postgrestest.Query(t, dsn, "select slot_name from pg_replication_slots where database = current_database()"); len(got) != 0 {
				t.Errorf("left behind: %v", got)
			}
		})
	}
}

// Somebody who stops waiting gets no slot and leaves none.
func TestSlotCreationCanBeCancelled(t *testing.T) {
	dsn := postgrestest.NewDatabase(t, slotTable)
	s := open(t, dsn)
	holder := session(t, dsn)
	do(t, holder, "begin")
	do(t, holder, "insert into t values (1)")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := s.CreateSlot(ctx, 0)
		done <- err
	}()
	slots := "select slot_name from pg_replication_slots where database = current_database()"
	eventually(t, "the slot is being made", func() bool { return len(postgrestest.Query(t, dsn, slots)) == 1 })
	cancel()
	if err := <-done; err == nil {
		t.Error("a cancelled creation succeeded")
	}
	eventually(t, "the half-made slot is gone", func() bool { return len(postgrestest.Query(t, dsn, slots)) == 0 })
}

func TestSlotNeedsItsPublication(t *testing.T) {
	s := open(t, postgrestest.NewDatabase(t))
	_, err := s.CreateSlot(t.Context(), time.Minute)
	wantHint(t, err, "publication undrop_core does not exist", `create publication "undrop_core"`)
}

// A slot that was overtaken by max_slot_wal_keep_size is lost, and still says how
// far it had come: the exact beginning of the gap.
func TestSlotIsLost(t *testing.T) {
	server := postgrestest.Start(t, "max_slot_wal_keep_size=1MB", "min_wal_size=32MB", "max_wal_size=32MB", "wal_keep_size=0")
	dsn := server.DSN("postgres")
	postgrestest.Exec(t, dsn, slotTable)
	s := open(t, dsn)
	snap, err := s.CreateSlot(t.Context(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if err := snap.Close(); err != nil {
		t.Fatal(err)
	}
	st := state(t, s)
	if st.Lost() || st.SafeWALSize == nil {
		t.Fatalf("fresh slot: %+v", st)
	}
	for range 4 {
		postgrestest.Exec(t, dsn, "select pg_logical_emit_message(false, 'fill', repeat('x', 1000000)) from generate_series(1, 17)", "select pg_switch_wal()", "checkpoint")
	}
	st = state(t, s)
	if !st.Lost() || st.WALStatus != "lost" || st.Reason != "wal_removed" || st.Restart != 0 || st.ConfirmedFlush != snap.LSN {
		t.Errorf("overtaken slot: %+v, want it lost, confirmed at %s", st, snap.LSN)
	}
}

func state(t *testing.T, s *postgres.Source) postgres.SlotState {
	t.Helper()
	st, err := s.SlotState(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return st
}
