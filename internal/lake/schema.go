package lake

import (
	"errors"
	"fmt"
	"slices"

	"github.com/apache/iceberg-go"

	undrop "github.com/undrop/undrop"
)

// The field ids of the metadata columns. Contracted columns have ids below them.
const (
	idSource = 10001
	idLSN    = 10002
	idSeq    = 10003
	idAt     = 10004
	idLane   = 10005
	idOp     = 10006
)

const (
	metaSource = "_undrop_source"
	metaLane   = "_undrop_lane"
)

// IcebergSchema is the schema of the mart table that a contract asks for: the
// contracted columns with their own field ids, then the metadata columns. The key
// of a mirror is its identifier. In a history only key columns are required: the
// row of a delete holds nothing else.
func IcebergSchema(t *undrop.Table) *iceberg.Schema {
	fields := make([]iceberg.NestedField, 0, len(t.Fields)+6)
	for i, f := range t.Fields {
		n := icebergField(f)
		switch {
		case t.Mode == undrop.History:
			n.Required = t.IsKey(i)
		case t.IsKey(i):
			n.Required = true
		}
		fields = append(fields, n)
	}
	meta := func(id int, name string, typ iceberg.Type, doc string) {
		fields = append(fields, iceberg.NestedField{ID: id, Name: name, Type: typ, Required: true, Doc: doc})
	}
	meta(idSource, metaSource, iceberg.PrimitiveTypes.String, "source that the row comes from")
	meta(idLSN, metaLSN, iceberg.PrimitiveTypes.Int64, "position of the commit in the source's log")
	meta(idSeq, metaSeq, iceberg.PrimitiveTypes.Int64, "number of the change in its transaction, from 1; 0: read from a snapshot")
	meta(idAt, metaAt, iceberg.PrimitiveTypes.TimestampTz, "when the source committed it")
	meta(idLane, metaLane, iceberg.PrimitiveTypes.String, "how the row came here: snapshot, stream, replay, repair or reserve:NAME")
	if t.Mode == undrop.History {
		meta(idOp, metaOp, iceberg.PrimitiveTypes.String, "r read, c create, u update, d delete, t truncate")
	}
	return iceberg.NewSchemaWithIdentifiers(0, identifiers(t), fields...)
}

// identifiers are the field ids of a mirror's key. Iceberg does not let floating
// point columns identify rows.
func identifiers(t *undrop.Table) []int {
	if t.Mode != undrop.Mirror {
		return nil
	}
	var ids []int
	for _, k := range t.Key {
		if kind := t.Fields[k].Type.Kind; kind == undrop.Float32 || kind == undrop.Float64 || t.Fields[k].Type.Nested() {
			return nil
		}
		ids = append(ids, t.Fields[k].ID)
	}
	slices.Sort(ids)
	return ids
}

func icebergField(f undrop.Field) iceberg.NestedField {
	return iceberg.NestedField{ID: f.ID, Name: f.Name, Type: icebergType(f.Type), Required: f.Required, Doc: f.Doc}
}

func icebergType(t undrop.Type) iceberg.Type {
	switch t.Kind {
	case undrop.Bool:
		return iceberg.PrimitiveTypes.Bool
	case undrop.Int32:
		return iceberg.PrimitiveTypes.Int32
	case undrop.Int64:
		return iceberg.PrimitiveTypes.Int64
	case undrop.Float32:
		return iceberg.PrimitiveTypes.Float32
	case undrop.Float64:
		return iceberg.PrimitiveTypes.Float64
	case undrop.Decimal:
		return iceberg.DecimalTypeOf(t.Precision, t.Scale)
	case undrop.String:
		return iceberg.PrimitiveTypes.String
	case undrop.Binary:
		return iceberg.PrimitiveTypes.Binary
	case undrop.UUID:
		return iceberg.PrimitiveTypes.UUID
	case undrop.Date:
		return iceberg.PrimitiveTypes.Date
	case undrop.Time:
		return iceberg.PrimitiveTypes.Time
	case undrop.Timestamp:
		return iceberg.PrimitiveTypes.Timestamp
	case undrop.TimestampTZ:
		return iceberg.PrimitiveTypes.TimestampTz
	case undrop.List:
		return &iceberg.ListType{ElementID: t.ElemID, Element: icebergType(*t.Elem)}
	case undrop.Map:
		return &iceberg.MapType{KeyID: t.KeyID, KeyType: icebergType(*t.Key), ValueID: t.ElemID, ValueType: icebergType(*t.Elem)}
	case undrop.Struct:
		fields := make([]iceberg.NestedField, len(t.Fields))
		for i, f := range t.Fields {
			fields[i] = icebergField(f)
		}
		return &iceberg.StructType{FieldList: fields}
	default: // a compiled contract has no other kinds
		panic(fmt.Sprintf("lake: no Iceberg type for kind %d", t.Kind))
	}
}

