// Package drill makes trouble on purpose and knows the truth: a bank's workload
// whose ledger says, without asking undrop, what every table held after every
// transaction. The demo, the crash loops and the benchmarks run on it.
//
// It talks to PostgreSQL as an application would. It never reads undrop's state.
package drill

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/jackc/pgx/v5"
)

// The bank's schema: three services with an outbox, each with something that a
// pipeline gets wrong easily.
const bankSchema = `
create schema if not exists bank;
create type bank.card_state as enum ('active', 'blocked', 'expired');
create table bank.accounts (
  id bigint primary key,
  owner text not null,
  currency char(3) not null,
  balance numeric(14,2) not null,
  opened_on date not null,
  note text
);
create table bank.cards (
  pan text primary key,
  account_id bigint not null,
  state bank.card_state not null,
  limits integer[],
  valid_until timestamp not null
);
create table bank.payments (
  id bigint primary key,
  account_id bigint not null,
  amount numeric(12,2) not null,
  currency text not null,
  status text not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  note text
);
create table bank.outbox (
  id uuid primary key,
  aggregatetype text not null,
  aggregateid text not null,
  type text not null,
  payload jsonb,
  created_at timestamptz not null default now()
);`

// Tables are the bank's tables, in the order of BankSchema.
var Tables = []string{"bank.accounts", "bank.cards", "bank.payments", "bank.outbox"}

// Bank is the workload. The same seed gives the same transactions.
type Bank struct {
	conn *pgx.Conn
	rng  *rand.Rand

	accounts  int64   // ids 1..accounts exist
	payments  []int64 // live payment ids
	next      int64   // next payment id
	cards     []string
	Ledger    Ledger
	Forgetful bool // keep no ledger, for traffic that goes on for long
	Rolled    int  // transactions that were rolled back on purpose
}

// OpenBank connects an application to the database.
func OpenBank(ctx context.Context, dsn string, seed uint64) (*Bank, error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return nil, fmt.Errorf("connect the bank: %w", err)
	}
	return &Bank{conn: conn, rng: rand.New(rand.NewPCG(seed, 7))}, nil
}

// Close ends the application's connection.
func (b *Bank) Close(ctx context.Context) error { return b.conn.Close(ctx) }

// Create makes the tables and the rows that exist before anybody watches:
// `rows` payments, and accounts and cards for them.
func (b *Bank) Create(ctx context.Context, rows int64) error {
	if _, err := b.conn.Exec(ctx, bankSchema); err != nil {
		return fmt.Errorf("create the bank: %w", err)
	}
	b.accounts = max(10, rows/20)
	cards := max(10, rows/40)
	b.next = rows + 1
	for _, q := range []struct {
		sql string
		n   int64
	}{
		{`insert into bank.accounts select i, 'owner ' || i, (array['EUR','USD','RUB'])[1 + i % 3], (i * 7919 % 1000000) / 100.0,
		  date '2019-01-01' + (i % 2000)::int, case when i % 5 = 0 then 'vip' end from generate_series(1, $1::bigint) i`, b.accounts},
		{`insert into bank.cards select '4000' || lpad(i::text, 12, '0'), 1 + i % 1000, (array['active','blocked','expired'])[1 + i % 3]::bank.card_state,
		  case when i % 4 = 0 then null else array[i::int, null, (i % 100)::int] end, timestamp '2027-01-01' + i * interval '1 hour' from generate_series(1, $1::bigint) i`, cards},
		{`insert into bank.payments select i, 1 + i * 31 % 5000, (i * 104729 % 10000000) / 100.0 - 1000, (array['EUR','USD','RUB','GBP'])[1 + i % 4],
		  (array['new','paid','settled'])[1 + i % 3], timestamptz '2026-01-01 00:00:00Z' + i * interval '1.234567 seconds',
		  timestamptz '2026-06-01 00:00:00Z' + i * interval '0.765432 seconds', case when i % 7 = 0 then null else 'payment for order ' || i * 17 end
		  from generate_series(1, $1::bigint) i`, rows},
	} {
		if _, err := b.conn.Exec(ctx, q.sql, q.n); err != nil {
			return fmt.Errorf("fill the bank: %w", err)
		}
	}
	for i := int64(1); i <= min(rows, 20000); i++ {
		b.payments = append(b.payments, i)
	}
	for i := int64(1); i <= cards; i++ {
		b.cards = append(b.cards, fmt.Sprintf("4000%012d", i))
	}
	return nil
}
