package contract

import (
	"fmt"
	"slices"
	"strings"

	undrop "github.com/undrop/undrop"
)

// DraftOptions say what the live table does not.
type DraftOptions struct {
	Source    string // undrop.source; "": the only one
	Namespace string // of the mart table; "": from the source's schema
	Name      string // of the mart table; "": from the source's table
	ID        string // of the contract; "": namespace.name
	Version   string // "": 0.1.0
}

// Draft writes a contract for a live table, and notes for the person who asked.
// It carries every value that the source can hold: native types where they are
// exact, text where nothing narrower is. What only an owner can decide is marked
// with a comment "# OWNER:". Nothing is left out without a comment and a note.
func Draft(rel undrop.Relation, opts DraftOptions) ([]byte, []string) {
	d := &drafter{rel: rel, opts: opts}
	d.defaults()
	d.key()
	d.head()
	d.columns()
	return []byte(d.b.String()), d.notes
}

// TableName is the mart table that Draft gives rel under opts.
func (opts DraftOptions) TableName(rel undrop.Relation) undrop.TableName {
	ns, name := opts.Namespace, opts.Name
	if name == "" {
		name = rel.Name
		if ns != "" && rel.Schema != "public" { // two schemas in one namespace: keep their tables apart
			name = rel.Schema + "_" + rel.Name
		}
	}
	if ns == "" {
		ns = rel.Schema
	}
	parts := strings.Split(ns, ".")
	for i := range parts {
		parts[i] = Identifier(parts[i])
	}
	return undrop.TableName{Namespace: strings.Join(parts, "."), Name: Identifier(name)}
}

type drafter struct {
	rel    undrop.Relation
	opts   DraftOptions
	table  undrop.TableName
	b      strings.Builder
	notes  []string
	keys   []string // key columns in order
	mode   undrop.Mode
	keyWhy string
}

func (d *drafter) note(format string, args ...any) {
	d.notes = append(d.notes, oneLine(RelationName(d.rel.Schema, d.rel.Name)+": "+fmt.Sprintf(format, args...)))
}

func (d *drafter) line(format string, args ...any) {
	fmt.Fprintf(&d.b, format+"\n", args...)
}

func (d *drafter) defaults() {
	d.table = d.opts.TableName(d.rel)
	if d.opts.ID == "" {
		d.opts.ID = d.table.String()
	}
	if d.opts.Version == "" {
		d.opts.Version = "0.1.0"
	}
}

// key picks the columns that identify a row in what the source sends for an
// update or a delete: the replica identity's index, else the primary key. Without
// usable ones the table becomes a history.
func (d *drafter) key() {
	d.mode = undrop.Mirror
	d.keys = d.rel.PrimaryKey
	if d.rel.Identity == "index" && len(d.rel.IdentityKey) > 0 {
		if len(d.rel.PrimaryKey) > 0 && !slices.Equal(d.rel.PrimaryKey, d.rel.IdentityKey) {
			d.note("the key is the replica identity (%s), not the primary key (%s): only those columns are sent for a deleted row",
				strings.Join(d.rel.IdentityKey, ", "), strings.Join(d.rel.PrimaryKey, ", "))
		}
		d.keys = d.rel.IdentityKey
	}
	if d.rel.Identity == "nothing" && len(d.keys) > 0 {
		d.note("REPLICA IDENTITY NOTHING: its own UPDATE and DELETE would fail once it is published; run ALTER TABLE … REPLICA IDENTITY DEFAULT")
	}
	if len(d.keys) == 0 {
		d.history("the table has no primary key and no replica identity index")
		return
	}
	for _, name := range d.keys {
		i := slices.IndexFunc(d.rel.Columns, func(c undrop.RelationColumn) bool { return c.Name == name })
		switch {
		case i < 0 || d.rel.Columns[i].Generated:
			d.history(fmt.Sprintf("key column %s is not sent by the source", name))
			return
		}
		t := draftType(d.rel.Columns[i])
		switch base := parsePhysical(t.physical).base; {
		case base == "float4" || base == "float8": // as text too: 0 and -0 are equal
			d.history(fmt.Sprintf("key column %s is a floating-point number, of which equal ones may differ", name))
			return
		case t.items != nil:
			d.history(fmt.Sprintf("key column %s has parts of its own", name))
			return
		}
	}
}

func (d *drafter) history(why string) {
	d.mode, d.keys, d.keyWhy = undrop.History, nil, why
	d.note("%s, so the draft keeps every change (undrop.mode: history)", why)
}

