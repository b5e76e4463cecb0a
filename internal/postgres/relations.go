package postgres

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	undrop "github.com/undrop/undrop"
)

// Leaf is one heap that holds rows of a table: the table itself, or a leaf
// partition.
type Leaf struct {
	Name  string // qualified and quoted; "" for a table that is its own leaf
	Pages uint32 // its size now; ranges beyond it must be open-ended
	File  uint32 // names the file that holds it; VACUUM FULL, CLUSTER and TRUNCATE give it another
}

// Relations describes the relations that patterns name, ordered by name. A
// pattern is "schema.name" or "name" (in public), with * for any run of
// characters; without patterns it is every user table. Views and foreign tables
// are in the answer with their kind, so that a caller can say why they are left
// out; partitions are not, their root is. With look the rows are scanned for
// values that Iceberg types cannot hold.
func (s *Source) Relations(ctx context.Context, patterns []string, look bool) ([]undrop.Relation, error) {
	var found []relation
	err := s.with(ctx, func(c *pgx.Conn) (err error) {
		all, err := listRelations(ctx, c, nil)
		if err != nil {
			return err
		}
		if found, err = matching(all, patterns); err != nil {
			return err
		}
		return describe(ctx, c, found)
	})
	if err != nil {
		return nil, wrapHint("read the tables of source "+s.cfg.Name, err)
	}
	out := make([]undrop.Relation, len(found))
	for i := range found {
		out[i] = found[i].Relation
	}
	if look {
		for i := range out {
			if err := s.look(ctx, &out[i]); err != nil {
				return nil, fmt.Errorf("look at the rows of %s.%s: %w", out[i].Schema, out[i].Name, err)
			}
		}
	}
	return out, nil
}

// relation is a Relation with what only this package needs.
type relation struct {
	undrop.Relation
	oid       uint32
	partition bool   // of another table
	root      string // which one, "schema.name"
}

// relationsSQL reads what pg_class says about relations of users. A partitioned table's size is the sum over its leaves. A deferrable primary key
// does not serve as replica identity: such a table acts as if it had none.
const relationsSQL = `
select c.oid, n.nspname::text, c.relname::text, c.relkind::text, c.relpersistence = 'u', coalesce(obj_description(c.oid, 'pg_class'), ''),
	case
		when c.relreplident = 'i' and not exists (select from pg_index i where i.indrelid = c.oid and i.indisreplident and i.indisvalid) then 'n'
		when c.relreplident = 'd' and exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary and not i.indimmediate) then 'n'
		else c.relreplident::text
	end,
	case when c.relkind = 'p' then (select coalesce(case when bool_or(l.reltuples < 0) then -1 else sum(l.reltuples)::float8 end, 0)
		from pg_partition_tree(c.oid) p join pg_class l on l.oid = p.relid where p.isleaf)
		else c.reltuples::float8 end::bigint,
	case when c.relkind = 'p' then (select coalesce(sum(pg_table_size(p.relid)), 0)::bigint from pg_partition_tree(c.oid) p where p.isleaf)
		when c.relkind in ('r', 'm') then pg_table_size(c.oid)
		else 0 end,
	c.relispartition,
	case when c.relispartition then coalesce((select rn.nspname || '.' || rc.relname from pg_class rc join pg_namespace rn on rn.oid = rc.relnamespace
		where rc.oid = pg_partition_root(c.oid)), '') else '' end
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'f', 'v', 'm') and c.relpersistence <> 't'
	and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
	and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
	and ($1::text[] is null or n.nspname || '.' || c.relname = any($1))
order by n.nspname collate "C", c.relname collate "C"`

// listRelations lists every relation of a user, or those with the given names
// ("schema.name").
func listRelations(ctx context.Context, c *pgx.Conn, names []string) ([]relation, error) {
	rows, err := c.Query(ctx, relationsSQL, names)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (r relation, err error) {
		var kind, identity string
		err = row.Scan(&r.oid, &r.Schema, &r.Name, &kind, &r.Unlogged, &r.Comment, &identity, &r.Rows, &r.Bytes, &r.partition, &r.root)
		r.Kind = map[string]string{"r": "table", "p": "partitioned", "f": "foreign", "v": "view", "m": "matview"}[kind]
		r.Identity = map[string]string{"d": "default", "n": "nothing", "f": "full", "i": "index"}[identity]
		return r, err
	})
}

// matching picks the relations that patterns name. A pattern without a match is
// an error: a table that silently is not there is the worst kind of typo.
func matching(all []relation, patterns []string) ([]relation, error) {
	if len(patterns) == 0 {
		return slices.DeleteFunc(all, func(r relation) bool { return r.partition }), nil
	}
	picked := make([]bool, len(all))
	for _, p := range patterns {
		schema, name, dotted := strings.Cut(p, ".")
		if !dotted {
			schema, name = "public", p
		}
		want, err := regexp.Compile("^" + glob(schema) + `\.` + glob(name) + "$")
		if err != nil {
			return nil, fmt.Errorf("read table pattern %q: %w", p, err)
		}
		hits, root := 0, ""
		for i, r := range all {
			if !want.MatchString(r.Schema + "." + r.Name) {
				continue
			}
			if r.partition {
				root = r.root
				continue
			}
			picked[i] = true
			hits++
		}
		if hits == 0 {
			return nil, noMatch(p, root, all)
		}
	}
	var out []relation
	for i, r := range all {
		if picked[i] {
			out = append(out, r)
		}
	}
	return out, nil
}

