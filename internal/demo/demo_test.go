package demo

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/postgres/postgrestest"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

// run is a small demo and returns its answer and its story.
func run(t *testing.T, ctx context.Context, o Options) (a *Answer, story string, err error) {
	t.Helper()
	postgrestest.Start(t) // skips where no PostgreSQL can be had
	var mu sync.Mutex
	var lines []string
	done := o.Done
	o.Seed, o.Rows, o.Seconds, o.Log = 7, 2000, 1, slog.New(slog.DiscardHandler)
	o.Say = func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, fmt.Sprintf(format, args...))
	}
	if o.Watch == nil {
		o.Watch = func(Moment) {}
	}
	o.Done = func(got *Answer) error {
		a = got
		if done != nil {
			return done(got)
		}
		return nil
	}
	err = Run(ctx, o)
	return a, strings.Join(lines, "\n"), err
}

// Everything that the bank did is in the tables or named, and nothing is left on
// the machine.
func TestDemo(t *testing.T) {
	postgrestest.Start(t) // the shared server's folder outlives this test's
	tmp := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(tmp), 0o755)) // PostgreSQL may run as another user
	require.NoError(t, os.Chmod(tmp, 0o755))
	t.Setenv("TMPDIR", tmp)
	a, story, err := run(t, context.Background(), Options{})
	require.NoError(t, err, story)
	require.True(t, a.Equal)
	require.Len(t, a.Tables, 4)
	var quarantined int64
	for _, table := range a.Tables {
		require.True(t, table.Balanced, table)
		require.Zero(t, table.Differing, table)
		require.Equal(t, table.TableRows, table.EqualRows, table)
		require.GreaterOrEqual(t, table.LSN, a.LSN)
		quarantined += int64(len(table.QuarantinedKeys))
	}
	require.Positive(t, quarantined, "nothing broke the contract")
	require.Contains(t, a.Quarantine[0].Reason, `(got "lost")`)
	require.Positive(t, a.Transactions)
	require.Positive(t, a.FirstVisible)
	left, err := os.ReadDir(tmp)
	require.NoError(t, err)
	require.Empty(t, left, "temporary folders are left")
}

// Each kind of difference is found and ends the demo with exit code 4. The rows of
// the source are changed after they were read; without that, TestDemo's answer
// comes.
func TestDifferencesAreFound(t *testing.T) {
	a, _, err := run(t, context.Background(), Options{meddle: func(s *sourceRows) {
		accounts, cards := s.tables["bank.accounts"], s.tables["bank.cards"]
		accounts.rows["1"] = strings.Replace(accounts.rows["1"], "owner", "Owner", 1)
		delete(accounts.rows, "2")
		accounts.rows["0"] = accounts.rows["3"]
		cards.rows["4000000000000001"] += "0"
	}})
	require.Equal(t, undrop.Damaged, undrop.CodeOf(err), err)
	require.ErrorContains(t, err, "4 rows differ")
	require.False(t, a.Equal)
	found := map[string]TableAnswer{}
	for _, table := range a.Tables {
		found[table.Name] = table
	}
	accounts := found["bank.accounts"]
	require.EqualValues(t, 3, accounts.Differing)
	require.Len(t, accounts.Differences, 3)
	require.Contains(t, accounts.Differences[0], "0: in the source, not in the table: 3 | ")
	require.Contains(t, accounts.Differences[1], "1: source has 1 | Owner 1")
	require.Contains(t, accounts.Differences[2], "2: in the table, not in the source: 2 | ")
	require.EqualValues(t, 1, found["bank.cards"].Differing)
	require.Zero(t, found["bank.payments"].Differing)
}

// A kept demo goes on until it is stopped, and its folder stays.
func TestKeep(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kept")
	for d := filepath.Dir(dir); d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		_ = os.Chmod(d, 0o755)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	a, story, err := run(t, ctx, Options{Keep: dir, Done: func(*Answer) error { cancel(); return nil }})
	require.NoError(t, err, story)
	require.Equal(t, dir, a.Dir)
	require.FileExists(t, filepath.Join(dir, "undrop.yaml"))
	require.NoFileExists(t, filepath.Join(dir, "postgres", "data", "postmaster.pid"))

	_, _, err = run(t, context.Background(), Options{Keep: dir})
	require.Equal(t, undrop.Refused, undrop.CodeOf(err))
}

// A person who has seen enough stops it: before anything runs, or in the middle.
func TestInterrupted(t *testing.T) {
	t.Run("at once", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, _, err := run(t, ctx, Options{})
		require.ErrorIs(t, err, context.Canceled)
	})
	t.Run("in the middle", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		a, _, err := run(t, ctx, Options{Watch: func(Moment) { cancel() }})
		require.ErrorIs(t, err, context.Canceled)
		require.Nil(t, a)
	})
}
