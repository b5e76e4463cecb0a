package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	undrop "github.com/undrop/undrop"
)

// Snapshot is an exported snapshot: what was committed at LSN, and nothing else.
// It lives as long as its connection, which must stay idle.
type Snapshot struct {
	ID   string     // for SET TRANSACTION SNAPSHOT
	LSN  undrop.LSN // the consistent point: changes from here on are not in it
	At   time.Time  // by the source's clock, just after it was taken
	Xmin uint32     // every older transaction is in it or was rolled back

	conn *pgconn.PgConn
	once sync.Once
}

// Close ends the snapshot, and with it a temporary slot. Transactions that
// already use it go on.
func (s *Snapshot) Close() error {
	var err error
	s.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err = s.conn.Close(ctx); err != nil {
			err = fmt.Errorf("close snapshot %s: %w", s.ID, err)
		}
	})
	return err
}

// enter opens a transaction in the snapshot and reads what can only be read there.
func (s *Source) enter(ctx context.Context, snap *Snapshot) (err error) {
	c, err := s.open(ctx)
	if err != nil {
		return s.connectError("connect to source "+s.cfg.Name, err)
	}
	defer closePgx(c)
	tx, err := c.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tx.Rollback(ctx)) }()
	if _, err := tx.Exec(ctx, "set transaction snapshot "+literal(snap.ID)); err != nil {
		return err
	}
	var xmin int64
	if err := tx.QueryRow(ctx, `select clock_timestamp(), (pg_snapshot_xmin(pg_current_snapshot())::text::numeric % 4294967296)::bigint`).
		Scan(&snap.At, &xmin); err != nil {
		return err
	}
	snap.At, snap.Xmin = snap.At.UTC(), uint32(xmin)
	return nil
}
