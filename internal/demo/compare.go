package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/app"
	"github.com/undrop/undrop/internal/batch"
)

// TableAnswer is one table of the comparison.
type TableAnswer struct {
	Name       string         `json:"name"`
	Mode       undrop.Mode    `json:"mode"`
	SnapshotID int64          `json:"snapshot_id"`
	LSN        undrop.LSN     `json:"lsn"`     // that the snapshot names
	Account    undrop.Account `json:"account"` // of all commits
	Balanced   bool           `json:"account_balances"`

	SourceRows      int64    `json:"source_rows"`
	TableRows       int64    `json:"table_rows"`
	EqualRows       int64    `json:"equal_rows"`
	Differing       int64    `json:"differing_rows"`
	QuarantinedKeys []string `json:"quarantined_keys"` // keys that are not equal because their change is in quarantine
	Differences     []string `json:"differences"`      // the first of them, for a person
}

const mostDifferences = 20

// compare reads source and tables at one position and holds them against each
// other. The traffic has ended, so nothing commits between the moment at which
// the source is read and the one that the tables' snapshots name.
func (s *stage) compare(ctx context.Context, a *app.App, answer *Answer) error {
	source, err := readSource(ctx, s.dsn())
	if err != nil {
		return err
	}
	answer.LSN = source.lsn
	if err := a.CatchUp(ctx); err != nil {
		return err
	}
	parked, err := s.quarantine(ctx, a, answer)
	if err != nil {
		return err
	}
	tables, err := a.Tables(ctx)
	if err != nil {
		return err
	}
	answer.Equal = true
	for _, t := range tables {
		want, known := source.tables[t.Name]
		if !known {
			continue // the quarantine
		}
		delete(source.tables, t.Name)
		r, err := compareTable(ctx, a, t.Name, want, parked[t.Name], source.lsn)
		if err != nil {
			return err
		}
		answer.Tables = append(answer.Tables, *r)
		answer.Equal = answer.Equal && r.Differing == 0 && r.Balanced
	}
	for name := range source.tables {
		return &undrop.Error{Code: undrop.Damaged, Op: "compare source and tables", Err: fmt.Errorf("%s has no mart table", name), Hint: "undrop table ls"}
	}
	return nil
}

// quarantine lists what is open, and says which keys of which table it concerns.
func (s *stage) quarantine(ctx context.Context, a *app.App, answer *Answer) (map[string]map[string]bool, error) {
	open, err := a.Quarantine(ctx, app.QuarantineFilter{Status: "open"})
	if err != nil {
		return nil, err
	}
	parked := map[string]map[string]bool{}
	answer.Quarantine = []Rejection{}
	for _, r := range open.Records {
		key, err := keyText(r.Key)
		if err != nil {
			return nil, fmt.Errorf("read quarantine record %s: %w", r.RecordID, err)
		}
		if parked[r.Table] == nil {
			parked[r.Table] = map[string]bool{}
		}
		parked[r.Table][key] = true
		var why []string
		for _, v := range r.Violations {
			why = append(why, strings.TrimSpace(fmt.Sprintf("%s: %s %s", v.Path, v.Rule, v.Detail)))
		}
		answer.Quarantine = append(answer.Quarantine, Rejection{Table: r.Table, Key: key, LSN: r.LSN, Reason: strings.Join(why, "; ")})
	}
	return parked, nil
}

// keyText is the value of a key of one column.
func keyText(key json.RawMessage) (string, error) {
	var columns map[string]json.RawMessage
	if err := json.Unmarshal(key, &columns); err != nil {
		return "", err
	}
	if len(columns) != 1 {
		return "", fmt.Errorf("key %s: want one column", key)
	}
	for _, v := range columns {
		var text string
		if json.Unmarshal(v, &text) != nil {
			text = string(v)
		}
		return text, nil
	}
	return "", nil
}

