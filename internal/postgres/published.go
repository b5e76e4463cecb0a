package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	undrop "github.com/undrop/undrop"
)

// Published says how tables are published at one moment. As long as two moments
// have equal values, every change between them was published: what is taken out
// and put back is another row of the server's catalog.
type Published struct {
	Publication uint32            // its object id; 0: there is none
	Tables      map[string]string // by mart table; "": not published, or not there
}

// Published reads how tables are published. It is cheap enough to be asked before
// every cut.
func (s *Source) Published(ctx context.Context, tables []*undrop.Table) (Published, error) {
	out := Published{Tables: make(map[string]string, len(tables))}
	schemas, relations := make([]string, len(tables)), make([]string, len(tables))
	for i, t := range tables {
		schemas[i], relations[i] = t.Schema, t.Relation
	}
	whole, join := "case when p.puballtables then 'all' end", ""
	if s.version >= 150000 {
		whole = "coalesce('schema ' || pn.oid || '/' || pn.xmin, " + whole + ")"
		join = "left join pg_publication_namespace pn on pn.pnpubid = p.oid and pn.pnnspid = n.oid"
	}
	err := s.with(ctx, func(c *pgx.Conn) error {
		rows, err := c.Query(ctx, `select p.oid, w.i, c.oid || ' by ' || p.xmin || ' ' || coalesce(r.oid || '/' || r.xmin, `+whole+`)
			from pg_publication p cross join unnest($2::text[], $3::text[]) with ordinality w(schema, relation, i)
			left join pg_namespace n on n.nspname = w.schema
			left join pg_class c on c.relnamespace = n.oid and c.relname = w.relation
			left join pg_publication_rel r on r.prpubid = p.oid and r.prrelid = c.oid
			`+join+` where p.pubname = $1`, s.cfg.Publication, schemas, relations)
		if err != nil {
			return err
		}
		var i int64
		var how *string
		clear(out.Tables)
		_, err = pgx.ForEachRow(rows, []any{&out.Publication, &i, &how}, func() error {
			if how != nil {
				out.Tables[tables[i-1].TableName.String()] = *how
			}
			return nil
		})
		return err
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		err = fmt.Errorf("read publication %s: %w", s.cfg.Publication, err)
	}
	return out, err
}
