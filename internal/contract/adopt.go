package contract

// AdoptNames gives the fields of o the ids that a live table has for the same
// names, and new fields ids above every id that the table's own columns use. Ids
// that are written in the file stay. find answers for Iceberg's paths:
// "address.street", "tags.element", "labels.key", "labels.value".
func (o *Object) AdoptNames(find func(path string) (id int, ok bool), top int) {
	used := map[int]*Property{}
	adoptNames(o.Properties, "", find, func(p *Property, id int, ok bool) {
		switch {
		case p.FieldID:
		case ok:
			p.Field.ID = id
		default:
			p.Field.ID = 0
		}
		if p.Field.ID != 0 {
			used[p.Field.ID] = p
			top = max(top, p.Field.ID)
		}
	})
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

func adoptNames(props []*Property, prefix string, find func(string) (int, bool), visit func(*Property, int, bool)) {
	var one func(p *Property, path string)
	one = func(p *Property, path string) {
		id, ok := find(path)
		visit(p, id, ok)
		if p.Key != nil {
			one(p.Key, path+".key")
			if p.Items != nil {
				one(p.Items, path+".value")
			}
		} else if p.Items != nil {
			one(p.Items, path+".element")
		}
		adoptNames(p.Properties, path+".", find, visit)
	}
	for _, p := range props {
		one(p, prefix+p.Field.Name)
	}
}
