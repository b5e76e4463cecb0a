package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
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

// change takes in an insert, update or delete.
func (s *Stream) change(b []byte) (full bool, err error) {
	if s.skip {
		return false, nil
	}
	if len(b) < 6 {
		return false, errMessage
	}
	rel := s.newest
	if oid := binary.BigEndian.Uint32(b[1:]); rel == nil || oid != s.newestOID {
		if rel = s.relations[oid]; rel == nil {
			return false, fmt.Errorf("pgoutput sent a change of relation %d before describing it", oid)
		}
		s.newest, s.newestOID = rel, oid
	}
	if len(rel.targets) == 0 {
		return false, nil
	}
	oldKind, rest := byte(0), b[5:]
	old, new := s.old[:0], s.new[:0]
	if rest[0] == 'K' || rest[0] == 'O' {
		oldKind = rest[0]
		if old, rest, err = tupleCells(old, rest[1:]); err != nil {
			return false, err
		}
	}
	if b[0] != 'D' {
		if len(rest) == 0 || rest[0] != 'N' {
			return false, errMessage
		}
		if new, _, err = tupleCells(new, rest[1:]); err != nil {
			return false, err
		}
	}
	s.old, s.new = old, new
	if oldKind != 0 && len(old) != rel.columns || b[0] != 'D' && len(new) != rel.columns || b[0] == 'D' && oldKind == 0 {
		return false, errMessage
	}
	if oldKind == 0 {
		old = nil
	}
	for i := range rel.targets {
		s.deliver(&rel.targets[i], b[0], new, old, oldKind)
	}
	s.bytes += len(b)
	s.txnBytes += len(b)
	// A transaction that fills a chunk by itself is delivered in parts.
	return s.txnRows > s.cfg.MaxRows || s.txnBytes > s.cfg.MaxBytes, nil
}

// deliver appends the rows of one change to the batch of one table.
func (s *Stream) deliver(t *feed, kind byte, new, old []cell, oldKind byte) {
	b, d := s.use(t.batch), t.decoder
	keyed := len(t.table.Key) > 0
	switch {
	case kind == 'I':
		d.append(b, new, nil, 0, false)
		s.addRow(b, undrop.Create)
	case kind == 'D':
		d.append(b, old, nil, 0, keyed)
		s.addRow(b, undrop.Delete)
	case old == nil && keyed || old != nil && keyed && !d.keyChanged(new, old, oldKind):
		d.append(b, new, old, oldKind, false)
		s.addRow(b, undrop.Update)
	case old == nil:
		// Which row this replaces is not known: the replica identity is not full.
		row := b.Len()
		d.append(b, new, nil, 0, false)
		b.AddBad(row, undrop.Violation{Rule: "identity.missing", Detail: "updates that carry the whole old row (replica identity full)"})
		if b.Raw[row] == "" {
			b.SetRaw(row, d.raw(new, nil, 0))
		}
		s.addRow(b, undrop.Update)
	default:
		before := b.Len()
		d.append(b, old, nil, 0, keyed)
		s.addRow(b, undrop.Delete)
		row := b.Len()
		d.append(b, new, old, oldKind, false)
		if len(b.Unchanged[row]) > 0 {
			b.SetPrevKey(row, b.AppendKey(nil, before))
		}
		s.addRow(b, undrop.Create)
	}
}

func (s *Stream) addRow(b *batch.Batch, op undrop.Op) {
	s.seq++
	s.rows++
	s.txnRows++
	b.AddRow(op, undrop.Position{CommitLSN: s.commit.LSN, Seq: s.seq}, s.commit.At.UnixMicro())
	if s.rows == 1 {
		s.pace.content()
	}
}

// batchOf is the batch of a table.
func (s *Stream) batchOf(t *undrop.Table) *batch.Batch {
	b := s.batches[t]
	if b == nil {
		b = batch.New(t)
		s.batches[t] = b
	}
	return b
}

// use makes b, which is about to get a row, part of the chunk.
func (s *Stream) use(b *batch.Batch) *batch.Batch {
	if b.Len() == 0 {
		s.chunk.Batches = append(s.chunk.Batches, b)
	}
	return b
}

// truncate takes in a TRUNCATE, which may name several relations.
func (s *Stream) truncate(b []byte) (full bool, err error) {
	c := cursor{b: b[1:]}
	n := c.uint32()
	c.byte() // cascade, restart identity
	if s.skip {
		return false, nil
	}
	for range n {
		rel := s.relations[c.uint32()]
		if c.bad {
			return false, errMessage
		}
		if rel == nil {
			return false, errors.New("pgoutput sent a truncate of a relation before describing it")
		}
		for _, t := range rel.targets {
			b := s.use(t.batch)
			for i := range b.Cols {
				b.Cols[i].AppendNull()
			}
			s.addRow(b, undrop.Truncate)
		}
	}
	return s.txnRows > s.cfg.MaxRows, nil
}
