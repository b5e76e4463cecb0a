package contract

import (
	"strings"

	undrop "github.com/undrop/undrop"
)

// drafted is how a live column is written in a contract.
type drafted struct {
	logical  string
	options  string // inside of logicalTypeOptions, in flow form
	physical string
	enum     []string
	items    *drafted
	comment  string // what becomes of values that the type cannot hold
	owner    string // what only an owner can decide
	note     string // for the person who asked
}

// draftType picks the narrowest type that holds every value that the live column
// holds, as far as it was looked at. What it could hold beyond that is said in
// the comment: such a value would be quarantined.
func draftType(c undrop.RelationColumn) drafted {
	physical := c.Type
	if c.Class == "domain" && c.Base != "" {
		physical = c.Base
	}
	phys := parsePhysical(physical)
	switch {
	case c.Class == "array" || phys.array:
		return draftArray(c, physical)
	case len(c.Enum) > 0 || c.Class == "enum":
		return drafted{logical: "string", physical: c.Type, enum: c.Enum, comment: "a label added in the source is quarantined until it is added here"}
	case c.Class == "composite":
		return drafted{logical: "string", physical: c.Type, comment: "the record as PostgreSQL prints it; declare logicalType: object and its properties for a struct"}
	}
	t := draftScalar(c, phys)
	t.physical = physical
	return t
}

func draftScalar(c undrop.RelationColumn, phys physical) drafted {
	text := func(comment string) drafted { return drafted{logical: "string", comment: comment} }
	switch phys.base {
	case "int2":
		return drafted{logical: "integer", options: "format: i16"}
	case "int4":
		return drafted{logical: "integer", options: "format: i32"}
	case "int8":
		return drafted{logical: "integer", options: "format: i64"}
	case "oid", "xid", "cid":
		return drafted{logical: "integer", options: "format: u32"}
	case "xid8":
		return drafted{logical: "integer", options: "format: u64"}
	case "float4", "float8":
		return draftFloat(c, phys)
	case "numeric":
		return draftNumeric(c, phys)
	case "bool":
		return drafted{logical: "boolean"}
	case "bit":
		if len(phys.args) == 0 || phys.args[0] == 1 {
			return drafted{logical: "boolean"}
		}
		return text("the bits as text of 0 and 1")
	case "varbit":
		return text("the bits as text of 0 and 1")
	case "char":
		return text("the blanks at the end are kept, as PostgreSQL prints them")
	case "money":
		return text("prints by the server's locale, so text")
	case "date":
		if c.HasInfinity || c.OutOfRange {
			t := text("text: some live values are infinity or outside the years 0001 to 9999")
			t.note = "holds infinity or years outside 0001 to 9999 and is drafted as text"
			return t
		}
		return drafted{logical: "date", comment: "infinity and years outside 0001 to 9999 would be quarantined"}
	case "timestamp", "timestamptz":
		return draftTimestamp(c, phys)
	case "time":
		return text("text: some readers cannot read a table with a time column")
	case "timetz":
		return text("text: no table has a time of day with a zone")
	case "interval":
		return text("text: months and days have no fixed length")
	case "json", "jsonb":
		return text("the document's text")
	}
	return drafted{logical: "string"}
}

// draftFloat stays native: the table's floats hold NaN and the infinities, but a
// row with one is quarantined unless the contract says otherwise, so a column
// that has them is text.
func draftFloat(c undrop.RelationColumn, phys physical) drafted {
	if c.HasNaN || c.HasInfinity {
		return drafted{logical: "string", comment: "text: some live values are NaN or infinite",
			note: "holds NaN or infinity and is drafted as text"}
	}
	format := "format: f64"
	if phys.base == "float4" {
		format = "format: f32"
	}
	return drafted{logical: "number", options: format, comment: "NaN and infinity would be quarantined"}
}

func draftNumeric(c undrop.RelationColumn, phys physical) drafted {
	if len(phys.args) == 0 {
		return drafted{logical: "string", comment: "numeric without a scale holds up to 131072 digits, so text",
			owner: "if a precision and a scale hold every value, say logicalType: number with undrop.precision and undrop.scale",
			note:  "numeric without precision and scale is drafted as text; declare undrop.precision and undrop.scale to make it a number"}
	}
	t, err := decimalOf(phys.args)
	if err != nil {
		return drafted{logical: "string", comment: "more digits than a decimal(38) holds, so text", note: "has more than 38 digits and is drafted as text"}
	}
	if c.HasNaN || c.HasInfinity {
		return drafted{logical: "string", comment: "text: some live values are NaN", note: "holds NaN, which no " + t.String() + " can, and is drafted as text"}
	}
	return drafted{logical: "number", comment: "NaN would be quarantined"}
}

func draftTimestamp(c undrop.RelationColumn, phys physical) drafted {
	if c.HasInfinity || c.OutOfRange {
		return drafted{logical: "string", comment: "text: some live values are infinity or outside the years 0001 to 9999",
			note: "holds infinity or years outside 0001 to 9999 and is drafted as text"}
	}
	zone := "timezone: false"
	if phys.base == "timestamptz" {
		zone = "timezone: true"
	}
	return drafted{logical: "timestamp", options: zone, comment: "infinity and years outside 0001 to 9999 would be quarantined"}
}

// atRisk reports whether the draft depends on what a look at the rows found.
func atRisk(c undrop.RelationColumn) bool {
	if c.Looked || c.Generated {
		return false
	}
	plain, doubt := c, c
	doubt.HasNaN, doubt.HasInfinity, doubt.OutOfRange, doubt.Nested = true, true, true, true
	a, b := draftType(plain), draftType(doubt)
	return a.logical != b.logical || a.items != nil && a.items.logical != b.items.logical
}

// listable are the element types that a list carries exactly.
var listable = map[string]bool{"int2": true, "int4": true, "int8": true, "oid": true, "float4": true, "float8": true, "numeric": true,
	"bool": true, "varchar": true, "text": true, "char": true, "citext": true, "name": true, "uuid": true, "bytea": true,
	"date": true, "timestamp": true, "timestamptz": true, "time": true, "timetz": true, "interval": true, "json": true, "jsonb": true,
	"inet": true, "cidr": true, "macaddr": true, "money": true}

func draftArray(c undrop.RelationColumn, physical string) drafted {
	element := c
	element.Class, element.Type = "base", c.Base
	if c.Class != "array" || c.Base == "" { // a domain over an array
		element.Type = strings.TrimSuffix(physical, "[]")
	}
	element.Base = element.Type
	if len(c.Enum) > 0 {
		element.Class = "enum"
	}
	text := drafted{logical: "string", physical: physical}
	switch {
	case c.Nested:
		text.comment = "text: some live arrays have several dimensions or begin at another index than 1"
		text.note = "holds arrays of several dimensions or other lower bounds and is drafted as text"
		return text
	case strings.HasSuffix(element.Type, "[]"):
		text.comment = "an array of arrays, as PostgreSQL prints it"
		return text
	case len(c.Members) > 0 || len(c.Enum) == 0 && !listable[parsePhysical(element.Type).base]:
		text.comment = "the array as PostgreSQL prints it"
		return text
	}
	items := draftType(element)
	owner, note := items.owner, items.note
	items.owner, items.note = "", ""
	return drafted{logical: "array", physical: physical, items: &items, owner: owner, note: note,
		comment: "arrays of several dimensions or with another lower bound than 1 would be quarantined"}
}
