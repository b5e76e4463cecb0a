package app

import (
	"context"
	"time"

	"github.com/undrop/undrop/internal/pipeline"
)

// janitor makes room in the embedded log: once it is half full, records that
// every table holds are trimmed. The last batch of a partition always stays, so
// that the log still knows where it ends.
func (a *App) janitor(ctx context.Context) {
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := a.noteHalts(); err != nil {
			a.log.Warn("cannot note halted tables", "err", err)
		}
		if a.embedded == nil || a.embedded.broker == nil || a.embedded.broker.Bytes() < a.cfg.Log.Embedded.MaxBytes/2 {
			continue
		}
		for _, run := range a.runs() {
			a.trim(ctx, run)
		}
	}
}

func (a *App) trim(ctx context.Context, run *sourceRun) {
	for _, p := range a.products[run.name] {
		t, err := a.lake.Load(ctx, p.Table.TableName)
		if err != nil {
			continue // not made yet
		}
		for topic, next := range pipeline.CommittedOffsets(t) {
			if err := run.client.Trim(ctx, topic, next); err != nil {
				a.log.Warn("cannot trim the log", "topic", topic, "err", err)
			}
		}
	}
}
