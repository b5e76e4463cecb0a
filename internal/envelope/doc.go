// Package envelope turns rows of a batch into log records and back: the
// Debezium-compatible change envelope, in Avro with Confluent framing or in JSON,
// and the outbox event. It is pure: bytes and columns in, columns and bytes out,
// compiled once per table, with no map and no allocation per row.
//
// Whatever a batch knows about a row comes back exactly. Other readers of the
// topic see an ordinary Debezium record; what that cannot say (unchanged TOAST
// values, violations, the previous key, the source's own text) is in headers that
// begin with "undrop.".
//
// It refuses to convert: a record whose schema counts in another unit, scale or
// zone, or that would lose digits, is Incompatible or Malformed, never adjusted.
package envelope

// Format is the wire form of a record.
type Format string

// The formats. JSON carries no schema, so it is only readable with the contract.
const (
	Avro Format = "avro"
	JSON Format = "json"
)

// SourceInfo is what the source block of every record says about its origin.
type SourceInfo struct {
	Name     string // name in the configuration's sources
	Database string
	Version  string // version of undrop
}

// The headers of a record. Those that begin with "undrop." are present only when
// there is something to say, and Decode reads only them.
const (
	HeaderContract  = "contract.id"
	HeaderVersion   = "contract.version"
	HeaderLSN       = "lsn"              // commit LSN, "0/16B3748"
	HeaderSeq       = "seq"              // place inside the transaction, decimal
	HeaderUnchanged = "undrop.unchanged" // JSON array of column names; authoritative beside the placeholders in the value
	HeaderPrevKey   = "undrop.prevkey"   // bytes of the key that holds the unchanged values
	HeaderBad       = "undrop.bad"       // JSON array of violations
	HeaderRaw       = "undrop.raw"       // JSON object of the source's own text
)

// Unavailable stands where the source did not send an unchanged TOASTed string or
// binary value. It is Debezium's word. For undrop the header decides: a text that
// happens to read like this is only a text.
const Unavailable = "__debezium_unavailable_value"