func glob(s string) string {
	return strings.ReplaceAll(regexp.QuoteMeta(s), `\*`, `.*`)
}

func noMatch(pattern, root string, all []relation) error {
	op := fmt.Sprintf("find tables %q", pattern)
	if root != "" {
		return &undrop.Error{Code: undrop.BadInput, Op: op, Err: fmt.Errorf("it is a partition of %s, which is captured as one table", root),
			Hint: fmt.Sprintf("name the table %q", root)}
	}
	var names []string
	for _, r := range all {
		if !r.partition && len(names) < 10 {
			names = append(names, r.Schema+"."+r.Name)
		}
	}
	if len(names) == 0 {
		return &undrop.Error{Code: undrop.BadInput, Op: op, Err: fmt.Errorf("the database has no tables of users"), Hint: `check the database in the DSN: psql "$DSN" -c '\dt *.*'`}
	}
	return &undrop.Error{Code: undrop.BadInput, Op: op, Err: fmt.Errorf("no table has that name"), Hint: "there are: " + strings.Join(names, ", ")}
}

// describe fills in keys and columns.
func describe(ctx context.Context, c *pgx.Conn, rels []relation) error {
	at := map[uint32]int{}
	oids := make([]uint32, len(rels))
	for i, r := range rels {
		at[r.oid], oids[i] = i, r.oid
	}
	if err := readKeys(ctx, c, oids, func(oid uint32, primary bool, columns []string) {
		r := &rels[at[oid]]
		if primary {
			r.PrimaryKey = columns
		} else if r.Identity == "index" {
			r.IdentityKey = columns
		}
	}); err != nil {
		return fmt.Errorf("read keys: %w", err)
	}
	columns, err := readColumns(ctx, c, oids)
	if err != nil {
		return fmt.Errorf("read columns: %w", err)
	}
	for oid, cols := range columns {
		rels[at[oid]].Columns = cols
	}
	return nil
}

// readKeys calls f for each primary key and replica identity index; an index
// that is both is told twice.
func readKeys(ctx context.Context, c *pgx.Conn, oids []uint32, f func(oid uint32, primary bool, columns []string)) error {
	rows, err := c.Query(ctx, `
select i.indrelid, i.indisprimary, i.indisreplident, array(
	select a.attname::text from unnest(i.indkey::int2[]) with ordinality k(num, pos)
	join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.num where k.pos <= i.indnkeyatts order by k.pos)
from pg_index i where i.indrelid = any($1) and (i.indisprimary or i.indisreplident) and i.indisvalid`, oids)
	if err != nil {
		return err
	}
	var oid uint32
	var primary, identity bool
	var columns []string
	_, err = pgx.ForEachRow(rows, []any{&oid, &primary, &identity, &columns}, func() error {
		if primary {
			f(oid, true, slices.Clone(columns))
		}
		if identity {
			f(oid, false, slices.Clone(columns))
		}
		return nil
	})
	return err
}

// Leaves lists the heaps of a contracted table with their sizes.
func (s *Source) Leaves(ctx context.Context, t *undrop.Table) ([]Leaf, error) {
	var leaves []Leaf
	err := s.with(ctx, func(c *pgx.Conn) error {
		leaves = nil
		var oid uint32
		var kind string
		if err := c.QueryRow(ctx, `select c.oid, c.relkind::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
			where n.nspname = $1 and c.relname = $2`, t.Schema, t.Relation).Scan(&oid, &kind); err != nil {
			return err
		}
		rows, err := c.Query(ctx, `select case when p.relid = $1 then '' else format('%I.%I', n.nspname, c.relname) end, c.relkind::text,
			case when c.relkind = 'r' then pg_relation_size(p.relid) / current_setting('block_size')::bigint else 0 end,
			coalesce(pg_relation_filenode(p.relid), 0)::bigint
			from (select $1::oid as relid where $2 = 'r' union all select relid from pg_partition_tree($1::oid) where isleaf and $2 = 'p') p
			join pg_class c on c.oid = p.relid join pg_namespace n on n.oid = c.relnamespace order by 1`, oid, kind)
		if err != nil {
			return err
		}
		var l Leaf
		var leafKind string
		var pages, file int64
		_, err = pgx.ForEachRow(rows, []any{&l.Name, &leafKind, &pages, &file}, func() error {
			switch {
			case leafKind == "p": // a partitioned table without partitions
				return nil
			case leafKind != "r":
				return fmt.Errorf("leaf %s is not a heap (relkind %s): its rows are elsewhere", l.Name, leafKind)
			}
			l.Pages, l.File = uint32(pages), uint32(file) // the types that PostgreSQL has for them
			leaves = append(leaves, l)
			return nil
		})
		if err == nil && len(leaves) == 0 && kind != "p" {
			err = fmt.Errorf("it is not a table (relkind %s)", kind)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("size up %s: %w", t.SourceRelation(), err)
	}
	return leaves, nil
}
