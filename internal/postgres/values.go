package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	undrop "github.com/undrop/undrop"
)

// HasValues reports whether any row of a table has a value other than null in one
// of the fields, given by index. It reads until it finds one, so a table that has
// none is read whole.
func (s *Source) HasValues(ctx context.Context, t *undrop.Table, fields []int) (bool, error) {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = ident(t.Fields[f].Source)
	}
	var found bool
	err := s.with(ctx, func(c *pgx.Conn) error {
		var kind string
		if err := c.QueryRow(ctx, `select c.relkind::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
			where n.nspname = $1 and c.relname = $2`, t.Schema, t.Relation).Scan(&kind); err != nil {
			return err
		}
		from := qualified(t.Schema, t.Relation)
		if kind != "p" {
			from = "only " + from // rows of tables that inherit are not of this one
		}
		// A record is null to "is null" when its members are; num_nonnulls looks at
		// the value itself. It takes as many arguments as there are columns.
		return c.QueryRow(ctx, "select exists(select 1 from "+from+" where pg_catalog.num_nonnulls("+strings.Join(names, ", ")+") > 0)").Scan(&found)
	})
	if err != nil {
		return false, fmt.Errorf("look for values of %s in %s: %w", strings.Join(names, ", "), t.SourceRelation(), err)
	}
	return found, nil
}
