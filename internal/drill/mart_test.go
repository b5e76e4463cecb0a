package drill

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	iceio "github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // the catalog's database is a plain file

	undrop "github.com/undrop/undrop"
)

// martTable is a table as a reader who knows nothing of undrop sees it: found in
// the catalog's database, read with Iceberg's own library.
type martTable struct {
	name string
	tbl  *table.Table
	eras []era // oldest first
}

// era is the time between a load of the table and the next.
type era struct {
	load []table.Snapshot // oldest first; no reader saw them
	main []table.Snapshot // oldest first
}

// mains are the snapshots of all eras that readers saw, oldest first.
func (m *martTable) mains() (all []table.Snapshot) {
	for _, e := range m.eras {
		all = append(all, e.main...)
	}
	return all
}

// newest is what readers see.
func (m *martTable) newest() table.Snapshot {
	e := m.eras[len(m.eras)-1]
	return e.main[len(e.main)-1]
}

// martRow is one row: its image in the ledger's words, and where it came from.
type martRow struct {
	image string
	lsn   undrop.LSN
	lane  string
}

// openMart reads the catalog's pointers; the tables' names are sorted.
func openMart(t *testing.T, dir string) map[string]*martTable {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "state", "catalog.db")+"?mode=ro")
	require.NoError(t, err)
	defer db.Close()
	rows, err := db.Query("select table_namespace, table_name, metadata_location from iceberg_tables")
	require.NoError(t, err)
	defer rows.Close()
	all := map[string]*martTable{}
	for rows.Next() {
		var ns, name, location string
		require.NoError(t, rows.Scan(&ns, &name, &location))
		tbl, err := table.NewFromLocation(t.Context(), table.Identifier{ns, name}, location, iceio.LoadFSFunc(nil, location), nil)
		require.NoError(t, err, "%s.%s: %s", ns, name, location)
		m := &martTable{name: ns + "." + name, tbl: tbl}
		m.history(t)
		all[m.name] = m
	}
	require.NoError(t, rows.Err())
	return all
}

// history lists every snapshot that main ever was: its ancestors, and those of
// what it was before the table was loaded anew.
func (m *martTable) history(t *testing.T) {
	t.Helper()
	meta := m.tbl.Metadata()
	log := slices.Collect(meta.SnapshotLogs())
	seen := map[int64]bool{}
	for _, entry := range slices.Backward(log) {
		if !seen[entry.SnapshotID] {
			m.eras = append(m.eras, m.ancestors(t, entry.SnapshotID, seen))
		}
	}
	slices.Reverse(m.eras)
}

// ancestors splits a line of snapshots: those before the first that names a source
// position are the load's.
func (m *martTable) ancestors(t *testing.T, id int64, seen map[int64]bool) (e era) {
	t.Helper()
	for s := m.tbl.Metadata().SnapshotByID(id); ; {
		require.NotNil(t, s, "%s: snapshot %d is in main's history and not there", m.name, id)
		seen[s.SnapshotID] = true
		if _, live := props(*s)[undrop.SummarySource]; live {
			require.Empty(t, e.load, "%s: snapshot %d names a position, a newer ancestor does not", m.name, s.SnapshotID)
			e.main = append(e.main, *s)
		} else {
			e.load = append(e.load, *s)
		}
		if s.ParentSnapshotID == nil {
			break
		}
		id = *s.ParentSnapshotID
		s = m.tbl.Metadata().SnapshotByID(id)
	}
	slices.Reverse(e.main)
	slices.Reverse(e.load)
	return e
}

func props(s table.Snapshot) map[string]string {
	if s.Summary == nil {
		return nil
	}
	return s.Summary.Properties
}

// mark reads one of undrop's keys; the JSON is part of what is promised to readers.
func mark[T any](t *testing.T, s table.Snapshot, key string) (v T) {
	t.Helper()
	text, ok := props(s)[key]
	require.True(t, ok, "snapshot %d has no %s", s.SnapshotID, key)
	require.NoError(t, json.Unmarshal([]byte(text), &v), "%s of snapshot %d", key, s.SnapshotID)
	return v
}

