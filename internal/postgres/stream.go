package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// StreamConfig says where to stream from and in what portions.
type StreamConfig struct {
	Start          undrop.LSN // where to ask the slot to start; 0: where it was acknowledged to
	Tables         []*undrop.Table
	SkipThrough    undrop.LSN    // transactions with a commit LSN up to here are dropped: they were published before
	MaxRows        int           // of a chunk, rounded up to whole transactions (16384)
	MaxBytes       int           // of a chunk, likewise, as the source sends it (32 MiB)
	MaxWait        time.Duration // for a chunk (50 ms)
	StatusInterval time.Duration // between reports to the server (5 s, and at most a third of wal_sender_timeout)
}

// Chunk is a portion of the stream. It is valid until the following Next.
type Chunk struct {
	Batches  []*batch.Batch // one for each table that has rows in the chunk, rows in order
	Commit   *Commit        // the transaction whose end is exactly the chunk's end; nil: the chunk ends inside one, or holds none
	Position undrop.LSN     // whatever committed before this was delivered; 0: not known, or inside a transaction
	Messages []Message
	Drifts   []*Drift
}

// Commit is the end of one transaction.
type Commit struct {
	LSN    undrop.LSN // where its commit record begins
	EndLSN undrop.LSN // where it ends: the slot may be acknowledged to here
	At     time.Time
	XID    uint32
}

// Message is a logical message (pg_logical_emit_message).
type Message struct {
	Prefix        string
	Content       []byte
	LSN           undrop.LSN // where its record begins
	Transactional bool
}

// Stream reads committed transactions from the source's slot in commit order.
// Next is for one goroutine; Ack may be called from any.
type Stream struct {
	src       *Source
	cfg       StreamConfig
	wire      *wire
	chunk     Chunk
	commit    Commit // of the transaction at hand, or of the newest
	end       Commit // what chunk.Commit points to
	at        int64  // its time, microseconds
	inTxn     bool
	skip      bool  // the transaction at hand is dropped
	seq       int64 // of the newest change of the transaction
	rows      int   // of the chunk
	txnRows   int   // of the chunk that are in the transaction at hand
	bytes     int
	txnBytes  int
	relations map[uint32]*published
	newest    *published // of the newest change, and its oid
	newestOID uint32
	reported  map[*undrop.Table]string
	batches   map[*undrop.Table]*batch.Batch
	new, old  []cell
	pace      pace
	failed    error

	acked  atomic.Uint64
	writes sync.Mutex    // one report at a time
	stop   chan struct{} // ends the reports
	done   chan struct{} // they have ended
	reply  chan struct{} // the server asked for a report
	closed sync.Once
}

// Stream starts to replicate from the slot, on a connection of its own.
func (s *Source) Stream(ctx context.Context, cfg StreamConfig) (*Stream, error) {
	if cfg.MaxRows <= 0 {
		cfg.MaxRows = 16384
	}
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = 32 << 20
	}
	if cfg.MaxWait <= 0 {
		cfg.MaxWait = 50 * time.Millisecond
	}
	if cfg.StatusInterval <= 0 {
		cfg.StatusInterval = 5 * time.Second
	}
	if s.cfg.Slot == "" || s.cfg.Publication == "" {
		return nil, fmt.Errorf("stream source %s: a slot and a publication are needed", s.cfg.Name)
	}
	var timeout int64 // milliseconds, 0: none
	if err := s.with(ctx, func(c *pgx.Conn) error {
		return c.QueryRow(ctx, "select setting::bigint from pg_settings where name = 'wal_sender_timeout'").Scan(&timeout)
	}); err != nil {
		return nil, fmt.Errorf("stream source %s: %w", s.cfg.Name, err)
	}
	if timeout > 0 {
		cfg.StatusInterval = min(cfg.StatusInterval, time.Duration(timeout)*time.Millisecond/3)
	}
	st := &Stream{src: s, cfg: cfg, relations: map[uint32]*published{}, reported: map[*undrop.Table]string{}, batches: map[*undrop.Table]*batch.Batch{},
		stop: make(chan struct{}), done: make(chan struct{}), reply: make(chan struct{}, 1)}
	if err := st.start(ctx); err != nil {
		return nil, err
	}
	go st.report()
	return st, nil
}

// start opens the connection and begins replication. The server lets go of a
// slot a moment after its last reader is gone, so an active slot is tried again.
func (s *Stream) start(ctx context.Context) error {
	deadline := time.Now().Add(10 * time.Second)
	for {
		w, err := s.src.dialWire(ctx, true, streamBuffer)
		if err != nil {
			return err
		}
		release := w.guard(ctx)
		err = s.begin(w)
		if release() {
			err = context.Cause(ctx)
		}
		if err == nil {
			s.wire = w
			return nil
		}
		w.close()
		var pe *pgconn.PgError
		if !errors.As(err, &pe) || pe.Code != "55006" || time.Now().After(deadline) {
			return s.startError(err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (s *Stream) begin(w *wire) error {
	quote := func(v string) string { return "'" + strings.ReplaceAll(v, "'", "''") + "'" }
	// Streaming of transactions in progress stays off: the server spills what does
	// not fit its memory and sends only what was committed.
	if err := w.query(fmt.Sprintf("START_REPLICATION SLOT %s LOGICAL %s (proto_version '2', publication_names %s, messages 'true')",
		ident(s.src.cfg.Slot), s.cfg.Start, quote(ident(s.src.cfg.Publication)))); err != nil {
		return err
	}
	for {
		kind, body, err := w.message()
		switch {
		case err != nil:
			return err
		case kind == 'E':
			return serverError(body)
		case kind == 'W':
			return nil
		case kind != 'N' && kind != 'S':
			return fmt.Errorf("the server answered START_REPLICATION with message %q", kind)
		}
	}
}

func (s *Stream) startError(err error) error {
	op := fmt.Sprintf("stream from slot %s of source %s", s.src.cfg.Slot, s.src.cfg.Name)
	var pe *pgconn.PgError
	if !errors.As(err, &pe) {
		return fmt.Errorf("%s: %w", op, err)
	}
	e := &undrop.Error{Code: undrop.Failed, Op: op, Err: err}
	switch pe.Code {
	case "55006":
		e.Code = undrop.Refused
		e.Hint = "another process reads the slot: select active_pid from pg_replication_slots where slot_name = " + literal(s.src.cfg.Slot)
	case "42704":
		e.Hint = "undrop status"
	case "42501":
		e.Code = undrop.BadInput
		e.Hint = fmt.Sprintf("alter role %s replication;", ident(s.src.conn.User))
	}
	return e
}

// Ack says that everything up to lsn is durable elsewhere: the server may forget
// it. It is told with the next report; nothing that was not acknowledged ever is.
func (s *Stream) Ack(lsn undrop.LSN) {
	for {
		old := s.acked.Load()
		if uint64(lsn) <= old || s.acked.CompareAndSwap(old, uint64(lsn)) {
			return
		}
	}
}

// Close tells the server the newest acknowledgement and ends the connection.
func (s *Stream) Close() error {
	s.closed.Do(func() {
		close(s.stop)
		<-s.done
		s.wire.close()
	})
	return nil
}
