// Package pipeline moves changes from a source to the log (capture) and from the
// log to the mart tables (apply), and accounts for every one of them.
//
// Capture publishes cuts, apply commits only at cuts, so every snapshot of every
// table is a state that the source really had. Positions live with the data they
// describe: the slot is acknowledged only up to what a durable cut covers, and
// where apply stands is written in the table's own snapshot. There is no other
// checkpoint that could disagree.
//
// It does not know PostgreSQL's wire formats, Kafka's protocol or Parquet: the
// engines do. It never deletes a file after a commit whose outcome it does not
// know, and never resets an offset.
package pipeline

import (
	"context"
	"log/slog"
	"time"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// Checker finds the promises that rows of a batch break and notes them in
// Batch.Bad, for rows from `from` on.
type Checker interface {
	Check(b *batch.Batch, from int)
}

// Product is one contracted table of a source, ready to run. A checker keeps
// scratch memory: each goroutine makes its own.
type Product struct {
	Table      *undrop.Table
	NewChecker func() Checker
}

// events reports whether the product is an outbox.
func (p *Product) events() bool { return p.Table.Mode == undrop.Events }

// Registry gives schemas ids and finds them again.
type Registry interface {
	Register(ctx context.Context, subject, schema string) (int, error)
	Schema(ctx context.Context, id int) (string, error)
}

// retry calls f until it answers nil or ctx ends, waiting longer each time; it
// logs every failure once. It is for things that other people may take away for
// a while (a broker, a database), not for refusals: those end it.
func retry(ctx context.Context, log *slog.Logger, what string, f func() error) error {
	wait := 100 * time.Millisecond
	for {
		err := f()
		if err == nil || ctx.Err() != nil || undrop.CodeOf(err) != undrop.Failed {
			return err
		}
		log.Warn("will try again", "what", what, "err", err, "in", wait)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		wait = min(2*wait, 10*time.Second)
	}
}
