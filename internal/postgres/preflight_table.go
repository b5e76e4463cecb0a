package postgres

import (
	"fmt"
	"slices"
	"strings"

	undrop "github.com/undrop/undrop"
)

// findings collects what is said about one table.
type findings struct {
	table string
	list  []Finding
}

func (f *findings) add(fatal bool, rule, sql, format string, args ...any) {
	f.list = append(f.list, Finding{Table: f.table, Rule: rule, SQL: sql, Fatal: fatal, Message: fmt.Sprintf(format, args...)})
}

// publishable says why a table must not be in a publication: because it cannot
// be, or because the application's own statements would fail.
func (t *target) publishable() []Finding {
	f := findings{table: t.table.SourceRelation()}
	if t.rel == nil {
		f.add(true, "relation_missing", "", "the database has no such table; names are compared exactly, also in case")
		return f.list
	}
	switch {
	case t.rel.partition:
		f.add(true, "relation_kind", "", "it is a partition of %s: write the contract for that table", t.rel.root)
		return f.list
	case t.rel.Kind != "table" && t.rel.Kind != "partitioned":
		f.add(true, "relation_kind", "", "it is a %s: only tables have changes in the log", map[string]string{
			"view": "view", "matview": "materialized view", "foreign": "foreign table"}[t.rel.Kind])
		return f.list
	}
	for _, h := range t.heaps {
		if h.kind != "r" && h.kind != "p" {
			f.add(true, "relation_kind", "alter table "+t.name+" detach partition "+h.name+";", "its partition %s is not a table of this server: its changes are not in the log", h.name)
		}
		if h.unlogged {
			f.add(true, "unlogged", "alter table "+h.name+" set logged;", "%s is unlogged: its changes are not in the log", h.name)
		}
	}
	t.identityFindings(&f)
	return f.list
}

// identityFindings checks what an update or delete will say about the old row.
func (t *target) identityFindings(f *findings) {
	var without, mixed []string
	for _, h := range t.heaps {
		if !h.full && len(h.identity) == 0 {
			without = append(without, h.name)
		}
		if h.full != t.heaps[0].full {
			mixed = append(mixed, h.name)
		}
	}
	switch {
	case len(without) > 0:
		f.add(true, "replica_identity", t.fullSQL(), "%s has no usable replica identity: once it is published, the application's UPDATE and DELETE fail", strings.Join(without, ", "))
	case len(mixed) > 0:
		f.add(true, "replica_identity", t.fullSQL(), "the replica identity of %s differs from that of %s: old rows would be read wrongly", strings.Join(mixed, ", "), t.heaps[0].name)
	case t.table.Mode == undrop.Events || t.heaps[0].full:
	case len(t.table.Key) == 0:
		f.add(true, "replica_identity", t.fullSQL(), "the contract names no key, so every update and delete must carry the whole old row")
	default:
		var lost []string
		for _, k := range t.table.Key {
			for _, h := range t.heaps {
				if !slices.Contains(h.identity, t.table.Fields[k].Source) {
					lost = append(lost, t.table.Fields[k].Source)
					break
				}
			}
		}
		if len(lost) > 0 {
			f.add(true, "key_identity", t.fullSQL(), "updates and deletes carry (%s), but the contract's key needs %s", strings.Join(t.heaps[0].identity, ", "), strings.Join(lost, ", "))
		}
	}
}

// fullSQL gives a table and each of its partitions, which do not inherit it,
// replica identity full.
func (t *target) fullSQL() string {
	var sql []string
	for _, h := range t.heaps {
		if !h.full {
			sql = append(sql, "alter table "+h.name+" replica identity full;")
		}
	}
	return strings.Join(sql, " ")
}

