package envelope

import (
	"bytes"
	"fmt"
)

// avroKind is the primitive or complex type of an Avro schema.
type avroKind uint8

const (
	avroNull avroKind = iota
	avroBoolean
	avroInt
	avroLong
	avroFloat
	avroDouble
	avroBytes
	avroString
	avroFixed
	avroEnum
	avroArray
	avroMap
	avroRecord
	avroUnion
)

var avroKinds = map[string]avroKind{"null": avroNull, "boolean": avroBoolean, "int": avroInt, "long": avroLong,
	"float": avroFloat, "double": avroDouble, "bytes": avroBytes, "string": avroString}

// avroType is a parsed writer schema. It keeps only what decides how bytes are
// read and what they mean.
type avroType struct {
	kind      avroKind
	name      string // full name of a record, enum or fixed
	logical   string // logicalType
	semantic  string // connect.name
	precision int
	scale     int
	size      int         // fixed
	symbols   []string    // enum
	items     *avroType   // array items, map values
	fields    []avroField // record
	branches  []*avroType // union
	weight    int         // types below, repeated ones counted again
	empty     bool        // a value may take no bytes
}

type avroField struct {
	name string // undrop.name if it has one
	typ  *avroType
}

// String is a short spelling for messages: "long timestamp-millis".
func (t *avroType) String() string {
	var b bytes.Buffer
	switch t.kind {
	case avroRecord, avroEnum, avroFixed:
		b.WriteString(t.name)
	case avroArray:
		b.WriteString("array<" + t.items.String() + ">")
	case avroMap:
		b.WriteString("map<" + t.items.String() + ">")
	case avroUnion:
		for i, c := range t.branches {
			if i > 0 {
				b.WriteByte('|')
			}
			b.WriteString(c.String())
		}
	default:
		for name, k := range avroKinds {
			if k == t.kind {
				b.WriteString(name)
			}
		}
	}
	if t.logical != "" {
		b.WriteString(" " + t.logical)
	}
	if t.logical == "decimal" {
		fmt.Fprintf(&b, "(%d,%d)", t.precision, t.scale)
	}
	if t.logical == "" && t.semantic != "" && t.kind < avroFixed {
		b.WriteString(" " + t.semantic)
	}
	return b.String()
}
