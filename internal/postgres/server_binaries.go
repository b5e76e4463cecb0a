package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"

	undrop "github.com/undrop/undrop"
)

// BinEnv names the environment variable that points at the bin folder of a
// PostgreSQL installation; it goes before everything that is searched for.
const BinEnv = "UNDROP_POSTGRES_BIN"

// binaryPlaces are where packages put PostgreSQL.
var binaryPlaces = []string{
	"/usr/lib/postgresql/*/bin",          // Debian
	"/usr/pgsql-*/bin",                   // Red Hat
	"/usr/libexec/postgresql*",           // Alpine
	"/opt/homebrew/opt/postgresql@*/bin", // Homebrew, arm64
	"/usr/local/opt/postgresql@*/bin",    // Homebrew, amd64
	"/Applications/Postgres.app/Contents/Versions/*/bin",
	"/usr/local/pgsql/bin",
}

// findBinaries is the folder with postgres and initdb that fit: what the caller or
// the environment names, else an installation, else a download.
func findBinaries(ctx context.Context, cfg ServerConfig, o *owner, dir string) (string, error) {
	named := cfg.BinDir
	if named == "" && cfg.Version == "" {
		named = os.Getenv(BinEnv)
	}
	if named != "" {
		if err := usable(ctx, named); err != nil {
			return "", &undrop.Error{Code: undrop.BadInput, Op: "use PostgreSQL in " + named, Err: err,
				Hint: "point " + BinEnv + " at a folder with postgres and initdb of version 14 or newer, or unset it"}
		}
		return named, nil
	}
	if cfg.Version == "" {
		for _, bin := range installations() {
			if usable(ctx, bin) == nil && o.blocked(bin) == "" {
				return bin, nil
			}
		}
	}
	if ctx.Err() != nil { // nobody answered because nobody wants to know any more
		return "", fmt.Errorf("find PostgreSQL: %w", context.Cause(ctx))
	}
	bin, err := download(ctx, cfg, o, dir)
	if err != nil {
		return "", &undrop.Error{Code: undrop.Failed, Op: "obtain PostgreSQL", Err: err,
			Hint: "install PostgreSQL 14 or newer (Debian: apt-get install postgresql), or point " + BinEnv + " at the bin folder of one"}
	}
	return bin, nil
}

// installations lists folders that may hold PostgreSQL, the one on PATH first,
// then newer versions before older ones.
func installations() []string {
	var all []string
	if p, err := exec.LookPath("postgres"); err == nil {
		if real, err := filepath.EvalSymlinks(p); err == nil {
			p = real // a link alone: its neighbours (initdb, ../lib) are where it points
		}
		all = append(all, filepath.Dir(p))
	}
	for _, place := range binaryPlaces {
		found, err := filepath.Glob(place)
		if err != nil {
			continue // a bad pattern is a mistake of ours that no test would survive
		}
		slices.SortFunc(found, func(a, b string) int { return majorIn(b) - majorIn(a) })
		all = append(all, found...)
	}
	return all
}

var digits = regexp.MustCompile(`\d+`)

// majorIn is the version in a path such as /usr/lib/postgresql/15/bin.
func majorIn(path string) int {
	found := digits.FindAllString(path, -1)
	if len(found) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(found[len(found)-1]) // only digits: an overflow would sort it last, which is fine
	return n
}

var serverVersion = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// usable says why a folder cannot start a server for us.
func usable(ctx context.Context, bin string) error {
	if _, err := exec.LookPath(filepath.Join(bin, "initdb")); err != nil {
		return fmt.Errorf("no initdb there: %w", err)
	}
	out, err := exec.CommandContext(ctx, filepath.Join(bin, "postgres"), "--version").Output()
	if err != nil {
		return fmt.Errorf("ask for its version: %w", err)
	}
	m := serverVersion.FindSubmatch(out)
	if m == nil {
		return errors.New("it does not say that it is PostgreSQL")
	}
	if n, err := strconv.Atoi(string(m[1])); err != nil || n < minVersion/10000 {
		return fmt.Errorf("it is version %s, 14 or newer is needed", m[1])
	}
	return nil
}
