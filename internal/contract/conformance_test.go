package contract

import (
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite golden files; read the diff afterwards")

func odcsFiles(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".odcs.yaml") {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestEveryPositiveExampleLintsWithoutErrors(t *testing.T) {
	for dir, want := range map[string]int{"testdata/odcs/v3.1.0": 18, "testdata/odcs/v3.2.0": 28} {
		files := odcsFiles(t, dir)
		if len(files) != want {
			t.Fatalf("%s holds %d examples, want %d", dir, len(files), want)
		}
		for _, f := range files {
			for _, p := range Lint(f, read(t, f)) {
				if p.Severity == SeverityError {
					t.Error(p)
				}
			}
		}
	}
}

// The golden list names file, line and rule for each contract that the standard
// calls wrong.
func TestEveryNegativeExampleIsRefused(t *testing.T) {
	files := odcsFiles(t, "testdata/odcs/negative")
	if len(files) != 28 {
		t.Fatalf("%d negative examples, want 28", len(files))
	}
	var got strings.Builder
	for _, f := range files {
		problems := Lint(filepath.Base(f), read(t, f))
		if !HasErrors(problems) {
			t.Errorf("%s: nothing is wrong with it", f)
		}
		for _, p := range problems {
			if p.Severity == SeverityError {
				got.WriteString(p.String() + "\n")
			}
		}
	}
	golden(t, "testdata/odcs/negative.golden", got.String())
}

func read(t testing.TB, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want := string(read(t, file)); got != want {
		t.Errorf("%s differs; -update rewrites it\ngot:\n%s\nwant:\n%s", file, got, want)
	}
}
