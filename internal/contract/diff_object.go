package contract

import (
	"fmt"
	"slices"
	"strings"

	undrop "github.com/undrop/undrop"
)

func (d *differ) object(o, n *Object) {
	path := n.Name
	ot, nt := o.Table, n.Table
	d.word(Patch, BreaksNobody, "object-name", path, o.Name, n.Name, "the object's own name; the table's name is compared by itself")
	d.word(Major, BreaksConsumers, "table", path, ot.TableName.String(), nt.TableName.String(), "another table: readers of the old one see no new rows")
	d.word(Major, BreaksBoth, "mode", path, string(ot.Mode), string(nt.Mode), "rows of a mirror, a history and a list of events do not mean the same")
	d.word(MinorWithPlan, BreaksNobody, "source", path, ot.Source, nt.Source, "rows come from another source; positions of the two cannot be compared")
	d.word(MinorWithPlan, BreaksNobody, "source-table", path, ot.SourceRelation(), nt.SourceRelation(), "rows come from another table of the source")
	d.word(MinorWithPlan, BreaksConsumers, "topic", path, ot.Topic, nt.Topic, "consumers of the topic have to follow")
	d.word(Minor, BreaksNobody, "on-truncate", path, fmt.Sprint(ot.TruncateApplies), fmt.Sprint(nt.TruncateApplies), "what a TRUNCATE does changes, the rows do not")
	d.word(Minor, BreaksNobody, "on-bad-key", path, fmt.Sprint(ot.BadKeyLatest), fmt.Sprint(nt.BadKeyLatest), "what a bad change does to its key changes")
	d.word(Minor, BreaksNobody, "partition", path, o.PartitionBy, n.PartitionBy, "new files are laid out differently; old files stay as they are")
	d.deprecated(path, o.Deprecated, n.Deprecated)
	pairs := match(o.Properties, n.Properties)
	d.properties(pairs, path)
	d.key(o, n, pairs, path)
	d.quality(o.Quality, n.Quality, path)
}

func (d *differ) deprecated(path string, from, to bool) {
	if from != to {
		d.add(Patch, BreaksNobody, "deprecated", path, fmt.Sprint(from), fmt.Sprint(to), "a notice to readers; the data stays")
	}
}

// key compares the identity of rows. Registries and tables allow any change of
// it; what an update replaces would change in silence.
func (d *differ) key(o, n *Object, pairs []pair, path string) {
	before := map[*Property]*Property{}
	for _, m := range pairs {
		if m.old != nil && m.new != nil {
			before[m.new] = m.old
		}
	}
	names := func(o *Object) (list []string) {
		for _, i := range o.Table.Key {
			list = append(list, o.Properties[i].Name)
		}
		return list
	}
	same := len(o.Table.Key) == len(n.Table.Key)
	for i := 0; same && i < len(n.Table.Key); i++ {
		same = before[n.Properties[n.Table.Key[i]]] == o.Properties[o.Table.Key[i]]
	}
	if !same {
		d.add(Major, BreaksBoth, "key", path, strings.Join(names(o), ", "), strings.Join(names(n), ", "),
			"another key: what an update or a delete replaces is another row")
	}
}

// properties compares the fields of one level: a table's columns or a struct's.
func (d *differ) properties(pairs []pair, path string) {
	var dropped []*Property
	for _, m := range pairs {
		if m.new == nil {
			dropped = append(dropped, m.old)
		}
	}
	for _, m := range pairs {
		switch {
		case m.old == nil:
			d.added(m.new, dropped, path)
		case m.new == nil:
			d.dropped(m.old, path)
		default:
			d.property(m.old, m.new, join(path, m.new.Name))
		}
	}
	d.reordered(pairs, path)
	seen := map[string]string{}
	for _, m := range pairs {
		if m.new == nil {
			continue
		}
		low := strings.ToLower(m.new.Name)
		if first, ok := seen[low]; ok && first != m.new.Name {
			d.add(Forbidden, BreaksBoth, "case-clash", join(path, m.new.Name), first, m.new.Name,
				"names that differ only by case are one name to engines that ignore case").TableRefuses = true
		}
		seen[low] = m.new.Name
	}
}

