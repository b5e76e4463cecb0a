package lake

import (
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/schema"
	"github.com/apache/iceberg-go"

	undrop "github.com/undrop/undrop"
)

// leaf is one Parquet column.
type leaf struct {
	id       int // field id
	typ      undrop.Type
	phys     physical
	width    int   // bytes of a physFixed value
	maxDef   int16 // definition level of a value that is there
	maxRep   int16
	required bool
	dict     bool // try a dictionary
	path     string
}

// shape is one column of the table: a leaf, or a tree with leaves.
type shape struct {
	col    int // index into Table.Fields, -1 for a metadata column
	meta   int // field id of a metadata column
	typ    undrop.Type
	leaf   int // its number, or the number of its first leaf
	leaves int
	name   string
	// For a tree.
	required bool
	def      int16 // definition level of a value that is there
	rep      int16 // repetition level of the items of a list or map
	children []shape
}

// layout is how rows of one table become Parquet columns; it does not change.
type layout struct {
	root   *schema.GroupNode
	props  *parquet.WriterProperties
	leaves []leaf
	shapes []shape
}

// newLayout lays out the columns of c's schema that keep accepts; all if nil.
// Columns that the contract does not know are left out: readers see null.
func newLayout(c *WriterConfig, keep func(id int) bool) (*layout, error) {
	byID := map[int]int{}
	for i, f := range c.Table.Fields {
		byID[f.ID] = i
		if _, ok := c.Schema.FindFieldByID(f.ID); !ok && (keep == nil || keep(f.ID)) {
			return nil, fmt.Errorf("the table has no column with the field id %d of %s: its schema must follow the contract first", f.ID, f.Name)
		}
	}
	l := &layout{}
	var nodes schema.FieldList
	for _, f := range c.Schema.Fields() {
		if keep != nil && !keep(f.ID) {
			continue
		}
		s := shape{col: -1, meta: f.ID, name: f.Name, required: f.Required}
		field := undrop.Field{ID: f.ID, Name: f.Name, Required: f.Required}
		if i, ok := byID[f.ID]; ok {
			s.col, s.meta = i, 0
			field.Type = c.Table.Fields[i].Type
			if err := storable(icebergType(field.Type), f.Type); err != nil {
				return nil, fmt.Errorf("column %s: %w", f.Name, err)
			}
		} else if field.Type, ok = metaTypes[f.ID]; !ok {
			if f.Required {
				return nil, fmt.Errorf("column %s of the table is required and the contract does not have it", f.Name)
			}
			continue
		}
		node, err := l.node(&s, field, 0, 0)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", f.Name, err)
		}
		nodes = append(nodes, node)
		l.shapes = append(l.shapes, s)
	}
	if len(nodes) == 0 {
		return nil, errors.New("there is no column to write")
	}
	var err error
	if l.root, err = schema.NewGroupNode("table", parquet.Repetitions.Required, nodes, -1); err != nil {
		return nil, err
	}
	l.number(c)
	return l, nil
}

// metaTypes are the types of the metadata columns.
var metaTypes = map[int]undrop.Type{
	idSource: {Kind: undrop.String},
	idLSN:    {Kind: undrop.Int64},
	idSeq:    {Kind: undrop.Int64},
	idAt:     {Kind: undrop.TimestampTZ},
	idLane:   {Kind: undrop.String},
	idOp:     {Kind: undrop.String},
}

// storable refuses values of a type that the table's column cannot hold exactly.
// A column that was widened may still get files of the old type.
func storable(have, column iceberg.Type) error {
	switch h := have.(type) {
	case *iceberg.ListType:
		if c, ok := column.(*iceberg.ListType); ok && c.ElementID == h.ElementID {
			return storable(h.Element, c.Element)
		}
	case *iceberg.MapType:
		if c, ok := column.(*iceberg.MapType); ok && c.KeyID == h.KeyID && c.ValueID == h.ValueID {
			return errors.Join(storable(h.KeyType, c.KeyType), storable(h.ValueType, c.ValueType))
		}
	case *iceberg.StructType:
		c, ok := column.(*iceberg.StructType)
		if !ok {
			break
		}
		members := map[int]iceberg.Type{}
		for _, f := range c.FieldList {
			members[f.ID] = f.Type
		}
		for _, f := range h.FieldList {
			if members[f.ID] == nil {
				return fmt.Errorf("the table has no member %s", f.Name)
			}
			if err := storable(f.Type, members[f.ID]); err != nil {
				return fmt.Errorf("member %s: %w", f.Name, err)
			}
		}
		return nil
	default:
		if have.Equals(column) || widens(have, column) {
			return nil
		}
	}
	return fmt.Errorf("the contract has %s, the table %s: its schema must follow the contract first", have, column)
}

