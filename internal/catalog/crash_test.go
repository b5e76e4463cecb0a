package catalog

import (
	"context"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

const childDir = "UNDROP_CATALOG_TEST_DIR"

// TestMain lets this binary be the process that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		c, err := OpenSQLite(context.Background(), dir+"/state/catalog.db", localFS{}, "file://"+dir+"/warehouse")
		if err == nil {
			_, err = c.Commit(context.Background(), []Commit{set("x", "k", "v"), set("y", "k", "v")})
		}
		if err != nil {
			panic(err)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestKillAtAnyPointLeavesBothTablesOrNeither(t *testing.T) {
	happened := map[string]bool{crashWritten: false, crashSwapped: false, crashCommitted: true, "": true}
	for point, want := range happened {
		t.Run("at "+point, func(t *testing.T) {
			dir := t.TempDir()
			c := open(t, dir)
			create(t, c, "x", nil)
			create(t, c, "y", nil)
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), childDir+"="+dir, "UNDROP_CRASH="+point)
			out, err := cmd.CombinedOutput()
			if point == "" {
				require.NoError(t, err, string(out))
			} else {
				require.Equal(t, -1, cmd.ProcessState.ExitCode(), "killed by a signal: %s", out)
			}
			for _, n := range []string{"x", "y"} {
				e, err := c.Load(t.Context(), name(n))
				require.NoError(t, err)
				require.Equal(t, want, e.Metadata.Properties()["k"] == "v", "table %s", n)
			}
			// What the dead process held does not stand in the way.
			_, err = c.Commit(t.Context(), []Commit{set("x", "k", "w"), set("y", "k", "w")})
			require.NoError(t, err)
		})
	}
}
