// Package enginetest reads mart tables with an engine that is not ours, so that a
// test compares what others see and not what undrop believes it wrote. It obtains
// the engine through Python's package index, once for a machine, and skips by name
// where it cannot. It is not for the product.
package enginetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// RequiredEnv names a variable that, set to "required", turns a missing engine
// from a skip into a failure.
const RequiredEnv = "UNDROP_ENGINES"

// duckVersion is of DuckDB and of every extension: each extension fits one
// version only.
const duckVersion = "1.5.5"

var duckPackages = []string{"duckdb", "duckdb-extension-iceberg", "duckdb-extension-avro", "duckdb-extension-httpfs", "duckdb-extension-icu"}

var duck struct {
	sync.Once
	python string
	err    error
}

// DuckDB returns a Python interpreter that can import DuckDB and its Iceberg
// extension. Where it cannot be had the test is skipped, by name.
func DuckDB(t testing.TB) string {
	t.Helper()
	duck.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		defer cancel()
		pinned := make([]string, len(duckPackages))
		for i, p := range duckPackages {
			pinned[i] = p + "==" + duckVersion
		}
		duck.python, duck.err = environment(ctx, "duckdb-"+duckVersion, pinned)
	})
	if duck.err == nil {
		return duck.python
	}
	if os.Getenv(RequiredEnv) == "required" {
		t.Fatalf("%s needs DuckDB: %v", t.Name(), duck.err)
	}
	t.Skipf("SKIPPED %s: no DuckDB: %v", t.Name(), duck.err)
	return ""
}

// environment is a Python environment with packages, made when it is first asked
// for. It is made aside and renamed, so that two test processes do not meet.
func environment(ctx context.Context, name string, packages []string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache folder: %w", err)
	}
	dir := filepath.Join(cache, "undrop", "engines", name)
	python := filepath.Join(dir, "bin", "python")
	if _, err := os.Stat(python); err == nil {
		return python, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", fmt.Errorf("make the cache folder: %w", err)
	}
	aside, err := os.MkdirTemp(filepath.Dir(dir), name+"-")
	if err != nil {
		return "", fmt.Errorf("make the cache folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(aside) }()
	install := append([]string{"-m", "pip", "install", "-q", "--disable-pip-version-check"}, packages...)
	if err := command(ctx, "python3", "-m", "venv", aside); err != nil {
		return "", err
	}
	if err := command(ctx, filepath.Join(aside, "bin", "python"), install...); err != nil {
		return "", err
	}
	if err := os.Rename(aside, dir); err != nil && !errors.Is(err, os.ErrExist) {
		if _, serr := os.Stat(python); serr != nil {
			return "", fmt.Errorf("keep the environment: %w", err)
		}
	}
	return python, nil
}

func command(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}
