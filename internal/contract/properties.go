package contract

import (
	"strconv"
	"strings"

	undrop "github.com/undrop/undrop"
)

// Field ids from here on belong to the metadata columns of the mart tables.
const maxFieldID = 9999

// MetadataPrefix begins the names of the columns that undrop adds to every mart table.
const MetadataPrefix = "_undrop_"

// properties compiles the columns of an object and gives every field its id.
func (k *compiler) properties(o *Object, n *node, path string) {
	nodes := n.list("properties")
	if len(nodes) == 0 {
		k.bindf(n, "bind.no-columns", path, "%s has no properties, so the table would have no columns", o.Name)
	}
	for i, p := range nodes {
		sub := path + ".properties[" + strconv.Itoa(i) + "]"
		if p.str("semanticType") == "measure" {
			k.warnf(p, "bind.measure", sub, "%s is a measure, computed from other columns: it is not landed", p.str("name"))
			continue
		}
		prop := k.property(p, p.str("name"), sub)
		if strings.HasPrefix(strings.ToLower(prop.Name), MetadataPrefix) {
			k.bindf(p.or("name"), "bind.reserved-name", sub, "names that begin with %s are undrop's own columns; rename the property and keep the source's name in physicalName", MetadataPrefix)
		}
		prop.Field.Source = prop.Name
		if s := p.str("physicalName"); s != "" {
			prop.Field.Source = s
		}
		prop.order = i
		o.Properties = append(o.Properties, prop)
	}
	k.caseClash(o.Properties, path)
	k.assignIDs(o)
	for _, p := range o.Properties {
		p.rules = k.compileRules(p)
		o.Table.Fields = append(o.Table.Fields, p.Field)
	}
}

// caseClash refuses two names that engines which ignore case cannot tell apart.
func (k *compiler) caseClash(props []*Property, path string) {
	seen := map[string]*Property{}
	for _, p := range props {
		low := strings.ToLower(p.Name)
		if first, ok := seen[low]; ok {
			k.bindf(p.at.or("name"), "bind.case-clash", path, "%s and %s differ only by case, and many engines ignore case: rename one and keep the source's name in physicalName", first.Name, p.Name)
		}
		seen[low] = p
		k.caseClash(p.Properties, p.Path)
		if p.Items != nil {
			k.caseClash(p.Items.Properties, p.Items.Path)
		}
	}
}

// property compiles one property and everything below it.
func (k *compiler) property(n *node, name, path string) *Property {
	p := &Property{
		ID: n.str("id"), Name: n.str("name"), Path: name, at: n,
		LogicalType: n.str("logicalType"), PhysicalType: n.str("physicalType"), Classification: n.str("classification"),
	}
	p.Deprecated, _ = n.flag("deprecated")
	p.PrimaryKey, _ = n.flag("primaryKey")
	p.Unique, _ = n.flag("unique")
	p.Field.Name, p.Field.SourceType, p.Field.Doc = p.Name, p.PhysicalType, n.str("description")
	p.Field.Required, _ = n.flag("required")
	c := customOf(k.report, n, path, customOnProperty, "property")
	p.Unit = c.text("undrop.unit")
	if v := c.vals["undrop.default"]; v != nil {
		p.Default, p.HasDefault = v.text, v.kind != nullNode
	}
	k.pad(p, c, path)
	onBad := func(name string) undrop.OnBad {
		if c.word(name, "quarantine", "null") == "null" {
			if p.Field.Required {
				k.bindf(c.vals[name], "bind.null-required", path, "%s: null cannot be kept by a required property", name)
			}
			return undrop.BadNull
		}
		return undrop.BadQuarantine
	}
	p.Field.OnNaN, p.Field.OnInfinity, p.Field.OnOverflow = onBad("undrop.onNaN"), onBad("undrop.onInfinity"), onBad("undrop.onOverflow")
	if id := c.number("undrop.fieldId", 1, maxFieldID); id != nil {
		p.Field.ID, p.FieldID = *id, true
	}
	k.options(p, n, path)
	p.Quality = k.quality(n)
	p.Field.Type = k.typeOf(p, n, c, path)
	return p
}

// pad reads undrop.pad: what becomes of the blanks at the end of a char(n).
// PostgreSQL prints them, and so does the table: keep, the default.
func (k *compiler) pad(p *Property, c custom, path string) {
	p.Pad = c.word("undrop.pad", "keep", "trim")
	if c.vals["undrop.pad"] == nil {
		return
	}
	if parsePhysical(p.PhysicalType).base != "char" {
		k.errorf(c.vals["undrop.pad"], "undrop.value", path, "undrop.pad is for a char(n); physicalType is %q", p.PhysicalType)
	} else if p.Pad == "trim" {
		k.bindf(c.vals["undrop.pad"], "bind.pad", path, "trimming the blanks of a char(n) is not carried yet: say keep, and trim in the reader")
	}
}

