package bench

import (
	"context"
	"fmt"
	"os"
	"runtime/pprof"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/app"
	"github.com/undrop/undrop/internal/batch"
)

// verify compares source and table once the clock has stopped: a measurement of
// a wrong result is worth nothing. Numbers, instants and lengths of texts are
// summed, so that a lost, a doubled and an old row are all seen.
func (b *bed) verify(ctx context.Context) error {
	var want, got sums
	err := b.conn.QueryRow(ctx, `select count(*), sum(id)::bigint, (sum(amount) * 100)::bigint, sum(account_id)::bigint,
		sum((extract(epoch from updated_at) * 1000000)::bigint % 1000003)::bigint, sum(length(status) + coalesce(length(note), 0))::bigint from payments`).
		Scan(&want.rows, &want.ids, &want.cents, &want.accounts, &want.instants, &want.letters)
	if err != nil {
		return fmt.Errorf("sum up payments: %w", err)
	}
	a, err := app.Open(ctx, b.cfg, b.log)
	if err != nil {
		return err
	}
	defer func() { _ = a.Close() }() // only read from
	t, err := a.Table(ctx, "public.payments", "")
	if err != nil {
		return err
	}
	if err := t.Account.Total.Check(); err != nil {
		return &undrop.Error{Code: undrop.Damaged, Op: "check the account of the measured table", Err: err, Hint: "undrop table show public.payments"}
	}
	if err := a.EachRow(ctx, "public.payments", "", got.add); err != nil {
		return err
	}
	if got != want {
		return &undrop.Error{Code: undrop.Damaged, Op: "compare source and table after the measurement",
			Err: fmt.Errorf("the source has %+v, the table %+v", want, got), Hint: "undrop bench --dir DIR, then look with undrop table rows"}
	}
	return nil
}

// sums of the columns of payments.
type sums struct{ rows, ids, cents, accounts, instants, letters int64 }

func (s *sums) add(b *batch.Batch) error {
	column := func(name string) *batch.Column {
		for i := range b.Table.Fields {
			if b.Table.Fields[i].Name == name {
				return &b.Cols[i]
			}
		}
		return nil
	}
	id, account, amount, updated, status, note := column("id"), column("account_id"), column("amount"), column("updated_at"), column("status"), column("note")
	for _, c := range []*batch.Column{id, account, amount, updated, status, note} {
		if c == nil {
			return fmt.Errorf("table %s lacks a column of payments", b.Table.TableName)
		}
	}
	for i := range b.Len() {
		s.rows++
		s.ids += id.Ints[i]
		s.accounts += account.Ints[i]
		s.cents += amount.Ints[i]
		s.instants += updated.Ints[i] % 1000003
		s.letters += int64(len(status.Bytes(i)))
		if !note.Null[i] {
			s.letters += int64(len(note.Bytes(i)))
		}
	}
	return nil
}

// profile writes a CPU profile until stop.
func profile(file string) (stop func() error, err error) {
	if file == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(file)
	if err != nil {
		return nil, &undrop.Error{Code: undrop.BadInput, Op: "write CPU profile", Err: err, Hint: "--cpuprofile FILE"}
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		_ = f.Close() // the first error is the one that counts
		return nil, fmt.Errorf("start CPU profile: %w", err)
	}
	return func() error {
		pprof.StopCPUProfile()
		if err := f.Close(); err != nil {
			return fmt.Errorf("write CPU profile: %w", err)
		}
		return nil
	}, nil
}
