// Package catalog says which metadata file is each table's current one, and
// moves that pointer for one or many tables in a single step. It reads and writes
// table metadata files, never manifests or data, and refuses to guess: a commit
// either happened, did not happen, or its outcome is said to be unknown.
package catalog

import (
	"context"
	"errors"
	"fmt"

	"github.com/apache/iceberg-go"
	iceio "github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"

	undrop "github.com/undrop/undrop"
)

// What a caller can tell apart with errors.Is.
var (
	ErrNoTable  = errors.New("table does not exist")
	ErrExists   = errors.New("table exists already")
	ErrConflict = errors.New("table changed meanwhile, nothing was committed")
	ErrUnknown  = errors.New("it is not known whether the commit happened")
	ErrDamaged  = errors.New("table metadata is damaged")
)

// Entry is a table as the catalog holds it at one moment. It is immutable.
type Entry struct {
	Name     undrop.TableName
	Metadata table.Metadata
	Location string // of the metadata file
}

// Commit is a change of one table: if every requirement holds, the updates are
// applied in order.
type Commit struct {
	Name         undrop.TableName
	Requirements []table.Requirement
	Updates      []table.Update
}

// FS is where metadata files live. Create and WriteFile return only when the
// bytes and the name would survive a crash of the machine.
type FS interface {
	iceio.WriteFileIO
}

// Catalog holds table pointers. All methods may be called at the same time, and
// several processes may have the same catalog open.
type Catalog interface {
	// Create makes an empty table; ErrExists if the name is taken. Field ids of
	// the schema are kept as they are.
	Create(ctx context.Context, name undrop.TableName, schema *iceberg.Schema, spec iceberg.PartitionSpec, props iceberg.Properties) (*Entry, error)
	// Load reads a table; ErrNoTable if there is none, ErrDamaged if there is one
	// whose metadata file cannot be read.
	Load(ctx context.Context, name undrop.TableName) (*Entry, error)
	// Commit applies all changes or none. On success the new entries are durable
	// and come in the order of the commits. ErrConflict: a requirement does not
	// hold or a table moved, nothing happened. ErrUnknown: load the tables to learn
	// what happened, until then no file of the commit may be deleted; no attempt is
	// still under way that could succeed later. Any other error: nothing happened.
	Commit(ctx context.Context, commits []Commit) ([]*Entry, error)
	// List names the tables of a namespace, sorted; "" lists every table.
	List(ctx context.Context, namespace string) ([]undrop.TableName, error)
	// Namespaces lists the namespaces that hold a table, sorted.
	Namespaces(ctx context.Context) ([]string, error)
	// Drop forgets a table. Its files stay. ErrNoTable if there is none.
	Drop(ctx context.Context, name undrop.TableName) error
	Close() error
}

// damaged is the error for a metadata file that cannot be used: it names the
// table and the file, since finding the file is half of the repair.
func damaged(name undrop.TableName, location string, err error) error {
	return &undrop.Error{
		Code: undrop.Damaged,
		Op:   fmt.Sprintf("read metadata of table %s from %s", name, location),
		Err:  fmt.Errorf("%w: %w", ErrDamaged, err),
		Hint: fmt.Sprintf("look at the file %s; an older metadata file of the table is beside it, and the catalog's column previous_metadata_location names the one before", location),
	}
}
