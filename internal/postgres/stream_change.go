package postgres

import (
	"encoding/binary"
	"errors"
	"fmt"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

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
	b.AddRow(op, undrop.Position{CommitLSN: s.commit.LSN, Seq: s.seq}, s.at)
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
