package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	undrop "github.com/undrop/undrop"
)

// Unpublished lists the tables that the publication does not hold at this moment.
// A publication that does not exist holds none.
func (s *Source) Unpublished(ctx context.Context, tables []*undrop.Table) ([]*undrop.Table, error) {
	var out []*undrop.Table
	err := s.with(ctx, func(c *pgx.Conn) error {
		out = nil
		pub, err := s.readPublication(ctx, c)
		if err != nil {
			return fmt.Errorf("read publication %s: %w", s.cfg.Publication, err)
		}
		targets, err := s.readTargets(ctx, c, tables)
		if err != nil {
			return fmt.Errorf("read tables: %w", err)
		}
		missing := map[*target]bool{}
		for _, t := range pub.missing(targets) {
			missing[t] = true
		}
		for _, t := range targets {
			if missing[t] || !pub.exists {
				out = append(out, t.table)
			}
		}
		return nil
	})
	return out, err
}
