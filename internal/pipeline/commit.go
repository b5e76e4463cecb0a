package pipeline

import (
	"context"
	"errors"
	"fmt"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/catalog"
	"github.com/undrop/undrop/internal/lake"
)

// commitStages commits all stages at once. When somebody else committed first it
// moves the stages onto the new heads and tries again, but only after checking
// that what this writer knows of each table still holds: a table whose recorded
// offsets are not what they were has another writer, and this one is the zombie.
func commitStages(ctx context.Context, l *lake.Lake, stages []*lake.Stage) ([]lake.Snapshot, error) {
	for range 20 {
		snaps, err := l.Commit(ctx, stages)
		if err == nil || !errors.Is(err, catalog.ErrConflict) {
			return snaps, err
		}
		for _, s := range stages {
			now, err := l.Load(ctx, s.Table.Name)
			if err != nil {
				return nil, err
			}
			if err := sameProgress(s, now); err != nil {
				return nil, err
			}
			s.Table = now
		}
	}
	return nil, fmt.Errorf("commit: other writers won 20 times in a row: %w", catalog.ErrConflict)
}

// errZombie says that another writer has moved a table's offsets.
var errZombie = errors.New("another undrop has moved this table")

// sameProgress compares what the stage was built on with the table now.
func sameProgress(s *lake.Stage, now *lake.Table) error {
	differs := func(key string) bool { return lastValue(s.Table, s.Branch, key) != lastValue(now, s.Branch, key) }
	switch {
	case differs(undrop.SummaryOffsets):
		return &undrop.Error{Code: undrop.Refused, Op: "commit " + s.Table.Name.String(), Err: errZombie,
			Hint: "stop the other process, then start this one again"}
	case differs(undrop.SummaryLoad): // capture began the load again: start from there
		return fmt.Errorf("commit %s: its load has begun again", s.Table.Name)
	}
	return nil
}

// lastValue is the newest value of a summary key on a branch. Snapshots of other
// engines have none of ours.
func lastValue(t *lake.Table, branch, key string) string {
	if s := lastOwn(t, branch, key); s != nil {
		return s.Summary[key]
	}
	return ""
}

// lastOwn is the newest snapshot of a branch that undrop wrote.
func lastOwn(t *lake.Table, branch, key string) *lake.Snapshot {
	for s := range t.Lineage(branch) {
		if _, ok := s.Summary[key]; ok {
			return s
		}
	}
	return nil
}
