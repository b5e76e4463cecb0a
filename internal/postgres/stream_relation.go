package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// published is a relation as the stream knows it.
type published struct {
	targets []feed // contracted tables; none: its changes are passed over
	columns int
}

// feed is a contracted table that a relation feeds.
type feed struct {
	table   *undrop.Table
	decoder *TextDecoder
	batch   *batch.Batch
}

// relation takes in a RELATION message, which precedes the first change of a
// relation and the first after each of its schema changes.
func (s *Stream) relation(ctx context.Context, body []byte) error {
	c := cursor{b: body}
	oid, schema, name := c.uint32(), c.text(), c.text()
	c.byte() // replica identity: the key flags of the columns say what is needed
	cols := make([]RelColumn, c.uint16())
	for i := range cols {
		cols[i].Key = c.byte()&1 != 0
		cols[i].Name = c.text()
		cols[i].OID, cols[i].Typmod = c.uint32(), int32(c.uint32())
	}
	if c.bad {
		return fmt.Errorf("relation %s.%s: %w", schema, name, errMessage)
	}
	if schema == "" {
		schema = "pg_catalog" // how pgoutput spells it
	}
	rel := &published{columns: len(cols)}
	s.relations[oid] = rel
	s.newest, s.newestOID = rel, oid
	tables := s.cfg.Tables
	described := false
	for _, t := range tables {
		if t.Schema != schema || t.Relation != name {
			continue
		}
		if !described {
			described = true
			if err := s.src.describeTypes(ctx, cols); err != nil {
				return fmt.Errorf("describe the types of %s.%s: %w", schema, name, err)
			}
		}
		d := newTextDecoder(t, cols)
		rel.targets = append(rel.targets, feed{t, d, s.batchOf(t)})
		if d.drift != nil {
			d.drift.Position = s.commit.LSN
			if s.reported[t] != d.drift.Reason {
				s.chunk.Drifts = append(s.chunk.Drifts, d.drift)
			}
			s.reported[t] = d.drift.Reason
		} else {
			delete(s.reported, t)
		}
	}
	return nil
}

// describeTypes asks the server about the columns' types that are not built in.
// It describes them as they are now, which may be later than the change; a type
// that is gone stays undescribed.
func (s *Source) describeTypes(ctx context.Context, cols []RelColumn) error {
	var oids []uint32
	var typmods []int32
	for _, c := range cols {
		if _, known := builtinNames[c.OID]; !known {
			oids, typmods = append(oids, c.OID), append(typmods, c.Typmod)
		}
	}
	if oids == nil {
		return nil
	}
	return s.with(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `select c.oid, c.typmod, format_type(c.oid, c.typmod)
			from unnest($1::oid[], $2::int4[]) c(oid, typmod) join pg_type t on t.oid = c.oid`, oids, typmods)
		if err != nil {
			return err
		}
		found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c undrop.RelationColumn, err error) {
			err = row.Scan(&c.TypeOID, &c.Typmod, &c.Type)
			return c, err
		})
		if err != nil {
			return err
		}
		columns := map[uint32][]undrop.RelationColumn{0: found}
		types, err := readTypes(ctx, conn, columns)
		if err != nil {
			return err
		}
		for i := range found {
			if err := types.resolve(&found[i], 0); err != nil {
				return err
			}
		}
		if err := types.name(ctx, conn, columns); err != nil {
			return err
		}
		for i := range cols {
			at := slices.IndexFunc(found, func(f undrop.RelationColumn) bool { return f.TypeOID == cols[i].OID && f.Typmod == cols[i].Typmod })
			if at >= 0 {
				cols[i].Described = &found[at]
			}
		}
		return nil
	})
}