// PartitionSpec is the partitioning that a contract asks for. A mirror may be
// partitioned by its key only: an equality delete acts inside one partition, so
// the key must say which.
func PartitionSpec(t *undrop.Table, schema *iceberg.Schema) (iceberg.PartitionSpec, error) {
	var opts []iceberg.PartitionOption
	names := map[string]bool{}
	for i, p := range t.Partition {
		opt, err := partitionField(t, schema, p, 1000+i, names)
		if err != nil {
			return iceberg.PartitionSpec{}, partitionError(t, err)
		}
		opts = append(opts, opt)
	}
	if len(opts) == 0 {
		return *iceberg.UnpartitionedSpec, nil
	}
	spec, err := iceberg.NewPartitionSpecOpts(opts...)
	if err != nil {
		return iceberg.PartitionSpec{}, partitionError(t, err)
	}
	return spec, nil
}

func partitionError(t *undrop.Table, err error) error {
	return &undrop.Error{Code: undrop.BadInput, Op: "partition table " + t.String(), Err: err,
		Hint: "correct undrop.partition in the contract, then: undrop contract lint"}
}

func partitionField(t *undrop.Table, schema *iceberg.Schema, p undrop.Transform, id int, names map[string]bool) (iceberg.PartitionOption, error) {
	if p.Field < 0 || p.Field >= len(t.Fields) {
		return nil, errors.New("a transform names no column")
	}
	f := t.Fields[p.Field]
	if t.Mode == undrop.Mirror && !t.IsKey(p.Field) {
		return nil, fmt.Errorf("column %s is not part of the key, and a mirror can be partitioned by its key only", f.Name)
	}
	transform, suffix, err := transformOf(p)
	if err != nil {
		return nil, err
	}
	if f.Type.Kind == undrop.Float32 || f.Type.Kind == undrop.Float64 || !transform.CanTransform(icebergType(f.Type)) {
		return nil, fmt.Errorf("%s does not take column %s, a %s", p.Name, f.Name, f.Type)
	}
	name := f.Name + suffix
	for n := 2; names[name] || suffix != "" && hasColumn(schema, name); n++ {
		name = fmt.Sprint(f.Name, suffix, "_", n) // a partition may not be named like another, or like a column
	}
	names[name] = true
	return iceberg.AddPartitionFieldBySourceID(f.ID, name, transform, schema, &id), nil
}

func transformOf(p undrop.Transform) (t iceberg.Transform, suffix string, err error) {
	switch p.Name {
	case "identity":
		return iceberg.IdentityTransform{}, "", nil
	case "bucket":
		t, suffix = iceberg.BucketTransform{NumBuckets: p.Param}, "_bucket"
	case "truncate":
		t, suffix = iceberg.TruncateTransform{Width: p.Param}, "_trunc"
	case "year":
		return iceberg.YearTransform{}, "_year", nil
	case "month":
		return iceberg.MonthTransform{}, "_month", nil
	case "day":
		return iceberg.DayTransform{}, "_day", nil
	case "hour":
		return iceberg.HourTransform{}, "_hour", nil
	default:
		return nil, "", fmt.Errorf("there is no transform %q", p.Name)
	}
	if p.Param < 1 {
		return nil, "", fmt.Errorf("%s needs a positive number", p.Name)
	}
	return t, suffix, nil
}

func hasColumn(schema *iceberg.Schema, name string) bool {
	_, ok := schema.FindFieldByName(name)
	return ok
}
