package contract

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	undrop "github.com/undrop/undrop"
)

// OutboxTopicPrefix begins the topics of outbox events; the aggregate type follows.
const OutboxTopicPrefix = "outbox.event."

// Bind completes the table for the source that feeds it: the contract's own
// undrop.source wins. It fills Source and, where the contract names none, Topic.
func (o *Object) Bind(source string) {
	t := o.Table
	if t.Source == "" {
		t.Source = source
	}
	if t.Topic == "" {
		if o.Outbox && t.Mode == undrop.Events {
			t.Topic = OutboxTopicPrefix
		} else {
			t.Topic = topicName(t.Source + "." + t.Schema + "." + t.Relation)
		}
	}
}

// topicName spells any name in the characters of a topic. Two names never share
// one: what is not allowed becomes _xHH, and a name too long ends in its hash.
func topicName(name string) string {
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "_x%02X", c)
		}
	}
	s := b.String()
	if len(s) > 249 {
		sum := sha256.Sum256([]byte(name))
		s = s[:249-17] + "-" + hex.EncodeToString(sum[:8])
	}
	return s
}

func validTopic(s string) bool {
	return s != "" && len(s) <= 249 && s != "." && s != ".." && topicName(s) == s
}

// splitRelation reads physicalName: "table" (schema public), "schema.table", or
// with quotes "my.schema"."my.table". Case is kept: it is the name as stored.
func splitRelation(s string) (schema, relation string, err error) {
	first, rest, err := relationPart(s)
	if err != nil {
		return "", "", err
	}
	if rest == "" {
		return "public", first, nil
	}
	if rest[0] != '.' || len(rest) == 1 {
		return "", "", fmt.Errorf("physicalName %q: want table, schema.table or \"schema\".\"table\"", s)
	}
	rest = rest[1:]
	if rest[0] != '"' { // what is left is the name, dots and all
		return first, rest, nil
	}
	second, tail, err := relationPart(rest)
	if err != nil || tail != "" {
		return "", "", fmt.Errorf("physicalName %q: want table, schema.table or \"schema\".\"table\"", s)
	}
	return first, second, nil
}

func relationPart(s string) (part, rest string, err error) {
	if !strings.HasPrefix(s, `"`) {
		i := strings.IndexByte(s, '.')
		if i == 0 || s == "" {
			return "", "", fmt.Errorf("physicalName %q names no table", s)
		}
		if i < 0 {
			return s, "", nil
		}
		return s[:i], s[i:], nil
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		if s[i] != '"' {
			b.WriteByte(s[i])
			continue
		}
		if i+1 < len(s) && s[i+1] == '"' {
			b.WriteByte('"')
			i++
			continue
		}
		if b.Len() == 0 {
			break
		}
		return b.String(), s[i+1:], nil
	}
	return "", "", fmt.Errorf("physicalName %q: a quote is not closed or holds nothing", s)
}

// RelationName spells schema and relation so that splitRelation reads them back.
func RelationName(schema, relation string) string {
	if strings.ContainsAny(schema, `."`) || strings.HasPrefix(relation, `"`) {
		quote := func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
		return quote(schema) + "." + quote(relation)
	}
	return schema + "." + relation
}

// key finds the key columns in order and refuses what cannot be one.
func (k *compiler) key(o *Object, n *node, path string) {
	type part struct{ pos, index int }
	var parts []part
	props := columnNodes(n)
	for i, p := range o.Properties {
		if !p.PrimaryKey {
			continue
		}
		pos, err := strconv.Atoi(props[i].str("primaryKeyPosition"))
		if err != nil || pos < 1 {
			pos = 1 << 20 // after those that say where
		}
		parts = append(parts, part{pos, i})
	}
	slices.SortStableFunc(parts, func(a, b part) int { return a.pos - b.pos })
	for _, part := range parts {
		p, at := o.Properties[part.index], props[part.index]
		o.Table.Key = append(o.Table.Key, part.index)
		switch p.Field.Type.Kind {
		case undrop.Float32, undrop.Float64:
			k.bindf(at.or("primaryKey"), "bind.key-float", p.Path, "%s cannot be part of the key: equal numbers may have several floating-point forms; choose another key or undrop.mode: history without one", p.Name)
		case undrop.List, undrop.Map, undrop.Struct:
			k.bindf(at.or("primaryKey"), "bind.key-nested", p.Path, "%s cannot be part of the key: it has parts of its own", p.Name)
		}
		if required, set := at.flag("required"); set && !required {
			k.bindf(at.or("required"), "bind.key-null", p.Path, "%s is part of the key and may be null; say required: true, or choose undrop.mode: history without a key", p.Name)
		}
		if f := p.Field; f.OnNaN == undrop.BadNull || f.OnInfinity == undrop.BadNull || f.OnOverflow == undrop.BadNull {
			k.bindf(at, "bind.null-required", p.Path, "%s is part of the key, so a value that cannot be held cannot become null: say quarantine", p.Name)
		}
		p.Field.Required = true // a primary key has no nulls
		o.Table.Fields[part.index].Required = true
	}
	if len(parts) == 0 && o.Table.Mode == undrop.Mirror {
		k.bindf(n, "bind.no-key", path, "a mirror of %s needs a key: mark it with primaryKey: true, or choose undrop.mode: history", o.Name)
	}
}

// columnNodes are the property nodes that become columns, parallel to Properties.
func columnNodes(n *node) []*node {
	var out []*node
	for _, p := range n.list("properties") {
		if p.str("semanticType") != "measure" {
			out = append(out, p)
		}
	}
	return out
}
