package lake

import (
	"fmt"
	"strings"

	"github.com/apache/iceberg-go"

	undrop "github.com/undrop/undrop"
)

// TableOf describes an Iceberg schema in the vocabulary of batches, so that rows
// of any table can be read into one: the inverse of IcebergSchema. undrop's own
// columns are left out unless meta asks for them.
func TableOf(schema *iceberg.Schema, name undrop.TableName, meta bool) (*undrop.Table, error) {
	t := &undrop.Table{TableName: name, Mode: undrop.Mirror}
	for _, f := range schema.Fields() {
		if strings.HasPrefix(f.Name, "_undrop_") && !meta {
			continue
		}
		field, err := fieldOf(f)
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", name, err)
		}
		for _, id := range schema.IdentifierFieldIDs {
			if id == f.ID {
				t.Key = append(t.Key, len(t.Fields))
			}
		}
		t.Fields = append(t.Fields, field)
	}
	return t, nil
}

func fieldOf(f iceberg.NestedField) (undrop.Field, error) {
	typ, err := typeOf(f.Type)
	if err != nil {
		return undrop.Field{}, fmt.Errorf("column %s: %w", f.Name, err)
	}
	return undrop.Field{ID: f.ID, Name: f.Name, Type: typ, Required: f.Required, Doc: f.Doc}, nil
}

func typeOf(t iceberg.Type) (undrop.Type, error) {
	switch t := t.(type) {
	case iceberg.DecimalType:
		return undrop.Type{Kind: undrop.Decimal, Precision: t.Precision(), Scale: t.Scale()}, nil
	case iceberg.FixedType:
		return undrop.Type{Kind: undrop.Binary}, nil
	case *iceberg.ListType:
		elem, err := typeOf(t.Element)
		return undrop.Type{Kind: undrop.List, Elem: &elem, ElemID: t.ElementID}, err
	case *iceberg.MapType:
		key, err := typeOf(t.KeyType)
		if err != nil {
			return undrop.Type{}, err
		}
		value, err := typeOf(t.ValueType)
		return undrop.Type{Kind: undrop.Map, Key: &key, Elem: &value, KeyID: t.KeyID, ElemID: t.ValueID}, err
	case *iceberg.StructType:
		s := undrop.Type{Kind: undrop.Struct}
		for _, f := range t.FieldList {
			field, err := fieldOf(f)
			if err != nil {
				return undrop.Type{}, err
			}
			s.Fields = append(s.Fields, field)
		}
		return s, nil
	}
	kinds := map[string]undrop.Kind{"boolean": undrop.Bool, "int": undrop.Int32, "long": undrop.Int64, "float": undrop.Float32, "double": undrop.Float64,
		"string": undrop.String, "binary": undrop.Binary, "uuid": undrop.UUID, "date": undrop.Date, "time": undrop.Time,
		"timestamp": undrop.Timestamp, "timestamptz": undrop.TimestampTZ}
	k, ok := kinds[t.String()]
	if !ok {
		return undrop.Type{}, fmt.Errorf("type %s cannot be shown", t)
	}
	return undrop.Type{Kind: k}, nil
}
