package undrop

// Op says what happened to a row. The letters are Debezium's.
type Op byte

// The operations.
const (
	Read     Op = 'r' // a row of the initial or of a repeated snapshot
	Create   Op = 'c'
	Update   Op = 'u'
	Delete   Op = 'd'
	Truncate Op = 't' // every row of the table that is older
)

// String is the one-letter form used in envelopes and tables.
func (o Op) String() string { return string(rune(o)) }

// Lane says by which road a row reached its table.
type Lane string

// The lanes. Reserve lanes carry a name: "reserve:2019-archive".
const (
	LaneStream   Lane = "stream"
	LaneSnapshot Lane = "snapshot"
	LaneReplay   Lane = "replay"
	LaneRepair   Lane = "repair"
)

// Violation is one promise that one row broke.
type Violation struct {
	Rule   string `json:"rule"`   // stable id of the rule, for example "enum" or "decimal.nan"
	Path   string `json:"path"`   // column, for example "status" or "tags[2]"
	Actual string `json:"actual"` // the value as the source wrote it, shortened to 256 bytes
	Detail string `json:"detail"` // the promise, for a person: "one of new|paid"
}

// String is the line a person reads: `status: one of new|paid (got "lost")`.
func (v Violation) String() string {
	return v.Path + ": " + v.Detail + " (got " + quote(v.Actual) + ")"
}

func quote(s string) string { return `"` + s + `"` }