func (d *drafter) head() {
	rel := d.rel
	d.line("# Draft of a data contract, made from the live table %s.", oneLine(RelationName(rel.Schema, rel.Name)))
	d.line("# Lines that begin with OWNER need someone who owns the data; everything else is as the database has it.")
	d.line("apiVersion: v3.2.0")
	d.line("kind: DataContract")
	d.line("id: %s", yamlText(d.opts.ID))
	d.line("name: %s", yamlText(d.table.Name))
	d.line("version: %s", yamlText(d.opts.Version))
	d.line("# OWNER: draft until the owner has agreed; then active, and version 1.0.0")
	d.line("status: draft")
	d.line("domain: %s", yamlText(d.table.Namespace))
	d.line("# OWNER: what the data is for, who may use it and for what (description, team, roles), and how fresh it")
	d.line("# has to be (slaProperties); mark personal data with classification, amounts and durations with undrop.unit")
	if rel.Comment != "" {
		d.line("description:")
		d.line("  purpose: %s", yamlText(rel.Comment))
	}
	d.line("schema:")
	d.line("  - name: %s", yamlText(rel.Name))
	d.line("    physicalName: %s", yamlText(RelationName(rel.Schema, rel.Name)))
	kind := rel.Kind
	switch kind {
	case "", "table", "partitioned":
		kind = "table"
	default:
		d.note("a %s sends no changes and cannot be captured; the draft says so in physicalType", kind)
	}
	d.line("    physicalType: %s", yamlText(kind))
	if rel.Unlogged {
		d.note("an unlogged table is not in the write-ahead log; run ALTER TABLE … SET LOGGED before it is captured")
	}
	if rel.Comment != "" {
		d.line("    description: %s", yamlText(rel.Comment))
	}
	d.line("    customProperties:")
	if d.opts.Source != "" {
		d.line("      - {property: undrop.source, value: %s}", yamlText(d.opts.Source))
	}
	if d.mode == undrop.History {
		d.line("      # OWNER: %s; with one, a mirror of the current rows is possible", oneLine(d.keyWhy))
	}
	if outbox := d.outbox(); d.mode == undrop.Mirror && outbox {
		d.line("      # its columns are those of an outbox: each row is an event")
		d.line("      - {property: undrop.mode, value: events}")
	} else {
		d.line("      - {property: undrop.mode, value: %s}", d.mode)
	}
	d.line("      - {property: undrop.table, value: %s}", yamlText(d.table.String()))
}

func (d *drafter) outbox() bool {
	for _, name := range OutboxColumns {
		if !slices.ContainsFunc(d.rel.Columns, func(c undrop.RelationColumn) bool { return c.Name == name && !c.Generated }) {
			return false
		}
	}
	return true
}

func (d *drafter) columns() {
	if !slices.ContainsFunc(d.rel.Columns, func(c undrop.RelationColumn) bool { return !c.Generated }) {
		d.line("    # no column is left that the source sends, so there is nothing to land")
		d.line("    properties: []")
		d.note("cannot be landed: it has no column that the source sends")
		return
	}
	d.line("    properties:")
	used := map[string]bool{}
	id := 0
	if i := slices.IndexFunc(d.rel.Columns, func(c undrop.RelationColumn) bool { return !c.Looked && atRisk(c) }); i >= 0 {
		d.note("live values of %s were not looked at: a value named in a comment of the draft would be quarantined", d.rel.Columns[i].Name)
	}
	for _, c := range d.rel.Columns {
		if c.Generated {
			d.line("      # left out: %s is a generated column, which PostgreSQL before 18 does not send; derive it in the reader", oneLine(c.Name))
			d.note("column %s is left out: it is generated, and PostgreSQL before 18 does not send generated columns", c.Name)
			continue
		}
		id++
		name := d.rename(c.Name, used)
		d.column(c, name, id)
	}
}

// rename keeps the column's exact name unless it would be undrop's own or differ
// from another only by case.
func (d *drafter) rename(name string, used map[string]bool) string {
	base := name
	if strings.HasPrefix(strings.ToLower(base), MetadataPrefix) {
		base = "source" + base
	}
	out := base
	for i := 2; used[strings.ToLower(out)] || out != name && d.has(out); i++ {
		out = fmt.Sprintf("%s_%d", base, i)
	}
	used[strings.ToLower(out)] = true
	if out != name {
		d.note("column %s is called %s in the mart: %s", name, out, "engines that ignore case, or undrop itself, have another column of that name")
	}
	return out
}

// has reports whether a column's name equals name in any case.
func (d *drafter) has(name string) bool {
	return slices.ContainsFunc(d.rel.Columns, func(c undrop.RelationColumn) bool { return strings.EqualFold(c.Name, name) })
}

func (d *drafter) column(c undrop.RelationColumn, name string, id int) {
	t := draftType(c)
	if t.owner != "" {
		d.line("      # OWNER: %s", oneLine(t.owner))
	}
	if t.note != "" {
		d.note("column %s: %s", c.Name, t.note)
	}
	d.line("      - name: %s", yamlText(name))
	if name != c.Name {
		d.line("        physicalName: %s", yamlText(c.Name))
	}
	d.write(t, "        ")
	if pos := slices.Index(d.keys, c.Name); pos >= 0 {
		d.line("        primaryKey: true")
		d.line("        primaryKeyPosition: %d", pos+1)
		d.line("        required: true")
	} else if c.NotNull {
		d.line("        required: true")
	}
	if c.Comment != "" {
		d.line("        description: %s", yamlText(c.Comment))
	}
	d.line("        customProperties: [{property: undrop.fieldId, value: %d}]", id)
}

func (d *drafter) write(t drafted, indent string) {
	comment := ""
	if t.comment != "" {
		comment = " # " + oneLine(t.comment)
	}
	d.line("%slogicalType: %s%s", indent, t.logical, comment)
	if t.options != "" {
		d.line("%slogicalTypeOptions: {%s}", indent, t.options)
	}
	d.line("%sphysicalType: %s", indent, yamlText(t.physical))
	if len(t.enum) > 0 {
		d.line("%senum:", indent)
		for _, label := range t.enum {
			d.line("%s  - {value: %s}", indent, yamlQuote(label))
		}
	}
	if t.items != nil {
		d.line("%sitems:", indent)
		d.write(*t.items, indent+"  ")
	}
}
