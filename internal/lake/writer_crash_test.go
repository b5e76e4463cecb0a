package lake

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/crash"
)

const writerDir = "UNDROP_TEST_WRITER_DIR"

// A writer that is killed in the middle of any durable step leaves, under names
// that readers look at, whole files only.
func TestAKilledWriterLeavesWholeFiles(t *testing.T) {
	const rows = 2000
	run := func(c WriterConfig) error {
		w, err := NewWriter(c)
		if err != nil {
			return err
		}
		if err := w.Write(entriesOf(c.Table, rand.New(rand.NewPCG(1, 1)), 0, rows, true), nil, undrop.LaneStream); err != nil {
			return err
		}
		_, err = w.Close()
		return err
	}
	config := func(dir string) WriterConfig {
		wh, err := OpenWarehouse(dir)
		require.NoError(t, err)
		c := yard(t, ledger())
		c.Warehouse, c.Dir = wh, wh.Location+"/t/data"
		c.RowGroup, c.TargetFileSize = 200, 20_000
		return c
	}
	if dir := os.Getenv(writerDir); dir != "" {
		require.NoError(t, run(config(dir)))
		return
	}
	kills := 0
	for _, point := range []string{crashSynced, crashRenamed, crashNamed} {
		for n := 1; ; n++ {
			dir := t.TempDir()
			cmd := exec.Command(os.Args[0], "-test.run=^TestAKilledWriterLeavesWholeFiles$")
			cmd.Env = append(os.Environ(), writerDir+"="+dir, fmt.Sprint(crash.Env, "=", point, ":", n))
			out, err := cmd.CombinedOutput()
			c := config(dir)
			whole := 0
			for _, name := range names(t, c) {
				if strings.HasPrefix(name, ".") {
					continue
				}
				path := c.Dir + "/" + name
				f := File{Path: path}
				whole += readBackRaw(t, c.Table, f)
			}
			if cmd.ProcessState.ExitCode() != -1 {
				require.NoError(t, err, string(out))
				require.Equal(t, rows, whole)
				break
			}
			require.LessOrEqual(t, whole, rows)
			kills++
		}
	}
	require.Greater(t, kills, 4, "several files, each in several steps")
}
