package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	undrop "github.com/undrop/undrop"
)

// readColumns describes the live columns of relations (or composite types), by oid.
func readColumns(ctx context.Context, c *pgx.Conn, oids []uint32) (map[uint32][]undrop.RelationColumn, error) {
	out := map[uint32][]undrop.RelationColumn{}
	if err := readAttributes(ctx, c, oids, func(oid uint32, col undrop.RelationColumn) { out[oid] = append(out[oid], col) }); err != nil {
		return nil, err
	}
	kinds, err := readTypes(ctx, c, out)
	if err != nil {
		return nil, fmt.Errorf("read types: %w", err)
	}
	for _, cols := range out {
		for i := range cols {
			if err := kinds.resolve(&cols[i], 0); err != nil {
				return nil, err
			}
		}
	}
	return out, kinds.name(ctx, c, out)
}

func readAttributes(ctx context.Context, c *pgx.Conn, oids []uint32, f func(uint32, undrop.RelationColumn)) error {
	rows, err := c.Query(ctx, `
select a.attrelid, a.attname::text, a.attnum::int, format_type(a.atttypid, a.atttypmod), a.atttypid, a.atttypmod, a.attnotnull,
	a.attgenerated <> '', a.attidentity <> '', coalesce(case when a.attgenerated = '' then pg_get_expr(d.adbin, d.adrelid) end, ''),
	coalesce(col_description(a.attrelid, a.attnum), '')
from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
where a.attrelid = any($1) and a.attnum > 0 and not a.attisdropped order by a.attrelid, a.attnum`, oids)
	if err != nil {
		return err
	}
	var oid uint32
	var col undrop.RelationColumn
	_, err = pgx.ForEachRow(rows, []any{&oid, &col.Name, &col.Attnum, &col.Type, &col.TypeOID, &col.Typmod, &col.NotNull,
		&col.Generated, &col.Identity, &col.Default, &col.Comment}, func() error {
		f(oid, col)
		return nil
	})
	return err
}

// sourceType is what pg_type says about one type.
type sourceType struct {
	kind    string // typtype
	array   bool   // a true array, not int2vector
	elem    uint32
	base    uint32 // of a domain
	typmod  int32  // of a domain
	relid   uint32 // of a composite
	labels  []string
	members []undrop.RelationColumn
}

type sourceTypes map[uint32]*sourceType

// readTypes reads the types of columns and everything below them.
func readTypes(ctx context.Context, c *pgx.Conn, columns map[uint32][]undrop.RelationColumn) (sourceTypes, error) {
	types := sourceTypes{}
	want := map[uint32]bool{}
	for _, cols := range columns {
		for _, col := range cols {
			want[col.TypeOID] = true
		}
	}
	for len(want) > 0 {
		oids := make([]uint32, 0, len(want))
		for oid := range want {
			oids = append(oids, oid)
		}
		clear(want)
		need := func(oid uint32) {
			if oid != 0 && types[oid] == nil {
				want[oid] = true
			}
		}
		rows, err := c.Query(ctx, `
select t.oid, t.typtype::text, coalesce(e.typarray = t.oid, false), t.typelem, t.typbasetype, t.typtypmod, t.typrelid,
	array(select l.enumlabel::text from pg_enum l where l.enumtypid = t.oid order by l.enumsortorder)
from pg_type t left join pg_type e on e.oid = t.typelem where t.oid = any($1)`, oids)
		if err != nil {
			return nil, err
		}
		var oid uint32
		var t sourceType
		owners := map[uint32]*sourceType{} // composites by their relation
		if _, err := pgx.ForEachRow(rows, []any{&oid, &t.kind, &t.array, &t.elem, &t.base, &t.typmod, &t.relid, &t.labels}, func() error {
			got := t
			types[oid] = &got
			if t.relid != 0 {
				owners[t.relid] = &got
			}
			t.labels = nil
			return nil
		}); err != nil {
			return nil, err
		}
		for _, t := range types {
			if t.array {
				need(t.elem)
			}
			need(t.base)
		}
		relids := make([]uint32, 0, len(owners))
		for relid := range owners {
			relids = append(relids, relid)
		}
		if err := readAttributes(ctx, c, relids, func(relid uint32, col undrop.RelationColumn) {
			owners[relid].members = append(owners[relid].members, col)
			need(col.TypeOID)
		}); err != nil {
			return nil, err
		}
	}
	return types, nil
}