// node makes the Parquet node of f and completes s. def and rep are the levels of
// what is around it.
func (l *layout) node(s *shape, f undrop.Field, def, rep int16) (schema.Node, error) {
	r := parquet.Repetitions.Required
	if !f.Required {
		r = parquet.Repetitions.Optional
		def++
	}
	s.typ, s.required, s.def, s.rep, s.leaf = f.Type, f.Required, def, rep, len(l.leaves)
	defer func() { s.leaves = len(l.leaves) - s.leaf }()
	id := int32(f.ID)
	group := func(r parquet.Repetition, logical schema.LogicalType, name string, id int32, fields ...schema.Node) (schema.Node, error) {
		if logical == nil {
			return schema.NewGroupNode(name, r, fields, id)
		}
		return schema.NewGroupNodeLogical(name, r, fields, logical, id)
	}
	t := f.Type
	switch t.Kind {
	case undrop.Struct:
		if len(t.Fields) == 0 {
			return nil, errors.New("a struct without members cannot be stored")
		}
		s.children = make([]shape, len(t.Fields))
		nodes := make(schema.FieldList, len(t.Fields))
		for i, m := range t.Fields {
			var err error
			s.children[i].name = m.Name
			if nodes[i], err = l.node(&s.children[i], m, def, rep); err != nil {
				return nil, err
			}
		}
		return group(r, nil, f.Name, id, nodes...)
	case undrop.List:
		s.rep = rep + 1
		s.children = make([]shape, 1)
		elem, err := l.node(&s.children[0], undrop.Field{ID: t.ElemID, Name: "element", Type: *t.Elem}, def+1, s.rep)
		if err != nil {
			return nil, err
		}
		list, err := group(parquet.Repetitions.Repeated, nil, "list", -1, elem)
		if err != nil {
			return nil, err
		}
		return group(r, schema.NewListLogicalType(), f.Name, id, list)
	case undrop.Map:
		s.rep = rep + 1
		s.children = make([]shape, 2)
		key, err := l.node(&s.children[0], undrop.Field{ID: t.KeyID, Name: "key", Type: *t.Key, Required: true}, def+1, s.rep)
		if err != nil {
			return nil, err
		}
		value, err := l.node(&s.children[1], undrop.Field{ID: t.ElemID, Name: "value", Type: *t.Elem}, def+1, s.rep)
		if err != nil {
			return nil, err
		}
		pairs, err := group(parquet.Repetitions.Repeated, nil, "key_value", -1, key, value)
		if err != nil {
			return nil, err
		}
		return group(r, schema.MapLogicalType{}, f.Name, id, pairs)
	}
	s.name = f.Name
	lf := leaf{id: f.ID, typ: t, maxDef: def, maxRep: rep, required: f.Required}
	var logical schema.LogicalType
	lf.phys, lf.width, logical = store(t)
	l.leaves = append(l.leaves, lf)
	if logical == nil {
		// An integer has no annotation: readers that promote int to long fail on it.
		return schema.NewPrimitiveNode(f.Name, r, physicalTypes[lf.phys], id, -1)
	}
	return schema.NewPrimitiveNodeLogical(f.Name, r, logical, physicalTypes[lf.phys], max(lf.width, -1), id)
}

// pageBytes is the size of a page before compression: larger ones take memory and
// no less time.
const pageBytes = 256 << 10

// number gives the leaves their paths and chooses encodings.
func (l *layout) number(c *WriterConfig) {
	opts := []parquet.WriterProperty{
		parquet.WithDictionaryDefault(false),
		parquet.WithCompression(compress.Codecs.Zstd),
		parquet.WithCompressionLevel(1),
		parquet.WithDataPageVersion(parquet.DataPageV1),
		parquet.WithDataPageSize(pageBytes),
		parquet.WithBatchSize(chunkRows),
		parquet.WithMaxStatsSize(256),
	}
	sc := schema.NewSchema(l.root)
	for i := range l.leaves {
		lf := &l.leaves[i]
		lf.path = sc.Column(i).Path()
		switch {
		case lf.maxRep > 0 || lf.maxDef > 1:
		case lf.phys == physBytes, lf.id == idLSN || lf.id == idSeq || lf.id == idAt:
			lf.dict = true
			opts = append(opts, parquet.WithDictionaryFor(lf.path, true))
		}
		switch {
		case lf.typ.Kind == undrop.UUID:
			// Readers disagree about the order of UUIDs.
			opts = append(opts, parquet.WithStatsFor(lf.path, false))
		case lf.dict || !c.Delta:
		case lf.phys == phys32 || lf.phys == phys64:
			opts = append(opts, parquet.WithEncodingFor(lf.path, parquet.Encodings.DeltaBinaryPacked))
		case lf.phys == physBytes:
			opts = append(opts, parquet.WithEncodingFor(lf.path, parquet.Encodings.DeltaLengthByteArray))
		}
	}
	l.props = parquet.NewWriterProperties(opts...)
}
