package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/apache/iceberg-go"
	iceio "github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"
	"github.com/stretchr/testify/require"

	undrop "github.com/undrop/undrop"
)

func name(s string) undrop.TableName { return undrop.TableName{Namespace: "bank", Name: s} }

func schema() *iceberg.Schema {
	return iceberg.NewSchemaWithIdentifiers(0, []int{7},
		iceberg.NestedField{ID: 7, Name: "id", Type: iceberg.PrimitiveTypes.Int64, Required: true},
		iceberg.NestedField{ID: 3, Name: "note", Type: iceberg.PrimitiveTypes.String},
		iceberg.NestedField{ID: 10001, Name: "_undrop_source", Type: iceberg.PrimitiveTypes.String, Required: true})
}

// localFS is the library's folder access: the tests here need no durability.
type localFS struct{ iceio.LocalFS }

func open(t testing.TB, dir string) *sqlite {
	t.Helper()
	c, err := OpenSQLite(t.Context(), filepath.Join(dir, "state", "catalog.db"), localFS{}, "file://"+dir+"/warehouse")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c.(*sqlite)
}

func create(t testing.TB, c Catalog, n string, props iceberg.Properties) *Entry {
	t.Helper()
	e, err := c.Create(t.Context(), name(n), schema(), *iceberg.UnpartitionedSpec, props)
	require.NoError(t, err)
	return e
}

func set(n, key, value string) Commit {
	return Commit{Name: name(n), Updates: []table.Update{table.NewSetPropertiesUpdate(iceberg.Properties{key: value})}}
}

func metadataFiles(t testing.TB, e *Entry) []string {
	t.Helper()
	files, err := filepath.Glob(strings.TrimPrefix(e.Metadata.Location(), "file://") + "/metadata/*.metadata.json")
	require.NoError(t, err)
	return files
}

func TestCreatedTableIsFoundAgain(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir)
	e := create(t, c, "payments", iceberg.Properties{"format-version": "2", "a": "b"})
	create(t, c, "accounts", nil)
	require.Equal(t, "file://"+dir+"/warehouse/bank/payments", e.Metadata.Location())
	require.Regexp(t, `/metadata/00000-[0-9a-f-]{36}\.metadata\.json$`, e.Location)

	other := open(t, dir) // a second handle has nothing in memory
	got, err := other.Load(t.Context(), name("payments"))
	require.NoError(t, err)
	require.Equal(t, e.Location, got.Location)
	require.True(t, got.Metadata.Equals(e.Metadata))
	require.Equal(t, "b", got.Metadata.Properties()["a"])
	id, ok := got.Metadata.CurrentSchema().FindFieldByName("id")
	require.True(t, ok)
	require.Equal(t, 7, id.ID, "field ids are the contract's, not fresh ones")
	require.Equal(t, []int{7}, got.Metadata.CurrentSchema().IdentifierFieldIDs)

	tables, err := other.List(t.Context(), "bank")
	require.NoError(t, err)
	require.Equal(t, []undrop.TableName{name("accounts"), name("payments")}, tables)
	all, err := other.List(t.Context(), "")
	require.NoError(t, err)
	require.Len(t, all, 2)
	none, err := other.List(t.Context(), "other")
	require.NoError(t, err)
	require.Empty(t, none)
	namespaces, err := other.Namespaces(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"bank"}, namespaces)
}

func TestNameIsTakenOnce(t *testing.T) {
	c := open(t, t.TempDir())
	first := create(t, c, "payments", nil)
	_, err := c.Create(t.Context(), name("payments"), schema(), *iceberg.UnpartitionedSpec, nil)
	require.ErrorIs(t, err, ErrExists)
	require.Len(t, metadataFiles(t, first), 1, "the loser leaves no file")

	require.NoError(t, c.Drop(t.Context(), name("payments")))
	require.ErrorIs(t, c.Drop(t.Context(), name("payments")), ErrNoTable)
	_, err = c.Load(t.Context(), name("payments"))
	require.ErrorIs(t, err, ErrNoTable)
	again := create(t, c, "payments", nil)
	require.NotEqual(t, first.Metadata.Location(), again.Metadata.Location(), "files of the dropped table are not taken for the new one's")
	require.True(t, strings.HasPrefix(again.Metadata.Location(), first.Metadata.Location()+"-"))
}

