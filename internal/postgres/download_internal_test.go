package postgres

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// An archive that is not the pinned one is not used, and not kept.
func TestArchiveMustHaveThePinnedSum(t *testing.T) {
	for name := range pinnedSums {
		archive := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(archive, []byte("something else"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := check(archive); err == nil || !strings.Contains(err.Error(), "SHA-256") {
			t.Errorf("%s: got %v, want it refused", name, err)
		}
		if _, err := os.Stat(archive); !os.IsNotExist(err) {
			t.Errorf("%s is still there", name)
		}
	}
}

// No name in an archive may lead out of the folder that it is unpacked to.
func TestUnpackingStaysInItsFolder(t *testing.T) {
	for _, name := range []string{"../out", "bin/../../out", "link/out"} {
		var buf bytes.Buffer
		w := tar.NewWriter(&buf)
		for _, h := range []*tar.Header{
			{Name: "link", Typeflag: tar.TypeSymlink, Linkname: ".."},
			{Name: name, Typeflag: tar.TypeReg, Mode: 0o644},
		} {
			if err := w.WriteHeader(h); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		top := t.TempDir()
		inside := filepath.Join(top, "inside")
		if err := os.Mkdir(inside, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := untar(tar.NewReader(&buf), inside); err == nil {
			t.Errorf("%s was unpacked", name)
		}
		if _, err := os.Stat(filepath.Join(top, "out")); !os.IsNotExist(err) {
			t.Errorf("%s got out", name)
		}
	}
}