// typeOf decides the type of p and compiles its parts.
func (k *compiler) typeOf(p *Property, n *node, c custom, path string) undrop.Type {
	phys := parsePhysical(p.PhysicalType)
	switch {
	case p.LogicalType == "array", p.LogicalType == "" && phys.array:
		return k.list(p, n, phys, path)
	case p.LogicalType == "map":
		return k.mapOf(p, n, path)
	case p.LogicalType == "object":
		return k.structOf(p, n, phys, path)
	case p.LogicalType == "vector":
		return k.vector(p, n, path)
	}
	if phys.array && p.LogicalType != "string" {
		k.bindf(n.or("physicalType"), "bind.type", path, "physicalType %s is an array; logicalType is %s", p.PhysicalType, p.LogicalType)
		return undrop.Type{}
	}
	y := typing{logical: p.LogicalType, phys: phys, format: p.Format,
		precision: c.number("undrop.precision", 1, 38), scale: c.number("undrop.scale", 0, 38)}
	if tz, set := n.get("logicalTypeOptions").flag("timezone"); set {
		y.timezone = &tz
	}
	t, err := y.scalar()
	if err != nil {
		k.bindf(n.or("logicalType"), "bind.type", path, "%s: %v", p.Path, err)
		return undrop.Type{}
	}
	if (phys.base == "int8" && t.Kind == undrop.Int32) || (phys.base == "float8" && t.Kind == undrop.Float32) {
		k.warnf(n.or("logicalTypeOptions"), "bind.narrow", path, "%s is %s in the source and %s here: values that do not fit are quarantined", p.Path, p.PhysicalType, t)
	}
	return t
}

func (k *compiler) list(p *Property, n *node, phys physical, path string) undrop.Type {
	items := n.get("items")
	if items == nil {
		if !phys.array {
			k.bindf(n, "bind.items", path, "%s is an array of what? Give it items with a logicalType", p.Path)
			return undrop.Type{}
		}
		t, err := (typing{phys: phys.element()}).scalar()
		if err != nil {
			k.bindf(n.or("physicalType"), "bind.type", path, "%s: %v; give it items with a logicalType", p.Path, err)
			return undrop.Type{}
		}
		p.Items = &Property{Path: p.Path + "[]", Field: undrop.Field{Type: t}, at: n}
		return undrop.Type{Kind: undrop.List, Elem: &t}
	}
	p.Items = k.property(items, p.Path+"[]", path+".items")
	if p.Items.Field.Required {
		k.warnf(items.or("required"), "bind.element-null", path, "elements of a list may be null in the table; required items are checked on every row instead")
	}
	elem := p.Items.Field.Type
	if elem.Kind == undrop.Invalid {
		return undrop.Type{}
	}
	return undrop.Type{Kind: undrop.List, Elem: &elem}
}

func (k *compiler) mapOf(p *Property, n *node, path string) undrop.Type {
	p.Key = k.property(n.get("map").get("key"), p.Path+".key", path+".map.key")
	p.Items = k.property(n.get("map").get("value"), p.Path+".value", path+".map.value")
	key, value := p.Key.Field.Type, p.Items.Field.Type
	if key.Kind == undrop.Invalid || value.Kind == undrop.Invalid {
		return undrop.Type{}
	}
	if key.Nested() || key.Kind == undrop.Float32 || key.Kind == undrop.Float64 {
		k.bindf(n.get("map").or("key"), "bind.map-key", path, "a map key cannot be a %s", key)
		return undrop.Type{}
	}
	return undrop.Type{Kind: undrop.Map, Key: &key, Elem: &value}
}

// structOf is a struct with declared fields, or the text of a JSON document.
func (k *compiler) structOf(p *Property, n *node, phys physical, path string) undrop.Type {
	props := n.list("properties")
	if len(props) == 0 {
		if phys.base == "json" || phys.base == "jsonb" || phys.base == "xml" || phys.base == "hstore" {
			return undrop.Type{Kind: undrop.String}
		}
		k.bindf(n, "bind.empty-struct", path, "%s is an object without properties, which no table can hold: list them, or declare logicalType: string", p.Path)
		return undrop.Type{}
	}
	t := undrop.Type{Kind: undrop.Struct} // its fields are filled once they have ids
	for i, sub := range props {
		child := k.property(sub, p.Path+"."+sub.str("name"), path+".properties["+strconv.Itoa(i)+"]")
		child.Field.Source = child.Name
		if s := sub.str("physicalName"); s != "" {
			child.Field.Source = s
		}
		child.order = i
		p.Properties = append(p.Properties, child)
		if child.Field.Type.Kind == undrop.Invalid {
			t = undrop.Type{}
		}
	}
	requireListed(p, n)
	return t
}

func (k *compiler) vector(p *Property, n *node, path string) undrop.Type {
	o := n.get("logicalTypeOptions")
	t := undrop.Type{Kind: undrop.Float32}
	switch e := o.str("elementType"); e {
	case "", "float32":
	case "float64":
		t.Kind = undrop.Float64
	default:
		k.bindf(o.or("elementType"), "bind.type", path, "a vector of %s is not carried: declare logicalType: string", e)
		return undrop.Type{}
	}
	p.Items = &Property{Path: p.Path + "[]", Field: undrop.Field{Type: t}, at: n}
	if d, err := strconv.Atoi(o.str("dimensions")); err == nil {
		p.MinItems, p.MaxItems = &d, &d
	}
	return undrop.Type{Kind: undrop.List, Elem: &t}
}