func TestLocationsAreSafeURIs(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir)
	for i, n := range []string{"With Space", "a/b", "..", "Ключ", "x%20y", "a#b", "plain_1-2.3"} {
		e, err := c.Create(t.Context(), undrop.TableName{Namespace: "n.s", Name: n}, schema(), *iceberg.UnpartitionedSpec, nil)
		require.NoError(t, err)
		require.Regexp(t, `^file://`+dir+`/warehouse/n\.s/[A-Za-z0-9_.-]+$`, e.Metadata.Location(), "name %d", i)
		require.NotContains(t, strings.TrimPrefix(e.Metadata.Location(), "file://"+dir), "..")
	}
}

// Engines that read through Iceberg's JDBC catalog find the columns they expect.
func TestDatabaseHasTheJDBCSchema(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir)
	first := create(t, c, "payments", nil)
	second, err := c.Commit(t.Context(), []Commit{set("payments", "k", "v")})
	require.NoError(t, err)
	db, err := sql.Open("sqlite", filepath.Join(dir, "state", "catalog.db"))
	require.NoError(t, err)
	defer db.Close()
	var cat, ns, tb, loc, prev, typ string
	require.NoError(t, db.QueryRow(`SELECT catalog_name, table_namespace, table_name, metadata_location,
		previous_metadata_location, iceberg_type FROM iceberg_tables`).Scan(&cat, &ns, &tb, &loc, &prev, &typ))
	require.Equal(t, []string{"undrop", "bank", "payments", second[0].Location, first.Location, "TABLE"}, []string{cat, ns, tb, loc, prev, typ})
	var key, value string
	require.NoError(t, db.QueryRow(`SELECT property_key, property_value FROM iceberg_namespace_properties
		WHERE catalog_name = 'undrop' AND namespace = 'bank'`).Scan(&key, &value))
	require.Equal(t, "exists=true", key+"="+value)
}

func TestDamageIsNotAbsence(t *testing.T) {
	cases := map[string]func(path string) error{
		"missing": os.Remove,
		"empty":   func(p string) error { return os.WriteFile(p, nil, 0o644) },
		"torn": func(p string) error {
			raw, err := os.ReadFile(p)
			return errors.Join(err, os.WriteFile(p, raw[:len(raw)/2], 0o644))
		},
		"other": func(p string) error { return os.WriteFile(p, []byte(`{"format-version":2}`), 0o644) },
	}
	for what, damage := range cases {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			e := create(t, open(t, dir), "payments", nil)
			require.NoError(t, damage(strings.TrimPrefix(e.Location, "file://")))
			_, err := open(t, dir).Load(t.Context(), name("payments"))
			require.ErrorIs(t, err, ErrDamaged)
			require.NotErrorIs(t, err, ErrNoTable)
			require.Equal(t, undrop.Damaged, undrop.CodeOf(err))
			require.ErrorContains(t, err, e.Location)
		})
	}
}

