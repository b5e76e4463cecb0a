package catalog

import (
	"context"
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"

	undrop "github.com/undrop/undrop"
)

// A COMMIT that fails leaves the outcome open, and its connection must not show
// anybody what it may not have committed.
func TestFailedCommitStatementIsUnknown(t *testing.T) {
	for _, did := range []string{"COMMIT", "ROLLBACK"} {
		t.Run(did, func(t *testing.T) {
			c := open(t, t.TempDir())
			create(t, c, "x", nil)
			unknown, err := c.transact(t.Context(), func(ctx context.Context, conn *sql.Conn) error {
				if _, err := conn.ExecContext(ctx, `UPDATE iceberg_tables SET previous_metadata_location = 'p'`); err != nil {
					return err
				}
				_, err := conn.ExecContext(ctx, did) // so the COMMIT that follows finds no transaction
				return err
			})
			require.Error(t, err)
			require.True(t, unknown)
			var prev sql.NullString
			require.NoError(t, c.db.QueryRow(`SELECT previous_metadata_location FROM iceberg_tables`).Scan(&prev))
			require.Equal(t, did == "COMMIT", prev.Valid)
			_, err = c.Commit(t.Context(), []Commit{set("x", "k", "v")})
			require.NoError(t, err, "the catalog goes on")
		})
	}
}

// A COMMIT that is refused leaves its transaction open: whoever got that
// connection next would read pointers that are not committed.
func TestRefusedCommitStatementShowsNothing(t *testing.T) {
	dir := t.TempDir()
	e := create(t, open(t, dir), "x", nil)
	db, err := sql.Open("sqlite", "file:"+dir+"/state/catalog.db?_pragma=foreign_keys(1)")
	require.NoError(t, err)
	db.SetMaxOpenConns(1)
	c := &sqlite{db: db, fs: localFS{}, cache: map[undrop.TableName]*Entry{}}
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	unknown, err := c.transact(t.Context(), func(ctx context.Context, conn *sql.Conn) error {
		_, err := conn.ExecContext(ctx, `CREATE TABLE p (id INTEGER PRIMARY KEY);
			CREATE TABLE q (id INTEGER REFERENCES p DEFERRABLE INITIALLY DEFERRED);
			INSERT INTO q VALUES (1);
			UPDATE iceberg_tables SET metadata_location = 'file:///nowhere'`)
		return err
	})
	require.ErrorContains(t, err, "FOREIGN KEY")
	require.True(t, unknown)
	now, err := c.Load(t.Context(), name("x"))
	require.NoError(t, err)
	require.Equal(t, e.Location, now.Location)
}
