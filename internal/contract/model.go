package contract

import (
	undrop "github.com/undrop/undrop"
)

// Contract is one ODCS file, compiled.
type Contract struct {
	ID          string
	Name        string
	Version     string
	Status      string
	Domain      string
	APIVersion  string
	Description string // description.purpose
	Ref         undrop.ContractRef
	Objects     []*Object
	SLA         []SLAProperty
	Recovery    map[string]string // undrop.recovery
	File        string

	unrunnable []Problem
}

// Object is one schema object with the table that it becomes.
type Object struct {
	ID           string // ODCS id
	Name         string
	PhysicalType string
	Table        *undrop.Table // complete after Bind, if the contract is Runnable
	Properties   []*Property   // parallel to Table.Fields
	Outbox       bool          // has the columns of an outbox: see OutboxColumns
	Quality      []Quality     // rules on the whole object, judged on snapshots
	PartitionBy  string        // undrop.partition as written
	NamedTable   bool          // undrop.table is written, the name is not derived
	Deprecated   bool
}

// OutboxColumns make an object an outbox: the columns of Debezium's outbox router.
var OutboxColumns = []string{"id", "aggregatetype", "aggregateid", "type", "payload"}

// Property is one column, or one part of a nested column, with its promises.
type Property struct {
	ID             string // ODCS id: the identity that survives a rename
	Name           string
	Path           string       // for example "address.street" or "tags[]"
	Field          undrop.Field // of a nested property too; its type is Invalid if it could not be compiled
	FieldID        bool         // undrop.fieldId is written, the id is not counted
	LogicalType    string
	PhysicalType   string
	Format         string // logicalTypeOptions.format
	Unit           string // undrop.unit
	Pad            string // undrop.pad: keep or trim, for char(n)
	Default        string // undrop.default: what rows older than the column hold
	HasDefault     bool
	Classification string
	Deprecated     bool
	PrimaryKey     bool
	Unique         bool

	Enum        []string // allowed values as written; nil: any
	MinLength   *int     // characters
	MaxLength   *int     // characters
	Pattern     string   // ECMA-262
	Minimum     *Bound
	Maximum     *Bound
	MultipleOf  string
	MinItems    *int
	MaxItems    *int
	UniqueItems bool
	Quality     []Quality

	Items      *Property   // of a list; the value of a map
	Key        *Property   // of a map
	Properties []*Property // of a struct

	rules rules
	at    *node
	order int // among its siblings
}

// Bound is one end of a range.
type Bound struct {
	Value     string // as written
	Exclusive bool
}

// Quality is one ODCS data quality check.
type Quality struct {
	ID          string
	Name        string
	Type        string // text, library, sql, custom
	Metric      string // of the library
	Operator    string // mustBe, mustBeLessThan, …
	Values      []string
	Unit        string
	Severity    string
	Dimension   string
	Description string
	Query       string
	Arguments   map[string][]string // a missing (null) value is "\x00null"
	PerRow      bool                // judged on every row by the Checker; otherwise on snapshots
}

// SLAProperty is one promise about the service.
type SLAProperty struct {
	ID          string
	Property    string
	Value       string
	ValueExt    string
	Unit        string
	Element     string
	Driver      string
	Description string
}

// Runnable says what keeps the contract from being run by the pipeline: types
// that cannot be decided, no key for a mirror, patterns of another dialect.
// Empty: it can be run.
func (c *Contract) Runnable() []Problem { return c.unrunnable }

// Object finds a schema object by name, or returns nil.
func (c *Contract) Object(name string) *Object {
	for _, o := range c.Objects {
		if o.Name == name {
			return o
		}
	}
	return nil
}

// Property finds a top-level property by column name, or returns nil.
func (o *Object) Property(name string) *Property {
	for _, p := range o.Properties {
		if p.Field.Name == name {
			return p
		}
	}
	return nil
}
