package drill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/jackc/pgx/v5"

	undrop "github.com/undrop/undrop"
)

// Change is what became of one row in one transaction: Row is its image as JSON
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
}

var keyColumn = map[string]string{"bank.accounts": "id::text", "bank.cards": "pan", "bank.payments": "id::text"}

// image is the select that turns a row into text that does not depend on undrop.
func image(table string) string {
	return fmt.Sprintf(`select %s, row_to_json(t)::text from %s t`, keyColumn[table], table)
}

// images reads what the touched rows hold at the end of the transaction.
func (t *txn) images() error {
	last := map[[2]string]int{}
	for i, c := range t.changes {
		last[[2]string{c.Table, c.Key}] = i
	}
	var kept []Change
	for i, c := range t.changes {
		if last[[2]string{c.Table, c.Key}] != i {
			continue
		}
		var key string
		err := t.tx.QueryRow(t.ctx, image(c.Table)+" where "+keyColumn[c.Table]+" = $1", c.Key).Scan(&key, &c.Row)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		kept = append(kept, c)
	}
	t.changes = kept
	return nil
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
	return nil
}

// Snapshot reads every row now and makes it the base of the ledger; nothing else
// may write meanwhile.
func (b *Bank) Snapshot(ctx context.Context) error {
	b.Ledger = Ledger{Base: map[string]map[string]string{}}
	for table := range keyColumn {
		rows, err := b.conn.Query(ctx, image(table))
		if err != nil {
			return fmt.Errorf("read base of %s: %w", table, err)
		}
		m := map[string]string{}
		for rows.Next() {
			var k, v string
			if err := rows.Scan(&k, &v); err != nil {
				return fmt.Errorf("read base of %s: %w", table, err)
			}
			m[k] = v
		}
		if err := rows.Err(); err != nil {
			return fmt.Errorf("read base of %s: %w", table, err)
		}
		b.Ledger.Base[table] = m
	}
	return nil
}

// At is what a table held at a position: every transaction whose commit record
// begins at or before lsn. Where the position lies between the last instruction
// of a transaction and its end, both answers are possible; alt is the other one,
// nil otherwise.
func (l *Ledger) At(table string, lsn undrop.LSN) (rows, alt map[string]string) {
	rows = maps.Clone(l.Base[table])
	for _, e := range l.Entries {
		if e.Before > lsn {
			break
		}
		if e.After > lsn {
			alt = maps.Clone(rows)
		}
		for _, c := range e.Changes {
			if c.Table != table {
				continue
			}
			if c.Row == "" {
				delete(rows, c.Key)
			} else {
				rows[c.Key] = c.Row
			}
		}
	}
	return rows, alt
}

// Normal makes two JSON images comparable: key order and number spelling of the
// writer do not matter, values do.
func Normal(row string) (string, error) {
	var v map[string]any
	d := json.NewDecoder(strings.NewReader(row))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return "", fmt.Errorf("row image %q: %w", row, err)
	}
	out, err := json.Marshal(v)
	return string(out), err
}
