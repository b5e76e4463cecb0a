package postgres_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/undrop/undrop/internal/postgres"
	"github.com/undrop/undrop/internal/postgres/postgrestest"
)

// A machine without PostgreSQL downloads one. UNDROP_TEST_DOWNLOAD is the
// version to fetch, for example 17.11.0; UNDROP_TEST_DOWNLOAD_CACHE keeps it.
func TestServerFromDownload(t *testing.T) {
	version := os.Getenv("UNDROP_TEST_DOWNLOAD")
	if version == "" {
		t.Skip("SKIPPED: set UNDROP_TEST_DOWNLOAD to a version to fetch it")
	}
	cache := os.Getenv("UNDROP_TEST_DOWNLOAD_CACHE")
	if cache == "" {
		cache = filepath.Join(t.TempDir(), "cache")
	}
	for range 2 { // the second time from the cache
		s, err := postgres.StartServer(t.Context(), postgres.ServerConfig{Version: version, Cache: cache})
		if err != nil {
			t.Fatal(err)
		}
		got := postgrestest.Query(t, s.DSN("postgres"), "show server_version")[0][0]
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		if !strings.HasPrefix(version, got) {
			t.Errorf("server says %s, want %s", got, version)
		}
	}
}
