package contract

import (
	"strconv"
	"strings"

	undrop "github.com/undrop/undrop"
)

// compiler turns a tree that the standard accepts into a contract.
type compiler struct {
	*report
	contract *Contract
}

func compile(r *report, root *node) *Contract {
	k := &compiler{report: r}
	c := &Contract{
		ID: root.str("id"), Name: root.str("name"), Version: root.str("version"), Status: root.str("status"),
		Domain: root.str("domain"), APIVersion: root.str("apiVersion"), Description: root.get("description").str("purpose"),
	}
	k.contract = c
	if c.ID == "" {
		k.bindf(root.or("id"), "bind.id", "id", "id is empty")
	}
	if _, ok := parseVersion(c.Version); !ok {
		k.bindf(root.or("version"), "bind.version", "version", "version %q is not major.minor.patch, so no change can be compared with it", c.Version)
	}
	k.recovery(customOf(r, root, "", customOnContract, "contract"))
	k.sla(root)
	objects := root.list("schema")
	if len(objects) == 0 {
		k.bindf(root, "bind.schema", "schema", "the contract describes no table")
	}
	tables := map[undrop.TableName]*node{}
	for i, o := range objects {
		path := "schema[" + strconv.Itoa(i) + "]"
		obj := k.object(o, path)
		c.Objects = append(c.Objects, obj)
		name := obj.Table.TableName
		if name.Name == "" {
			continue
		}
		if first, ok := tables[name]; ok {
			k.bindf(o, "bind.table-twice", path, "table %s is already fed by the object on line %d", name, first.line)
		}
		tables[name] = o
	}
	return c
}

func (k *compiler) recovery(c custom) {
	v := c.vals["undrop.recovery"]
	if v == nil {
		return
	}
	if v.kind != mapNode {
		k.errorf(v, "undrop.value", "", "undrop.recovery is a mapping of names and values (got a %s)", nodeKinds[v.kind])
		return
	}
	k.contract.Recovery = map[string]string{}
	for _, e := range v.keys {
		if e.val.kind == mapNode || e.val.kind == seqNode || e.val.kind == nullNode {
			k.errorf(e.val, "undrop.value", "", "undrop.recovery: %s is a single value (got a %s)", e.key, nodeKinds[e.val.kind])
			continue
		}
		k.contract.Recovery[e.key] = e.val.text
	}
}

func (k *compiler) sla(root *node) {
	for _, s := range root.list("slaProperties") {
		k.contract.SLA = append(k.contract.SLA, SLAProperty{
			ID: s.str("id"), Property: s.str("property"), Value: s.str("value"), ValueExt: s.str("valueExt"),
			Unit: slaUnit(s.str("unit")), Element: s.str("element"), Driver: s.str("driver"), Description: s.str("description"),
		})
	}
}

// slaUnit brings the spellings of a unit of time to one; other units stay.
func slaUnit(u string) string {
	for _, set := range [][]string{
		{"ms", "millisecond", "milliseconds"}, {"s", "sec", "second", "seconds"}, {"min", "minute", "minutes"}, {"h", "hour", "hours"},
		{"d", "day", "days"}, {"w", "week", "weeks"}, {"mo", "month", "months"}, {"y", "yr", "year", "years"},
	} {
		for _, s := range set {
			if strings.EqualFold(u, s) {
				return set[0]
			}
		}
	}
	return u
}

// object compiles one schema object into a table.
func (k *compiler) object(n *node, path string) *Object {
	o := &Object{ID: n.str("id"), Name: n.str("name"), PhysicalType: n.str("physicalType"), Table: &undrop.Table{}}
	o.Deprecated, _ = n.flag("deprecated")
	c := customOf(k.report, n, path, customOnObject, "schema object")
	switch strings.ToLower(o.PhysicalType) {
	case "", "table", "partitioned table", "base table":
	default:
		k.bindf(n.or("physicalType"), "bind.physical-type", path, "%s is a %s; changes are captured from tables only", o.Name, o.PhysicalType)
	}
	t := o.Table
	t.Source = c.text("undrop.source")
	physical := n.str("physicalName")
	if physical == "" {
		physical = o.Name
	}
	var err error
	if t.Schema, t.Relation, err = splitRelation(physical); err != nil {
		k.bindf(n.or("physicalName"), "bind.physical-name", path+".physicalName", "%v", err)
	}
	k.properties(o, n, path)
	o.Quality = k.quality(n)
	o.Outbox = isOutbox(o)
	k.mode(o, n, c, path)
	k.tableName(o, n, c, path)
	if topic := c.text("undrop.topic"); topic != "" {
		if !validTopic(topic) {
			k.errorf(c.vals["undrop.topic"], "undrop.value", path, "topic %q: a topic has 1 to 249 of the characters a-z A-Z 0-9 . _ -", topic)
		}
		t.Topic = topic
	}
	t.TruncateApplies = c.word("undrop.onTruncate", "halt", "apply") == "apply"
	t.BadKeyLatest = c.word("undrop.onBadKey", "park", "latest") == "latest"
	k.key(o, n, path)
	k.partition(o, c.vals["undrop.partition"], path)
	return o
}

func isOutbox(o *Object) bool {
	for _, name := range OutboxColumns {
		if p := o.Property(name); p == nil {
			return false
		}
	}
	return true
}

func (k *compiler) mode(o *Object, n *node, c custom, path string) {
	def := undrop.Mirror
	if o.Outbox {
		def = undrop.Events
	}
	o.Table.Mode = def
	if c.vals["undrop.mode"] != nil {
		o.Table.Mode = undrop.Mode(c.word("undrop.mode", string(undrop.Mirror), string(undrop.History), string(undrop.Events)))
	}
	if o.Table.Mode == undrop.Events && !o.Outbox {
		k.bindf(n, "bind.events", path, "mode events is for an outbox, a table with the columns %s", strings.Join(OutboxColumns, ", "))
	}
}

func (k *compiler) tableName(o *Object, n *node, c custom, path string) {
	if written := c.text("undrop.table"); written != "" {
		name, err := undrop.ParseTableName(written)
		if err != nil || !validIdent(name.Namespace) || !validIdent(name.Name) {
			k.errorf(c.vals["undrop.table"], "undrop.value", path, "undrop.table is namespace.table in a-z, 0-9 and _ (got %q)", written)
			return
		}
		o.Table.TableName, o.NamedTable = name, true
		return
	}
	ns := k.contract.Domain
	if ns == "" {
		ns = k.contract.Name
	}
	o.Table.TableName = undrop.TableName{Namespace: Identifier(ns), Name: Identifier(o.Name)}
	if ns == "" {
		o.Table.TableName = undrop.TableName{}
		k.bindf(n, "bind.table", path, "the table has no namespace: give the contract a domain or a name, or the object undrop.table: namespace.table")
	}
}

// Identifier turns a name into one that every engine accepts unquoted: lower
// case, with _ for everything but a-z and 0-9.
func Identifier(name string) string {
	var b strings.Builder
	for _, c := range strings.ToLower(name) {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' {
			b.WriteRune(c)
		} else {
			b.WriteByte('_')
		}
	}
	s := b.String()
	if s != "" && s[0] >= '0' && s[0] <= '9' {
		s = "_" + s
	}
	return s
}

func validIdent(s string) bool {
	for part := range strings.SplitSeq(s, ".") {
		if part == "" || part != Identifier(part) {
			return false
		}
	}
	return true
}
