package catalog

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/apache/iceberg-go"
	"golang.org/x/sync/errgroup"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/crash"
)

// The places where a kill must leave every table either before or after its
// commit, never between, and never with a pointer to a file that is not there.
const (
	crashWritten   = "catalog.metadata.written" // the new metadata files are durable, no pointer moved
	crashSwapped   = "catalog.pointer.swapped"  // the pointers moved inside the open transaction
	crashCommitted = "catalog.commit.done"      // the transaction is durable, nobody was told
	crashCreated   = "catalog.create.written"   // a new table's metadata file is durable, no row names it
)

func init() { crash.Register(crashWritten, crashSwapped, crashCommitted, crashCreated) }

// maxTries bounds how often a commit is rebuilt because another commit moved a
// pointer without breaking a requirement. Each try means that another one won.
const maxTries = 100

// move is one table of a commit: from base to next.
type move struct {
	base *Entry
	next *Entry
}

func (c *sqlite) Create(ctx context.Context, name undrop.TableName, schema *iceberg.Schema, spec iceberg.PartitionSpec, props iceberg.Properties) (*Entry, error) {
	if _, err := c.pointer(ctx, name); err == nil {
		return nil, fmt.Errorf("create table %s: %w", name, ErrExists)
	} else if !errors.Is(err, ErrNoTable) {
		return nil, err
	}
	m, err := newMetadata(schema, spec, c.freeLocation(name), props)
	if err != nil {
		return nil, fmt.Errorf("create table %s: %w", name, err)
	}
	e := &Entry{Name: name, Metadata: m, Location: nextLocation(m, "")}
	if err := c.write(name, e.Location, m); err != nil {
		return nil, fmt.Errorf("create table %s: %w", name, err)
	}
	crash.Point(crashCreated)
	unknown, err := c.transact(ctx, func(ctx context.Context, tx *sql.Conn) error {
		res, err := tx.ExecContext(ctx, `INSERT INTO iceberg_tables
			(catalog_name, table_namespace, table_name, metadata_location, previous_metadata_location, iceberg_type)
			VALUES (?, ?, ?, ?, NULL, 'TABLE') ON CONFLICT DO NOTHING`, Name, name.Namespace, name.Name, e.Location)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n != 1 {
			return errors.Join(err, ErrExists)
		}
		// Java's catalog lists a namespace only if it has a property.
		_, err = tx.ExecContext(ctx, `INSERT INTO iceberg_namespace_properties VALUES (?, ?, 'exists', 'true') ON CONFLICT DO NOTHING`,
			Name, name.Namespace)
		return err
	})
	switch {
	case err == nil:
		return c.remember(e), nil
	case unknown:
		return nil, fmt.Errorf("create table %s: %w: %w", name, ErrUnknown, err)
	}
	_ = c.fs.Remove(e.Location) // nobody has seen it
	return nil, fmt.Errorf("create table %s: %w", name, err)
}

func (c *sqlite) Commit(ctx context.Context, commits []Commit) ([]*Entry, error) {
	seen := map[undrop.TableName]bool{}
	for _, cm := range commits {
		if seen[cm.Name] {
			return nil, fmt.Errorf("commit: table %s is there twice", cm.Name)
		}
		seen[cm.Name] = true
	}
	for range maxTries {
		moves, err := c.prepare(ctx, commits)
		if err != nil {
			return nil, err
		}
		crash.Point(crashWritten)
		unknown, err := c.transact(ctx, func(ctx context.Context, tx *sql.Conn) error { return swap(ctx, tx, moves) })
		switch {
		case err == nil:
			return c.settle(moves), nil
		case unknown:
			return nil, fmt.Errorf("commit: %w: %w", ErrUnknown, err)
		}
		c.discard(moves)
		if !errors.Is(err, errMoved) {
			return nil, fmt.Errorf("commit: %w", err)
		}
	}
	return nil, fmt.Errorf("commit: %w: lost to other commits %d times", ErrConflict, maxTries)
}

