package app

import (
	"context"
	"errors"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/catalog"
	"github.com/undrop/undrop/internal/postgres"
)

// Marks is the position that each contracted table names now, as a reader of the
// catalog sees it; tables without one are left out.
func (a *App) Marks(ctx context.Context) (map[string]undrop.SourceMark, error) {
	marks := map[string]undrop.SourceMark{}
	for _, products := range a.products {
		for _, p := range products {
			t, err := a.lake.Load(ctx, p.Table.TableName)
			if errors.Is(err, catalog.ErrNoTable) {
				continue
			}
			if err != nil {
				return nil, err
			}
			head := t.Head("main")
			if head == nil {
				continue
			}
			m, err := head.Source()
			if err != nil {
				return nil, err
			}
			if m != nil {
				marks[p.Table.TableName.String()] = *m
			}
		}
	}
	return marks, nil
}

// slotStatus fills in what the source says of the slot.
func slotStatus(ctx context.Context, src *postgres.Source, st *SourceStatus) error {
	slot, err := src.SlotState(ctx)
	if err != nil || !slot.Exists {
		return err
	}
	st.SlotLSN = &slot.ConfirmedFlush
	at, err := src.InsertPosition(ctx)
	if err != nil {
		return err
	}
	behind := int64(at) - int64(slot.Restart)
	st.SlotBehind = &behind
	return nil
}
