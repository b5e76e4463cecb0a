package lake

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	undrop "github.com/undrop/undrop"
)

// Warehouse is the place where tables keep their files.
type Warehouse struct {
	Location string // file:///absolute/path, without a slash at the end
	FS       *FS
}

// OpenWarehouse opens a warehouse, given as a folder or a file: URI, and makes the
// folder if it is missing. A location that some reader of Iceberg tables would
// take for another one is refused, since it ends up in every metadata file.
func OpenWarehouse(location string) (*Warehouse, error) {
	refuse := func(hint, format string, args ...any) error {
		return &undrop.Error{Code: undrop.BadInput, Op: fmt.Sprintf("open the warehouse %q", location), Err: fmt.Errorf(format, args...), Hint: hint}
	}
	const folder = "use a folder of this machine, for example warehouse: ./warehouse"
	if location == "" {
		return nil, refuse(folder, "no location is given")
	}
	path, err := localPath(location)
	if err != nil {
		return nil, refuse(folder, "%w", err)
	}
	if !filepath.IsAbs(path) {
		if strings.HasPrefix(location, "file:") {
			return nil, refuse("write file:///absolute/path", "a file: location must be absolute")
		}
		if path, err = filepath.Abs(path); err != nil {
			return nil, refuse(folder, "%w", err)
		}
	}
	path = filepath.Clean(path)
	if r, bad := unsafeRune(path); bad {
		return nil, refuse("choose a folder without it: every reader must understand the locations of the files",
			"readers disagree about what %q in a location means", r)
	}
	fsys := &FS{root: path}
	if err := fsys.makeDir(path); err != nil {
		return nil, &undrop.Error{Code: undrop.Failed, Op: fmt.Sprintf("open the warehouse %q", location), Err: err,
			Hint: "check that the folder can be made and written to: ls -ld " + filepath.Dir(path)}
	}
	return &Warehouse{Location: "file://" + filepath.ToSlash(path), FS: fsys}, nil
}

// unsafeRune finds a character that means something in URIs or file patterns: some
// readers decode it, some match with it, some take it as it is.
func unsafeRune(path string) (rune, bool) {
	for _, r := range path {
		if r == utf8.RuneError || unicode.IsControl(r) || strings.ContainsRune(`%#?*[]{}\"<>|^`+"`", r) {
			return r, true
		}
	}
	return 0, false
}

// localPath is the path that a location names: a path as it is, or a URI of the
// forms file:///a, file:/a and file://localhost/a. Nothing in it is decoded.
func localPath(location string) (string, error) {
	scheme, rest, ok := strings.Cut(location, ":")
	if !ok || strings.ContainsAny(scheme, `/\`) {
		return location, nil
	}
	if !strings.EqualFold(scheme, "file") {
		if strings.HasPrefix(rest, "//") {
			return "", fmt.Errorf("%s locations are not supported by this version", scheme)
		}
		return location, nil // a colon in a file name
	}
	if !strings.HasPrefix(rest, "//") {
		return filepath.FromSlash(rest), nil
	}
	host, path, ok := strings.Cut(rest[2:], "/")
	if host != "" && !strings.EqualFold(host, "localhost") {
		return "", fmt.Errorf("a file: location names the other machine %q", host)
	}
	if !ok {
		return "", errors.New("a file: location needs a path")
	}
	return filepath.FromSlash("/" + path), nil
}
