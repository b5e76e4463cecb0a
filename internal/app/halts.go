package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	"github.com/undrop/undrop/internal/durable"
)

// What halts a table is found anew by every start, since the log still holds it.
// It is written down as well, so that it can be read when nothing runs.

func (a *App) haltsFile() string { return filepath.Join(a.cfg.State, "halted.json") }

// noteHalts writes down which tables the running applies have halted, by reason.
func (a *App) noteHalts() error {
	now := map[string]string{}
	asked := false
	for _, run := range a.runs() {
		a.mu.Lock()
		apply := run.apply
		a.mu.Unlock()
		if apply == nil {
			continue
		}
		asked = true
		for _, s := range apply.States() {
			if s.State == "halted" {
				now[s.Name.String()] = s.Reason
			}
		}
	}
	before, err := a.halts()
	if err != nil || !asked || maps.Equal(before, now) {
		return err
	}
	data, err := json.MarshalIndent(now, "", "  ")
	if err != nil {
		return fmt.Errorf("note halted tables: %w", err)
	}
	return durable.WriteFile(a.haltsFile(), data)
}

// halts is what noteHalts wrote last.
func (a *App) halts() (map[string]string, error) {
	data, err := os.ReadFile(a.haltsFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read halted tables: %w", err)
	}
	var m map[string]string
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("read halted tables %s: %w", a.haltsFile(), err)
	}
	return m, nil
}
