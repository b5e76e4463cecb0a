// Package app wires the product: it is the only place that names concrete
// engines. It starts what the configuration describes, keeps it running, and
// stops it in order: intake first, then what is in flight, then the resources.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/catalog"
	"github.com/undrop/undrop/internal/config"
	"github.com/undrop/undrop/internal/contract"
	"github.com/undrop/undrop/internal/lake"
	"github.com/undrop/undrop/internal/pipeline"
)

// App is an opened installation: configuration, contracts, catalog and warehouse.
// Nothing runs until Up.
type App struct {
	cfg      *config.Config
	log      *slog.Logger
	objects  map[string][]*contract.Object // by source
	files    map[*contract.Object]string
	products map[string][]*pipeline.Product
	catalog  catalog.Catalog
	lake     *lake.Lake
	gaps     *pipeline.Gaps
	refused  error // a contract is not compatible with the version its table was run with: Up says so

	mu       sync.Mutex
	running  map[string]*sourceRun // by source, while Up runs
	serving  atomic.Bool           // the console is ours: who asks it asks us
	embedded *embeddedLog
}

// Open reads the contracts and opens catalog and warehouse. It needs no server.
func Open(ctx context.Context, cfg *config.Config, log *slog.Logger) (*App, error) {
	a := &App{cfg: cfg, log: log, running: map[string]*sourceRun{}}
	if err := a.readContracts(); err != nil {
		return nil, err
	}
	view := cfg.Catalog.View.Reveal()
	if strings.Contains(view, "://") {
		return nil, &undrop.Error{Code: undrop.BadInput, Op: "open catalog", Err: fmt.Errorf("catalog.view %s: only a SQLite file is supported yet", cfg.Catalog.View),
			Hint: "catalog: {view: ./state/catalog.db}"}
	}
	for _, dir := range []string{cfg.State, filepath.Dir(view)} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, &undrop.Error{Code: undrop.Failed, Op: "make state folder", Err: err, Hint: "make room for that folder, or name another one with state in " + cfg.File}
		}
	}
	var err error
	if a.gaps, err = pipeline.OpenGaps(filepath.Join(cfg.State, "gaps")); err != nil {
		return nil, err
	}
	if err := a.openLake(ctx); err != nil {
		return nil, err
	}
	if err := a.settleVersions(ctx); err != nil {
		return nil, errors.Join(err, a.catalog.Close())
	}
	return a, nil
}

// Close releases catalog and warehouse.
func (a *App) Close() error { return a.catalog.Close() }

// readContracts compiles every contract and binds each object to its source.
func (a *App) readContracts() error {
	a.objects, a.products, a.files = map[string][]*contract.Object{}, map[string][]*pipeline.Product{}, map[*contract.Object]string{}
	seenRelation, seenTable, seenTopic := map[string]string{}, map[string]string{}, map[string]string{}
	for _, file := range a.cfg.Contracts {
		data, err := os.ReadFile(file)
		if err != nil {
			return &undrop.Error{Code: undrop.BadInput, Op: "read contract", Err: err}
		}
		c, problems := contract.Parse(file, data)
		if c != nil {
			problems = append(problems, c.Runnable()...)
		}
		if err := contractError(file, problems); err != nil {
			return err
		}
		for _, p := range problems {
			a.log.Debug("contract", "problem", p.String())
		}
		for _, o := range c.Objects {
			source := o.Table.Source
			if source == "" && len(a.cfg.Sources) == 1 {
				source = a.cfg.Sources[0].Name
			}
			if a.cfg.Source(source) == nil {
				return &undrop.Error{Code: undrop.BadInput, Op: "bind contract " + file,
					Err:  fmt.Errorf("object %s: undrop.source %q is not a source of %s", o.Name, source, a.cfg.File),
					Hint: "set customProperties undrop.source on the schema object to one of the configured sources"}
			}
			o.Bind(source)
			for _, claim := range []struct {
				seen map[string]string
				what string
			}{{seenRelation, source + " " + o.Table.SourceRelation()}, {seenTable, "table " + o.Table.TableName.String()}, {seenTopic, "topic " + o.Table.Topic}} {
				if other, taken := claim.seen[claim.what]; taken {
					return &undrop.Error{Code: undrop.BadInput, Op: "bind contract " + file,
						Err:  fmt.Errorf("%s is claimed by %s too: two contracts cannot share it", claim.what, other),
						Hint: "undrop contract show " + other}
				}
				claim.seen[claim.what] = file
			}
			a.objects[source], a.files[o] = append(a.objects[source], o), file
			a.products[source] = append(a.products[source], &pipeline.Product{Table: o.Table, NewChecker: func() pipeline.Checker { return contract.NewChecker(o) }})
		}
	}
	return nil
}

// contractError is the first error of a contract, with the count of all.
func contractError(file string, problems []contract.Problem) error {
	n, first := 0, ""
	for _, p := range problems {
		if p.Severity == "error" {
			if n++; n == 1 {
				first = p.String()
			}
		}
	}
	if n == 0 {
		return nil
	}
	return &undrop.Error{Code: undrop.BadInput, Op: "read contract", Err: fmt.Errorf("%s (%d in all)", first, n), Hint: "undrop contract lint " + file}
}
