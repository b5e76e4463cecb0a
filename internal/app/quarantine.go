package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
	"github.com/undrop/undrop/internal/pipeline"
	"github.com/undrop/undrop/internal/postgres"
)

// QuarantineFilter selects quarantined records; empty fields select all.
type QuarantineFilter struct {
	Table  string   `json:"table,omitempty"`
	Rule   string   `json:"rule,omitempty"`
	Path   string   `json:"path,omitempty"`
	Status string   `json:"status,omitempty"`
	IDs    []string `json:"ids,omitempty"`
}

// Parse adds terms of the form rule=ID, path=COLUMN or id=RECORD.
func (f *QuarantineFilter) Parse(terms []string) error {
	for _, t := range terms {
		key, value, _ := strings.Cut(t, "=")
		switch key {
		case "rule":
			f.Rule = value
		case "path":
			f.Path = value
		case "id":
			f.IDs = append(f.IDs, value)
		default:
			return &undrop.Error{Code: undrop.BadInput, Op: "read --where", Err: fmt.Errorf("%q: want rule=ID, path=COLUMN or id=RECORD", t), Hint: "undrop quarantine ls --where rule=enum"}
		}
	}
	return nil
}

// WantVersion refuses when another version of the contract is in force.
func (a *App) WantVersion(table, version string) error {
	for _, p := range a.allProducts() {
		if version == "" || table != "" && p.Table.TableName.String() != table || p.Table.Contract.Version == version {
			continue
		}
		return &undrop.Error{Code: undrop.BadInput, Op: "replay " + p.Table.TableName.String(),
			Err:  fmt.Errorf("version %s of the contract is in force, not %s", p.Table.Contract.Version, version),
			Hint: "put version " + version + " into the contracts folder, restart undrop up, then replay"}
	}
	return nil
}

func (f QuarantineFilter) match(r *pipeline.Rejected) bool {
	if f.Table != "" && r.Table != f.Table || f.Status != "" && r.Status != f.Status || len(f.IDs) > 0 && !slices.Contains(f.IDs, r.RecordID) {
		return false
	}
	if f.Rule == "" && f.Path == "" {
		return true
	}
	return slices.ContainsFunc(r.Violations, func(v undrop.Violation) bool {
		return (f.Rule == "" || v.Rule == f.Rule) && (f.Path == "" || v.Path == f.Path)
	})
}

// QuarantineAnswer is what "quarantine ls" answers.
type QuarantineAnswer struct {
	Records []*pipeline.Rejected `json:"records"`
}

// Quarantine lists quarantined records.
func (a *App) Quarantine(ctx context.Context, f QuarantineFilter) (*QuarantineAnswer, error) {
	out := &QuarantineAnswer{Records: []*pipeline.Rejected{}}
	seen := map[string]bool{}
	for _, p := range a.allProducts() {
		if seen[p.Table.Namespace] {
			continue
		}
		seen[p.Table.Namespace] = true
		all, err := pipeline.ReadQuarantine(ctx, a.lake, p.Table.Namespace)
		if err != nil {
			return nil, err
		}
		for _, r := range all {
			if f.match(r) {
				out.Records = append(out.Records, r)
			}
		}
	}
	return out, nil
}

// ReplayRequest asks for a replay.
type ReplayRequest struct {
	Filter QuarantineFilter `json:"filter"`
	Dry    bool             `json:"dry"`
}

// ReplayAnswer is what "quarantine replay" answers.
type ReplayAnswer struct {
	Tables []pipeline.Replayed `json:"tables"`
}

// Replay puts quarantined records through the present contract. The process that
// applies does it; with none running, this one does, holding the apply role.
func (a *App) Replay(ctx context.Context, req ReplayRequest) (*ReplayAnswer, error) {
	out := &ReplayAnswer{Tables: []pipeline.Replayed{}}
	if remote, err := a.elsewhere(ctx, "/api/v1/quarantine/replay", req, out); remote || err != nil {
		return out, err
	}
	err := a.alone(ctx, func(ctx context.Context, p *pipeline.Product) error {
		if req.Filter.Table != "" && p.Table.TableName.String() != req.Filter.Table {
			return nil
		}
		done, err := a.replayer().Replay(ctx, p, req.Filter.match, req.Dry)
		if err != nil {
			return err
		}
		if done.Selected > 0 {
			out.Tables = append(out.Tables, done)
		}
		return nil
	})
	return out, err
}

