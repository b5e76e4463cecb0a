package contract

import (
	undrop "github.com/undrop/undrop"
)

// assignIDs gives every field without undrop.fieldId the next free id: columns
// first, in order, then the parts of nested columns. The same file always gets
// the same ids; write undrop.fieldId to keep them over versions that insert
// columns, or call AdoptIDs.
func (k *compiler) assignIDs(o *Object) {
	used := map[int]*Property{}
	each(o.Properties, func(p *Property) {
		if !p.FieldID {
			return
		}
		if first, ok := used[p.Field.ID]; ok {
			k.errorf(p.at, "undrop.field-id", p.Path, "undrop.fieldId %d of %s is already that of %s", p.Field.ID, p.Path, first.Path)
		}
		used[p.Field.ID] = p
	})
	number(o, used)
}

// number fills the ids that are zero and rebuilds the types that hold them.
func number(o *Object, used map[int]*Property) {
	next := 1
	each(o.Properties, func(p *Property) {
		if p.Field.ID != 0 {
			return
		}
		for used[next] != nil {
			next++
		}
		p.Field.ID = next
		used[next] = p
	})
	for _, p := range o.Properties {
		p.retype()
	}
}

// each visits properties level by level: all columns, then their parts.
func each(props []*Property, visit func(*Property)) {
	for level := props; len(level) > 0; {
		var below []*Property
		for _, p := range level {
			visit(p)
			if p.Key != nil {
				below = append(below, p.Key)
			}
			if p.Items != nil {
				below = append(below, p.Items)
			}
			below = append(below, p.Properties...)
		}
		level = below
	}
}

// retype writes the ids of the parts into the type.
func (p *Property) retype() {
	t := &p.Field.Type
	for _, c := range p.Properties {
		c.retype()
	}
	if p.Key != nil {
		p.Key.retype()
	}
	if p.Items != nil {
		p.Items.retype()
	}
	switch t.Kind {
	case undrop.Struct:
		t.Fields = nil
		for _, c := range p.Properties {
			t.Fields = append(t.Fields, c.Field)
		}
	case undrop.List, undrop.Map:
		elem := p.Items.Field.Type
		t.Elem, t.ElemID = &elem, p.Items.Field.ID
		if t.Kind == undrop.Map {
			key := p.Key.Field.Type
			t.Key, t.KeyID = &key, p.Key.Field.ID
		}
	}
}

// AdoptIDs gives the fields of o the ids that the same fields have in old, an
// earlier version of the object; new fields get ids above all old ones, so a
// dropped column's id is never used again. Ids that are written in the file stay.
func (o *Object) AdoptIDs(old *Object) {
	used := map[int]*Property{}
	top := 0
	each(old.Properties, func(p *Property) {
		top = max(top, p.Field.ID)
		used[p.Field.ID] = p
	})
	each(o.Properties, func(p *Property) {
		if p.FieldID {
			used[p.Field.ID] = p
			top = max(top, p.Field.ID)
		} else {
			p.Field.ID = 0
		}
	})
	adoptLevel(o.Properties, old.Properties)
	each(o.Properties, func(p *Property) {
		if p.Field.ID == 0 {
			top++
			p.Field.ID = top
		}
	})
	number(o, used)
	for i, p := range o.Properties {
		o.Table.Fields[i] = p.Field
	}
}

func adoptLevel(props, old []*Property) {
	pairs := match(old, props)
	for _, m := range pairs {
		if m.old != nil && m.new != nil {
			adopt(m.new, m.old)
		}
	}
}

func adopt(p, old *Property) {
	if p.Field.ID == 0 {
		p.Field.ID = old.Field.ID
	}
	if p.Key != nil && old.Key != nil {
		adopt(p.Key, old.Key)
	}
	if p.Items != nil && old.Items != nil {
		adopt(p.Items, old.Items)
	}
	adoptLevel(p.Properties, old.Properties)
}

// pair is a property in two versions; one side is nil when it was added or dropped.
type pair struct{ old, new *Property }

// match finds the same property in two versions: by ODCS id, else by a written
// undrop.fieldId, else by name. Two different ids under one name are two
// properties. Pairs come in the new order, dropped properties last.
func match(old, new []*Property) []pair {
	taken := map[*Property]*Property{} // new -> old
	gone := map[*Property]bool{}
	same := func(is func(o, n *Property) bool) {
		for _, n := range new {
			if taken[n] != nil {
				continue
			}
			for _, o := range old {
				if !gone[o] && is(o, n) {
					taken[n], gone[o] = o, true
					break
				}
			}
		}
	}
	same(func(o, n *Property) bool { return o.ID != "" && o.ID == n.ID })
	same(func(o, n *Property) bool { return o.FieldID && n.FieldID && o.Field.ID == n.Field.ID })
	same(func(o, n *Property) bool {
		return o.Name == n.Name && (o.ID == "" || n.ID == "" || o.ID == n.ID) && (!o.FieldID || !n.FieldID || o.Field.ID == n.Field.ID)
	})
	var pairs []pair
	for _, n := range new {
		pairs = append(pairs, pair{taken[n], n})
	}
	for _, o := range old {
		if !gone[o] {
			pairs = append(pairs, pair{o, nil})
		}
	}
	return pairs
}
