package lake

import (
	"fmt"
	"slices"

	"github.com/apache/iceberg-go"
)

// evolution is a comparison of two schemas by field id.
type evolution struct {
	empty   bool         // the table never had a row
	key     []int        // field ids of the key
	sources map[int]bool // field ids that the partitioning reads
	used    map[int]bool // ids of all columns that ever were
	plan    []string
	refused []error
}

func (e *evolution) note(format string, args ...any) {
	e.plan = append(e.plan, fmt.Sprintf(format, args...))
}

func (e *evolution) refuse(format string, args ...any) {
	e.refused = append(e.refused, fmt.Errorf(format, args...))
}

// compare notes how the columns (or the members of a struct called path) change.
func (e *evolution) compare(path string, have, want []iceberg.NestedField) {
	before := map[int]iceberg.NestedField{}
	for _, f := range have {
		before[f.ID] = f
	}
	after := map[int]bool{}
	for _, f := range want {
		after[f.ID] = true
	}
	for _, f := range have {
		if !after[f.ID] {
			e.drop(path, f)
		}
	}
	for _, f := range want {
		if old, ok := before[f.ID]; ok {
			e.change(path, old, f)
		} else {
			e.add(path, f)
		}
	}
	e.order(path, have, want, before, after)
}

func (e *evolution) drop(path string, f iceberg.NestedField) {
	switch {
	case slices.Contains(e.key, f.ID):
		e.refuse("column %s%s cannot be dropped: it is part of the key", path, f.Name)
	case e.sources[f.ID]:
		e.refuse("column %s%s cannot be dropped: the table is partitioned by it", path, f.Name)
	default:
		e.note("drop column %s%s", path, f.Name)
	}
}

func (e *evolution) add(path string, f iceberg.NestedField) {
	ids := map[int]bool{}
	collectIDs(f, ids)
	for id := range ids {
		if e.used[id] {
			e.refuse("column %s%s cannot have field id %d: an earlier column had it, and its values would come back", path, f.Name, id)
			return
		}
	}
	if f.Required && !e.empty {
		e.refuse("column %s%s cannot be added as required: the rows that exist have no value for it", path, f.Name)
		return
	}
	e.note("add column %s%s %s (id %d)", path, f.Name, f.Type, f.ID)
}

func (e *evolution) change(path string, old, f iceberg.NestedField) {
	name := path + f.Name
	if old.Name != f.Name {
		e.note("rename column %s%s to %s", path, old.Name, name)
	}
	switch {
	case f.Required && !old.Required && !e.empty:
		e.refuse("column %s cannot become required: rows that exist may have no value for it", name)
	case f.Required != old.Required && f.Required:
		e.note("make column %s required", name)
	case f.Required != old.Required:
		e.note("make column %s optional", name)
	}
	if old.Doc != f.Doc {
		e.note("describe column %s", name)
	}
	e.retype(name, f.ID, old.Type, f.Type)
}

// retype allows the promotions of Iceberg format 2: they change no value.
func (e *evolution) retype(name string, id int, old, next iceberg.Type) {
	switch o := old.(type) {
	case *iceberg.StructType:
		if n, ok := next.(*iceberg.StructType); ok {
			e.compare(name+".", o.FieldList, n.FieldList)
			return
		}
	case *iceberg.ListType:
		if n, ok := next.(*iceberg.ListType); ok && o.ElementID == n.ElementID {
			e.nested(name, o.Fields()[0], n.Fields()[0])
			return
		}
	case *iceberg.MapType:
		if n, ok := next.(*iceberg.MapType); ok && o.KeyID == n.KeyID && o.ValueID == n.ValueID && o.KeyType.Equals(n.KeyType) {
			e.nested(name, o.ValueField(), n.ValueField())
			return
		}
	default:
		if old.Equals(next) {
			return
		}
		if widens(old, next) {
			e.note("widen column %s from %s to %s", name, old, next)
			return
		}
	}
	e.refuse("column %s (id %d) cannot change from %s to %s", name, id, old, next)
}

func (e *evolution) nested(name string, old, next iceberg.NestedField) {
	if next.Required && !old.Required && !e.empty {
		e.refuse("elements of column %s cannot become required", name)
	} else if next.Required != old.Required {
		e.note("make elements of column %s optional", name)
	}
	e.retype(name+"[]", next.ID, old.Type, next.Type)
}

func widens(old, next iceberg.Type) bool {
	switch o := old.(type) {
	case iceberg.Int32Type:
		return next.Equals(iceberg.PrimitiveTypes.Int64)
	case iceberg.Float32Type:
		return next.Equals(iceberg.PrimitiveTypes.Float64)
	case iceberg.DecimalType:
		n, ok := next.(iceberg.DecimalType)
		return ok && n.Scale() == o.Scale() && n.Precision() > o.Precision()
	}
	return false
}

// order notes columns that both have, when they stand in another order.
func (e *evolution) order(path string, have, want []iceberg.NestedField, before map[int]iceberg.NestedField, after map[int]bool) {
	var a, b []int
	for _, f := range have {
		if after[f.ID] {
			a = append(a, f.ID)
		}
	}
	for _, f := range want {
		if _, ok := before[f.ID]; ok {
			b = append(b, f.ID)
		}
	}
	if slices.Equal(a, b) {
		// A new column that is not the last one does not move the others, but it
		// is a change that was noted already.
		return
	}
	if path == "" {
		e.note("reorder columns")
		return
	}
	e.note("reorder members of %s", path[:len(path)-1])
}
