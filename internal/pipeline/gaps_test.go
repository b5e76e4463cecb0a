package pipeline

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	undrop "github.com/undrop/undrop"
)

func TestAGapIsRecordedOnce(t *testing.T) {
	dir := t.TempDir()
	s, err := OpenGaps(dir)
	require.NoError(t, err)
	g := undrop.Gap{ID: "a", Source: "core", Reason: "slot_lost", From: 10, Tables: []string{"x.y"}, State: "open", OpenedAt: time.Unix(1, 0)}
	got, err := s.Open(g)
	require.NoError(t, err)
	require.Equal(t, "a", got.ID)
	again := g
	again.ID, again.To = "b", 20
	got, err = s.Open(again)
	require.NoError(t, err)
	require.Equal(t, "a", got.ID)
	require.EqualValues(t, 20, got.To, "where it ends has become known")
	got, err = s.Open(g)
	require.NoError(t, err)
	require.EqualValues(t, 20, got.To, "and stays so")
	other := g
	other.ID, other.From = "c", 11
	_, err = s.Open(other)
	require.NoError(t, err)
	all, err := s.List()
	require.NoError(t, err)
	require.Len(t, all, 2)

	require.NoError(t, s.Close("a", time.Unix(5, 0)))
	require.Len(t, s.StillOpen(all), 1)
	got, err = s.Open(again)
	require.NoError(t, err)
	require.Equal(t, "b", got.ID, "what happens again after it was closed is another gap")
}

func TestADamagedGapIsNotPassedOver(t *testing.T) {
	dir := t.TempDir()
	s, err := OpenGaps(dir)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.json"), []byte("{"), 0o600))
	_, err = s.List()
	require.ErrorContains(t, err, "read gap a")
	_, err = s.Open(undrop.Gap{ID: "b", State: "open"})
	require.Error(t, err)
	_, err = s.Get("nope")
	require.Equal(t, undrop.BadInput, undrop.CodeOf(err))
	_, err = s.Get("../../etc/passwd")
	require.Equal(t, undrop.BadInput, undrop.CodeOf(err))
}

func TestWhichTablesLieInAGap(t *testing.T) {
	for name, c := range map[string]struct {
		gap  undrop.Gap
		mark undrop.LSN
		in   bool
	}{
		"before":                           {undrop.Gap{From: 10, To: 20}, 10, true},
		"at its last byte":                 {undrop.Gap{From: 10, To: 20}, 18, true},
		"all before its end":               {undrop.Gap{From: 10, To: 20}, 19, false},
		"after":                            {undrop.Gap{From: 10, To: 20}, 20, false},
		"endless, not moved":               {undrop.Gap{From: 10}, 10, true},
		"endless, loaded again":            {undrop.Gap{From: 10}, 11, false},
		"of the log, at its end":           {undrop.Gap{From: 10, To: 20, Topic: "t"}, 19, true},
		"of the log, after":                {undrop.Gap{From: 10, To: 20, Topic: "t"}, 20, false},
		"set back: positions below":        {undrop.Gap{From: 100, To: 20}, 20, false},
		"set back and not loaded again":    {undrop.Gap{From: 100}, 100, true},
		"set back, end not known, grew on": {undrop.Gap{From: 100}, 101, false},
	} {
		require.Equal(t, c.in, inside(&c.gap, c.mark), name)
	}
}