// scan reads a snapshot with the library's own scan. A key that is there twice is
// an error: no table of the bank may have one.
func (m *martTable) scan(t *testing.T, id int64) map[string]martRow {
	t.Helper()
	_, records, err := m.tbl.Scan(table.WithSnapshotID(id)).ToArrowRecords(context.Background())
	require.NoError(t, err)
	rows := map[string]martRow{}
	for rec, err := range records {
		require.NoError(t, err, "%s snapshot %d", m.name, id)
		collect(t, m.name, id, rec, rows)
		rec.Release()
	}
	return rows
}

// collect adds the rows of a record.
func collect(t *testing.T, name string, id int64, rec arrow.RecordBatch, rows map[string]martRow) {
	t.Helper()
	column := func(name string) arrow.Array {
		at := rec.Schema().FieldIndices(name)
		require.Len(t, at, 1, "column %s", name)
		return rec.Column(at[0])
	}
	columns := Columns[name]
	arrays := make([]arrow.Array, len(columns))
	for i, c := range columns {
		arrays[i] = column(c.Name)
	}
	lsn, lane := column("_undrop_lsn").(*array.Int64), column("_undrop_lane").(*array.String)
	texts := make([]string, len(columns))
	for i := range int(rec.NumRows()) {
		for c := range arrays {
			texts[c] = valueText(arrays[c], i)
		}
		key := texts[0]
		if _, twice := rows[key]; twice {
			t.Fatalf("%s snapshot %d: key %s is there twice", name, id, key)
		}
		rows[key] = martRow{image: strings.Join(texts, Separator), lsn: undrop.LSN(lsn.Value(i)), lane: lane.Value(i)}
	}
}

// valueText writes a value the way PostgreSQL's text of the bank's columns is.
func valueText(a arrow.Array, i int) string {
	if a.IsNull(i) {
		return Null
	}
	switch a := a.(type) {
	case *array.Int64:
		return strconv.FormatInt(a.Value(i), 10)
	case *array.Int32:
		return strconv.FormatInt(int64(a.Value(i)), 10)
	case *array.String:
		return a.Value(i)
	case *array.Decimal128:
		return a.Value(i).ToString(a.DataType().(*arrow.Decimal128Type).Scale)
	case *array.Date32:
		return a.Value(i).ToTime().Format("2006-01-02")
	case *array.Timestamp:
		return strconv.FormatInt(int64(a.Value(i)), 10)
	case *extensions.UUIDArray:
		return a.Value(i).String()
	case *array.List:
		from, to := a.ValueOffsets(i)
		items := make([]string, 0, to-from)
		for j := from; j < to; j++ {
			item := valueText(a.ListValues(), int(j))
			if item == Null {
				item = "NULL"
			}
			items = append(items, item)
		}
		return "{" + strings.Join(items, ",") + "}"
	default:
		panic(fmt.Sprintf("column of type %s", a.DataType()))
	}
}

// files stats every file that any snapshot of the table refers to and returns how
// many there are.
func (m *martTable) files(t *testing.T, seen map[string]bool) {
	t.Helper()
	fs, err := m.tbl.FS(context.Background())
	require.NoError(t, err)
	there := func(snapshot int64, name string, size int64) bool {
		if seen[name] {
			return false
		}
		seen[name] = true
		info, err := os.Stat(strings.TrimPrefix(name, "file://"))
		if err != nil {
			t.Errorf("%s snapshot %d refers to a file that is not there: %v", m.name, snapshot, err)
			return false
		}
		if size >= 0 && info.Size() != size {
			t.Errorf("%s snapshot %d: %s has %d bytes, its manifest says %d", m.name, snapshot, name, info.Size(), size)
		}
		return true
	}
	for _, s := range m.tbl.Metadata().Snapshots() {
		if !there(s.SnapshotID, s.ManifestList, -1) {
			continue
		}
		manifests, err := s.Manifests(fs)
		require.NoError(t, err)
		for _, mf := range manifests {
			if !there(s.SnapshotID, mf.FilePath(), mf.Length()) {
				continue
			}
			for entry, err := range mf.Entries(fs, true) {
				require.NoError(t, err)
				f := entry.DataFile()
				there(s.SnapshotID, f.FilePath(), f.FileSizeBytes())
			}
		}
	}
}
