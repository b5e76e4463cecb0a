package enginetest_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/enginetest"
	"github.com/undrop/undrop/internal/postgres/postgrestest"
)

// marts reads all mart tables of the installation with an engine that is not ours.
func (i *installation) marts() map[string]*enginetest.Rows {
	i.t.Helper()
	var ask []enginetest.Table
	list := i.list()
	for _, name := range slices.Sorted(maps.Keys(list)) {
		if info := list[name]; info.SnapshotID != nil {
			ask = append(ask, enginetest.Table{Name: name, Metadata: info.MetadataLocation})
		}
	}
	return enginetest.Read(i.t, ask)
}

// compare holds every mart table against the source at rest. Rows of except (by
// mart table, the text of the first key column) are not compared: they wait in
// quarantine, and the mart has the last row of the key that its contract allows.
func (i *installation) compare(except map[string][]string) {
	i.t.Helper()
	marts := i.marts()
	for _, table := range i.tables() {
		name := table.TableName.String()
		mart := marts[name]
		if mart == nil {
			i.t.Errorf("%s: not readable, or not there", name)
			continue
		}
		if mart.Error == "" {
			diff(i.t, name, i.source(table, mart, except[name]), i.folded(table, mart, except[name]))
		}
	}
}

// column finds a mart column.
func column(mart *enginetest.Rows, name string) (int, bool) {
	at := slices.IndexFunc(mart.Columns, func(c enginetest.Column) bool { return c.Name == name })
	return at, at >= 0
}

// folded are a mart table's rows as the source has them: a history's changes are
// put together, which for rows without a key is arithmetic.
func (i *installation) folded(table *undrop.Table, mart *enginetest.Rows, except []string) map[string]int {
	i.t.Helper()
	op, hasOp := column(mart, "_undrop_op")
	if (table.Mode == undrop.History) != hasOp {
		i.t.Errorf("%s: mode %s, column _undrop_op: %v", table.TableName, table.Mode, hasOp)
	}
	if hasOp && len(table.Key) > 0 {
		return i.latest(table, mart)
	}
	rows := map[string]int{}
	for _, cells := range mart.Cells {
		var row []any
		for _, f := range table.Fields {
			at, ok := column(mart, f.Name)
			if !ok {
				i.t.Fatalf("%s has no column %s", table.TableName, f.Name)
			}
			row = append(row, canonical(i.t, mart.Columns[at], cells[at]))
		}
		if excepted(table, row, except) {
			continue
		}
		n := 1
		if hasOp && cells[op] != nil && *cells[op] == "d" {
			n = -1
		}
		rows[rowText(row)] += n
	}
	maps.DeleteFunc(rows, func(_ string, n int) bool { return n == 0 })
	return rows
}

// source reads the table from PostgreSQL, every value by its own output function.
func (i *installation) source(table *undrop.Table, mart *enginetest.Rows, except []string) map[string]int {
	i.t.Helper()
	var parts []string
	columns := make([]enginetest.Column, len(table.Fields))
	for n, f := range table.Fields {
		at, ok := column(mart, f.Name)
		if !ok {
			i.t.Fatalf("%s has no column %s", table.TableName, f.Name)
		}
		columns[n] = mart.Columns[at]
		col := quoted(f.Source)
		if columns[n].Kind == enginetest.List {
			col = fmt.Sprintf("case when %[1]s is not null then coalesce((select json_agg(public.textual(u.x) order by u.n) from unnest(%[1]s) with ordinality u(x, n)), '[]') end", col)
			parts = append(parts, col)
			continue
		}
		parts = append(parts, "public.textual("+col+")")
	}
	from := quoted(table.Schema) + "." + quoted(table.Relation)
	if postgrestest.Query(i.t, i.dsn, "select relkind from pg_class where oid = '"+strings.ReplaceAll(from, "'", "''")+"'::regclass")[0][0] != "p" {
		from = "only " + from
	}
	query := "set timezone = 'UTC'; set datestyle = 'ISO'; set intervalstyle = 'iso_8601'; set bytea_output = 'hex'; set search_path = pg_catalog; select " + strings.Join(parts, ", ") + " from " + from
	rows := map[string]int{}
	for _, cells := range postgrestest.Query(i.t, i.dsn, query) {
		var row []any
		for n := range table.Fields {
			text := &cells[n]
			if *text == "<null>" {
				text = nil
			}
			row = append(row, canonical(i.t, columns[n], text))
		}
		if excepted(table, row, except) {
			continue
		}
		rows[rowText(row)]++
	}
	return rows
}

func excepted(table *undrop.Table, row []any, keys []string) bool {
	key := 0
	if len(table.Key) > 0 {
		key = table.Key[0]
	}
	return slices.Contains(keys, fmt.Sprint(row[key]))
}

// textual prints any value by its type's output function: casts to text differ
// from it for some types, and boolean's is not what a cast gives.
const textual = `create or replace function public.textual(anyelement) returns text immutable strict language plpgsql as $$
begin if pg_typeof($1) = 'boolean'::regtype then return $1::text; end if; return format('%s', $1); end $$;`

func canonical(t testing.TB, c enginetest.Column, cell *string) any {
	if cell == nil {
		return nil
	}
	switch c.Kind {
	case enginetest.Float:
		return floating(t, c.Type, *cell)
	case enginetest.List:
		var elements []*string
		if err := json.Unmarshal([]byte(*cell), &elements); err != nil {
			t.Fatalf("column %s: %v: %s", c.Name, err, *cell)
		}
		list := []any{}
		for _, e := range elements {
			list = append(list, canonical(t, enginetest.Column{Name: c.Name, Type: strings.TrimSuffix(c.Type, "[]"), Kind: c.Elem}, e))
		}
		return list
	}
	switch text := *cell; {
	case c.Type == "BOOLEAN" && text == "1":
		return "true" // bit(1)
	case c.Type == "BOOLEAN" && text == "0":
		return "false"
	case strings.HasPrefix(c.Type, "DECIMAL") && strings.HasPrefix(strings.TrimPrefix(text, "-"), "."):
		return strings.Replace(text, ".", "0.", 1) // DuckDB's spelling where there is no place for the zero
	default:
		return text
	}
}

func floating(t testing.TB, kind, text string) string {
	bits := 64
	if kind == "FLOAT" {
		bits = 32
	}
	f, err := strconv.ParseFloat(text, bits)
	if err != nil {
		t.Fatalf("read %s %q: %v", kind, text, err)
	}
	return fmt.Sprintf("%s %x", kind, math.Float64bits(f))
}

func rowText(row []any) string {
	b, err := json.Marshal(row)
	if err != nil {
		panic(err) // strings and lists of strings
	}
	return string(b)
}

func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// diff reports rows that only one side has.
func diff(t testing.TB, name string, want, got map[string]int) {
	t.Helper()
	var lines []string
	for row, n := range want {
		if got[row] != n {
			lines = append(lines, fmt.Sprintf("source has %d, mart has %d of %s", n, got[row], short(row)))
		}
	}
	for row, n := range got {
		if want[row] == 0 {
			lines = append(lines, fmt.Sprintf("source has 0, mart has %d of %s", n, short(row)))
		}
	}
	slices.Sort(lines)
	if len(lines) > 0 {
		t.Errorf("%s: %d rows differ:\n  %s", name, len(lines), strings.Join(lines[:min(len(lines), 8)], "\n  "))
	}
}

func short(s string) string {
	if len(s) > 700 {
		return s[:700] + "…"
	}
	return s
}
