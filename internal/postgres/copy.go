package postgres

import (
	"context"
	"errors"
	"fmt"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

const (
	copyRows   = 8192     // rows of a batch
	copyBytes  = 32 << 20 // a batch of long rows ends here
	copyBuffer = 256 << 10
)

// Worker is one connection inside an exported snapshot. It is not safe for
// concurrent use, and of no use after an error.
type Worker struct {
	src     *Source
	wire    *wire
	batch   *batch.Batch
	checked map[string]bool // heaps and columns that were found as they were in the snapshot
	failed  bool
}

// Worker opens a connection whose transaction sees the snapshot.
func (s *Source) Worker(ctx context.Context, snapshotID string) (*Worker, error) {
	w, err := s.dialWire(ctx, false, copyBuffer)
	if err != nil {
		return nil, err
	}
	if _, err := w.conn.Exec(ctx, "begin isolation level repeatable read read only; set transaction snapshot "+literal(snapshotID)).ReadAll(); err != nil {
		w.close()
		return nil, fmt.Errorf("enter snapshot %s of source %s: %w", snapshotID, s.cfg.Name, err)
	}
	return &Worker{src: s, wire: w, checked: map[string]bool{}}, nil
}

// Close ends the transaction and the connection.
func (w *Worker) Close() error {
	w.wire.close()
	return nil
}

// CopyRange reads the rows of r in the snapshot and gives them to fn in batches
// that are reused. With changedSince, the xmin of an earlier snapshot, only rows
// that a transaction since then may have written are read. It returns how many
// rows were read.
func (w *Worker) CopyRange(ctx context.Context, t *undrop.Table, rel undrop.Relation, r undrop.Range, at RowStamp, changedSince uint32,
	fn func(*batch.Batch) error) (rows int64, err error) {
	if w.failed {
		return 0, errors.New("copy: the worker failed before")
	}
	d, err := NewCopyDecoder(t, rel)
	if err != nil {
		return 0, err
	}
	d.At = at
	heap := r.Leaf
	if heap == "" {
		heap = qualified(t.Schema, t.Relation)
	}
	if w.batch == nil || w.batch.Table != t {
		w.batch = batch.New(t)
	}
	defer func() {
		if err != nil {
			w.failed = true // the exchange may be half done
			err = fmt.Errorf("copy %s: %w", heap, err)
		}
	}()
	if err := w.check(ctx, d, heap); err != nil {
		return 0, err
	}
	if err := w.wire.query("copy (" + selectRange(d, heap, r, changedSince) + ") to stdout (format binary)"); err != nil {
		return 0, err
	}
	release := w.wire.guard(ctx)
	rows, err = w.receive(d, fn)
	if release() {
		return rows, context.Cause(ctx)
	}
	return rows, err
}

// selectRange is the query of a range of pages. Ages are compared, not
// transaction ids, which wrap around.
func selectRange(d *CopyDecoder, heap string, r undrop.Range, changedSince uint32) string {
	sql := fmt.Sprintf("select %s from only %s where ctid >= '(%d,0)'::tid", d.SelectList(), heap, r.From)
	if r.To != 0 {
		sql += fmt.Sprintf(" and ctid < '(%d,0)'::tid", r.To)
	}
	if changedSince != 0 {
		sql += fmt.Sprintf(" and pg_catalog.age(xmin) <= pg_catalog.age('%d'::xid)", changedSince)
	}
	return sql
}

// check makes sure that the heap is what it was in the snapshot. A table that
// was rewritten (ALTER TABLE, TRUNCATE, VACUUM FULL) after the snapshot was taken
// looks empty in it, or has its rows on other pages: either would lose rows in
// silence. The lock that any query takes keeps it from happening from here on.
func (w *Worker) check(ctx context.Context, d *CopyDecoder, heap string) error {
	seen := heap + "\x00" + d.SelectList()
	if w.checked[seen] {
		return nil
	}
	c := w.wire.conn
	results, err := c.Exec(ctx, "select from only "+heap+" where false;"+
		"select c.relfilenode = pg_catalog.pg_relation_filenode(c.oid) from pg_catalog.pg_class c where c.oid = "+literal(heap)+"::pg_catalog.regclass").ReadAll()
	if err != nil {
		return err
	}
	if last := results[len(results)-1]; len(last.Rows) != 1 || string(last.Rows[0][0]) != "t" {
		return &undrop.Error{Code: undrop.Failed, Op: "load " + heap,
			Err:  errors.New("the table was rewritten after the snapshot was taken, so its rows cannot be read in it"),
			Hint: "start again: the load goes on in a new snapshot"}
	}
	desc, err := c.Prepare(ctx, "", "select "+d.SelectList()+" from only "+heap, nil)
	if err != nil {
		return err
	}
	oids := make([]uint32, len(desc.Fields))
	for i, f := range desc.Fields {
		oids[i] = f.DataTypeOID
	}
	if err := d.expects(oids); err != nil {
		return err
	}
	w.checked[seen] = true
	return nil
}

// receive reads the answer to a COPY up to the end of the exchange.
func (w *Worker) receive(d *CopyDecoder, fn func(*batch.Batch) error) (rows int64, err error) {
	b := w.batch
	b.Reset()
	first, size := true, 0
	flush := func() error {
		n := b.Len()
		if n == 0 {
			return nil
		}
		if err := fn(b); err != nil {
			return err
		}
		rows += int64(n)
		size = 0
		b.Reset()
		return nil
	}
	var failure error
	for {
		kind, body, ok := w.wire.next()
		if !ok {
			if _, err := w.wire.fill(); err != nil {
				return rows, err
			}
			continue
		}
		switch kind {
		case 'd':
			if first {
				first = false
				if body, err = d.header(body); err != nil {
					return rows, err
				}
				if len(body) == 0 {
					continue
				}
			}
			if len(body) == 2 && body[0] == 0xff && body[1] == 0xff {
				continue // the trailer
			}
			if err := d.Append(b, body); err != nil {
				return rows, err
			}
			size += len(body)
			if b.Len() == copyRows || size >= copyBytes {
				if err := flush(); err != nil {
					return rows, err
				}
			}
		case 'C':
			if err := flush(); err != nil {
				return rows, err
			}
		case 'E':
			failure = serverError(body)
		case 'Z':
			return rows, failure
		case 'H', 'c', 'N', 'S', 'A':
		default:
			return rows, fmt.Errorf("the server answered COPY with message %q", kind)
		}
	}
}
