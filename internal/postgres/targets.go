package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	undrop "github.com/undrop/undrop"
)

// target is a contracted table with everything that preflight must know of the
// relation behind it.
type target struct {
	table    *undrop.Table
	rel      *relation // nil: there is none
	name     string    // qualified, quoted where needed
	schema   uint32
	owned    bool // we may publish it
	usage    bool // we may use its schema
	rls      bool // row-level security would apply to us
	children []string
	virtual  []string   // generated columns that are not stored
	unique   [][]string // keys that are unique and not null at any moment
	heaps    []heap     // the relation itself first, then its leaf partitions
}

// heap is a relation that holds rows, or the root of some.
type heap struct {
	name     string // qualified, quoted where needed
	kind     string // relkind
	unlogged bool
	full     bool     // replica identity full
	identity []string // columns that an update or delete carries; empty and not full: none, and the application's update fails
	readable bool
	access   string // access method; empty for a partitioned root
}

// readTargets finds the relations of tables, in the same order.
func (s *Source) readTargets(ctx context.Context, c *pgx.Conn, tables []*undrop.Table) ([]*target, error) {
	names := make([]string, len(tables))
	for i, t := range tables {
		names[i] = t.SourceRelation()
	}
	rels, err := listRelations(ctx, c, names)
	if err != nil {
		return nil, err
	}
	if err := describe(ctx, c, rels); err != nil {
		return nil, err
	}
	targets := make([]*target, len(tables))
	byOID := map[uint32][]*target{}
	for i, t := range tables {
		targets[i] = &target{table: t, name: qualified(t.Schema, t.Relation)}
		at := slices.IndexFunc(rels, func(r relation) bool { return r.Schema == t.Schema && r.Name == t.Relation })
		if at >= 0 {
			targets[i].rel = &rels[at]
			byOID[rels[at].oid] = append(byOID[rels[at].oid], targets[i])
		}
	}
	oids := make([]uint32, 0, len(byOID))
	for oid := range byOID {
		oids = append(oids, oid)
	}
	if err := readRights(ctx, c, oids, byOID); err != nil {
		return nil, fmt.Errorf("read rights: %w", err)
	}
	if err := readHeaps(ctx, c, oids, byOID); err != nil {
		return nil, fmt.Errorf("read replica identities: %w", err)
	}
	return targets, nil
}

func readRights(ctx context.Context, c *pgx.Conn, oids []uint32, targets map[uint32][]*target) error {
	rows, err := c.Query(ctx, `
select c.oid, format('%I.%I', n.nspname, c.relname), n.oid, pg_has_role(c.relowner, 'usage'), has_schema_privilege(n.oid, 'usage'),
	row_security_active(c.oid), array(select format('%I.%I', kn.nspname, k.relname) from pg_inherits i join pg_class k on k.oid = i.inhrelid
		join pg_namespace kn on kn.oid = k.relnamespace where i.inhparent = c.oid and not k.relispartition order by 1),
	array(select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attgenerated = 'v')
from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = any($1)`, oids)
	if err != nil {
		return err
	}
	var oid uint32
	var t target
	if _, err = pgx.ForEachRow(rows, []any{&oid, &t.name, &t.schema, &t.owned, &t.usage, &t.rls, &t.children, &t.virtual}, func() error {
		for _, to := range targets[oid] {
			to.name, to.schema, to.owned, to.usage, to.rls = t.name, t.schema, t.owned, t.usage, t.rls
			to.children, to.virtual = slices.Clone(t.children), slices.Clone(t.virtual)
		}
		return nil
	}); err != nil {
		return err
	}
	rows, err = c.Query(ctx, `
select i.indrelid, array(select a.attname::text from unnest(i.indkey::int2[]) with ordinality k(num, pos)
	join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.num and a.attnotnull where k.pos <= i.indnkeyatts)
from pg_index i where i.indrelid = any($1) and i.indisunique and i.indimmediate and i.indisvalid and i.indpred is null and i.indexprs is null
	and not exists (select from unnest(i.indkey::int2[]) with ordinality k(num, pos) join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.num
		where k.pos <= i.indnkeyatts and not a.attnotnull)`, oids)
	if err != nil {
		return err
	}
	var key []string
	_, err = pgx.ForEachRow(rows, []any{&oid, &key}, func() error {
		for _, to := range targets[oid] {
			to.unique = append(to.unique, slices.Clone(key))
		}
		return nil
	})
	return err
}

// readHeaps reads each relation and its leaves. Under partitions it is the
// leaf's replica identity that decides whether an update succeeds, and the
// root's that decides how the stream is to be read.
func readHeaps(ctx context.Context, c *pgx.Conn, oids []uint32, targets map[uint32][]*target) error {
	rows, err := c.Query(ctx, `
select h.root, format('%I.%I', n.nspname, c.relname), c.relkind::text, c.relpersistence = 'u', c.relreplident = 'f',
	array(select a.attname::text from pg_index i cross join unnest(i.indkey::int2[]) with ordinality k(num, pos)
		join pg_attribute a on a.attrelid = c.oid and a.attnum = k.num
		where i.indrelid = c.oid and i.indisvalid and k.pos <= i.indnkeyatts
			and (c.relreplident = 'd' and i.indisprimary and i.indimmediate or c.relreplident = 'i' and i.indisreplident) order by k.pos),
	has_table_privilege(c.oid, 'select'), coalesce(am.amname::text, '')
from (select r as root, r as oid, 0 as level from unnest($1::oid[]) r
	union all select r, p.relid, p.level from unnest($1::oid[]) r cross join pg_partition_tree(r) p where p.isleaf and p.relid <> r) h
join pg_class c on c.oid = h.oid join pg_namespace n on n.oid = c.relnamespace left join pg_am am on am.oid = c.relam
order by h.root, h.level > 0, 2`, oids)
	if err != nil {
		return err
	}
	var root uint32
	var h heap
	_, err = pgx.ForEachRow(rows, []any{&root, &h.name, &h.kind, &h.unlogged, &h.full, &h.identity, &h.readable, &h.access}, func() error {
		h.identity = slices.Clone(h.identity)
		for _, to := range targets[root] {
			to.heaps = append(to.heaps, h)
		}
		return nil
	})
	return err
}
