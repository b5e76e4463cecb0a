package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver

	undrop "github.com/undrop/undrop"
)

// Name is the catalog_name of our rows: engines that read the database through
// Iceberg's JDBC catalog must be given the same.
const Name = "undrop"

// The tables are those of Iceberg's JDBC catalog, schema version V1, with Java's
// column widths.
const ddl = `
CREATE TABLE IF NOT EXISTS iceberg_tables (
	catalog_name VARCHAR(255) NOT NULL,
	table_namespace VARCHAR(255) NOT NULL,
	table_name VARCHAR(255) NOT NULL,
	metadata_location VARCHAR(1000),
	previous_metadata_location VARCHAR(1000),
	iceberg_type VARCHAR(5),
	PRIMARY KEY (catalog_name, table_namespace, table_name));
CREATE TABLE IF NOT EXISTS iceberg_namespace_properties (
	catalog_name VARCHAR(255) NOT NULL,
	namespace VARCHAR(255) NOT NULL,
	property_key VARCHAR(255),
	property_value VARCHAR(1000),
	PRIMARY KEY (catalog_name, namespace, property_key));`

type sqlite struct {
	db        *sql.DB
	fs        FS
	warehouse string // without a slash at the end

	mu      sync.Mutex
	cache   map[undrop.TableName]*Entry // newest entry seen per table
	encoded map[undrop.TableName]snapshotsJSON
	writing sync.Mutex // SQLite has one writer: queue here rather than in its busy loop
}

// OpenSQLite opens (or makes) a catalog in the SQLite file at path. Tables that it
// creates live below the folder warehouse, a location that fs accepts.
func OpenSQLite(ctx context.Context, path string, fs FS, warehouse string) (Catalog, error) {
	if path == "" || warehouse == "" || fs == nil {
		return nil, errors.New("open catalog: a file, a file system and a warehouse location are needed")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, openError(path, err)
	}
	// synchronous=FULL: a commit that was answered survives a power loss.
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() +
		"?_pragma=busy_timeout(30000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)"
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, openError(path, err)
	}
	db.SetMaxOpenConns(4)
	if err := prepare(ctx, db); err != nil {
		return nil, errors.Join(openError(path, err), db.Close())
	}
	return &sqlite{db: db, fs: fs, warehouse: strings.TrimSuffix(warehouse, "/"), cache: map[undrop.TableName]*Entry{}, encoded: map[undrop.TableName]snapshotsJSON{}}, nil
}

// openWait is how long others may hold the file while it is opened.
const openWait = 30 * time.Second

// prepare makes the tables. The first connection also turns the file into one with
// a write-ahead log, and where several processes do so at once SQLite answers that
// it is busy without the wait that busy_timeout asks for.
func prepare(ctx context.Context, db *sql.DB) error {
	for began := time.Now(); ; {
		_, err := db.ExecContext(ctx, ddl)
		var coded interface{ Code() int } // the driver's error, with SQLite's extended code
		if err == nil || !errors.As(err, &coded) || coded.Code()&0xff != sqliteBusy || time.Since(began) > openWait {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// sqliteBusy is SQLITE_BUSY.
const sqliteBusy = 5

func openError(path string, err error) error {
	return &undrop.Error{
		Code: undrop.Failed,
		Op:   "open the catalog in " + path,
		Err:  err,
		Hint: "check that the folder exists, is writable and has free space: ls -ld " + filepath.Dir(path),
	}
}

func (c *sqlite) Close() error { return c.db.Close() }

// pointer reads a table's metadata location.
func (c *sqlite) pointer(ctx context.Context, name undrop.TableName) (string, error) {
	var location sql.NullString
	err := c.db.QueryRowContext(ctx, `SELECT metadata_location FROM iceberg_tables
		WHERE catalog_name = ? AND table_namespace = ? AND table_name = ? AND (iceberg_type = 'TABLE' OR iceberg_type IS NULL)`,
		Name, name.Namespace, name.Name).Scan(&location)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return "", fmt.Errorf("table %s: %w", name, ErrNoTable)
	case err != nil:
		return "", fmt.Errorf("look up table %s: %w", name, err)
	case location.String == "":
		return "", damaged(name, "(none)", errors.New("the catalog row has no metadata location"))
	}
	return location.String, nil
}

func (c *sqlite) Load(ctx context.Context, name undrop.TableName) (*Entry, error) {
	location, err := c.pointer(ctx, name)
	for err == nil {
		c.mu.Lock()
		e := c.cache[name]
		c.mu.Unlock()
		if e != nil && e.Location == location {
			return e, nil
		}
		m, readErr := c.read(name, location)
		if readErr == nil {
			return c.remember(&Entry{Name: name, Metadata: m, Location: location}), nil
		}
		// A file that has gone may have been trimmed since its pointer was read:
		// it is damage only if it is still the current one.
		var now string
		if now, err = c.pointer(ctx, name); err == nil && now == location {
			return nil, readErr
		}
		location = now
	}
	return nil, err
}

func (c *sqlite) remember(e *Entry) *Entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cache[e.Name] = e
	return e
}

func (c *sqlite) List(ctx context.Context, namespace string) ([]undrop.TableName, error) {
	rows, err := c.db.QueryContext(ctx, `SELECT table_namespace, table_name FROM iceberg_tables
		WHERE catalog_name = ? AND (? = '' OR table_namespace = ?) AND (iceberg_type = 'TABLE' OR iceberg_type IS NULL)
		ORDER BY table_namespace, table_name`, Name, namespace, namespace)
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	defer rows.Close()
	var names []undrop.TableName
	for rows.Next() {
		var n undrop.TableName
		if err := rows.Scan(&n.Namespace, &n.Name); err != nil {
			return nil, fmt.Errorf("list tables: %w", err)
		}
		names = append(names, n)
	}
	return names, rows.Err()
}

func (c *sqlite) Namespaces(ctx context.Context) ([]string, error) {
	rows, err := c.db.QueryContext(ctx, `SELECT DISTINCT table_namespace FROM iceberg_tables
		WHERE catalog_name = ? ORDER BY table_namespace`, Name)
	if err != nil {
		return nil, fmt.Errorf("list namespaces: %w", err)
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var n string
		if err := rows.Scan(&n); err != nil {
			return nil, fmt.Errorf("list namespaces: %w", err)
		}
		names = append(names, n)
	}
	return names, rows.Err()
}

func (c *sqlite) Drop(ctx context.Context, name undrop.TableName) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	res, err := c.db.ExecContext(ctx, `DELETE FROM iceberg_tables
		WHERE catalog_name = ? AND table_namespace = ? AND table_name = ? AND (iceberg_type = 'TABLE' OR iceberg_type IS NULL)`,
		Name, name.Namespace, name.Name)
	if err != nil {
		return fmt.Errorf("drop table %s: %w", name, err)
	}
	c.mu.Lock()
	delete(c.cache, name)
	delete(c.encoded, name)
	c.mu.Unlock()
	if n, err := res.RowsAffected(); err == nil && n == 0 {
		return fmt.Errorf("drop table %s: %w", name, ErrNoTable)
	}
	return nil
}
