package catalog

import (
	"path/filepath"
	"testing"

	"golang.org/x/sync/errgroup"
)

// Processes of one installation may start at the same moment. Seen to fail, once in
// some hundred rounds: one was told that the database is locked, since SQLite does
// not wait where a new file becomes one with a write-ahead log.
func TestACatalogIsMadeByManyAtOnce(t *testing.T) {
	for range 60 {
		path := filepath.Join(t.TempDir(), "catalog.db")
		var all errgroup.Group
		for range 8 {
			all.Go(func() error {
				c, err := OpenSQLite(t.Context(), path, localFS{}, "file:///w")
				if err != nil {
					return err
				}
				return c.Close()
			})
		}
		if err := all.Wait(); err != nil {
			t.Fatal(err)
		}
	}
}
