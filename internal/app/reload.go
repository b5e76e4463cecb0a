package app

import (
	"context"
	"errors"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/pipeline"
)

// ReloadAnswer is what "table reload" answers.
type ReloadAnswer struct {
	Tables []string `json:"tables"`
}

// Reload asks for tables to be read from their sources once more, side by side
// with what readers see: the next capture reads them into a branch, and main is
// swapped at the first cut at which the new rows are exact. It closes the gaps of
// the tables when it is done.
func (a *App) Reload(ctx context.Context, names []string) (*ReloadAnswer, error) {
	out := &ReloadAnswer{Tables: []string{}}
	if a.held("capture") || a.held("apply") {
		return nil, &undrop.Error{Code: undrop.Refused, Op: "reload", Err: errors.New("a process of this installation is up"), Hint: "stop it, undrop table reload, then undrop up"}
	}
	for _, name := range names {
		var product *pipeline.Product
		for _, p := range a.allProducts() {
			if p.Table.TableName.String() == name {
				product = p
			}
		}
		if product == nil {
			return nil, &undrop.Error{Code: undrop.BadInput, Op: "reload " + name, Err: errors.New("no contract makes this table"), Hint: "undrop table ls"}
		}
		if err := pipeline.RequestLoad(ctx, a.lake, product); err != nil {
			return nil, err
		}
		out.Tables = append(out.Tables, name)
	}
	return out, nil
}
