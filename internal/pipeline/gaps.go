package pipeline

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/durable"
)

// Gaps keeps known missing ranges, one file each, so that they can be read with
// no server running. The control topic carries the open ones too.
type Gaps struct{ dir string }

// OpenGaps uses dir, made when it is missing.
func OpenGaps(dir string) (*Gaps, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make folder for gaps: %w", err)
	}
	return &Gaps{dir: dir}, nil
}

// Open records a gap durably before anything after it is shown. A gap that says
// the same as an open one is not recorded twice: the answer is the one on record.
func (s *Gaps) Open(g undrop.Gap) (undrop.Gap, error) {
	all, err := s.List()
	if err != nil {
		return g, err
	}
	for _, k := range all {
		if k.State == "open" && k.Source == g.Source && k.Reason == g.Reason && k.From == g.From && k.Topic == g.Topic && slices.Equal(k.Tables, g.Tables) {
			if k.To != 0 || g.To == 0 {
				return k, nil
			}
			k.To = g.To // where it ends has become known
			return k, s.write(k)
		}
	}
	return g, s.write(g)
}

// Bound notes where the open gaps of a source end that did not know it yet.
func (s *Gaps) Bound(source, reason string, to undrop.LSN) error {
	all, err := s.List()
	if err != nil {
		return err
	}
	for _, g := range all {
		if g.State == "open" && g.Source == source && g.Reason == reason && g.To == 0 {
			g.To = to
			if err := s.write(g); err != nil {
				return err
			}
		}
	}
	return nil
}

// inside reports whether a table that is complete up to mark, and no further, lacks
// what is missing. A gap in the log concerns offsets: there the mark itself may be
// one that only an end of the lost part gave.
func inside(g *undrop.Gap, mark undrop.LSN) bool {
	switch {
	case g.To == 0:
		return mark <= g.From // it did not move since
	case g.Topic != "":
		return mark < g.To
	default:
		return mark+1 < g.To // the changes from To on are there
	}
}

// StillOpen drops the gaps that are closed on record.
func (s *Gaps) StillOpen(gaps []undrop.Gap) []undrop.Gap {
	var open []undrop.Gap
	for _, g := range gaps {
		if k, err := s.Get(g.ID); err != nil || k.State != "closed" {
			open = append(open, g)
		}
	}
	return open
}

// Close marks a gap as closed.
func (s *Gaps) Close(id string, at time.Time) error {
	g, err := s.Get(id)
	if err != nil {
		return err
	}
	g.State, g.ClosedAt = "closed", at.UTC()
	return s.write(g)
}

func (s *Gaps) write(g undrop.Gap) error {
	data, err := json.MarshalIndent(g, "", "  ")
	if err != nil {
		return fmt.Errorf("encode gap %s: %w", g.ID, err)
	}
	return durable.WriteFile(filepath.Join(s.dir, g.ID+".json"), data)
}

// Get reads one gap.
func (s *Gaps) Get(id string) (g undrop.Gap, err error) {
	data, err := os.ReadFile(filepath.Join(s.dir, filepath.Base(id)+".json"))
	if errors.Is(err, fs.ErrNotExist) {
		return g, &undrop.Error{Code: undrop.BadInput, Op: "show gap", Err: fmt.Errorf("there is no gap %q", id), Hint: "undrop gap ls"}
	}
	if err != nil {
		return g, fmt.Errorf("read gap %s: %w", id, err)
	}
	if err := json.Unmarshal(data, &g); err != nil {
		return g, fmt.Errorf("read gap %s: %w", id, err)
	}
	return g, nil
}

// List reads all gaps, oldest first.
func (s *Gaps) List() ([]undrop.Gap, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("list gaps: %w", err)
	}
	var all []undrop.Gap
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok {
			continue
		}
		g, err := s.Get(id)
		if err != nil {
			return nil, err
		}
		all = append(all, g)
	}
	slices.SortFunc(all, func(a, b undrop.Gap) int { return a.OpenedAt.Compare(b.OpenedAt) })
	return all, nil
}