func TestEveryCommitOfTwoProcessesCounts(t *testing.T) {
	dir := t.TempDir()
	a, b := open(t, dir), open(t, dir)
	create(t, a, "payments", nil)
	const each = 25
	var wg sync.WaitGroup
	for h, c := range []*sqlite{a, b} {
		wg.Go(func() {
			for i := range each {
				if _, err := c.Commit(context.Background(), []Commit{set("payments", fmt.Sprintf("h%d.%d", h, i), "x")}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	e, err := open(t, dir).Load(t.Context(), name("payments"))
	require.NoError(t, err)
	require.Len(t, e.Metadata.Properties(), 2*each)
	require.Regexp(t, fmt.Sprintf(`/%05d-`, 2*each), e.Location, "one version per commit, none skipped")
	require.Len(t, metadataFiles(t, e), 2*each+1, "files of lost races are gone")
}

func TestRequirementDecides(t *testing.T) {
	dir := t.TempDir()
	a, b := open(t, dir), open(t, dir)
	e := create(t, a, "payments", nil)
	add := func(id int) Commit {
		fields := append(e.Metadata.CurrentSchema().Fields(), iceberg.NestedField{ID: id, Name: fmt.Sprint("c", id), Type: iceberg.PrimitiveTypes.String})
		return Commit{
			Name:         name("payments"),
			Requirements: []table.Requirement{table.AssertTableUUID(e.Metadata.TableUUID()), table.AssertCurrentSchemaID(0)},
			Updates:      []table.Update{table.NewAddSchemaUpdate(iceberg.NewSchema(1, fields...)), table.NewSetCurrentSchemaUpdate(-1)},
		}
	}
	_, err := a.Commit(t.Context(), []Commit{add(20)})
	require.NoError(t, err)
	_, err = b.Commit(t.Context(), []Commit{add(21)})
	require.ErrorIs(t, err, ErrConflict)
	now, err := b.Load(t.Context(), name("payments"))
	require.NoError(t, err)
	_, ok := now.Metadata.CurrentSchema().FindFieldByName("c21")
	require.False(t, ok)
	require.Len(t, metadataFiles(t, e), 2, "the refused commit left no file")
}

func TestAllTablesOrNone(t *testing.T) {
	c := open(t, t.TempDir())
	x, y := create(t, c, "x", nil), create(t, c, "y", nil)
	bad := set("y", "k", "v")
	bad.Requirements = []table.Requirement{table.AssertCurrentSchemaID(99)}
	_, err := c.Commit(t.Context(), []Commit{set("x", "k", "v"), bad})
	require.ErrorIs(t, err, ErrConflict)
	for _, e := range []*Entry{x, y} {
		now, err := c.Load(t.Context(), e.Name)
		require.NoError(t, err)
		require.Equal(t, e.Location, now.Location)
		require.Len(t, metadataFiles(t, e), 1)
	}
	out, err := c.Commit(t.Context(), []Commit{set("x", "k", "v"), set("y", "k", "w")})
	require.NoError(t, err)
	require.Equal(t, "v", out[0].Metadata.Properties()["k"])
	require.Equal(t, "w", out[1].Metadata.Properties()["k"])
	_, err = c.Commit(t.Context(), []Commit{set("x", "k", "1"), set("x", "k", "2")})
	require.ErrorContains(t, err, "twice")
	_, err = c.Commit(t.Context(), []Commit{set("x", "k", "1"), set("z", "k", "2")})
	require.ErrorIs(t, err, ErrNoTable)
}

func TestCancelledCommitDidNotHappen(t *testing.T) {
	c := open(t, t.TempDir())
	e := create(t, c, "x", nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.Commit(ctx, []Commit{set("x", "k", "v")})
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, ErrUnknown)
	now, err := c.Load(t.Context(), name("x"))
	require.NoError(t, err)
	require.Equal(t, e.Location, now.Location)
}

func TestOldMetadataFilesAreTrimmedWhenAsked(t *testing.T) {
	for _, asked := range []string{"true", "false"} {
		t.Run(asked, func(t *testing.T) {
			c := open(t, t.TempDir())
			e := create(t, c, "x", iceberg.Properties{
				"write.metadata.previous-versions-max": "3", "write.metadata.delete-after-commit.enabled": asked})
			for i := range 10 {
				out, err := c.Commit(t.Context(), []Commit{set("x", "i", fmt.Sprint(i))})
				require.NoError(t, err)
				e = out[0]
			}
			want := 11
			if asked == "true" {
				want = 4
			}
			require.Len(t, metadataFiles(t, e), want)
			var log []string
			for p := range e.Metadata.PreviousFiles() {
				log = append(log, p.MetadataFile)
				require.FileExists(t, strings.TrimPrefix(p.MetadataFile, "file://"))
			}
			require.Len(t, log, 3)
		})
	}
}

func TestOpenNamesWhatIsMissing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	_, err := OpenSQLite(t.Context(), filepath.Join(file, "catalog.db"), localFS{}, "file:///w")
	var e *undrop.Error
	require.ErrorAs(t, err, &e)
	require.NotEmpty(t, e.Hint)
	_, err = OpenSQLite(t.Context(), "", localFS{}, "file:///w")
	require.Error(t, err)
}
