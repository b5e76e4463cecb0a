package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	undrop "github.com/undrop/undrop"
)

// publication is what the server holds under our publication's name.
type publication struct {
	exists    bool
	all       bool // for all tables
	ops       []string
	viaRoot   bool
	generated bool // stored generated columns are published (18 and newer)
	owned     bool // we may alter it
	creatable bool // we may make publications
	members   map[uint32]member
	schemas   map[uint32]bool // published as a whole (15 and newer)
}

// member is how one table is published.
type member struct {
	filter string // row filter; empty: none
	attrs  []int  // column list; empty: all columns
}

// everyOp is what a publication must publish.
var everyOp = []string{"insert", "update", "delete", "truncate"}

// covers reports whether a relation is published, in whichever way.
func (p *publication) covers(oid, schema uint32) bool {
	_, listed := p.members[oid]
	return p.all || listed || p.schemas[schema]
}

func (s *Source) readPublication(ctx context.Context, c *pgx.Conn) (*publication, error) {
	p := &publication{members: map[uint32]member{}, schemas: map[uint32]bool{}}
	if err := c.QueryRow(ctx, "select has_database_privilege(current_database(), 'create')").Scan(&p.creatable); err != nil {
		return nil, err
	}
	generated := "false"
	if s.version >= 180000 {
		generated = "pubgencols = 's'"
	}
	var oid uint32
	var ops [4]bool
	err := c.QueryRow(ctx, `select oid, puballtables, pubinsert, pubupdate, pubdelete, pubtruncate, pubviaroot, `+generated+`, pg_has_role(pubowner, 'usage')
		from pg_publication where pubname = $1`, s.cfg.Publication).
		Scan(&oid, &p.all, &ops[0], &ops[1], &ops[2], &ops[3], &p.viaRoot, &p.generated, &p.owned)
	if errors.Is(err, pgx.ErrNoRows) {
		return p, nil
	}
	if err != nil {
		return nil, err
	}
	p.exists = true
	for i, on := range ops {
		if on {
			p.ops = append(p.ops, everyOp[i])
		}
	}
	list := "select prrelid, '', '{}'::int[] from pg_publication_rel where prpubid = $1"
	if s.version >= 150000 {
		list = "select prrelid, coalesce(pg_get_expr(prqual, prrelid), ''), coalesce(prattrs::int2[]::int[], '{}') from pg_publication_rel where prpubid = $1"
	}
	rows, err := c.Query(ctx, list, oid)
	if err != nil {
		return nil, err
	}
	var rel uint32
	var m member
	if _, err := pgx.ForEachRow(rows, []any{&rel, &m.filter, &m.attrs}, func() error {
		m.attrs = slices.Clone(m.attrs)
		p.members[rel] = m
		return nil
	}); err != nil {
		return nil, err
	}
	if s.version < 150000 {
		return p, nil
	}
	rows, err = c.Query(ctx, "select pnnspid from pg_publication_namespace where pnpubid = $1", oid)
	if err != nil {
		return nil, err
	}
	schemas, err := pgx.CollectRows(rows, pgx.RowTo[uint32])
	for _, n := range schemas {
		p.schemas[n] = true
	}
	return p, err
}

// publicationTarget is how a table is named when it is published: its own rows
// only, not those of tables that inherit from it.
func publicationTarget(t *target) string {
	if t.rel.Kind == "partitioned" {
		return t.name
	}
	return "only " + t.name
}

// createPublicationSQL is the statement that makes the publication.
func (s *Source) createPublicationSQL(targets []*target) string {
	names := make([]string, len(targets))
	for i, t := range targets {
		names[i] = publicationTarget(t)
	}
	with := "publish_via_partition_root = true"
	if s.version >= 180000 {
		with += ", publish_generated_columns = stored"
	}
	return "create publication " + ident(s.cfg.Publication) + " for table " + strings.Join(names, ", ") + " with (" + with + ");"
}