// errMoved says that a pointer is not where it was read; whether that is a
// conflict is for the requirements to say.
var errMoved = errors.New("pointer moved")

// prepare checks every commit against the tables as they are and writes the new
// metadata files. On error none of them is left.
func (c *sqlite) prepare(ctx context.Context, commits []Commit) ([]move, error) {
	moves := make([]move, len(commits))
	for i, cm := range commits {
		base, err := c.Load(ctx, cm.Name)
		if err != nil {
			return nil, fmt.Errorf("commit: %w", err)
		}
		m, err := apply(base, cm)
		if err != nil {
			return nil, fmt.Errorf("commit: %w", err)
		}
		moves[i] = move{base, &Entry{Name: cm.Name, Metadata: m, Location: nextLocation(m, base.Location)}}
	}
	// Every file waits for the disk: let them wait together.
	var g errgroup.Group
	g.SetLimit(8)
	for _, mv := range moves {
		g.Go(func() error { return c.write(mv.next.Name, mv.next.Location, mv.next.Metadata) })
	}
	if err := g.Wait(); err != nil {
		c.discard(moves)
		return nil, fmt.Errorf("commit: %w", err)
	}
	return moves, nil
}

// swap moves every pointer that is still where it was read.
func swap(ctx context.Context, tx *sql.Conn, moves []move) error {
	for _, mv := range moves {
		res, err := tx.ExecContext(ctx, `UPDATE iceberg_tables SET metadata_location = ?, previous_metadata_location = ?
			WHERE catalog_name = ? AND table_namespace = ? AND table_name = ? AND metadata_location = ?`,
			mv.next.Location, mv.base.Location, Name, mv.base.Name.Namespace, mv.base.Name.Name, mv.base.Location)
		if err != nil {
			return fmt.Errorf("move the pointer of table %s: %w", mv.base.Name, err)
		}
		if n, err := res.RowsAffected(); err != nil || n != 1 {
			return errors.Join(errMoved, err)
		}
	}
	crash.Point(crashSwapped)
	return nil
}

// transact runs f in a transaction. Only an error of the COMMIT itself leaves the
// outcome open. The context ends waiting, not a transaction that has begun: being
// cancelled between the two must not make an unknown of a known.
func (c *sqlite) transact(ctx context.Context, f func(context.Context, *sql.Conn) error) (unknown bool, err error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	conn, err := c.db.Conn(ctx)
	if err != nil {
		return false, fmt.Errorf("begin: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return false, errors.Join(err, conn.Close())
	}
	ctx = context.WithoutCancel(ctx)
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return false, errors.Join(fmt.Errorf("begin: %w", err), abandon(conn))
	}
	if err := f(ctx, conn); err != nil {
		return false, errors.Join(err, abandon(conn))
	}
	if _, err := conn.ExecContext(ctx, "COMMIT"); err != nil {
		return true, errors.Join(err, abandon(conn))
	}
	crash.Point(crashCommitted)
	return false, conn.Close()
}

// abandon closes a connection for good, which rolls back what is open on it. It
// must not go back to the pool: the next reader would see rows that were never
// committed.
func abandon(conn *sql.Conn) error {
	if err := conn.Raw(func(any) error { return driver.ErrBadConn }); !errors.Is(err, driver.ErrBadConn) {
		return err
	}
	return nil
}

// settle remembers what was committed and clears away what fell out of the logs.
func (c *sqlite) settle(moves []move) []*Entry {
	entries := make([]*Entry, len(moves))
	for i, mv := range moves {
		entries[i] = c.remember(mv.next)
		trim(c.fs, mv.base, mv.next.Metadata)
	}
	return entries
}

// discard deletes metadata files that no pointer ever named.
func (c *sqlite) discard(moves []move) {
	for _, mv := range moves {
		if mv.next != nil {
			_ = c.fs.Remove(mv.next.Location)
		}
	}
}
