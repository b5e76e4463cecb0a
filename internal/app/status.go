package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	undrop "github.com/undrop/undrop"
)

// Status answers for the whole installation. While a process of it is up, that
// process answers, since it knows what is in flight; otherwise the files do.
func (a *App) Status(ctx context.Context) (*StatusAnswer, error) {
	if len(a.runs()) == 0 {
		if s := a.askRunning(ctx); s != nil {
			return s, nil
		}
	}
	tables, err := a.Tables(ctx)
	if err != nil {
		return nil, err
	}
	gaps, err := a.OpenGaps()
	if err != nil {
		return nil, err
	}
	s := &StatusAnswer{Name: a.cfg.Name, Version: Version, Running: len(a.runs()) > 0 || a.held("apply") || a.held("capture"), Tables: tables, Gaps: gaps, Sources: []SourceStatus{}}
	for _, src := range a.cfg.Sources {
		s.Sources = append(s.Sources, a.sourceStatus(ctx, src.Name))
	}
	return s, nil
}

// askRunning asks the API of a running process; nil when none answers for this
// installation.
func (a *App) askRunning(ctx context.Context) *StatusAnswer {
	if a.serving.Load() || a.cfg.Listen == "" || !a.held("apply") && !a.held("capture") {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	s := new(StatusAnswer)
	if err := a.call(ctx, http.MethodGet, "/api/v1/status", nil, s); err != nil || s.Name != a.cfg.Name {
		return nil
	}
	return s
}

// held reports whether another process holds a role's lock.
func (a *App) held(role string) bool {
	f, err := os.Open(filepath.Join(a.cfg.State, role+".lock"))
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

// sourceStatus asks a source how its slot is doing; a source that does not answer
// is a problem to show, not an error.
func (a *App) sourceStatus(ctx context.Context, name string) SourceStatus {
	st := SourceStatus{Name: name}
	for _, run := range a.runs() {
		a.mu.Lock()
		c := run.capture
		a.mu.Unlock()
		if run.name == name && c != nil {
			st.CutLSN = undrop.LSN(c.Stats.Cut.Load())
			st.Changes, st.LoadRows, st.LoadEstimate = c.Stats.Changes.Load(), c.Stats.Loaded.Load(), c.Stats.LoadRows.Load()
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	src, err := a.openSource(ctx, name)
	if err != nil {
		st.Problem = err.Error()
		return st
	}
	defer src.Close()
	id, err := src.Identity(ctx)
	if err == nil {
		st.System, st.Timeline = id.System, id.Timeline
		err = slotStatus(ctx, src, &st)
	}
	if err != nil {
		st.Problem = err.Error()
	}
	return st
}

// Gaps lists every gap.
func (a *App) Gaps() ([]undrop.Gap, error) { return a.gaps.List() }

// Gap reads one gap.
func (a *App) Gap(id string) (undrop.Gap, error) { return a.gaps.Get(id) }

// OpenGaps lists the gaps that are not closed.
func (a *App) OpenGaps() ([]undrop.Gap, error) {
	all, err := a.gaps.List()
	if err != nil {
		return nil, err
	}
	open := []undrop.Gap{}
	for _, g := range all {
		if g.State != "closed" {
			open = append(open, g)
		}
	}
	return open, nil
}

// Ready says why the process is not ready to be relied on, nil when it is: every
// table is live and no gap is open. Several reasons come joined.
func (a *App) Ready() error {
	var why []error
	for _, run := range a.runs() {
		a.mu.Lock()
		apply, capture := run.apply, run.capture
		a.mu.Unlock()
		if capture != nil && !capture.Stats.Streams.Load() {
			why = append(why, errors.New("source "+run.name+" is not streaming"))
		}
		if apply == nil {
			continue
		}
		for _, s := range apply.States() {
			if s.State != "live" {
				why = append(why, errors.New(strings.TrimSpace(fmt.Sprintf("%s is %s %s", s.Name, s.State, s.Reason))))
			}
		}
	}
	gaps, err := a.OpenGaps()
	if err != nil {
		return err
	}
	for _, g := range gaps {
		why = append(why, errors.New("gap "+g.ID+" is open"))
	}
	return errors.Join(why...)
}

// call asks the API of the running process.
func (a *App) call(ctx context.Context, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+a.cfg.Listen+path, bytesReader(body))
	if err != nil {
		return fmt.Errorf("ask %s: %w", a.cfg.Listen, err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask %s: %w", a.cfg.Listen, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		var fail struct {
			Error struct {
				Code    undrop.Code `json:"code"`
				Message string      `json:"message"`
				Hint    string      `json:"hint"`
			} `json:"error"`
		}
		if err := json.NewDecoder(resp.Body).Decode(&fail); err != nil || fail.Error.Message == "" {
			return fmt.Errorf("ask %s%s: %s", a.cfg.Listen, path, resp.Status)
		}
		return &undrop.Error{Code: fail.Error.Code, Err: errors.New(fail.Error.Message), Hint: fail.Error.Hint}
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("read answer of %s%s: %w", a.cfg.Listen, path, err)
	}
	return nil
}
