package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// publicationFindings says what the publication hides, and what the role cannot
// put right by itself.
func (s *Source) publicationFindings(p *publication, targets []*target) []Finding {
	name := ident(s.cfg.Publication)
	if !p.exists {
		return s.creationFindings(p, targets)
	}
	var out []Finding
	fatal := func(t *target, rule, sql, format string, args ...any) {
		f := Finding{Rule: rule, Fatal: true, SQL: sql, Message: fmt.Sprintf(format, args...)}
		if t != nil {
			f.Table = t.table.SourceRelation()
		}
		out = append(out, f)
	}
	var hidden []string
	for _, op := range everyOp {
		if !slices.Contains(p.ops, op) {
			hidden = append(hidden, op)
		}
	}
	if len(hidden) > 0 {
		fatal(nil, "publication_operations", "alter publication "+name+" set (publish = 'insert, update, delete, truncate');",
			"publication %s does not publish %s", s.cfg.Publication, strings.Join(hidden, ", "))
	}
	for _, t := range targets {
		if t.rel == nil {
			continue
		}
		if t.rel.Kind == "partitioned" && !p.viaRoot {
			fatal(t, "publication_root", "alter publication "+name+" set (publish_via_partition_root = true);",
				"publication %s publishes the changes of partitions under the partitions' names, not the table's", s.cfg.Publication)
		}
		again := "alter publication " + name + " drop table " + t.name + "; alter publication " + name + " add table " + publicationTarget(t) + ";"
		m := p.members[t.rel.oid]
		if m.filter != "" {
			fatal(t, "publication_row_filter", again, "publication %s hides rows of it: where %s", s.cfg.Publication, m.filter)
		}
		if cols := t.hiddenBy(m); len(cols) > 0 {
			fatal(t, "publication_column_list", again, "publication %s leaves out contracted columns: %s", s.cfg.Publication, strings.Join(cols, ", "))
		}
		if cols := t.generated(); len(cols) > 0 && s.version >= 180000 && !p.generated {
			fatal(t, "publication_generated", "alter publication "+name+" set (publish_generated_columns = stored);",
				"publication %s leaves out generated columns, and the contract has %s", s.cfg.Publication, strings.Join(cols, ", "))
		}
	}
	var foreign []*target
	for _, t := range p.missing(targets) {
		if !p.owned || !t.owned {
			foreign = append(foreign, t)
		}
	}
	for _, t := range foreign {
		fatal(t, "publication_right", s.addTablesSQL([]*target{t}),
			"publication %s does not publish it, and adding it takes the owner of both", s.cfg.Publication)
	}
	return out
}

// creationFindings says why the role cannot make a publication that is missing.
func (s *Source) creationFindings(p *publication, targets []*target) []Finding {
	var real []*target
	owned := true
	for _, t := range targets {
		if t.rel != nil {
			real = append(real, t)
			owned = owned && t.owned
		}
	}
	if len(real) == 0 || owned && p.creatable {
		return nil
	}
	why := "the role may not make one: that takes the right to create in the database"
	if !owned {
		why = "the role may not make one: that takes the owner of its tables"
	}
	return []Finding{{Rule: "publication_right", Fatal: true, SQL: s.createPublicationSQL(real),
		Message: fmt.Sprintf("publication %s does not exist, and %s", s.cfg.Publication, why)}}
}

// hiddenBy lists the contracted columns that a column list leaves out.
func (t *target) hiddenBy(m member) []string {
	if len(m.attrs) == 0 {
		return nil
	}
	var out []string
	for _, f := range t.table.Fields {
		if c := t.column(f.Source); c != nil && !slices.Contains(m.attrs, c.Attnum) {
			out = append(out, f.Source)
		}
	}
	return out
}

// publicationAfterSlot finds a slot that has to decode changes from before its
// publication was made. No time of creation is kept, so: a publication whose row is older than
// every transaction that the slot still has to look at is safe; otherwise the
// slot is asked to decode its first change, without moving on. PostgreSQL up to
// 17 then fails, newer ones warn and would go on without the changes.
func (s *Source) publicationAfterSlot(ctx context.Context, c *pgx.Conn) ([]Finding, error) {
	var older bool
	err := c.QueryRow(ctx, `select coalesce(age(p.xmin) > age(r.catalog_xmin), false) from pg_publication p, pg_replication_slots r
		where p.pubname = $1 and r.slot_name = $2`, s.cfg.Publication, s.cfg.Slot).Scan(&older)
	if err != nil || older {
		return nil, err
	}
	late := Finding{Rule: "publication_after_slot", Fatal: true, SQL: "select pg_drop_replication_slot(" + literal(s.cfg.Slot) + ");",
		Message: fmt.Sprintf("publication %s was made after slot %s: changes in between cannot be decoded, and must be taken from the tables again", s.cfg.Publication, s.cfg.Slot)}
	warned := false
	peek, err := s.connect(ctx, false, cancelOnServer, func(conf *pgconn.Config) {
		conf.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
			warned = warned || n.Code == "55000" && strings.Contains(n.Message, s.cfg.Publication)
		}
	})
	if err != nil {
		return nil, s.connectError("connect to source "+s.cfg.Name, err)
	}
	defer closeConn(peek)
	_, err = peek.Exec(ctx, "set statement_timeout = '10s'; select from pg_logical_slot_peek_binary_changes("+literal(s.cfg.Slot)+
		", null, 1, 'proto_version', '1', 'publication_names', "+literal(ident(s.cfg.Publication))+")").ReadAll()
	var pe *pgconn.PgError
	switch {
	case err == nil && warned:
		return []Finding{late}, nil
	case err == nil:
		return nil, nil
	case ctx.Err() != nil || !errors.As(err, &pe):
		return nil, err
	case pe.Code == "42704" && strings.Contains(pe.Message, "publication"):
		return []Finding{late}, nil
	case pe.Code == "42501": // without the right to replicate: told elsewhere
		return nil, nil
	default:
		return []Finding{{Rule: "publication_after_slot", Message: fmt.Sprintf("could not see whether publication %s is older than slot %s: %s", s.cfg.Publication, s.cfg.Slot, pe.Message)}}, nil
	}
}
