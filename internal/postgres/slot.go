package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"

	undrop "github.com/undrop/undrop"
)

// SlotState is what the server says about our slot.
type SlotState struct {
	Exists         bool
	Active         bool
	ActivePID      int
	Plugin         string // empty for a physical slot
	Database       string
	ConfirmedFlush undrop.LSN // kept even when the slot is lost: where the gap begins
	Restart        undrop.LSN // 0 when the slot is lost
	WALStatus      string     // reserved, extended, unreserved, lost
	SafeWALSize    *int64     // bytes that can still be written before the slot is lost; negative: too late at the next checkpoint; nil: unlimited or lost
	Reason         string     // why it was invalidated; empty: it was not
}

// Lost reports whether the slot can no longer be read from.
func (st SlotState) Lost() bool { return st.Exists && (st.WALStatus == "lost" || st.Reason != "") }

// SlotState reads the state of the configured slot.
func (s *Source) SlotState(ctx context.Context) (SlotState, error) {
	var st SlotState
	err := s.with(ctx, func(c *pgx.Conn) (err error) {
		st, err = s.readSlot(ctx, c)
		return err
	})
	if err != nil {
		return SlotState{}, fmt.Errorf("read slot %s: %w", s.cfg.Slot, err)
	}
	return st, nil
}

func (s *Source) readSlot(ctx context.Context, c *pgx.Conn) (SlotState, error) {
	// Only 16 and newer name a conflict, only 17 and newer every reason.
	reason := "case when wal_status = 'lost' then 'wal_removed' end"
	switch {
	case s.version >= 170000:
		reason = "coalesce(invalidation_reason, " + reason + ")"
	case s.version >= 160000:
		reason = "coalesce(case when conflicting then 'conflict' end, " + reason + ")"
	}
	var st SlotState
	var confirmed, restart string
	var pid *int
	err := c.QueryRow(ctx, `select active, active_pid, coalesce(plugin::text, ''), coalesce(database::text, ''), coalesce(confirmed_flush_lsn, '0/0')::text,
		coalesce(restart_lsn, '0/0')::text, coalesce(wal_status, ''), safe_wal_size, coalesce(`+reason+`, '')
		from pg_replication_slots where slot_name = $1`, s.cfg.Slot).
		Scan(&st.Active, &pid, &st.Plugin, &st.Database, &confirmed, &restart, &st.WALStatus, &st.SafeWALSize, &st.Reason)
	if errors.Is(err, pgx.ErrNoRows) {
		return SlotState{}, nil
	}
	if err != nil {
		return SlotState{}, err
	}
	st.Exists = true
	if pid != nil {
		st.ActivePID = *pid
	}
	if st.ConfirmedFlush, err = undrop.ParseLSN(confirmed); err != nil {
		return SlotState{}, err
	}
	st.Restart, err = undrop.ParseLSN(restart)
	return st, err
}

// DropSlot drops the configured slot; one that is not there is no error, one
// that is in use is.
func (s *Source) DropSlot(ctx context.Context) error {
	err := s.with(ctx, func(c *pgx.Conn) error {
		_, err := c.Exec(ctx, "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1", s.cfg.Slot)
		return err
	})
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		switch pe.Code {
		case "42704": // dropped in between
			return nil
		case "55006":
			return &undrop.Error{Code: undrop.Refused, Op: "drop slot " + s.cfg.Slot, Err: errors.New(pe.Message),
				Hint: "stop the process that reads from it, then try again"}
		}
	}
	if err != nil {
		return fmt.Errorf("drop slot %s: %w", s.cfg.Slot, err)
	}
	return nil
}

// CreateSlot makes the permanent slot and exports the snapshot at its consistent
// point. The server first waits for every transaction that runs now; after
// timeout (0: no limit) it gives up, says whom it waited for and leaves nothing
// behind. The publication must be there first: a slot that decodes changes from
// before its publication is stuck for good.
func (s *Source) CreateSlot(ctx context.Context, timeout time.Duration) (*Snapshot, error) {
	op := "create slot " + s.cfg.Slot
	var there bool
	if err := s.with(ctx, func(c *pgx.Conn) error {
		return c.QueryRow(ctx, "select exists (select from pg_publication where pubname = $1)", s.cfg.Publication).Scan(&there)
	}); err != nil {
		return nil, fmt.Errorf("%s: look for publication: %w", op, err)
	}
	if !there {
		return nil, &undrop.Error{Code: undrop.Refused, Op: op,
			Err:  fmt.Errorf("publication %s does not exist: a slot made before its publication cannot be read", s.cfg.Publication),
			Hint: fmt.Sprintf("create publication %s for table … with (publish_via_partition_root = true);", ident(s.cfg.Publication))}
	}
	return s.export(ctx, s.cfg.Slot, false, timeout)
}

// TemporarySnapshot exports a snapshot at an exact position by way of a slot that
// vanishes with the snapshot.
func (s *Source) TemporarySnapshot(ctx context.Context, timeout time.Duration) (*Snapshot, error) {
	suffix := "_load_" + strings.ToLower(rand.Text()[:10])
	name := s.cfg.Slot
	if over := len(name) + len(suffix) - 63; over > 0 {
		name = name[:len(name)-over]
	}
	return s.export(ctx, name+suffix, true, timeout)
}

