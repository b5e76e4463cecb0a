// Package postgres is the source: it checks what would hurt the application or
// lose data before anything starts, makes publication, slot and exported
// snapshots, and reads rows and changes. It never writes to the application's
// tables, never resets a slot and never guesses a position.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	undrop "github.com/undrop/undrop"
)

// minVersion is the oldest server_version_num that we can read: ranges of ctid
// are scanned as ranges, and pgoutput knows protocol 2, from PostgreSQL 14 on.
const minVersion = 140000

// Config describes one source database.
type Config struct {
	Name        string // name in the configuration, used in messages
	DSN         string // URL or key=value form; never printed
	Publication string
	Slot        string
	Logger      *slog.Logger
}

// Source is one PostgreSQL database. Its methods may be called from several
// goroutines; short queries share one connection.
type Source struct {
	cfg     Config
	conn    *pgconn.Config // template for every connection
	version int            // server_version_num
	log     *slog.Logger

	turn chan struct{} // holds one token: the right to use shared
	used *pgx.Conn     // the shared connection; nil: not open
}

var slotName = regexp.MustCompile(`^[a-z0-9_]{1,63}$`)

// Open checks the configuration, connects once and refuses servers that are too
// old. The caller must Close the source.
func Open(ctx context.Context, cfg Config) (*Source, error) {
	op := "open source " + cfg.Name
	if cfg.Slot != "" && !slotName.MatchString(cfg.Slot) {
		return nil, &undrop.Error{Code: undrop.BadInput, Op: op,
			Err:  fmt.Errorf("slot name %q: only lower-case letters, digits and underscores, at most 63", cfg.Slot),
			Hint: "choose another name for `slot`, for example undrop_" + strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(cfg.Name), "_"), "_")}
	}
	if len(cfg.Publication) > 63 {
		return nil, &undrop.Error{Code: undrop.BadInput, Op: op,
			Err: fmt.Errorf("publication name %q is longer than 63 bytes", cfg.Publication), Hint: "choose a shorter name for `publication`"}
	}
	conn, err := pgconn.ParseConfig(cfg.DSN)
	if err != nil {
		return nil, &undrop.Error{Code: undrop.BadInput, Op: op, Err: errors.New(withoutSecrets(cfg.DSN, rootMessage(err))),
			Hint: "use the form postgres://user:password@host:5432/database"}
	}
	for k, v := range sessionSettings {
		conn.RuntimeParams[k] = v
	}
	if conn.ConnectTimeout == 0 {
		conn.ConnectTimeout = 10 * time.Second
	}
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Source{cfg: cfg, conn: conn, log: log.With("source", cfg.Name), turn: make(chan struct{}, 1)}
	s.turn <- struct{}{}

	c, err := s.connect(ctx, false)
	if err != nil {
		return nil, s.connectError(op, err)
	}
	defer closeConn(c)
	rows, err := c.Exec(ctx, "show server_version_num").ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: read version: %w", op, err)
	}
	if s.version, err = strconv.Atoi(string(rows[0].Rows[0][0])); err != nil {
		return nil, fmt.Errorf("%s: read version: %w", op, err)
	}
	if s.version < minVersion {
		return nil, &undrop.Error{Code: undrop.Refused, Op: op,
			Err:  fmt.Errorf("PostgreSQL %s is too old: version 14 or newer is needed", versionText(s.version)),
			Hint: "upgrade the server, or read its changes from topics that another capture writes (`topics:` in the source)"}
	}
	return s, nil
}

// Close closes the shared connection. Connections from Connect and snapshots
// have their own Close.
func (s *Source) Close() {
	<-s.turn
	if s.used != nil {
		closePgx(s.used)
		s.used = nil
	}
	s.turn <- struct{}{}
}

// Version is the server's server_version_num, for example 150018.
func (s *Source) Version() int { return s.version }

// Identity says which cluster, timeline and database this is.
type Identity struct {
	System   string // system identifier
	Timeline int32
	Version  int // server_version_num
	Database string
}

// Identity asks the server who it is (IDENTIFY_SYSTEM).
func (s *Source) Identity(ctx context.Context) (Identity, error) {
	c, err := s.Connect(ctx, true)
	if err != nil {
		return Identity{}, err
	}
	defer closeConn(c)
	id, err := pglogrepl.IdentifySystem(ctx, c)
	if err != nil {
		return Identity{}, fmt.Errorf("identify source %s: %w", s.cfg.Name, err)
	}
	return Identity{System: id.SystemID, Timeline: id.Timeline, Version: s.version, Database: id.DBName}, nil
}

// Barrier writes a non-transactional message into the write-ahead log and
// returns the LSN where its record ends. Every transaction that was
// acknowledged to its client before the call committed before that LSN, and the
// stream reports the message with the same LSN.
func (s *Source) Barrier(ctx context.Context, prefix, content string) (undrop.LSN, error) {
	var text string
	err := s.with(ctx, func(c *pgx.Conn) error {
		if s.version >= 170000 {
			return c.QueryRow(ctx, "select pg_logical_emit_message(false, $1::text, $2::text, true)::text", prefix, content).Scan(&text)
		}
		// A message alone is not flushed at commit and would reach the stream
		// only when the WAL writer wakes (0.2 s). Taking a transaction id makes the
		// commit flush it; "local" does not wait for standbys.
		return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "set local synchronous_commit = local"); err != nil {
				return err
			}
			return tx.QueryRow(ctx, "select pg_logical_emit_message(false, $1::text, $2::text)::text, pg_current_xact_id()::text", prefix, content).Scan(&text, nil)
		})
	})
	if err != nil {
		return 0, fmt.Errorf("write barrier to source %s: %w", s.cfg.Name, err)
	}
	return undrop.ParseLSN(text)
}

// InsertPosition is where the next record of the write-ahead log begins. Unlike
// the flush position it is never behind a commit that was acknowledged.
func (s *Source) InsertPosition(ctx context.Context) (undrop.LSN, error) {
	var text string
	err := s.with(ctx, func(c *pgx.Conn) error {
		return c.QueryRow(ctx, "select pg_current_wal_insert_lsn()::text").Scan(&text)
	})
	if err != nil {
		return 0, fmt.Errorf("read insert position of source %s: %w", s.cfg.Name, err)
	}
	return undrop.ParseLSN(text)
}

func versionText(num int) string {
	return strconv.Itoa(num/10000) + "." + strconv.Itoa(num%10000)
}

// ident quotes an identifier.
func ident(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// literal quotes a string constant; standard_conforming_strings need not be on.
func literal(s string) string {
	q := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.Contains(s, `\`) {
		return " E" + strings.ReplaceAll(q, `\`, `\\`)
	}
	return q
}

// qualified quotes schema and name.
func qualified(schema, name string) string { return ident(schema) + "." + ident(name) }
