package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/catalog"
	"github.com/undrop/undrop/internal/contract"
	"github.com/undrop/undrop/internal/durable"
)

// The version of a contract that a table was last run with is kept beside the
// table's state, so that the next version can be compared with it before any data
// moves. Without it (the state was lost) columns keep their ids by name, as the
// table's own schema has them.

// appliedFile is where the last applied contract of a table is kept.
func (a *App) appliedFile(t undrop.TableName) string {
	return filepath.Join(a.cfg.State, "contracts", t.String()+".odcs.yaml")
}

// settleVersions compares every contract with the version that its tables were
// run with and gives columns their stable ids. What is not compatible is refused
// by Up; looking at tables stays possible.
func (a *App) settleVersions(ctx context.Context) error {
	for _, objects := range a.objects {
		for _, o := range objects {
			if err := a.settleVersion(ctx, o); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *App) settleVersion(ctx context.Context, o *contract.Object) error {
	data, err := os.ReadFile(a.appliedFile(o.Table.TableName))
	if errors.Is(err, os.ErrNotExist) {
		return a.idsFromTable(ctx, o)
	}
	if err != nil {
		return fmt.Errorf("read the applied contract of %s: %w", o.Table.TableName, err)
	}
	old, problems := contract.Parse(a.appliedFile(o.Table.TableName), data)
	if old == nil {
		return fmt.Errorf("read the applied contract of %s: %s", o.Table.TableName, problems[0])
	}
	before := old.Object(o.Name)
	if before == nil {
		return a.idsFromTable(ctx, o)
	}
	if err := a.idsFromTable(ctx, before); err != nil { // as they were when it was applied
		return err
	}
	o.AdoptIDs(before)
	if old.Ref.Hash == o.Table.Contract.Hash {
		return nil
	}
	next, err := os.ReadFile(a.files[o])
	if err != nil {
		return fmt.Errorf("read contract: %w", err)
	}
	c, _ := contract.Parse(a.files[o], next)
	if c == nil {
		return fmt.Errorf("read contract %s: it changed while it was read", a.files[o])
	}
	a.refused = errors.Join(a.refused, contract.Compatible(old, c))
	return nil
}

// idsFromTable gives columns the ids that the live table has for their names.
func (a *App) idsFromTable(ctx context.Context, o *contract.Object) error {
	t, err := a.lake.Load(ctx, o.Table.TableName)
	if errors.Is(err, catalog.ErrNoTable) {
		return nil
	}
	if err != nil {
		return err
	}
	top := 0
	for _, schema := range t.Entry.Metadata.Schemas() {
		for _, f := range schema.Fields() {
			if f.ID < firstMetadataID {
				top = max(top, f.ID)
			}
		}
	}
	schema := t.Entry.Metadata.CurrentSchema()
	o.AdoptNames(func(path string) (int, bool) {
		f, ok := schema.FindFieldByName(path)
		return f.ID, ok
	}, top)
	return nil
}

// firstMetadataID is where the ids of undrop's own columns begin.
const firstMetadataID = 10001

// keepVersions remembers the contracts that a source runs with from now on. Capture
// asks for it when nothing keeps it from running them, and before it reads: what was
// refused at the start was never in force, and can be taken back.
func (a *App) keepVersions(source string) error {
	if err := os.MkdirAll(filepath.Join(a.cfg.State, "contracts"), 0o755); err != nil {
		return fmt.Errorf("keep applied contracts: %w", err)
	}
	for _, o := range a.objects[source] {
		data, err := os.ReadFile(a.files[o])
		if err != nil {
			return fmt.Errorf("keep applied contracts: %w", err)
		}
		if err := durable.WriteFile(a.appliedFile(o.Table.TableName), data); err != nil {
			return err
		}
	}
	return nil
}