func (s *Source) export(ctx context.Context, slot string, temporary bool, timeout time.Duration) (_ *Snapshot, err error) {
	op := "create slot " + slot
	conn, err := s.connect(ctx, true, cancelOnServer)
	if err != nil {
		return nil, s.connectError("connect to source "+s.cfg.Name, err)
	}
	snap := &Snapshot{conn: conn}
	defer func() {
		if err != nil {
			_ = snap.Close() // what failed is in err
		}
	}()
	create := "CREATE_REPLICATION_SLOT " + ident(slot) + map[bool]string{true: " TEMPORARY"}[temporary] + " LOGICAL pgoutput EXPORT_SNAPSHOT"
	result, err := s.waitForSlot(ctx, conn, create, timeout)
	if err != nil {
		var pe *pgconn.PgError
		var ue *undrop.Error
		switch {
		case errors.As(err, &ue):
			ue.Op = op
			return nil, ue
		case errors.As(err, &pe) && pe.Code == "42710":
			return nil, &undrop.Error{Code: undrop.Refused, Op: op, Err: errors.New(pe.Message),
				Hint: "select * from pg_replication_slots; -- whose is it? if nobody's: select pg_drop_replication_slot(" + literal(slot) + ");"}
		case errors.As(err, &pe) && pe.Code == "53400":
			return nil, &undrop.Error{Code: undrop.Refused, Op: op, Err: errors.New(pe.Message),
				Hint: "drop a slot nobody needs, or raise max_replication_slots and restart the server"}
		}
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	// From here on a failure must not leave the permanent slot behind: nobody would
	// ever read from it, and it would pin the server's log.
	if !temporary {
		defer func() {
			if err != nil {
				_ = snap.Close()
				after, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
				defer cancel()
				err = errors.Join(err, s.DropSlot(after))
			}
		}()
	}
	if len(result) != 1 || len(result[0].Rows) != 1 || len(result[0].Rows[0]) < 3 {
		return nil, fmt.Errorf("%s: unexpected answer", op)
	}
	row := result[0].Rows[0]
	if snap.LSN, err = undrop.ParseLSN(string(row[1])); err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	snap.ID = string(row[2])
	if err := s.enter(ctx, snap); err != nil {
		return nil, fmt.Errorf("%s: look into its snapshot: %w", op, err)
	}
	return snap, nil
}

// cancelOnServer makes the end of a context ask the server to stop instead of
// cutting the connection: a walsender that waits for a transaction would not
// notice the cut and leave a half-made slot behind.
func cancelOnServer(conf *pgconn.Config) {
	conf.BuildContextWatcherHandler = func(c *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: c, DeadlineDelay: 5 * time.Second}
	}
}

// waitForSlot runs the command that makes a slot. When time is up it first asks
// whom the command waits for, then cancels it on the server, which drops the
// half-made slot.
func (s *Source) waitForSlot(ctx context.Context, conn *pgconn.PgConn, create string, timeout time.Duration) ([]*pgconn.Result, error) {
	work, cancel := context.WithCancel(ctx)
	defer cancel()
	waited := make(chan []string, 1) // one answer when time was up
	finished := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		if timeout <= 0 {
			return
		}
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		select {
		case <-finished:
		case <-timer.C:
			waited <- s.runningTransactions(ctx, conn.PID())
			cancel()
		}
	}()
	result, err := conn.Exec(work, create).ReadAll()
	close(finished)
	<-watched
	select {
	case who := <-waited:
		if err == nil {
			return result, nil // it was made while we asked
		}
		e := &undrop.Error{Code: undrop.Refused, Hint: "end them, or try again when they are done"}
		if len(who) == 0 {
			e.Err = fmt.Errorf("not ready after %s, though no transaction is running now", timeout)
			e.Hint = "try again"
		} else {
			e.Err = fmt.Errorf("not ready after %s: the server waits for transactions that were running before:\n%s", timeout, strings.Join(who, "\n"))
		}
		return nil, e
	default:
		return result, err
	}
}

// runningTransactions lists, for a person, the transactions that a slot being
// made by pid waits for: those with a transaction id, prepared ones included.
func (s *Source) runningTransactions(ctx context.Context, pid uint32) []string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var who []string
	err := s.with(ctx, func(c *pgx.Conn) error {
		rows, err := c.Query(ctx, `
select format('pid %s, xid %s, %s since %s, user %s, %s', pid, backend_xid, state, to_char(xact_start, 'YYYY-MM-DD HH24:MI:SS'), usename,
	coalesce(nullif(application_name, ''), 'no application name'))
from (select * from pg_stat_activity where backend_xid is not null and pid <> $1 order by xact_start) a
union all
select format('prepared transaction %L, xid %s, since %s, owner %s: commit prepared or rollback prepared ends it', gid, transaction,
	to_char(prepared, 'YYYY-MM-DD HH24:MI:SS'), owner) from pg_prepared_xacts`, pid)
		if err != nil {
			return err
		}
		who, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	if err != nil {
		return []string{"(asking which failed: " + err.Error() + ")"}
	}
	return who
}