// DiscardRequest asks to close records for good.
type DiscardRequest struct {
	IDs    []string `json:"ids"`
	Reason string   `json:"reason"`
}

// DiscardAnswer is what "quarantine discard" answers.
type DiscardAnswer struct {
	Discarded int `json:"discarded"`
}

// Discard closes records for good.
func (a *App) Discard(ctx context.Context, req DiscardRequest) (*DiscardAnswer, error) {
	if req.Reason == "" || len(req.IDs) == 0 {
		return nil, &undrop.Error{Code: undrop.BadInput, Op: "discard", Err: errors.New("record ids and a reason are needed"), Hint: `undrop quarantine discard ID --reason "…"`}
	}
	out := &DiscardAnswer{}
	if remote, err := a.elsewhere(ctx, "/api/v1/quarantine/discard", req, out); remote || err != nil {
		return out, err
	}
	err := a.alone(ctx, func(ctx context.Context, p *pipeline.Product) error {
		n, err := a.replayer().Discard(ctx, p, req.IDs, req.Reason)
		out.Discarded += n
		return err
	})
	if err == nil && out.Discarded == 0 {
		err = &undrop.Error{Code: undrop.BadInput, Op: "discard", Err: errors.New("no open record has one of these ids"), Hint: "undrop quarantine ls"}
	}
	return out, err
}

func (a *App) replayer() *pipeline.Replayer {
	return &pipeline.Replayer{Lake: a.lake, Now: time.Now, DecodeRaw: decodeRaw}
}

// decodeRaw reads a row that is in the log, or in quarantine, as its source's own
// text.
func decodeRaw(b *batch.Batch, op undrop.Op, p undrop.Position, at int64, raw string) error {
	return postgres.DecodeRaw(b, op, p, at, raw)
}

// elsewhere lets the process that holds the apply role do it; false when none does.
func (a *App) elsewhere(ctx context.Context, path string, in, out any) (bool, error) {
	if len(a.runs()) > 0 || !a.held("apply") {
		return false, nil
	}
	if a.serving.Load() || a.cfg.Listen == "" {
		return true, a.unreachable(nil)
	}
	err := a.call(ctx, http.MethodPost, path, in, out)
	if errors.Is(err, syscall.ECONNREFUSED) {
		err = a.unreachable(err)
	}
	return true, err
}

// unreachable says that only the process that applies could do it, and that it
// cannot be asked.
func (a *App) unreachable(err error) error {
	return &undrop.Error{Code: undrop.Refused, Op: "change tables", Err: errors.Join(errors.New("the process that applies has no console"), err),
		Hint: "start it as undrop up --only apply,console, or stop it and do this again"}
}

// alone runs f for every product while nothing else applies: on the running
// apply's own goroutine, or with the apply role's lock held.
func (a *App) alone(ctx context.Context, f func(context.Context, *pipeline.Product) error) error {
	runs := a.runs()
	if len(runs) == 0 {
		unlock, err := a.lockRoles(map[string]bool{"apply": true})
		if err != nil {
			return err
		}
		defer unlock()
		for _, p := range a.allProducts() {
			if err := f(ctx, p); err != nil {
				return err
			}
		}
		return nil
	}
	for _, run := range runs {
		a.mu.Lock()
		apply := run.apply
		a.mu.Unlock()
		if apply == nil {
			return &undrop.Error{Code: undrop.Refused, Op: "change tables", Err: errors.New("the process that applies has no console"),
				Hint: "start it as undrop up --only apply,console, or stop it and do this again"}
		}
		err := apply.Do(ctx, func(ctx context.Context) error {
			for _, p := range a.products[run.name] {
				if err := f(ctx, p); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func bytesReader(b []byte) io.Reader { return bytes.NewReader(b) }