// EnsurePublication makes the publication if it is missing and adds the tables
// that it does not publish; changed says whether it did something. It refuses,
// with the SQL for an owner, what the role may not do, a publication that hides
// changes, and a table whose publication would make the application's updates fail.
func (s *Source) EnsurePublication(ctx context.Context, tables []*undrop.Table) (changed bool, err error) {
	op := "prepare publication " + s.cfg.Publication
	err = s.with(ctx, func(c *pgx.Conn) error {
		pub, err := s.readPublication(ctx, c)
		if err != nil {
			return fmt.Errorf("read it: %w", err)
		}
		targets, err := s.readTargets(ctx, c, tables)
		if err != nil {
			return fmt.Errorf("read tables: %w", err)
		}
		var bad []Finding
		for _, t := range targets {
			bad = append(bad, t.publishable()...)
		}
		bad = append(bad, s.publicationFindings(pub, targets)...)
		if err := Refusal(op, bad); err != nil {
			return err
		}
		var sql string
		switch add := pub.missing(targets); {
		case !pub.exists:
			sql = s.createPublicationSQL(targets)
		case len(add) > 0:
			sql = s.addTablesSQL(add)
		default:
			return nil
		}
		s.log.Info("publication is changed", "sql", sql)
		// The tables are locked against schema changes for a moment; whoever holds
		// them longer must not make the application queue up behind us.
		if _, err := c.PgConn().Exec(ctx, "begin; set local lock_timeout = '10s'; "+sql+" commit").ReadAll(); err != nil {
			rollback(ctx, c)
			return s.publicationError(op, sql, err)
		}
		changed = true
		return nil
	})
	return changed, wrapHint(op, err)
}

func rollback(ctx context.Context, c *pgx.Conn) {
	_, _ = c.PgConn().Exec(context.WithoutCancel(ctx), "rollback").ReadAll() // the error that led here is the one to tell
}

func (s *Source) addTablesSQL(add []*target) string {
	names := make([]string, len(add))
	for i, t := range add {
		names[i] = publicationTarget(t)
	}
	return "alter publication " + ident(s.cfg.Publication) + " add table " + strings.Join(names, ", ") + ";"
}

func (s *Source) publicationError(op, sql string, err error) error {
	var pe *pgconn.PgError
	if !errors.As(err, &pe) {
		return err
	}
	switch pe.Code {
	case "55P03":
		return &undrop.Error{Code: undrop.Failed, Op: op, Err: errors.New("a table was locked for 10 s by somebody else: " + pe.Message),
			Hint: "select pid, query from pg_stat_activity where cardinality(pg_blocking_pids(pid)) > 0; -- then try again, or run: " + sql}
	case "42501":
		return &undrop.Error{Code: undrop.Refused, Op: op, Err: errors.New(pe.Message), Hint: sql + " -- as an owner"}
	}
	return err
}

// missing lists the tables that the publication does not publish.
func (p *publication) missing(targets []*target) []*target {
	var out []*target
	for _, t := range targets {
		if t.rel != nil && !p.covers(t.rel.oid, t.schema) {
			out = append(out, t)
		}
	}
	return out
}

// DropPublication drops the publication; one that is not there is no error.
func (s *Source) DropPublication(ctx context.Context) error {
	err := s.with(ctx, func(c *pgx.Conn) error {
		_, err := c.Exec(ctx, "drop publication if exists "+ident(s.cfg.Publication))
		return err
	})
	var pe *pgconn.PgError
	if errors.As(err, &pe) && pe.Code == "42501" {
		return &undrop.Error{Code: undrop.Refused, Op: "drop publication " + s.cfg.Publication, Err: errors.New(pe.Message),
			Hint: "drop publication " + ident(s.cfg.Publication) + "; -- as its owner"}
	}
	if err != nil {
		return fmt.Errorf("drop publication %s: %w", s.cfg.Publication, err)
	}
	return nil
}
