package kafka_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/kafka"
)

func TestRegistryClientTellsUnknownFromDown(t *testing.T) {
	ctx := t.Context()
	reg := openRegistry(t, t.TempDir())
	var asked atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		reg.ServeHTTP(w, r)
	}))
	c, err := kafka.NewRegistryClient(s.URL)
	require.NoError(t, err)
	schema := record("a", idField)
	id, err := c.Register(ctx, "a-value", schema)
	require.NoError(t, err)
	got, err := c.Schema(ctx, id)
	require.NoError(t, err)
	require.Equal(t, schema, got)
	before := asked.Load()
	for range 3 {
		_, err = c.Schema(ctx, id)
		require.NoError(t, err)
		_, err = c.Register(ctx, "a-value", schema)
		require.NoError(t, err)
	}
	require.Equal(t, before, asked.Load(), "an id never changes its schema, so nobody has to ask again")

	_, err = c.Schema(ctx, 77)
	var unknown *kafka.UnknownSchema
	require.ErrorAs(t, err, &unknown)
	require.Equal(t, kafka.UnknownSchema{URL: s.URL, ID: 77}, *unknown)
	_, err = c.Register(ctx, "a-value", `{"type":"nonsense"}`)
	var refused *kafka.SchemaRefused
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "a-value", refused.Subject)

	s.Close()
	var down *kafka.RegistryDown
	_, err = c.Schema(ctx, 78)
	require.ErrorAs(t, err, &down)
	_, err = c.Register(ctx, "b-value", schema)
	require.ErrorAs(t, err, &down)
	require.ErrorContains(t, err, s.URL)
	_, err = c.Schema(ctx, id)
	require.NoError(t, err, "what is known is known")
}

// Something else may listen at the address.
func TestAnythingElseAtTheAddressIsNoUnknownSchema(t *testing.T) {
	for _, h := range []http.HandlerFunc{
		http.NotFound,
		func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
	} {
		s := httptest.NewServer(h)
		c, err := kafka.NewRegistryClient(s.URL)
		require.NoError(t, err)
		_, err = c.Schema(t.Context(), 1)
		var down *kafka.RegistryDown
		require.ErrorAs(t, err, &down)
		s.Close()
	}
}

func TestRegistryCredentialsAreSentAndNeverShown(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, pass, _ := r.BasicAuth()
		if user != "me" || pass != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer s.Close()
	c, err := kafka.NewRegistryClient("http://me:secret@" + s.Listener.Addr().String())
	require.NoError(t, err)
	_, err = c.Schema(t.Context(), 1)
	require.NotContains(t, err.Error(), "secret")
	require.NotContains(t, err.Error(), "401")
	for _, bad := range []string{"", "localhost:8081", "ftp://x", "http://u:secret@%"} {
		_, err := kafka.NewRegistryClient(bad)
		require.Equal(t, undrop.BadInput, undrop.CodeOf(err), bad)
		require.NotContains(t, err.Error(), "secret")
	}
}
