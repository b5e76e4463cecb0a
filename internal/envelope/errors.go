package envelope

import (
	"errors"
	"fmt"

	undrop "github.com/undrop/undrop"
)

// ErrTombstone says that the record has no value: it tells a compacting log that
// the key is gone and carries no change.
var ErrTombstone = errors.New("a tombstone carries no change")

// UnknownSchema says that the schema of a record cannot be had. Whether it will
// be had later is for Err to say; reading must not go on without it.
type UnknownSchema struct {
	ID  int
	Err error
}

// Error names the id.
func (e *UnknownSchema) Error() string { return fmt.Sprintf("schema id %d: %v", e.ID, e.Err) }

// Unwrap gives the cause.
func (e *UnknownSchema) Unwrap() error { return e.Err }

// Malformed says that one record is not what its schema promises. The records
// around it may be read.
type Malformed struct {
	Column string // the column it was found in, if any
	Reason string
}

// Error prints "malformed record: column amount: reason".
func (e *Malformed) Error() string {
	if e.Column == "" {
		return "malformed record: " + e.Reason
	}
	return "malformed record: column " + e.Column + ": " + e.Reason
}

// Incompatible says that no record of a schema can be read as the table without
// changing values. The table has to halt until contract and topic agree.
type Incompatible struct {
	SchemaID int
	Column   string      // path of the column, "" for the envelope itself
	Writer   string      // what the schema says
	Reader   undrop.Type // what the contract says; the zero Type for the envelope itself
	Reason   string
}

// Error prints both sides and why they differ.
func (e *Incompatible) Error() string {
	if e.Column == "" {
		return fmt.Sprintf("schema id %d is not a change envelope: %s", e.SchemaID, e.Reason)
	}
	return fmt.Sprintf("schema id %d: column %s is written as %s and contracted as %s: %s",
		e.SchemaID, e.Column, e.Writer, e.Reader, e.Reason)
}
