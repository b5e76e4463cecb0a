package undrop

// Relation is a source table as its database describes it. Contracts are drafted
// from it, and preflight compares contracts with it.
type Relation struct {
	Schema      string
	Name        string
	Kind        string // table, partitioned, foreign, view, matview
	Unlogged    bool
	Comment     string
	Identity    string   // replica identity: default, nothing, full, index
	IdentityKey []string // columns of the replica identity index, if Identity is index
	PrimaryKey  []string // in key order; empty: none
	Rows        int64    // the planner's estimate, -1 unknown
	Bytes       int64
	Columns     []RelationColumn
}

// RelationColumn is one live column.
type RelationColumn struct {
	Name      string
	Attnum    int
	Type      string // format_type, for example "numeric(12,2)" or "public.mood"; arrays end in []
	TypeOID   uint32
	Typmod    int32
	Class     string           // base, enum, domain, composite, array, range, other (by pg_type.typtype and typcategory)
	Base      string           // format_type below domains; the element type for an array (below domains); equal to Type otherwise
	Enum      []string         // labels in order, for an enum or an array of one
	Members   []RelationColumn // for a composite
	NotNull   bool
	Generated bool // stored generated: not published before PostgreSQL 18
	Identity  bool // generated as identity
	Default   string
	Comment   string

	// What a look at the live rows found; false when not looked for.
	Looked      bool // the column was looked at in full
	HasNaN      bool
	HasInfinity bool
	OutOfRange  bool // a date or time outside years 0001..9999, or 24:00:00
	Nested      bool // an array with more than one dimension or a lower bound other than 1
}
