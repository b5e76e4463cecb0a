package kafka_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/sr"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/kafka"
)

func openRegistry(t *testing.T, dir string) *kafka.Registry {
	t.Helper()
	r, err := kafka.NewRegistry(dir)
	require.NoError(t, err)
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// stock is the client that other people's serialisers use.
func stock(t *testing.T, r http.Handler) *sr.Client {
	t.Helper()
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	c, err := sr.NewClient(sr.URLs(s.URL))
	require.NoError(t, err)
	return c
}

func record(name string, fields ...string) string {
	return `{"type":"record","name":"` + name + `","fields":[` + strings.Join(fields, ",") + `]}`
}

const (
	idField   = `{"name":"id","type":"long"}`
	noteField = `{"name":"note","type":["null","string"],"default":null}`
	mustField = `{"name":"must","type":"string"}`
)

func code(t *testing.T, err error) int {
	t.Helper()
	var e *sr.ResponseError
	require.ErrorAs(t, err, &e)
	return e.ErrorCode
}

func TestStockClientFindsWhatItExpects(t *testing.T) {
	ctx := t.Context()
	c := stock(t, openRegistry(t, t.TempDir()))
	v1, v2 := record("a", idField), record("a", idField, noteField)

	one, err := c.CreateSchema(ctx, "a-value", sr.Schema{Schema: v1})
	require.NoError(t, err)
	require.Equal(t, 1, one.ID)
	require.Equal(t, 1, one.Version)
	two, err := c.CreateSchema(ctx, "a-value", sr.Schema{Schema: v2})
	require.NoError(t, err)
	require.Equal(t, 2, two.Version)
	again, err := c.CreateSchema(ctx, "a-value", sr.Schema{Schema: " " + strings.ReplaceAll(v1, ",", " ,\n")})
	require.NoError(t, err)
	require.Equal(t, one.ID, again.ID, "space has no meaning")
	other, err := c.CreateSchema(ctx, "b-value", sr.Schema{Schema: v1})
	require.NoError(t, err)
	require.Equal(t, one.ID, other.ID, "the same schema has one id in the whole registry")
	slash, err := c.CreateSchema(ctx, "a/b c", sr.Schema{Schema: `"string"`})
	require.NoError(t, err)
	require.Equal(t, "a/b c", slash.Subject)

	text, err := c.SchemaByID(ctx, one.ID)
	require.NoError(t, err)
	require.Equal(t, sr.Schema{Schema: v1}, text)
	raw, err := c.SchemaTextByID(ctx, one.ID)
	require.NoError(t, err)
	require.Equal(t, v1, raw)
	found, err := c.LookupSchema(ctx, "a-value", sr.Schema{Schema: v2})
	require.NoError(t, err)
	require.Equal(t, two, found)
	subjects, err := c.Subjects(ctx)
	require.NoError(t, err)
	require.Equal(t, []string{"a-value", "a/b c", "b-value"}, subjects)
	versions, err := c.SubjectVersions(ctx, "a-value")
	require.NoError(t, err)
	require.Equal(t, []int{1, 2}, versions)
	latest, err := c.SchemaByVersion(ctx, "a-value", -1)
	require.NoError(t, err)
	require.Equal(t, two, latest)
	raw, err = c.SchemaTextByVersion(ctx, "a-value", 1)
	require.NoError(t, err)
	require.Equal(t, v1, raw)
	uses, err := c.SchemaVersionsByID(ctx, one.ID)
	require.NoError(t, err)
	require.Equal(t, []sr.SubjectVersion{{Subject: "a-value", Version: 1}, {Subject: "b-value", Version: 1}}, uses)
	names, err := c.SubjectsByID(ctx, one.ID)
	require.NoError(t, err)
	require.Equal(t, []string{"a-value", "b-value"}, names)
	all, err := c.AllSchemas(sr.WithParams(ctx, sr.LatestOnly))
	require.NoError(t, err)
	require.Len(t, all, 3)
	types, err := c.SupportedTypes(ctx)
	require.NoError(t, err)
	require.Equal(t, []sr.SchemaType{sr.TypeAvro}, types)
	_, err = c.SchemaReferences(ctx, "a-value", 1)
	require.NoError(t, err)
}

func TestErrorsHaveTheCodesThatClientsLookFor(t *testing.T) {
	ctx := t.Context()
	c := stock(t, openRegistry(t, t.TempDir()))
	_, err := c.CreateSchema(ctx, "a", sr.Schema{Schema: record("a", idField)})
	require.NoError(t, err)
	for _, x := range []struct {
		name string
		code int
		call func() error
	}{
		{"unknown id", 40403, func() error { _, err := c.SchemaByID(ctx, 99); return err }},
		{"unknown subject", 40401, func() error { _, err := c.SubjectVersions(ctx, "none"); return err }},
		{"unknown subject, latest", 40401, func() error { _, err := c.SchemaByVersion(ctx, "none", -1); return err }},
		{"unknown version", 40402, func() error { _, err := c.SchemaByVersion(ctx, "a", 7); return err }},
		{"no version at all", 42202, func() error { _, err := c.SchemaByVersion(ctx, "a", 0); return err }},
		{"lookup in an unknown subject", 40401, func() error {
			_, err := c.LookupSchema(ctx, "none", sr.Schema{Schema: `"int"`})
			return err
		}},
		{"lookup of an unknown schema", 40403, func() error {
			_, err := c.LookupSchema(ctx, "a", sr.Schema{Schema: `"int"`})
			return err
		}},
		{"no JSON", 42201, func() error { _, err := c.RegisterSchema(ctx, "a", sr.Schema{Schema: `{`}, -1, -1); return err }},
		{"no Avro", 42201, func() error {
			_, err := c.RegisterSchema(ctx, "a", sr.Schema{Schema: `{"type":"rec"}`}, -1, -1)
			return err
		}},
		{"protobuf", 42201, func() error {
			_, err := c.RegisterSchema(ctx, "a", sr.Schema{Schema: `x`, Type: sr.TypeProtobuf}, -1, -1)
			return err
		}},
		{"references", 42201, func() error {
			_, err := c.RegisterSchema(ctx, "a", sr.Schema{Schema: `"int"`, References: []sr.SchemaReference{{Name: "x"}}}, -1, -1)
			return err
		}},
		{"deletion of an unknown subject", 40401, func() error { _, err := c.DeleteSubject(ctx, "none", sr.SoftDelete); return err }},
		{"removal before deletion", 40405, func() error { _, err := c.DeleteSubject(ctx, "a", sr.HardDelete); return err }},
		{"removal of a version before deletion", 40407, func() error { return c.DeleteSchema(ctx, "a", 1, sr.HardDelete) }},
		{"compatibility that nobody set", 40408, func() error { return c.Compatibility(ctx, "a")[0].Err }},
	} {
		t.Run(x.name, func(t *testing.T) { require.Equal(t, x.code, code(t, x.call())) })
	}
}

func TestCompatibilityIsCheckedWhereItIsAskedFor(t *testing.T) {
	ctx := t.Context()
	c := stock(t, openRegistry(t, t.TempDir()))
	_, err := c.CreateSchema(ctx, "a", sr.Schema{Schema: record("a", idField)})
	require.NoError(t, err)
	set := c.SetCompatibility(ctx, sr.SetCompatibility{Level: sr.CompatBackward}, "a")
	require.NoError(t, set[0].Err)
	require.Equal(t, sr.CompatBackward, c.Compatibility(ctx, "a")[0].Level)
	bad, good := sr.Schema{Schema: record("a", idField, mustField)}, sr.Schema{Schema: record("a", idField, noteField)}
	ask, err := c.CheckCompatibility(sr.WithParams(ctx, sr.Verbose), "a", -1, bad)
	require.NoError(t, err)
	require.False(t, ask.Is)
	require.Contains(t, strings.Join(ask.Messages, " "), "must")
	ask, err = c.CheckCompatibility(ctx, "a", 1, good)
	require.NoError(t, err)
	require.True(t, ask.Is)
	_, err = c.CreateSchema(ctx, "a", bad)
	require.Equal(t, 409, code(t, err))
	_, err = c.CreateSchema(ctx, "a", good)
	require.NoError(t, err)
	require.NoError(t, c.ResetCompatibility(ctx, "a")[0].Err)
	_, err = c.CreateSchema(ctx, "a", bad)
	require.NoError(t, err, "the contract decides, and it has decided before")

	require.NoError(t, c.SetMode(ctx, sr.ModeReadOnly, "a")[0].Err)
	_, err = c.CreateSchema(ctx, "a", sr.Schema{Schema: `"int"`})
	require.Equal(t, 42205, code(t, err))
	require.NoError(t, c.ResetMode(ctx, "a")[0].Err)
	_, err = c.CreateSchema(ctx, "a", sr.Schema{Schema: `"int"`})
	require.NoError(t, err)
}

func TestDeletedVersionsAreHiddenAndTheirIdsStay(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	r := openRegistry(t, dir)
	c := stock(t, r)
	one, err := c.CreateSchema(ctx, "a", sr.Schema{Schema: `"int"`})
	require.NoError(t, err)
	_, err = c.CreateSchema(ctx, "a", sr.Schema{Schema: `"long"`})
	require.NoError(t, err)
	require.NoError(t, c.DeleteSchema(ctx, "a", 1, sr.SoftDelete))
	versions, err := c.SubjectVersions(ctx, "a")
	require.NoError(t, err)
	require.Equal(t, []int{2}, versions)
	versions, err = c.SubjectVersions(sr.WithParams(ctx, sr.ShowDeleted), "a")
	require.NoError(t, err)
	require.Equal(t, []int{1, 2}, versions)
	gone, err := c.DeleteSubject(ctx, "a", sr.SoftDelete)
	require.NoError(t, err)
	require.Equal(t, []int{2}, gone)
	_, err = c.DeleteSubject(ctx, "a", sr.HardDelete)
	require.NoError(t, err)
	again, err := c.CreateSchema(ctx, "a", sr.Schema{Schema: `"int"`})
	require.NoError(t, err)
	require.Equal(t, one.ID, again.ID)
	require.Equal(t, 3, again.Version, "a number is never used again")

	require.NoError(t, r.Close())
	_, err = c.CreateSchema(ctx, "b", sr.Schema{Schema: `"boolean"`})
	require.Error(t, err, "a closed registry takes nothing")
	c = stock(t, openRegistry(t, dir))
	text, err := c.SchemaByID(ctx, 2)
	require.NoError(t, err)
	require.Equal(t, `"long"`, text.Schema, "records still name it")
	found, err := c.LookupSchema(ctx, "a", sr.Schema{Schema: `"int"`})
	require.NoError(t, err)
	require.Equal(t, again, found)
}

func TestSecondRegistryIsRefused(t *testing.T) {
	dir := t.TempDir()
	openRegistry(t, dir)
	_, err := kafka.NewRegistry(dir)
	require.Equal(t, undrop.Refused, undrop.CodeOf(err))
	require.ErrorContains(t, err, fmt.Sprint(os.Getpid()))
}

func TestContentTypeAndUnknownPaths(t *testing.T) {
	s := httptest.NewServer(openRegistry(t, t.TempDir()))
	defer s.Close()
	for path, status := range map[string]int{"/": 200, "/subjects": 200, "/nothing/here": 404, "/schemas/ids/x": 404} {
		resp, err := http.Get(s.URL + path)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		resp.Body.Close()
		require.Equal(t, status, resp.StatusCode, path)
		require.Equal(t, "application/vnd.schemaregistry.v1+json", resp.Header.Get("Content-Type"))
		if status == 404 {
			require.Contains(t, string(body), `"error_code"`)
		}
	}
	resp, err := http.Post(s.URL+"/subjects/a/versions", "application/json", strings.NewReader("{"))
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusBadRequest, resp.StatusCode)
}
