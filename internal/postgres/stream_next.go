package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	undrop "github.com/undrop/undrop"
)

// Next returns what came since the last chunk. It blocks for MaxWait at most,
// twice that to reach the end of a transaction, and may return an empty chunk.
// After an error the stream is of no use.
func (s *Stream) Next(ctx context.Context) (*Chunk, error) {
	if s.failed != nil {
		return nil, s.failed
	}
	if err := s.next(ctx); err != nil {
		if ctx.Err() == nil {
			err = fmt.Errorf("stream from slot %s of source %s: %w", s.src.cfg.Slot, s.src.cfg.Name, err)
		}
		s.failed = err
		return nil, err
	}
	s.pace.lastRows = s.rows
	if s.inTxn {
		s.chunk.Commit, s.chunk.Position = nil, 0
	}
	return &s.chunk, nil
}

func (s *Stream) next(ctx context.Context) error {
	for _, b := range s.chunk.Batches {
		b.Reset()
	}
	s.chunk = Chunk{Batches: s.chunk.Batches[:0], Messages: s.chunk.Messages[:0], Drifts: s.chunk.Drifts[:0]}
	s.rows, s.txnRows, s.bytes, s.txnBytes = 0, 0, 0, 0
	s.pace.begin()
	for {
		for {
			kind, body, ok := s.wire.next()
			if !ok {
				break
			}
			full, err := s.message(ctx, kind, body)
			if err != nil || full {
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		ready, until := s.ready(s.pace.now())
		if ready {
			return nil
		}
		if err := s.read(ctx, until); err != nil {
			return err
		}
	}
}

// message takes in one message of the server; full: the chunk ends here.
func (s *Stream) message(ctx context.Context, kind byte, body []byte) (full bool, err error) {
	switch kind {
	case 'd':
	case 'E':
		return false, serverError(body)
	case 'N', 'S':
		return false, nil
	case 'c':
		return false, errors.New("the server ended the stream")
	default:
		return false, fmt.Errorf("the server sent message %q into the stream", kind)
	}
	if len(body) == 0 {
		return false, errMessage
	}
	switch body[0] {
	case 'w':
		if len(body) < 26 {
			return false, errMessage
		}
		return s.payload(ctx, int64(binary.BigEndian.Uint64(body[17:])), body[25:])
	case 'k':
		if len(body) < 18 {
			return false, errMessage
		}
		if !s.inTxn {
			s.position(undrop.LSN(binary.BigEndian.Uint64(body[1:])))
		}
		if body[17] != 0 {
			select {
			case s.reply <- struct{}{}:
			default: // a report is due already
			}
		}
		return false, nil
	}
	return false, fmt.Errorf("the server sent a message of kind %q into the stream", body[0])
}

// position notes that everything that committed before lsn was delivered.
func (s *Stream) position(lsn undrop.LSN) {
	if lsn > s.cfg.SkipThrough {
		s.chunk.Position = max(s.chunk.Position, lsn)
	}
}

// payload takes in one message of pgoutput, which the server sent at the given
// time (microseconds since 2000).
func (s *Stream) payload(ctx context.Context, sent int64, b []byte) (full bool, err error) {
	switch b[0] {
	case 'I', 'U', 'D':
		return s.change(b)
	case 'B':
		c := cursor{b: b[1:]}
		s.commit = Commit{LSN: c.lsn(), At: timeOf(c.micros()), XID: c.uint32()}
		s.at = s.commit.At.UnixMicro()
		s.inTxn, s.seq, s.txnRows, s.txnBytes = true, 0, 0, 0
		s.skip = s.commit.LSN <= s.cfg.SkipThrough
		return false, c.failed()
	case 'C':
		return s.commitMessage(sent, b)
	case 'R':
		if err := s.relation(ctx, b[1:]); err != nil {
			return false, err
		}
		if len(s.chunk.Drifts) > 0 {
			s.pace.content()
		}
	case 'T':
		return s.truncate(b)
	case 'M':
		return false, s.logicalMessage(b)
	case 'Y', 'O': // a type, an origin
	default:
		return false, fmt.Errorf("pgoutput sent a message of kind %q", b[0])
	}
	return false, nil
}

func (c *cursor) failed() error {
	if c.bad {
		return errMessage
	}
	return nil
}

func (s *Stream) commitMessage(sent int64, b []byte) (full bool, err error) {
	c := cursor{b: b[1:]}
	c.byte() // flags, unused
	lsn := c.lsn()
	s.commit.EndLSN = c.lsn()
	if c.bad {
		return false, errMessage
	}
	if lsn != s.commit.LSN {
		return false, fmt.Errorf("transaction %d began with commit LSN %s and ended with %s", s.commit.XID, s.commit.LSN, lsn)
	}
	s.inTxn = false
	s.pace.age(sent, s.commit.At)
	s.position(s.commit.EndLSN)
	if s.skip {
		return false, nil
	}
	s.end = s.commit
	s.chunk.Commit = &s.end
	return s.rows >= s.cfg.MaxRows || s.bytes >= s.cfg.MaxBytes, nil
}

func (s *Stream) logicalMessage(b []byte) error {
	c := cursor{b: b[1:]}
	m := Message{Transactional: c.byte()&1 != 0, LSN: c.lsn(), Prefix: c.text()}
	m.Content = append([]byte{}, c.take(int(c.uint32()))...)
	if c.bad {
		return errMessage
	}
	if s.inTxn && s.skip || !s.inTxn && m.LSN <= s.cfg.SkipThrough {
		return nil
	}
	if !s.inTxn {
		s.position(m.LSN)
	}
	s.chunk.Messages = append(s.chunk.Messages, m)
	s.pace.content()
	return nil
}