func (d *differ) added(p *Property, dropped []*Property, path string) {
	path = join(path, p.Name)
	for _, o := range dropped {
		if o.Name != p.Name && strings.EqualFold(o.Name, p.Name) {
			d.add(Forbidden, BreaksBoth, "case-clash", path, o.Name, p.Name,
				"old snapshots have the column under a name that differs only by case; to rename it, keep its id").TableRefuses = true
		}
	}
	t := p.typeName()
	switch {
	case p.Field.Type.Kind == undrop.Invalid:
		d.undecided(p, path, "")
	case !p.Field.Required:
		d.add(Minor, BreaksNobody, "add-nullable", path, "", t, "existing rows have null in it")
	case p.HasDefault:
		d.add(MinorWithPlan, BreaksNobody, "add-required-default", path, "", t,
			"a table of format version 2 has no default for existing rows: add it nullable, fill it, then require it; version 3 can").TableRefuses = true
	default:
		d.add(Forbidden, BreaksProducers, "add-required", path, "", t, "existing rows have no value for it").TableRefuses = true
	}
}

func (d *differ) dropped(p *Property, path string) {
	why := "readers of the column break; mark it deprecated in a version before"
	if p.Deprecated {
		why = "the column was deprecated; readers that did not heed it break"
	}
	d.add(Major, BreaksConsumers, "drop", join(path, p.Name), p.typeName(), "", why)
}

// reordered compares the order of the fields that both versions have.
func (d *differ) reordered(pairs []pair, path string) {
	var now []*Property
	for _, m := range pairs {
		if m.old != nil && m.new != nil {
			now = append(now, m.old)
		}
	}
	before := slices.Clone(now)
	slices.SortStableFunc(before, func(a, b *Property) int { return a.order - b.order })
	if !slices.Equal(before, now) {
		d.add(Patch, BreaksNobody, "reorder", path, namesOf(before), namesOf(now), "fields are found by id and name, not by place")
	}
}

func namesOf(props []*Property) string {
	names := make([]string, len(props))
	for i, p := range props {
		names[i] = p.Name
	}
	if s := strings.Join(names, ", "); len(s) <= 120 {
		return s
	}
	return fmt.Sprintf("%d fields", len(names))
}

// property compares one field in two versions.
func (d *differ) property(o, n *Property, path string) {
	if o.Name != n.Name {
		why := "readers and messages know the old name; have both names for a while"
		if strings.EqualFold(o.Name, n.Name) {
			why = "a name that differs only by case is still another name to readers that respect case"
		}
		d.add(Major, BreaksBoth, "rename", path, o.Name, n.Name, why)
	}
	if o.FieldID && n.FieldID && o.Field.ID != n.Field.ID {
		d.add(Forbidden, BreaksBoth, "field-id", path, fmt.Sprint(o.Field.ID), fmt.Sprint(n.Field.ID),
			"another field id is another column: existing files would read as null").TableRefuses = true
	}
	if o.Field.Source != n.Field.Source && o.Name == n.Name && n.Field.Source != "" {
		d.add(MinorWithPlan, BreaksNobody, "source-column", path, o.Field.Source, n.Field.Source, "values come from another column of the source")
	}
	d.word(Patch, BreaksNobody, "doc", path, o.Field.Doc, n.Field.Doc, "a description")
	d.word(MinorWithPlan, BreaksConsumers, "classification", path, o.Classification, n.Classification, "who may read the column may change")
	d.deprecated(path, o.Deprecated, n.Deprecated)
	if d.typed(o, n, path) {
		d.required(o, n, path)
		d.meaning(o, n, path)
		d.promises(o, n, path)
	}
}

func (d *differ) required(o, n *Property, path string) {
	switch {
	case o.Field.Required && !n.Field.Required:
		d.add(MinorWithPlan, BreaksConsumers, "relax-required", path, "required", "nullable", "readers meet nulls they were promised not to")
	case !o.Field.Required && n.Field.Required:
		d.add(Major, BreaksProducers, "tighten-required", path, "nullable", "required",
			"existing rows may hold nulls, and a table's column cannot become required: use a new table").TableRefuses = true
	}
}
