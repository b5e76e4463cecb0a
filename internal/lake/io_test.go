package lake

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	undrop "github.com/undrop/undrop"
)

func TestAFileAppearsWholeOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	wh, err := OpenWarehouse(dir)
	require.NoError(t, err)
	name := wh.Location + "/a/b/c.bin"
	list := func() (out []string) {
		entries, err := os.ReadDir(filepath.Join(dir, "a", "b"))
		require.NoError(t, err)
		for _, e := range entries {
			out = append(out, e.Name())
		}
		return out
	}
	w, err := wh.FS.Create(name)
	require.NoError(t, err)
	_, err = w.Write([]byte("half"))
	require.NoError(t, err)
	_, err = wh.FS.Open(name)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.True(t, strings.HasPrefix(list()[0], "."), "readers that list folders skip it")
	_, err = w.ReadFrom(strings.NewReader(" and half"))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.Equal(t, []string{"c.bin"}, list())
	got, err := wh.FS.ReadFile(filepath.Join(dir, "a/b/c.bin"))
	require.NoError(t, err)
	require.Equal(t, "half and half", string(got))

	require.NoError(t, wh.FS.WriteFile(name, []byte("new")))
	f, err := wh.FS.Open("file:" + filepath.Join(dir, "a/b/c.bin"))
	require.NoError(t, err)
	got, err = io.ReadAll(f)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.Equal(t, "new", string(got))

	var seen []string
	require.NoError(t, wh.FS.WalkDir(wh.Location+"/a", func(p string, d fs.DirEntry, err error) error {
		seen = append(seen, p)
		return err
	}))
	require.Equal(t, []string{wh.Location + "/a", wh.Location + "/a/b", name}, seen)
	require.NoError(t, wh.FS.Remove(name))
	require.Empty(t, list())
}

func TestAFailedFileLeavesNothing(t *testing.T) {
	wh, err := OpenWarehouse(t.TempDir())
	require.NoError(t, err)
	w, err := wh.FS.create(wh.Location + "/x/y")
	require.NoError(t, err)
	_, err = w.ReadFrom(io.MultiReader(strings.NewReader("begin"), broken{}))
	require.ErrorIs(t, err, errBroken)
	require.ErrorIs(t, w.Close(), errBroken)
	entries, err := os.ReadDir(strings.TrimPrefix(wh.Location, "file://") + "/x")
	require.NoError(t, err)
	require.Empty(t, entries)
}

var errBroken = errors.New("broken")

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errBroken }

func TestAFolderThatWasRemovedIsMadeAgain(t *testing.T) {
	dir := t.TempDir()
	wh, err := OpenWarehouse(dir)
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, wh.FS.WriteFile(wh.Location+"/a/b/c", []byte("x")))
		require.NoError(t, os.RemoveAll(dir+"/a"))
	}
}

func TestAFileInTheWayOfAFolder(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(dir+"/x", nil, 0o644))
	_, err := OpenWarehouse(dir + "/x")
	require.ErrorContains(t, err, "a file is in the way")
	wh, err := OpenWarehouse(dir)
	require.NoError(t, err)
	require.ErrorContains(t, wh.FS.WriteFile(wh.Location+"/x/y", nil), "a file is in the way")
}

func TestWarehouseLocations(t *testing.T) {
	dir := t.TempDir()
	for _, in := range []string{dir + "/w", dir + "/w/", "file://" + dir + "/w", "file:" + dir + "/w/", "file://localhost" + dir + "/w", dir + "/x/../w"} {
		wh, err := OpenWarehouse(in)
		require.NoError(t, err)
		require.Equal(t, "file://"+dir+"/w", wh.Location)
	}
	t.Chdir(dir)
	wh, err := OpenWarehouse("./w")
	require.NoError(t, err)
	require.Equal(t, "file://"+dir+"/w", wh.Location)
	for in, want := range map[string]string{
		"": "no location", "s3://bucket/prefix": "s3 locations are not supported", "file://elsewhere/w": "other machine", "file:w": "must be absolute",
		dir + "/a b%20": `'%'`, dir + "/a#b": `'#'`, dir + "/a[1]": `'['`, dir + "/a?": `'?'`, "gs://b": "gs locations",
	} {
		_, err := OpenWarehouse(in)
		require.ErrorContains(t, err, want, in)
		var e *undrop.Error
		require.True(t, errors.As(err, &e))
		require.Equal(t, undrop.BadInput, e.Code)
		require.NotEmpty(t, e.Hint)
	}
}
