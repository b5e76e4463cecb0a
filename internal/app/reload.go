package app

import (
	"context"
	"errors"
	"slices"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/pipeline"
)

// ReloadAnswer is what "table reload" answers.
type ReloadAnswer struct {
	Tables []string `json:"tables"`
	Notes  []string `json:"notes,omitempty"` // what a reload means beyond the rows
	Asked  bool     `json:"asked"`           // false: this is what would happen
}

// ReloadPlan says what Reload would do, and changes nothing.
func (a *App) ReloadPlan(names []string) (*ReloadAnswer, error) {
	products, err := a.named("reload", names)
	if err != nil {
		return nil, err
	}
	out := &ReloadAnswer{Tables: []string{}}
	for _, p := range products {
		name := p.Table.TableName.String()
		out.Tables = append(out.Tables, name)
		if p.Table.Mode != undrop.Mirror {
			out.Notes = append(out.Notes, name+" keeps every change: those that the source does not hold as rows any more stay in its older snapshots only")
		}
	}
	return out, nil
}

// named finds the products of mart tables; all of them or none.
func (a *App) named(op string, names []string) ([]*pipeline.Product, error) {
	var out []*pipeline.Product
	for _, name := range names {
		i := slices.IndexFunc(a.allProducts(), func(p *pipeline.Product) bool { return p.Table.TableName.String() == name })
		if i < 0 {
			return nil, &undrop.Error{Code: undrop.BadInput, Op: op + " " + name, Err: errors.New("no contract makes this table"), Hint: "undrop table ls"}
		}
		out = append(out, a.allProducts()[i])
	}
	return out, nil
}

// Reload asks for tables to be read from their sources once more, side by side
// with what readers see: the next capture reads them into a branch, and main is
// swapped at the first cut at which the new rows are exact. It closes the gaps of
// the tables when it is done.
func (a *App) Reload(ctx context.Context, names []string) (*ReloadAnswer, error) {
	out, err := a.ReloadPlan(names)
	if err != nil {
		return nil, err
	}
	if a.held("capture") || a.held("apply") {
		return nil, &undrop.Error{Code: undrop.Refused, Op: "reload", Err: errors.New("a process of this installation is up"), Hint: "stop it, undrop table reload, then undrop up"}
	}
	products, err := a.named("reload", names)
	if err != nil {
		return nil, err
	}
	for _, p := range products {
		if err := pipeline.RequestLoad(ctx, a.lake, p); err != nil {
			return nil, err
		}
	}
	out.Asked = true
	return out, nil
}
