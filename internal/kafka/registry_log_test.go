package kafka_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/sr"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/kafka"
)

// filled writes a registry with three schemas and gives its file.
func filled(t *testing.T) (dir string, text []byte) {
	t.Helper()
	dir = t.TempDir()
	r := openRegistry(t, dir)
	c := stock(t, r)
	for i, s := range []string{`"int"`, `"long"`, `"string"`} {
		got, err := c.CreateSchema(context.Background(), "a", sr.Schema{Schema: s})
		require.NoError(t, err)
		require.Equal(t, i+1, got.ID)
	}
	require.NoError(t, r.Close())
	text, err := os.ReadFile(filepath.Join(dir, "schemas.log"))
	require.NoError(t, err)
	return dir, text
}

// ids is which of the three schemas a registry still knows.
func ids(t *testing.T, r *kafka.Registry) []int {
	t.Helper()
	var got []int
	for id := 1; id <= 4; id++ {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequest(http.MethodGet, fmt.Sprintf("/schemas/ids/%d", id), nil))
		if w.Code == http.StatusOK {
			got = append(got, id)
		}
	}
	return got
}

// Whatever a crash leaves of the last line, all whole lines are there and the
// next schema can be written.
func TestTornTail(t *testing.T) {
	_, whole := filled(t)
	for cut := range len(whole) + 1 {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "schemas.log"), whole[:cut], 0o644))
		r, err := kafka.NewRegistry(dir)
		require.NoError(t, err, "cut at %d", cut)
		lines := bytes.Count(whole[:cut], []byte{'\n'})
		if cut < len(whole) && whole[cut] == '\n' {
			lines++ // all but the newline is there
		}
		want := []int{1, 2, 3}[:max(0, lines-1)]
		require.ElementsMatch(t, want, ids(t, r), "cut at %d", cut)
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/subjects/b/versions", strings.NewReader(`{"schema":"\"bytes\""}`)))
		require.Equal(t, http.StatusOK, w.Code, w.Body.String())
		require.NoError(t, r.Close())
		r, err = kafka.NewRegistry(dir)
		require.NoError(t, err, "cut at %d, then written to", cut)
		require.Len(t, ids(t, r), len(want)+1)
		require.NoError(t, r.Close())
	}
}

// A flipped bit is damage or does no harm; it never takes a schema away.
func TestFlippedBitNeverLosesASchema(t *testing.T) {
	_, whole := filled(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "schemas.log")
	damaged := 0
	for bit := range 8 * len(whole) {
		text := bytes.Clone(whole)
		text[bit/8] ^= 1 << (bit % 8)
		require.NoError(t, os.WriteFile(path, text, 0o644))
		r, err := kafka.NewRegistry(dir)
		if err != nil {
			require.Equal(t, undrop.Damaged, undrop.CodeOf(err), "bit %d: %v", bit, err)
			kept, rerr := os.ReadFile(path)
			require.NoError(t, rerr)
			require.Equal(t, text, kept, "a damaged file is left as it is")
			damaged++
			continue
		}
		require.Equal(t, []int{1, 2, 3}, ids(t, r), "bit %d", bit)
		require.NoError(t, r.Close())
	}
	require.Greater(t, damaged, 7*len(whole))
}