// loadable says why a table cannot be read completely, or not as contracted.
func (t *target) loadable(s *Source) []Finding {
	f := findings{table: t.table.SourceRelation()}
	if t.rel == nil || t.rel.partition || t.rel.Kind != "table" && t.rel.Kind != "partitioned" {
		return nil
	}
	role := ident(s.conn.User)
	if !t.usage {
		f.add(true, "select_right", "grant usage on schema "+ident(t.rel.Schema)+" to "+role+";", "the role may not use schema %s", t.rel.Schema)
	}
	for _, h := range t.heaps {
		if !h.readable {
			f.add(true, "select_right", "grant select on "+h.name+" to "+role+";", "the role may not read %s", h.name)
		}
		if h.kind == "r" && h.access != "heap" {
			f.add(true, "access_method", "alter table "+h.name+" set access method heap;", "%s is stored by %s: it cannot be read by ranges of pages", h.name, h.access)
		}
	}
	if t.rls {
		f.add(true, "row_security", "alter role "+role+" bypassrls;", "row-level security would hide rows from the role")
	}
	if len(t.children) > 0 {
		f.add(false, "inheritance", "", "rows of %s, which inherit from it, are not part of it: they need contracts of their own", strings.Join(t.children, ", "))
	}
	t.columnFindings(&f, s.version)
	if t.table.Mode == undrop.Mirror && len(t.table.Key) > 0 && !t.keyIsUnique() {
		cols := t.keyColumns()
		sql := make([]string, 0, len(cols)+1)
		for _, c := range cols {
			sql = append(sql, "alter table "+t.name+" alter column "+ident(c)+" set not null;")
			cols[len(sql)-1] = ident(c)
		}
		f.add(true, "key_unique", strings.Join(append(sql, "create unique index on "+t.name+" ("+strings.Join(cols, ", ")+");"), " "),
			"no unique index makes (%s) a key: rows that share it would be merged into one", strings.Join(t.keyColumns(), ", "))
	}
	return f.list
}

// columnFindings compares the contracted columns with the live ones.
func (t *target) columnFindings(f *findings, version int) {
	for _, field := range t.table.Fields {
		c := t.column(field.Source)
		if c == nil {
			f.add(true, "column_missing", "", "the contract's column %s is not there; the table has %s", field.Source, t.columnNames())
			continue
		}
		switch {
		case slices.Contains(t.virtual, c.Name):
			f.add(true, "column_generated", "", "column %s is generated when it is read, so its changes are not in the log; leave it out of the contract", c.Name)
		case c.Generated && version < 180000:
			f.add(true, "column_generated", "", "column %s is generated: PostgreSQL %s does not publish it; leave it out of the contract", c.Name, versionText(version))
		}
		if why := Fits(field, *c); why != nil {
			f.add(true, "column_type", "", "column %s is %s, and the contract's %s cannot carry it: %s", c.Name, c.Type, field.Type, why)
		}
	}
}

func (t *target) column(name string) *undrop.RelationColumn {
	if t.rel == nil {
		return nil
	}
	for i := range t.rel.Columns {
		if t.rel.Columns[i].Name == name {
			return &t.rel.Columns[i]
		}
	}
	return nil
}

func (t *target) columnNames() string {
	names := make([]string, len(t.rel.Columns))
	for i, c := range t.rel.Columns {
		names[i] = c.Name
	}
	if len(names) > 40 {
		names = append(names[:40], "…")
	}
	return strings.Join(names, ", ")
}

// generated lists the contracted columns that the server computes.
func (t *target) generated() []string {
	var out []string
	for _, f := range t.table.Fields {
		if c := t.column(f.Source); c != nil && c.Generated {
			out = append(out, c.Name)
		}
	}
	return out
}

func (t *target) keyColumns() []string {
	out := make([]string, len(t.table.Key))
	for i, k := range t.table.Key {
		out[i] = t.table.Fields[k].Source
	}
	return out
}

// keyIsUnique reports whether a unique index lies within the contract's key.
func (t *target) keyIsUnique() bool {
	key := t.keyColumns()
	return slices.ContainsFunc(t.unique, func(u []string) bool {
		return !slices.ContainsFunc(u, func(c string) bool { return !slices.Contains(key, c) })
	})
}