// maxDepth bounds composites in composites; the server allows no recursion, only
// arrays of itself by way of a table's row type.
const maxDepth = 16

// resolve fills in Class, Enum and Members. Base waits in baseType.
func (ts sourceTypes) resolve(col *undrop.RelationColumn, depth int) error {
	t := ts[col.TypeOID]
	if t == nil {
		return fmt.Errorf("column %s: the server does not describe its type %s", col.Name, col.Type)
	}
	switch {
	case t.array:
		col.Class = "array"
	case t.kind == "b":
		col.Class = "base"
	case t.kind == "e":
		col.Class = "enum"
	case t.kind == "d":
		col.Class = "domain"
	case t.kind == "c":
		col.Class = "composite"
	case t.kind == "r", t.kind == "m":
		col.Class = "range"
	default:
		col.Class = "other"
	}
	inner := ts.inner(col.TypeOID)
	if inner == nil {
		return nil
	}
	if len(inner.labels) > 0 {
		col.Enum = inner.labels
	}
	if inner.kind == "c" && depth < maxDepth {
		col.Members = append([]undrop.RelationColumn(nil), inner.members...)
		for i := range col.Members {
			if err := ts.resolve(&col.Members[i], depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// inner is the type below domains, arrays, and domains of the elements.
func (ts sourceTypes) inner(oid uint32) *sourceType {
	t := ts[oid]
	for t != nil {
		switch {
		case t.kind == "d":
			t = ts[t.base]
		case t.array:
			t = ts[t.elem]
		default:
			return t
		}
	}
	return nil
}

// baseType is the type and modifier that RelationColumn.Base names.
func (ts sourceTypes) baseType(oid uint32, typmod int32) (uint32, int32) {
	if t := ts[oid]; t != nil && t.array {
		return ts.belowDomains(t.elem, typmod) // the modifier of an array is its elements'
	}
	return ts.belowDomains(oid, typmod)
}

func (ts sourceTypes) belowDomains(oid uint32, typmod int32) (uint32, int32) {
	for t := ts[oid]; t != nil && t.kind == "d"; t = ts[oid] {
		oid = t.base
		if t.typmod != -1 {
			typmod = t.typmod
		}
	}
	return oid, typmod
}

// name asks the server how it spells the base types.
func (ts sourceTypes) name(ctx context.Context, c *pgx.Conn, columns map[uint32][]undrop.RelationColumn) error {
	type key struct {
		oid    uint32
		typmod int32
	}
	spelling := map[key]string{}
	var walk func(cols []undrop.RelationColumn, f func(*undrop.RelationColumn, key))
	walk = func(cols []undrop.RelationColumn, f func(*undrop.RelationColumn, key)) {
		for i := range cols {
			oid, typmod := ts.baseType(cols[i].TypeOID, cols[i].Typmod)
			f(&cols[i], key{oid, typmod})
			walk(cols[i].Members, f)
		}
	}
	for _, cols := range columns {
		walk(cols, func(_ *undrop.RelationColumn, k key) { spelling[k] = "" })
	}
	oids, typmods := make([]uint32, 0, len(spelling)), make([]int32, 0, len(spelling))
	for k := range spelling {
		oids, typmods = append(oids, k.oid), append(typmods, k.typmod)
	}
	rows, err := c.Query(ctx, "select t.o, t.m, format_type(t.o, t.m) from unnest($1::oid[], $2::int4[]) t(o, m)", oids, typmods)
	if err != nil {
		return fmt.Errorf("name types: %w", err)
	}
	var k key
	var text string
	if _, err := pgx.ForEachRow(rows, []any{&k.oid, &k.typmod, &text}, func() error {
		spelling[k] = text
		return nil
	}); err != nil {
		return fmt.Errorf("name types: %w", err)
	}
	for _, cols := range columns {
		walk(cols, func(col *undrop.RelationColumn, k key) { col.Base = spelling[k] })
	}
	return nil
}
