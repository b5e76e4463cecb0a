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
	Large int  // changes of a large transaction that comes now and then; 0: none
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
		if b.Forgetful {
			return nil
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
	if b.Forgetful {
		return nil
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
	bad      []string // keys of payments that got a row that breaks the contract
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
	if mix.Large > 0 && b.rng.IntN(40) == 0 {
		if err := b.bulk(t, mix.Large); err != nil {
			return err
		}
	}
	for range 1 + b.rng.IntN(8) {
		if err := b.change(t, mix); err != nil {
			return err
		}
	}
	if b.rng.IntN(6) == 0 {
		if err := b.savepoint(t); err != nil {
			return err
		}
	}
	if b.Forgetful {
		return nil
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
		status = "lost"
		t.bad = append(t.bad, fmt.Sprint(id))
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
	return b.event(t, id, status)
}

// event writes an outbox event of a payment; now and then a card's, which goes to
// a topic of its own.
func (b *Bank) event(t *txn, id int64, status string) error {
	event := fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", b.rng.Uint32(), b.rng.Uint32()>>16, b.rng.Uint32()>>20, b.rng.Uint32()>>20, b.rng.Uint64()>>16)
	kind := "payment"
	if b.rng.IntN(9) == 0 {
		kind = "card"
	}
	t.touch("bank.outbox", event)
	return t.exec(`insert into bank.outbox(id, aggregatetype, aggregateid, type, payload) values ($1::text::uuid, $2, $3, 'PaymentCreated',
		jsonb_build_object('id', $4::bigint, 'status', $5::text))`, event, kind, fmt.Sprint(id), id, status)
}

// bulk is a nightly job: half of n payments appear and up to half of n change.
func (b *Bank) bulk(t *txn, n int) error {
	t.save()
	half := int64(n / 2)
	from := b.next
	b.next += half
	for id := from; id < b.next; id++ {
		b.payments = append(b.payments, id)
		t.touch("bank.payments", fmt.Sprint(id))
	}
	if err := t.exec(`insert into bank.payments select i, 1 + i % $3, (i % 100000) / 100.0, 'EUR', 'new', now(), now(), 'bulk ' || i
		from generate_series($1::bigint, $2::bigint) i`, from, b.next-1, b.accounts); err != nil {
		return err
	}
	ids := append([]int64(nil), b.payments...)
	b.rng.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	ids = ids[:min(int(half), len(ids))]
	for _, id := range ids {
		t.touch("bank.payments", fmt.Sprint(id))
	}
	return t.exec(`update bank.payments set amount = amount + 1, updated_at = clock_timestamp() where id = any($1)`, ids)
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
	var status string
	if err := t.tx.QueryRow(t.ctx, "update bank.payments set id = $2 where id = $1 returning status", id, to).Scan(&status); err != nil {
		return err
	}
	if status == "lost" { // it breaks the contract under its new key too
		t.bad = append(t.bad, fmt.Sprint(to))
	}
	return nil
}
