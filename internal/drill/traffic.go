package drill

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// errRollback ends a transaction on purpose.
var errRollback = errors.New("rolled back on purpose")

// Mix says what the traffic holds besides ordinary work.
type Mix struct {
	Bad   bool // now and then a row that breaks the contract (status "lost")
	Large int  // rows of a large transaction that comes now and then; 0: none
	Toast bool // notes that are stored out of line, and updates that do not repeat them
}

// Step runs one random transaction and writes it to the ledger. Transactions are
// serial: the ledger's order is the commit order.
func (b *Bank) Step(ctx context.Context, mix Mix) error {
	t := &txn{bank: b, ctx: ctx}
	err := pgx.BeginFunc(ctx, b.conn, func(tx pgx.Tx) error {
		t.tx = tx
		if err := b.work(t, mix); err != nil {
			return err
		}
		if b.rng.IntN(12) == 0 {
			return errRollback
		}
		return tx.QueryRow(ctx, "select pg_current_wal_insert_lsn()::text").Scan(&t.before)
	})
	if errors.Is(err, errRollback) {
		b.Rolled++
		t.undo()
		return nil
	}
	if err != nil {
		return fmt.Errorf("bank transaction: %w", err)
	}
	var after string
	if err := b.conn.QueryRow(ctx, "select pg_current_wal_insert_lsn()::text").Scan(&after); err != nil {
		return fmt.Errorf("bank transaction: %w", err)
	}
	return b.Ledger.commit(t, after)
}

// txn is one transaction being made.
type txn struct {
	bank     *Bank
	ctx      context.Context
	tx       pgx.Tx
	before   string
	changes  []Change
	payments []int64 // as they were
	next     int64
	saved    bool
	bad      bool
}

func (t *txn) exec(sql string, args ...any) error {
	_, err := t.tx.Exec(t.ctx, sql, args...)
	return err
}

// touch notes that a row may have changed; its image is read at the end of the
// transaction.
func (t *txn) touch(table, key string) { t.changes = append(t.changes, Change{Table: table, Key: key}) }

func (t *txn) save() {
	if !t.saved {
		t.payments, t.next, t.saved = append([]int64(nil), t.bank.payments...), t.bank.next, true
	}
}

func (t *txn) undo() {
	if t.saved {
		t.bank.payments, t.bank.next = t.payments, t.next
	}
}

func (b *Bank) work(t *txn, mix Mix) error {
	n := 1 + b.rng.IntN(8)
	if mix.Large > 0 && b.rng.IntN(40) == 0 {
		n = mix.Large
	}
	for range n {
		if err := b.change(t, mix); err != nil {
			return err
		}
	}
	if b.rng.IntN(6) == 0 {
		if err := b.savepoint(t); err != nil {
			return err
		}
	}
	return t.images()
}

// savepoint does work that is undone inside the transaction.
func (b *Bank) savepoint(t *txn) error {
	if err := t.exec("savepoint s"); err != nil {
		return err
	}
	if err := t.exec("update bank.accounts set balance = balance + 1 where id = 1"); err != nil {
		return err
	}
	return t.exec("rollback to savepoint s")
}

func (b *Bank) change(t *txn, mix Mix) error {
	switch k := b.rng.IntN(20); {
	case k < 6:
		return b.pay(t, mix)
	case k < 12:
		return b.settle(t, mix)
	case k < 14:
		return b.cancel(t)
	case k < 15:
		return b.renumber(t)
	case k < 18:
		id := 1 + b.rng.Int64N(b.accounts)
		t.touch("bank.accounts", fmt.Sprint(id))
		return t.exec("update bank.accounts set balance = balance + $2 where id = $1", id, float64(b.rng.IntN(10000))/100)
	default:
		pan := b.cards[b.rng.IntN(len(b.cards))]
		t.touch("bank.cards", pan)
		return t.exec("update bank.cards set state = $2::text::bank.card_state, limits = $3 where pan = $1", pan,
			[]string{"active", "blocked", "expired"}[b.rng.IntN(3)], []int32{int32(b.rng.IntN(1000))})
	}
}

// pay makes a payment and its outbox event.
func (b *Bank) pay(t *txn, mix Mix) error {
	t.save()
	id := b.next
	b.next++
	status := "new"
	if mix.Bad && b.rng.IntN(150) == 0 {
		status, t.bad = "lost", true
		b.BadRows++
	}
	note := fmt.Sprintf("order %d", b.rng.IntN(1e6))
	if mix.Toast && b.rng.IntN(4) == 0 {
		note = b.incompressible(3000 + b.rng.IntN(3000))
	}
	b.payments = append(b.payments, id)
	t.touch("bank.payments", fmt.Sprint(id))
	if err := t.exec(`insert into bank.payments values ($1, $2, $3, $4, $5, now(), now(), $6)`, id, 1+b.rng.Int64N(b.accounts),
		float64(b.rng.IntN(1e6))/100, []string{"EUR", "USD", "RUB", "GBP"}[b.rng.IntN(4)], status, note); err != nil {
		return err
	}
	return t.exec(`insert into bank.outbox(id, aggregatetype, aggregateid, type, payload) values (gen_random_uuid(), 'payment', $1, 'PaymentCreated',
		jsonb_build_object('id', $2::bigint, 'status', $3::text))`, fmt.Sprint(id), id, status)
}

func (b *Bank) incompressible(n int) string {
	var s strings.Builder
	for s.Len() < n {
		fmt.Fprintf(&s, "%016x", b.rng.Uint64())
	}
	return s.String()
}

func (b *Bank) pick() (int, int64) {
	i := b.rng.IntN(len(b.payments))
	return i, b.payments[i]
}

func (b *Bank) settle(t *txn, _ Mix) error {
	if len(b.payments) == 0 {
		return nil
	}
	_, id := b.pick()
	t.touch("bank.payments", fmt.Sprint(id))
	return t.exec("update bank.payments set status = case status when 'lost' then 'lost' else $2 end, updated_at = clock_timestamp() where id = $1", id,
		[]string{"paid", "settled"}[b.rng.IntN(2)])
}

func (b *Bank) cancel(t *txn) error {
	if len(b.payments) < 10 {
		return nil
	}
	t.save()
	i, id := b.pick()
	b.payments[i] = b.payments[len(b.payments)-1]
	b.payments = b.payments[:len(b.payments)-1]
	t.touch("bank.payments", fmt.Sprint(id))
	return t.exec("delete from bank.payments where id = $1", id)
}

// renumber changes a key.
func (b *Bank) renumber(t *txn) error {
	if len(b.payments) == 0 {
		return nil
	}
	t.save()
	i, id := b.pick()
	to := b.next
	b.next++
	b.payments[i] = to
	t.touch("bank.payments", fmt.Sprint(id))
	t.touch("bank.payments", fmt.Sprint(to))
	return t.exec("update bank.payments set id = $2 where id = $1", id, to)
}
