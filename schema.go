package undrop

import (
	"fmt"
	"strings"
)

// Kind is the family of a value.
type Kind uint8

// The kinds, each with the physical form that package batch stores it in.
const (
	Invalid     Kind = iota
	Bool             // 0 or 1 as int64
	Int32            // int64, within the range of int32
	Int64            // int64
	Float32          // float64 bits as int64, exactly a float32
	Float64          // float64 bits as int64
	Decimal          // precision <= 18: unscaled int64; above: 16 bytes big-endian two's complement, unscaled
	String           // UTF-8 bytes without U+0000
	Binary           // bytes
	UUID             // 16 bytes
	Date             // int64 days since 1970-01-01
	Time             // int64 microseconds since midnight
	Timestamp        // int64 microseconds since 1970-01-01T00:00:00, no zone
	TimestampTZ      // int64 microseconds since 1970-01-01T00:00:00Z
	List             // Elem
	Map              // Key, Elem
	Struct           // Fields
)

var kindNames = [...]string{"invalid", "boolean", "int", "long", "float", "double", "decimal", "string",
	"binary", "uuid", "date", "time", "timestamp", "timestamptz", "list", "map", "struct"}

// String is the Iceberg name of the kind.
func (k Kind) String() string { return kindNames[k] }

// Type is a contracted type. It is closed: what it cannot say exactly is
// declared as String or refused, never rounded.
type Type struct {
	Kind      Kind
	Precision int     // Decimal: 1..38
	Scale     int     // Decimal: 0..Precision
	Key       *Type   // Map
	Elem      *Type   // List and Map; elements are always nullable
	ElemID    int     // Iceberg field id of the element (List) or value (Map)
	KeyID     int     // Iceberg field id of the key (Map)
	Fields    []Field // Struct
}

// String is the Iceberg spelling, for example "decimal(12,2)" or "list<long>".
func (t Type) String() string {
	switch t.Kind {
	case Decimal:
		return fmt.Sprintf("decimal(%d,%d)", t.Precision, t.Scale)
	case List:
		return "list<" + t.Elem.String() + ">"
	case Map:
		return "map<" + t.Key.String() + "," + t.Elem.String() + ">"
	case Struct:
		parts := make([]string, len(t.Fields))
		for i, f := range t.Fields {
			parts[i] = f.Name + ":" + f.Type.String()
		}
		return "struct<" + strings.Join(parts, ",") + ">"
	default:
		return t.Kind.String()
	}
}

// Fixed reports whether a value of t is one int64 in a batch; otherwise it is
// bytes, or nested.
func (t Type) Fixed() bool {
	switch t.Kind {
	case String, Binary, UUID, List, Map, Struct:
		return false
	case Decimal:
		return t.Precision <= 18
	default:
		return true
	}
}

// Nested reports whether values of t have children.
func (t Type) Nested() bool { return t.Kind == List || t.Kind == Map || t.Kind == Struct }

// OnBad says what to do with a value that the contracted type cannot hold.
// The zero value quarantines the row.
type OnBad uint8

// The answers.
const (
	BadQuarantine OnBad = iota
	BadNull
)

// Field is one contracted column.
type Field struct {
	ID         int    // Iceberg field id, stable over versions of the contract
	Name       string // column of the mart table
	Source     string // column of the source table
	SourceType string // the source's own spelling where the contract names it (physicalType), else ""
	Type       Type
	Required   bool
	Doc        string
	OnNaN      OnBad
	OnInfinity OnBad
	OnOverflow OnBad
}

// Mode says what a mart table holds.
type Mode string

// The modes.
const (
	Mirror  Mode = "mirror"  // current rows by key
	History Mode = "history" // every change
	Events  Mode = "events"  // outbox events
)

// Transform is one part of a table's partition spec.
type Transform struct {
	Name  string // identity, bucket, truncate, year, month, day, hour
	Param int    // bucket count or truncate width
	Field int    // index into Table.Fields
}

// TableName is a mart table's name, "namespace.table".
type TableName struct{ Namespace, Name string }

// String prints "namespace.table".
func (n TableName) String() string { return n.Namespace + "." + n.Name }

// ParseTableName reads "namespace.table"; the namespace may itself hold dots.
func ParseTableName(s string) (TableName, error) {
	i := strings.LastIndexByte(s, '.')
	if i <= 0 || i == len(s)-1 {
		return TableName{}, fmt.Errorf("table name %q: want namespace.table", s)
	}
	return TableName{s[:i], s[i+1:]}, nil
}

// ContractRef names the version of a contract that made something.
type ContractRef struct {
	ID      string `json:"id"`
	Version string `json:"version"`
	Hash    string `json:"hash"` // sha256 of the file's bytes, hex
}

// Table is one schema object of a contract, compiled: all that capture, log and
// lake need to know about it.
type Table struct {
	TableName
	Contract  ContractRef
	Mode      Mode
	Source    string // name in the configuration's sources
	Schema    string // schema of the source relation
	Relation  string // name of the source relation
	Topic     string // log topic; for an outbox the prefix "outbox.event."
	Fields    []Field
	Key       []int // indexes into Fields, in key order; empty: no usable key
	Partition []Transform

	TruncateApplies bool // undrop.onTruncate: apply; otherwise a TRUNCATE halts the table
	BadKeyLatest    bool // undrop.onBadKey: latest; otherwise a key with a bad change is parked
}

// SourceRelation is "schema.relation" as the source knows it.
func (t *Table) SourceRelation() string { return t.Schema + "." + t.Relation }

// IsKey reports whether field i is part of the key.
func (t *Table) IsKey(i int) bool {
	for _, k := range t.Key {
		if k == i {
			return true
		}
	}
	return false
}
