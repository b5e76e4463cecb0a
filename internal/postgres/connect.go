package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	undrop "github.com/undrop/undrop"
)

// sessionSettings hold on every connection, so that a value has the same text
// whether it was copied or streamed, and no server default can end a long load.
var sessionSettings = map[string]string{
	"application_name":                    "undrop",
	"client_encoding":                     "UTF8",
	"DateStyle":                           "ISO",
	"IntervalStyle":                       "iso_8601",
	"TimeZone":                            "UTC",
	"extra_float_digits":                  "3",
	"bytea_output":                        "hex",
	"search_path":                         "", // names are always written out, and type names come back qualified
	"row_security":                        "off",
	"statement_timeout":                   "0",
	"lock_timeout":                        "0",
	"idle_in_transaction_session_timeout": "0",
	"idle_session_timeout":                "0",
}

// Connect opens a fresh connection with the session settings of this package;
// with replication it speaks the walsender protocol. The caller closes it.
func (s *Source) Connect(ctx context.Context, replication bool) (*pgconn.PgConn, error) {
	c, err := s.connect(ctx, replication)
	if err != nil {
		return nil, s.connectError("connect to source "+s.cfg.Name, err)
	}
	return c, nil
}

func (s *Source) connect(ctx context.Context, replication bool, options ...func(*pgconn.Config)) (*pgconn.PgConn, error) {
	conf := s.conn.Copy()
	for _, set := range options {
		set(conf)
	}
	if replication {
		conf.RuntimeParams["replication"] = "database"
	}
	conf.AfterConnect = afterConnect
	return pgconn.ConnectConfig(ctx, conf)
}

// afterConnect sets what older servers do not know and would refuse in the
// startup packet.
func afterConnect(ctx context.Context, c *pgconn.PgConn) error {
	major, _, _ := strings.Cut(c.ParameterStatus("server_version"), ".")
	if n, err := strconv.Atoi(major); err == nil && n >= 17 {
		return c.Exec(ctx, "set transaction_timeout = 0").Close()
	}
	return nil
}

// with runs f on the shared connection. A connection that turns out to be dead
// (the server was restarted) is opened again once, so f must be safe to repeat.
func (s *Source) with(ctx context.Context, f func(*pgx.Conn) error) error {
	select {
	case <-s.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { s.turn <- struct{}{} }()
	for {
		fresh := s.used == nil
		if fresh {
			c, err := s.open(ctx)
			if err != nil {
				return s.connectError("connect to source "+s.cfg.Name, err)
			}
			s.used = c
		}
		err := f(s.used)
		if !s.used.IsClosed() {
			return err
		}
		s.used = nil
		if err == nil || fresh || ctx.Err() != nil {
			return err
		}
	}
}

// open makes a pgx connection with our settings.
func (s *Source) open(ctx context.Context) (*pgx.Conn, error) {
	conf, err := pgx.ParseConfig(s.cfg.DSN)
	if err != nil {
		return nil, errors.New(withoutSecrets(s.cfg.DSN, rootMessage(err)))
	}
	conf.Config = *s.conn.Copy()
	conf.AfterConnect = afterConnect
	return pgx.ConnectConfig(ctx, conf)
}

// closeConn closes politely but does not wait long for a server that is gone.
func closeConn(c *pgconn.PgConn) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = c.Close(ctx) // the connection is gone either way
}

func closePgx(c *pgx.Conn) { closeConn(c.PgConn()) }

// connectError turns a failure to connect into what a person can act on.
func (s *Source) connectError(op string, err error) error {
	e := &undrop.Error{Code: undrop.Failed, Op: op, Err: errors.New(withoutSecrets(s.cfg.DSN, err.Error()))}
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s: %w", op, err)
	}
	var pe *pgconn.PgError
	var ne *net.OpError
	switch {
	case errors.As(err, &pe):
		switch pe.Code {
		case "28P01", "28000":
			e.Code = undrop.BadInput
			e.Hint = fmt.Sprintf("check user and password; the server's pg_hba.conf must let %q in (also with `replication=database`)", s.conn.User)
		case "3D000":
			e.Code = undrop.BadInput
			e.Hint = fmt.Sprintf("psql -l shows the databases of the server; %q is not one", s.conn.Database)
		case "53300":
			e.Hint = "the server has no connection slots left: raise max_connections or close some"
		case "42501":
			e.Code = undrop.BadInput
			e.Hint = fmt.Sprintf("alter role %s replication;", ident(s.conn.User))
		}
	case errors.As(err, &ne):
		e.Hint = fmt.Sprintf("is PostgreSQL running? pg_isready -h %s -p %d", s.conn.Host, s.conn.Port)
	}
	return e
}

// rootMessage drops the outer text of a parse error, which quotes the DSN.
func rootMessage(err error) string {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err.Error()
		}
		err = next
	}
}

var passwordIn = []*regexp.Regexp{
	regexp.MustCompile(`://[^:/@]*:(.*)@`),
	regexp.MustCompile(`password\s*=\s*'((?:[^'\\]|\\.)*)'`),
	regexp.MustCompile(`password\s*=\s*([^\s'&]+)`),
}

// withoutSecrets replaces what may be a password in dsn wherever text shows it.
func withoutSecrets(dsn, text string) string {
	for _, re := range passwordIn {
		for _, m := range re.FindAllStringSubmatch(dsn, -1) {
			if m[1] != "" {
				text = strings.ReplaceAll(text, m[1], "***")
			}
		}
	}
	return text
}

// wrapHint says what was attempted; an error that is already on its way to a
// person stays as it is.
func wrapHint(op string, err error) error {
	var e *undrop.Error
	if err == nil || errors.As(err, &e) {
		return err
	}
	return fmt.Errorf("%s: %w", op, err)
}
