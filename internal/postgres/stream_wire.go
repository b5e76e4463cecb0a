package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// maxMessage is the longest message that the server can send.
const maxMessage = 1<<30 + 1<<20

// wire reads the server's messages from a connection, in place and many per
// system call. It takes turns with pgconn: while an exchange of one of them is
// not over, the other must not be used.
type wire struct {
	conn *pgconn.PgConn
	src  io.Reader // what pgconn reads from; it may hold bytes that were read ahead
	net  net.Conn
	size int
	buf  []byte
	r, w int // unread bytes are buf[r:w]
}

// dialWire opens a connection whose messages are read by a wire with a buffer of
// size bytes.
func (s *Source) dialWire(ctx context.Context, replication bool, size int) (*wire, error) {
	w := &wire{size: size, buf: make([]byte, size)}
	conn, err := s.connect(ctx, replication, func(c *pgconn.Config) {
		c.BuildFrontend = func(r io.Reader, out io.Writer) *pgproto3.Frontend {
			w.src = r // of the last host that was tried
			return pgproto3.NewFrontend(r, out)
		}
	})
	if err != nil {
		return nil, s.connectError("connect to source "+s.cfg.Name, err)
	}
	w.conn, w.net = conn, conn.Conn()
	if conn.ParameterStatus("server_encoding") == "SQL_ASCII" {
		// The server knows no encoding and would end the whole exchange at the first
		// byte that is not UTF-8. As it is, that row alone is refused, by us.
		if _, err := conn.Exec(ctx, "set client_encoding = 'SQL_ASCII'").ReadAll(); err != nil {
			w.close()
			return nil, fmt.Errorf("connect to source %s: %w", s.cfg.Name, err)
		}
	}
	return w, nil
}

// query sends a simple query.
func (w *wire) query(sql string) error {
	msg, err := (&pgproto3.Query{String: sql}).Encode(nil)
	if err != nil {
		return err
	}
	_, err = w.net.Write(msg)
	return err
}

// next gives the next whole message of the buffer; body is valid until fill.
func (w *wire) next() (kind byte, body []byte, ok bool) {
	if w.w-w.r < 5 {
		return 0, nil, false
	}
	n := int(binary.BigEndian.Uint32(w.buf[w.r+1:]))
	if n < 4 || w.w-w.r < n+1 {
		return 0, nil, false
	}
	kind, body = w.buf[w.r], w.buf[w.r+5:w.r+1+n]
	w.r += n + 1
	return kind, body, true
}

// fill reads once from the connection and returns how much came. It is called
// when next has no whole message.
func (w *wire) fill() (int, error) {
	if w.r > 0 {
		w.w = copy(w.buf, w.buf[w.r:w.w])
		w.r = 0
	}
	need := 5
	if w.w >= 5 {
		n := int(binary.BigEndian.Uint32(w.buf[1:]))
		if n < 4 || n > maxMessage {
			return 0, fmt.Errorf("message %q of %d bytes: the connection is out of step", w.buf[0], n)
		}
		need = n + 1
	}
	switch {
	case need > len(w.buf):
		buf := make([]byte, need+w.size)
		copy(buf, w.buf[:w.w])
		w.buf = buf
	case w.w == 0 && len(w.buf) > 4*w.size:
		w.buf = make([]byte, w.size) // do not keep what one huge row took
	}
	n, err := w.src.Read(w.buf[w.w:])
	w.w += n
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// message waits for the next message.
func (w *wire) message() (byte, []byte, error) {
	for {
		if kind, body, ok := w.next(); ok {
			return kind, body, nil
		}
		if _, err := w.fill(); err != nil {
			return 0, nil, err
		}
	}
}

// guard makes every blocked read and write of the connection fail once ctx ends.
// The connection is of no use then. The caller must call release, which reports
// whether that happened.
func (w *wire) guard(ctx context.Context) (release func() bool) {
	stop := context.AfterFunc(ctx, func() { _ = w.net.SetDeadline(time.Unix(1, 0)) })
	return func() bool { return !stop() }
}

// close ends the connection.
func (w *wire) close() { closeConn(w.conn) }

// serverError reads an ErrorResponse.
func serverError(body []byte) error {
	var e pgproto3.ErrorResponse
	if err := e.Decode(body); err != nil {
		return fmt.Errorf("read the server's error: %w", err)
	}
	return pgconn.ErrorResponseToPgError(&e)
}

// isTimeout reports a read that ended at its deadline.
func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
