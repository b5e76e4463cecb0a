package drill

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	undrop "github.com/undrop/undrop"
)

// Change is what became of one row in one transaction: Row is its image, the
// text of every column, "" when it is gone.
type Change struct {
	Table string
	Key   string
	Row   string
}

// Entry is one committed transaction. Its commit record lies in [Before, After).
type Entry struct {
	Before, After undrop.LSN
	Changes       []Change
}

// Ledger lists committed transactions in commit order, and what the tables held
// before the first. It knows the truth because it wrote it.
type Ledger struct {
	Base    map[string]map[string]string // by table, by key: the row's image
	Entries []Entry
	Bad     map[string]undrop.LSN // keys of payments that ever held a row that breaks the contract: since when
}

// Columns is, for each table, how PostgreSQL writes each of its columns as text
// that another reader can write alike: instants as microseconds since 1970.
var Columns = map[string][]Column{
	"bank.accounts": {{"id", "id::text"}, {"owner", "owner"}, {"currency", "currency::text"}, {"balance", "balance::text"},
		{"opened_on", "opened_on::text"}, {"note", "note"}},
	"bank.cards": {{"pan", "pan"}, {"account_id", "account_id::text"}, {"state", "state::text"}, {"limits", "limits::text"},
		{"valid_until", micros("valid_until")}},
	"bank.payments": {{"id", "id::text"}, {"account_id", "account_id::text"}, {"amount", "amount::text"}, {"currency", "currency"},
		{"status", "status"}, {"created_at", micros("created_at")}, {"updated_at", micros("updated_at")}, {"note", "note"}},
	"bank.outbox": {{"id", "id::text"}, {"aggregatetype", "aggregatetype"}, {"aggregateid", "aggregateid"}, {"type", "type"},
		{"payload", "payload::text"}, {"created_at", micros("created_at")}},
}

// Column is one column of an image: its name and the SQL of its text. The first
// of a table is its key.
type Column struct{ Name, SQL string }

func micros(column string) string {
	return "(extract(epoch from " + column + ") * 1000000)::bigint::text"
}

// Separator stands between the columns of an image, Null in the place of a null.
const (
	Separator = "\x1f"
	Null      = "\x02"
)

// image is the select that turns rows into keys and texts that do not depend on
// undrop.
func image(table string) string {
	var texts []string
	for _, c := range Columns[table] {
		texts = append(texts, c.SQL)
	}
	return fmt.Sprintf(`select %s, array_to_string(array[%s], e'\x1f', e'\x02') from %s`, Columns[table][0].SQL, strings.Join(texts, ", "), table)
}

// images reads what the touched rows hold at the end of the transaction.
func (t *txn) images() error {
	touched := map[string]map[string]bool{}
	for _, c := range t.changes {
		if touched[c.Table] == nil {
			touched[c.Table] = map[string]bool{}
		}
		touched[c.Table][c.Key] = true
	}
	t.changes = t.changes[:0]
	for _, table := range slices.Sorted(maps.Keys(touched)) {
		keys := slices.Sorted(maps.Keys(touched[table]))
		where := " where " + Columns[table][0].SQL + " = any($1)"
		var arg any = keys
		if table == "bank.accounts" || table == "bank.payments" { // by the index
			ids := make([]int64, len(keys))
			for i, k := range keys {
				n, err := strconv.ParseInt(k, 10, 64)
				if err != nil {
					return err
				}
				ids[i] = n
			}
			where, arg = " where id = any($1)", ids
		}
		found, err := readImages(t.ctx, t.tx, image(table)+where, arg)
		if err != nil {
			return err
		}
		for _, k := range keys {
			t.changes = append(t.changes, Change{Table: table, Key: k, Row: found[k]})
		}
	}
	return nil
}

// querier is a connection or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func readImages(ctx context.Context, q querier, sql string, args ...any) (map[string]string, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	m := map[string]string{}
	var k, v string
	_, err = pgx.ForEachRow(rows, []any{&k, &v}, func() error { m[k] = v; return nil })
	return m, err
}

func (l *Ledger) commit(t *txn, after string) error {
	b, err := undrop.ParseLSN(t.before)
	if err != nil {
		return err
	}
	a, err := undrop.ParseLSN(after)
	if err != nil {
		return err
	}
	l.Entries = append(l.Entries, Entry{Before: b, After: a, Changes: t.changes})
	for _, k := range t.bad {
		if _, known := l.Bad[k]; !known {
			l.Bad[k] = b
		}
	}
	return nil
}

// Snapshot reads every row now and makes it the base of the ledger; nothing else
// may write meanwhile.
func (b *Bank) Snapshot(ctx context.Context) error {
	base, err := b.Rows(ctx)
	if err != nil {
		return err
	}
	b.Ledger = Ledger{Base: base, Bad: map[string]undrop.LSN{}}
	return nil
}

// Rows reads every row of every table now, by table and key.
func (b *Bank) Rows(ctx context.Context) (map[string]map[string]string, error) {
	all := map[string]map[string]string{}
	for _, table := range Tables {
		m, err := readImages(ctx, b.conn, image(table))
		if err != nil {
			return nil, fmt.Errorf("read rows of %s: %w", table, err)
		}
		all[table] = m
	}
	return all, nil
}

// Cursor walks through the states of one table in the order of positions.
type Cursor struct {
	ledger *Ledger
	table  string
	next   int
	rows   map[string]string
}

// Cursor begins at the base.
func (l *Ledger) Cursor(table string) *Cursor {
	return &Cursor{ledger: l, table: table, rows: maps.Clone(l.Base[table])}
}

// To moves to lsn, which must not be before an earlier one, and returns what the
// table then held. A transaction whose commit record may lie on either side of
// lsn is not in it: it is returned as doubtful, and is nil otherwise. The map
// belongs to the cursor.
func (c *Cursor) To(lsn undrop.LSN) (rows map[string]string, doubtful *Entry) {
	for ; c.next < len(c.ledger.Entries); c.next++ {
		e := &c.ledger.Entries[c.next]
		if e.Before > lsn {
			break
		}
		if e.After > lsn {
			return c.rows, e
		}
		e.apply(c.table, c.rows)
	}
	return c.rows, nil
}

// With is what rows become with the transaction.
func (e *Entry) With(table string, rows map[string]string) map[string]string {
	rows = maps.Clone(rows)
	e.apply(table, rows)
	return rows
}

func (e *Entry) apply(table string, rows map[string]string) {
	for _, c := range e.Changes {
		switch {
		case c.Table != table:
		case c.Row == "":
			delete(rows, c.Key)
		default:
			rows[c.Key] = c.Row
		}
	}
}