// compareTable holds the newest snapshot of a table against the source's rows.
func compareTable(ctx context.Context, a *app.App, name string, want *relation, parked map[string]bool, at undrop.LSN) (*TableAnswer, error) {
	d, err := a.Table(ctx, name, "")
	if err != nil {
		return nil, err
	}
	if d.Source == nil || d.SnapshotID == nil || d.Source.LSN < at {
		return nil, &undrop.Error{Code: undrop.Damaged, Op: "compare " + name, Err: fmt.Errorf("its newest snapshot does not hold position %s", at), Hint: "undrop table show " + name}
	}
	r := &TableAnswer{Name: name, Mode: d.Mode, SnapshotID: *d.SnapshotID, LSN: d.Source.LSN, Account: d.Account.Total, Balanced: d.Account.Total.Check() == nil,
		SourceRows: int64(len(want.rows)), QuarantinedKeys: []string{}, Differences: []string{}}
	if !r.Balanced {
		r.Differences = append(r.Differences, d.Account.Total.Check().Error())
	}
	seen := map[string]bool{}
	var image []byte
	err = a.EachRow(ctx, name, fmt.Sprintf("snapshot:%d", r.SnapshotID), func(b *batch.Batch) error {
		columns, err := want.columnsOf(b)
		if err != nil {
			return err
		}
		for i := range b.Len() {
			image = image[:0]
			for n, c := range columns {
				if n > 0 {
					image = append(image, separator)
				}
				if b.Cols[c].Null[i] {
					image = append(image, null)
				} else {
					image = b.Cols[c].AppendText(image, i)
				}
			}
			key := string(b.Cols[columns[want.key]].AppendText(nil, i))
			r.TableRows++
			if seen[key] {
				r.differ(key, "more than once in the table")
				continue
			}
			seen[key] = true
			row, there := want.rows[key]
			switch {
			case want.broken(string(image)):
				r.differ(key, "breaks the contract and is in the table: %s", show(string(image)))
			case there && row == string(image):
				r.EqualRows++
			case parked[key]:
				r.QuarantinedKeys = append(r.QuarantinedKeys, key)
			case !there:
				r.differ(key, "in the table, not in the source: %s", show(string(image)))
			default:
				r.differ(key, "source has %s, table has %s", show(row), show(string(image)))
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for key, row := range want.rows {
		switch {
		case seen[key]:
		case parked[key]:
			r.QuarantinedKeys = append(r.QuarantinedKeys, key)
		default:
			r.differ(key, "in the source, not in the table: %s", show(row))
		}
	}
	slices.Sort(r.QuarantinedKeys)
	slices.Sort(r.Differences)
	return r, nil
}

func (r *TableAnswer) differ(key, format string, args ...any) {
	r.Differing++
	if len(r.Differences) < mostDifferences {
		r.Differences = append(r.Differences, key+": "+fmt.Sprintf(format, args...))
	}
}

// verdict is the answer in a sentence.
func (a *Answer) verdict() string {
	var differing int64
	unbalanced := 0
	for _, t := range a.Tables {
		differing += t.Differing
		if !t.Balanced {
			unbalanced++
		}
	}
	return fmt.Sprintf("%d rows differ, %d accounts do not balance", differing, unbalanced)
}

// Between the columns of an image, and in the place of a null.
const (
	separator = '\x1f'
	null      = '\x02'
)

func show(image string) string {
	return strings.NewReplacer(string(rune(separator)), " | ", string(rune(null)), "null").Replace(image)
}

// sourceRows are the source's rows at lsn.
type sourceRows struct {
	lsn    undrop.LSN
	tables map[string]*relation
}

// relation is one table of the source.
type relation struct {
	columns []string
	key     int               // index of the key's column
	status  int               // index of the column with the promise of payments; -1: none
	rows    map[string]string // images by key
}

// broken says whether an image breaks the promise that statusRule adds.
func (r *relation) broken(image string) bool {
	if r.status < 0 {
		return false
	}
	return strings.Split(image, string(rune(separator)))[r.status] == "lost"
}

// columnsOf finds the relation's columns in a batch of the mart table.
func (r *relation) columnsOf(b *batch.Batch) ([]int, error) {
	var all []int
	for _, name := range r.columns {
		i := slices.IndexFunc(b.Table.Fields, func(f undrop.Field) bool { return f.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("table %s has no column %s", b.Table.TableName, name)
		}
		all = append(all, i)
	}
	return all, nil
}

// readSource reads all tables in one snapshot of the database.
func readSource(ctx context.Context, dsn string) (*sourceRows, error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return nil, fmt.Errorf("connect to the source: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	s := &sourceRows{tables: map[string]*relation{}}
	err = pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		var at string
		if err := tx.QueryRow(ctx, "select pg_current_wal_insert_lsn()::text").Scan(&at); err != nil {
			return err
		}
		if s.lsn, err = undrop.ParseLSN(at); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "set local timezone = 'UTC'"); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, "select table_schema || '.' || table_name from information_schema.tables where table_schema = 'bank' order by 1")
		if err != nil {
			return err
		}
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		for _, name := range names {
			if s.tables[name], err = readRelation(ctx, tx, name); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the source: %w", err)
	}
	return s, nil
}

// readRelation reads a table as text: arrays as JSON, all else as PostgreSQL
// prints it.
func readRelation(ctx context.Context, tx pgx.Tx, name string) (*relation, error) {
	r := &relation{key: -1, status: -1, rows: map[string]string{}}
	rows, err := tx.Query(ctx, `select a.attname, t.typcategory = 'A', coalesce(a.attnum = any (i.indkey), false) from pg_attribute a join pg_type t on t.oid = a.atttypid
		left join pg_index i on i.indrelid = a.attrelid and i.indisprimary where a.attrelid = $1::text::regclass and a.attnum > 0 and not a.attisdropped order by a.attnum`, name)
	if err != nil {
		return nil, err
	}
	var texts []string
	var column string
	var array, key bool
	_, err = pgx.ForEachRow(rows, []any{&column, &array, &key}, func() error {
		quoted := pgx.Identifier{column}.Sanitize()
		text := quoted + "::text"
		if array {
			text = "to_json(" + quoted + ")::text"
		}
		if key {
			r.key = len(texts)
		}
		if name == "bank.payments" && column == "status" {
			r.status = len(texts)
		}
		texts, r.columns = append(texts, text), append(r.columns, column)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if r.key < 0 {
		return nil, fmt.Errorf("it has no primary key")
	}
	rows, err = tx.Query(ctx, fmt.Sprintf(`select %s, array_to_string(array[%s], e'\x1f', e'\x02') from %s`, texts[r.key], strings.Join(texts, ", "), name))
	if err != nil {
		return nil, err
	}
	var k, image string
	_, err = pgx.ForEachRow(rows, []any{&k, &image}, func() error { r.rows[k] = image; return nil })
	return r, err
}
