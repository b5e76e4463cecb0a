package demo

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

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
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
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
