package pipeline

import (
	"context"
	"errors"
	"strings"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/catalog"
	"github.com/undrop/undrop/internal/lake"
)

// addedColumns decides what becomes of rows that were landed before the contract
// got a column. Where the source has values in it, they would be null in the table
// in silence: a mirror is loaded anew, side by side. A history's rows say what was
// captured when they were; loading it anew would lose them, so it keeps them and
// says so.
//
// Apply adds the column only after a cut has said that this was decided.
func (c *Capture) addedColumns(ctx context.Context) error {
	for _, p := range c.Products {
		t, err := c.Lake.Load(ctx, p.Table.TableName)
		if errors.Is(err, catalog.ErrNoTable) {
			continue
		}
		if err != nil {
			return err
		}
		if again, err := c.lacksValues(ctx, t, p); err != nil || !again {
			if err != nil {
				return err
			}
			continue
		}
		if err := RequestLoad(ctx, c.Lake, p); err != nil {
			return err
		}
	}
	return nil
}

// lacksValues reports whether a table, or what is loaded of it, has no values
// where the source has some.
func (c *Capture) lacksValues(ctx context.Context, t *lake.Table, p *Product) (bool, error) {
	added := lake.Added(t, p.Table)
	if len(added) == 0 || t.Head("main") == nil && t.Head(undrop.LoadBranch) == nil {
		return false, nil
	}
	if head := t.Head(undrop.LoadBranch); head != nil {
		var with undrop.ContractRef
		if _, err := summaryValue(head.Summary, undrop.SummaryContract, &with); err != nil {
			return false, err
		}
		if with.Hash == p.Table.Contract.Hash {
			return false, nil // it is being loaded with the column
		}
	}
	names := make([]string, len(added))
	for i, f := range added {
		names[i] = p.Table.Fields[f].Name
	}
	has, err := c.Source.HasValues(ctx, p.Table, added)
	if err != nil || !has {
		return false, err
	}
	log := c.Log.With("table", p.Table.TableName.String(), "columns", strings.Join(names, " "), "contract", p.Table.Contract.Version)
	if p.Table.Mode != undrop.Mirror {
		log.Warn("rows that were landed before the contract had these columns have null there; undrop table reload begins anew with what the source holds now")
		return false, nil
	}
	log.Info("the source has values in columns that are new in the contract: the table is loaded again beside what readers see")
	return true, nil
}

// decided reports whether capture has dealt with the rows that lack the columns
// that t would get.
func (a *Apply) decided(t *applied) bool {
	if len(lake.Added(t.table, t.product.Table)) == 0 {
		return true
	}
	return a.newest != nil && a.newest.Contracts[t.product.Table.TableName.String()] == t.product.Table.Contract.Hash
}
