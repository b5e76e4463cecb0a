package undrop_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/undrop/undrop"

// layer says what of ours a package may import, and what its tests may import
// besides. "." is the root package, other names are below internal/.
type layer struct {
	imports []string
	tests   []string
}

func words(s string) []string { return strings.Fields(s) }

// layers is the whole table; arrows point down. A package without a row fails,
// so that where a new one belongs is decided when it is made:
//
//	cmd/undrop → cli → app → pipeline → engines → pure packages → root
//
// Only app, and the packages that test and measure the whole product, name
// concrete engines.
var layers = map[string]layer{
	// The vocabulary imports nothing of ours.
	".": {},

	// Pure: values in, values out.
	"batch":    {imports: words(".")},
	"contract": {imports: words(". batch"), tests: words("postgres postgres/postgrestest")},
	"envelope": {imports: words(". batch")},

	// Small tools: a place to be killed at, a file that survives it, the configuration.
	"crash":   {},
	"durable": {imports: words("crash")},
	"config":  {imports: words(".")},

	// Engines know the vocabulary and columns, and not each other; lake stands on catalog.
	"postgres": {imports: words(". batch crash durable"), tests: words("contract postgres/postgrestest")},
	"kafka":    {imports: words(". crash durable"), tests: words("kafka/kafkatest")},
	"catalog":  {imports: words(". crash durable"), tests: words("lake")},
	"lake":     {imports: words(". batch catalog crash durable"), tests: words("contract")},

	// Servers for tests and for the demo.
	"postgres/postgrestest": {imports: words(". postgres")},
	"kafka/kafkatest":       {imports: words(". kafka crash")},

	"enginetest": {tests: words(". app cli config contract kafka kafka/kafkatest postgres postgres/postgrestest")}, // reads what the whole product wrote

	// The loops between engines.
	"pipeline": {
		imports: words(". batch catalog contract crash durable envelope kafka lake postgres"),
		tests:   words("config drill kafka/kafkatest postgres/postgrestest"),
	},

	// Wiring, and what stands above it.
	"api": {imports: words(".")},
	"app": {
		imports: words(". api batch catalog config contract crash durable envelope kafka lake pipeline postgres"),
		tests:   words("drill kafka/kafkatest postgres/postgrestest"),
	},
	"drill": {
		imports: words(". app batch catalog config contract crash durable kafka lake pipeline postgres"),
		tests:   words("cli kafka/kafkatest postgres/postgrestest"),
	},
	"demo": {
		imports: words(". app batch config drill postgres"),
		tests:   words("postgres/postgrestest"),
	},
	"bench": {
		imports: words(". app batch config contract drill kafka lake postgres"),
		tests:   words("kafka/kafkatest postgres/postgrestest"),
	},
	"cli": { // pipeline for the records that app's answers hold
		imports: words(". api app batch bench config contract demo drill pipeline"),
		tests:   words("kafka/kafkatest postgres postgres/postgrestest"),
	},
	"cmd/undrop": {imports: words("cli"), tests: words(". app config drill kafka/kafkatest postgres/postgrestest")},
}

// pure packages do no I/O: given the same input they give the same answer
// anywhere, so a test needs nothing but the values.
var pure = words(". batch contract envelope")

var doesIO = words("os os/exec os/signal net net/http database/sql syscall io/ioutil")

// libraries may be imported by these packages only, tests aside: what knows an
// engine's client stays where the engine can be replaced.
var libraries = map[string][]string{
	"github.com/jackc/":          words("postgres postgres/postgrestest drill demo bench"), // the last three play the application
	"github.com/fergusstrange/":  words("postgres"),
	"github.com/twmb/franz-go":   words("kafka kafka/kafkatest envelope pipeline"),
	"github.com/apache/":         words("lake catalog app pipeline"),
	"modernc.org/sqlite":         words("catalog"),
	"github.com/spf13/":          words("cli"),
	"github.com/prometheus/":     words("api app"),
	"github.com/goccy/go-yaml":   words("config contract"),
	"github.com/santhosh-tekuri": words("contract"),
}

// imported is one import of one file.
type imported struct {
	file string
	path string
	test bool
}

func TestLayers(t *testing.T) {
	for pkg, imports := range packages(t) {
		row, ok := layers[pkg]
		if !ok {
			t.Errorf("package %s has no row in layers: decide what it may import", pkg)
			continue
		}
		for _, i := range imports {
			name, ours := internalName(i.path)
			if !ours || i.test && name == pkg {
				continue
			}
			if !slices.Contains(row.imports, name) && !(i.test && slices.Contains(row.tests, name)) {
				t.Errorf("%s: package %s may not import %s", i.file, pkg, name)
			}
		}
	}
}

func TestPurePackagesDoNoIO(t *testing.T) {
	all := packages(t)
	for _, pkg := range pure {
		for _, i := range all[pkg] {
			if !i.test && slices.Contains(doesIO, i.path) {
				t.Errorf("%s: package %s is pure and may not import %s", i.file, pkg, i.path)
			}
		}
	}
}

func TestLibrariesStayWithTheirEngine(t *testing.T) {
	for pkg, imports := range packages(t) {
		for _, i := range imports {
			for prefix, allowed := range libraries {
				if !i.test && strings.HasPrefix(i.path, prefix) && !slices.Contains(allowed, pkg) {
					t.Errorf("%s: package %s may not import %s", i.file, pkg, i.path)
				}
			}
		}
	}
}

func internalName(importPath string) (name string, ours bool) {
	if importPath == module {
		return ".", true
	}
	rest, ours := strings.CutPrefix(importPath, module+"/")
	return strings.TrimPrefix(rest, "internal/"), ours
}

// packages reads the imports of every Go file of the module.
func packages(t *testing.T) map[string][]imported {
	t.Helper()
	found := map[string][]imported{}
	set := token.NewFileSet()
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && (name == "testdata" || len(name) > 1 && strings.HasPrefix(name, ".")) {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(file, ".go") {
			return nil
		}
		parsed, err := parser.ParseFile(set, file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		pkg := strings.TrimPrefix(path.Dir(filepath.ToSlash(file)), "internal/")
		found[pkg] = append(found[pkg], []imported{}...) // a package without imports is one too
		for _, spec := range parsed.Imports {
			p, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			found[pkg] = append(found[pkg], imported{filepath.ToSlash(file), p, strings.HasSuffix(file, "_test.go")})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
