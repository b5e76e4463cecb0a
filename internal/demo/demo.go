// Package demo shows undrop at work on one machine, on a bank that lives while it
// is watched: it starts a PostgreSQL, drafts contracts, lands what is there and
// what happens, and at the end compares source and tables row for row at one
// position. It knows no verdict in advance: what it reports, it has counted.
package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/app"
)

// Options of a run. The zero value of a field is not a default: Run checks them.
type Options struct {
	Seed    uint64 // of the traffic: the same seed makes the same transactions
	Rows    int64  // payments before anybody watches; accounts and cards come on top
	Seconds int    // of live traffic
	Keep    string // folder to keep everything in, and to go on running until ctx ends; "": temporary, removed
	Log     *slog.Logger
	Say     func(format string, args ...any) // one line of the story
	Watch   func(Moment)                     // what is going on, about twice a second
	Done    func(*Answer) error              // the answer, before a kept demo goes on

	meddle func(*sourceRows) // makes the comparison fail, in a test
}

// Moment is what a person sees while the demo runs.
type Moment struct {
	app.Progress
	Elapsed time.Duration
}

// Answer is what the demo found.
type Answer struct {
	Dir          string        `json:"dir"` // "" when it was removed
	Seed         uint64        `json:"seed"`
	Rows         int64         `json:"rows"` // existing, of all tables
	Transactions int64         `json:"transactions"`
	RolledBack   int64         `json:"transactions_rolled_back"`
	FirstVisible float64       `json:"first_visible_seconds"` // from the start to the first committed snapshot
	AllVisible   float64       `json:"all_visible_seconds"`   // to the first snapshot of the last table
	Wall         float64       `json:"wall_seconds"`
	LSN          undrop.LSN    `json:"lsn"` // the position of the comparison
	Tables       []TableAnswer `json:"tables"`
	Quarantine   []Rejection   `json:"quarantine"` // every open record
	Equal        bool          `json:"equal"`
	Next         []string      `json:"next"` // where to look next
}

// Rejection is a change that broke its contract.
type Rejection struct {
	Table  string     `json:"table"`
	Key    string     `json:"key"`
	LSN    undrop.LSN `json:"lsn"`
	Reason string     `json:"reason"`
}

// Run is the demo. It returns when everything that it started has ended; with
// Keep that is when ctx ends. An answer with differences is an error with code
// Damaged, after Done was called with it.
func Run(ctx context.Context, o Options) error {
	if o.Rows < 1 || o.Seconds < 1 {
		return &undrop.Error{Code: undrop.BadInput, Op: "demo", Err: fmt.Errorf("%d rows and %d seconds: want at least 1 of each", o.Rows, o.Seconds), Hint: "undrop demo --rows 200000 --seconds 15"}
	}
	began := time.Now()
	s, err := open(ctx, o)
	if err != nil {
		return err
	}
	err = s.play(ctx, began)
	if cerr := s.close(); err == nil && cerr != nil {
		err = fmt.Errorf("clean up after the demo: %w", cerr)
	}
	return err
}

// play runs pipeline and traffic, and compares.
func (s *stage) play(ctx context.Context, began time.Time) error {
	a, err := app.Open(ctx, s.cfg, s.Log)
	if err != nil {
		return err
	}
	defer func() { _ = a.Close() }() // only read from
	// The pipeline outlives ctx until the traffic and the comparison have ended.
	up, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	scene, end := context.WithCancelCause(ctx)
	defer end(nil)
	var g errgroup.Group
	g.Go(func() error {
		err := a.Up(up, app.UpOptions{Progress: func(p app.Progress) { s.Watch(Moment{Progress: p, Elapsed: time.Since(began)}) }})
		if err == nil {
			err = errStopped
		}
		end(err)
		return err
	})
	answer, err := s.scene(scene, a, began)
	if err == nil {
		err = s.Done(answer)
	}
	if err == nil && s.Keep != "" {
		err = s.goOn(scene)
	}
	if cause := context.Cause(scene); err != nil && cause != nil && ctx.Err() == nil {
		err = cause // the pipeline ended: that is the reason
	}
	stop()
	if uerr := g.Wait(); err == nil && !errors.Is(uerr, errStopped) {
		err = uerr
	}
	if err == nil && !answer.Equal {
		err = &undrop.Error{Code: undrop.Damaged, Op: "compare source and tables at " + answer.LSN.String(), Err: errors.New(answer.verdict()),
			Hint: fmt.Sprintf("undrop demo --keep ./undrop-demo --seed %d --rows %d --seconds %d", s.Seed, s.Rows, s.Seconds)}
	}
	return err
}

var errStopped = errors.New("the pipeline was stopped")

// scene is what happens between the first row and the comparison.
func (s *stage) scene(ctx context.Context, a *app.App, began time.Time) (*Answer, error) {
	answer := &Answer{Dir: s.Keep, Seed: s.Seed, Rows: s.existing}
	traffic := s.traffic(ctx, trafficPace, time.Duration(s.Seconds)*time.Second)
	defer traffic.stop() // nothing on the way out leaves it running
	if err := s.visible(ctx, a, answer, began); err != nil {
		return nil, err
	}
	if err := traffic.wait(); err != nil {
		return nil, err
	}
	answer.Transactions, answer.RolledBack = traffic.transactions, int64(s.bank.Rolled)
	s.Say("traffic: %d transactions committed, %d rolled back; now source and tables are compared at one position", answer.Transactions, answer.RolledBack)
	if err := s.compare(ctx, a, answer); err != nil {
		return nil, err
	}
	answer.Wall = time.Since(began).Seconds()
	answer.Next = s.next()
	return answer, nil
}

// visible waits until every table has a snapshot that readers see.
func (s *stage) visible(ctx context.Context, a *app.App, answer *Answer, began time.Time) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		marks, err := a.Marks(ctx)
		if err != nil {
			return err
		}
		if len(marks) > 0 && answer.FirstVisible == 0 {
			answer.FirstVisible = time.Since(began).Seconds()
			for table := range marks {
				s.Say("%s can be read, %.1f s after the start", table, answer.FirstVisible)
			}
		}
		if len(marks) == s.tables {
			answer.AllVisible = time.Since(began).Seconds()
			s.Say("all %d tables can be read, %.1f s after the start; the traffic goes on for %d s", s.tables, answer.AllVisible, s.Seconds)
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// goOn keeps everything running, with some traffic, until ctx ends.
func (s *stage) goOn(ctx context.Context) error {
	t := s.traffic(ctx, keptPace, 0)
	return t.wait()
}

// next says where to look, in commands that work as they stand.
func (s *stage) next() []string {
	if s.Keep == "" {
		return []string{
			"undrop demo --keep ./undrop-demo                     # the same, and it goes on running there",
			`undrop init --source "$CORE_DSN" ./bank              # draft contracts for your own database`,
			"undrop up -f ./bank/undrop.yaml --until-caught-up    # land it",
		}
	}
	file := s.cfg.File
	if wd, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(wd, file); err == nil && len(rel) < len(file) {
			file = rel
		}
	}
	return []string{
		"undrop status -f " + file,
		"undrop table rows bank.payments --limit 5 -f " + file,
		"undrop table show bank.payments -f " + file + "    # files, snapshots, the account of each",
		"undrop quarantine ls -f " + file,
		`psql "` + s.server.DSN("postgres") + `"    # the source: change something and look again`,
		"curl http://" + s.cfg.Listen + "/metrics",
	}
}
