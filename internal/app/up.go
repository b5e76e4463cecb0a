package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	undrop "github.com/undrop/undrop"
)

// Roles that a process can have.
var Roles = []string{"capture", "apply", "catalog", "maintain", "console"}

// UpOptions say what of the configuration runs in this process.
type UpOptions struct {
	Only          []string // roles; none: all
	UntilCaughtUp bool     // stop once every table holds the position read at start
	Progress      func(Progress)
}

// Progress is what a running pipeline shows.
type Progress struct {
	Rows        int64 // snapshot rows read
	RowsTotal   int64 // the planner's estimate of them
	Changes     int64 // changes captured
	Applied     int64
	Quarantined int64
	Lag         time.Duration // between now and the source commit time of what is in the tables
	Tables      int
	Live        int
}

// Up runs until ctx ends, then drains: capture stops first, apply commits what
// the newest cut holds, then log and catalog close.
func (a *App) Up(ctx context.Context, o UpOptions) (err error) {
	has, err := roles(o.Only)
	if err != nil {
		return err
	}
	unlock, err := a.lockRoles(has)
	if err != nil {
		return err
	}
	defer unlock()
	if err := errors.Join(a.refused, a.supported()); err != nil {
		return err
	}
	if err := a.connectLog(ctx, has); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.embedded.close()) }()
	s := newSession(ctx, a, has)
	defer s.close()
	if err := s.start(o); err != nil {
		return errors.Join(err, s.stop())
	}
	return s.wait(o)
}

// supported refuses what the configuration can say and this version cannot do, so
// that nobody believes it was done.
func (a *App) supported() error {
	refuse := func(key, why, hint string) error {
		return &undrop.Error{Code: undrop.BadInput, Op: "start with " + a.cfg.File, Err: fmt.Errorf("%s: %s", key, why), Hint: hint}
	}
	switch {
	case a.cfg.Apply.Deletes != "equality":
		return refuse("apply.deletes: "+a.cfg.Apply.Deletes, "this version writes equality deletes", "apply: {deletes: equality}")
	case a.cfg.Apply.FormatVersion != 2:
		return refuse(fmt.Sprintf("apply.format_version: %d", a.cfg.Apply.FormatVersion), "this version writes format version 2", "apply: {format_version: 2}")
	case a.cfg.Catalog.REST != nil:
		return refuse("catalog.rest", "this version keeps its own catalog", "remove catalog.rest")
	}
	for _, s := range a.cfg.Sources {
		if len(s.Topics) > 0 {
			return refuse("sources."+s.Name+".topics", "this version captures from PostgreSQL itself", "sources: {"+s.Name+": {postgres: …}}")
		}
	}
	return nil
}

func roles(only []string) (map[string]bool, error) {
	has := map[string]bool{}
	for _, r := range Roles {
		has[r] = len(only) == 0
	}
	for _, r := range only {
		if !slices.Contains(Roles, r) {
			return nil, &undrop.Error{Code: undrop.BadInput, Op: "start", Err: fmt.Errorf("role %q: want one of %s", r, strings.Join(Roles, ", ")), Hint: "undrop up --help"}
		}
		has[r] = true
	}
	return has, nil
}

// connectLog hosts the embedded log where capture runs, and finds it elsewhere.
func (a *App) connectLog(ctx context.Context, has map[string]bool) (err error) {
	switch {
	case !a.needsHost():
	case has["capture"]:
		a.embedded, err = a.hostLog(ctx)
	case has["apply"]:
		a.embedded, err = a.findLog()
	}
	return err
}
