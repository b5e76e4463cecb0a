package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	undrop "github.com/undrop/undrop"
)

// Load reads file, fills in defaults, expands ${VAR} and ${VAR:-default}, and
// makes paths absolute. Everything that is wrong is reported at once, as an
// undrop.Error with code BadInput.
func Load(file string) (*Config, error) {
	data, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &undrop.Error{Code: undrop.BadInput, Op: "read the configuration", Err: fmt.Errorf("there is no file %s", file),
			Hint: "undrop init --source DSN DIR     # writes one\n-f DIR/undrop.yaml                # names another"}
	case err != nil:
		return nil, &undrop.Error{Code: undrop.BadInput, Op: "read the configuration", Err: err,
			Hint: "name a file that this user may read: -f DIR/undrop.yaml"}
	}
	return parse(file, string(data), os.LookupEnv)
}

func parse(file, data string, lookup func(string) (string, bool)) (*Config, error) {
	r := &reader{problems: problems{file: file}, vars: &variables{lookup: lookup}, lines: map[string]int{}}
	c := defaults()
	abs, err := filepath.Abs(file)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", file, err)
	}
	c.File, c.Dir = abs, filepath.Dir(abs)
	root, ok := r.parse(data)
	if !ok {
		return nil, r.err()
	}
	root.mapping(c.keys())
	r.check(c)
	if err := r.err(); err != nil {
		return nil, err
	}
	r.resolve(c)
	if err := r.err(); err != nil {
		return nil, err
	}
	return c, nil
}

// resolve makes every path absolute and finds the contracts.
func (r *reader) resolve(c *Config) {
	c.State = c.path(c.State)
	c.Warehouse = c.location(c.Warehouse)
	c.Catalog.Vault = c.location(c.Catalog.Vault)
	switch view := c.Catalog.View.text; {
	case view == "":
		c.Catalog.View.text = defaultView(c.State)
	case !strings.Contains(view, "://"):
		c.Catalog.View.text = c.path(view)
	}
	if k := c.Log.Kafka; k != nil && k.TLS != nil {
		for _, p := range []*string{&k.TLS.CA, &k.TLS.Cert, &k.TLS.Key} {
			if *p != "" {
				*p = c.path(*p)
			}
		}
	}
	var files []string
	for i, pattern := range c.Contracts {
		found, err := filepath.Glob(c.path(pattern))
		switch {
		case err != nil:
			r.add(r.line("contracts"), fmt.Sprintf("contracts[%d]", i), "", "%q is not a pattern: %v", pattern, err)
		case len(found) == 0:
			r.add(r.line("contracts"), fmt.Sprintf("contracts[%d]", i), "undrop contract import --source DSN TABLE > contract.odcs.yaml",
				"no contract matches %s", c.path(pattern))
		}
		files = append(files, found...)
	}
	slices.Sort(files)
	c.Contracts = slices.Compact(files)
}

// path is relative to the folder of the file.
func (c *Config) path(p string) string {
	if filepath.IsAbs(p) {
		return filepath.Clean(p)
	}
	return filepath.Join(c.Dir, p)
}

// location is a path or a URL.
func (c *Config) location(l string) string {
	if strings.Contains(l, "://") {
		return l
	}
	return c.path(l)
}

// line is where the key at path stands; its parent's line when it is not there.
func (r *reader) line(path string) int {
	for {
		if line, ok := r.lines[path]; ok {
			return line
		}
		i := strings.LastIndexByte(path, '.')
		if i < 0 {
			return 0
		}
		path = path[:i]
	}
}
