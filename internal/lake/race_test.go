package lake

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/catalog"
)

// Two processes append to one table: no commit is lost and none counts twice.
func TestRacingCommitsAreAllThereOnce(t *testing.T) {
	dir := t.TempDir()
	const each = 100
	handles := []*bench{openBench(t, dir), openBench(t, dir)}
	handles[0].ensure(handles[0].def)
	var wg sync.WaitGroup
	for h, b := range handles {
		wg.Go(func() {
			for i := range int64(each) {
				tb := b.load(b.def.TableName)
				s := &Stage{Table: tb, ParentOf: Main, Data: b.data(tb, row{id: int64(h)*each + i, note: "x"}), Summary: map[string]string{"test.commit": fmt.Sprint(h, ".", i)}}
				for {
					_, err := b.lake.Commit(context.Background(), []*Stage{s})
					if err == nil {
						break
					}
					if !errors.Is(err, ErrConflict) {
						t.Error(err)
						return
					}
					s.Table = b.load(b.def.TableName) // the data files are used again
				}
			}
		})
	}
	wg.Wait()
	b := openBench(t, dir)
	tb := b.load(b.def.TableName)
	require.Len(t, b.read(tb, 0), 2*each)
	snaps, seen := tb.Snapshots(Main), map[string]bool{}
	require.Len(t, snaps, 2*each)
	for i, s := range snaps {
		require.False(t, seen[s.Summary["test.commit"]])
		seen[s.Summary["test.commit"]] = true
		require.EqualValues(t, 2*each-i, s.Sequence)
		if i > 0 {
			require.True(t, s.Time.Before(snaps[i-1].Time))
		}
	}
}

// fickle answers ErrUnknown to commits, having done them or not.
type fickle struct {
	catalog.Catalog
	does    bool
	loadErr error
}

func (f *fickle) Commit(ctx context.Context, c []catalog.Commit) ([]*catalog.Entry, error) {
	if f.does {
		if _, err := f.Catalog.Commit(ctx, c); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w: the line is dead", ErrUnknown)
}

func (f *fickle) Load(ctx context.Context, n undrop.TableName) (*catalog.Entry, error) {
	if f.loadErr != nil {
		return nil, f.loadErr
	}
	return f.Catalog.Load(ctx, n)
}

func TestUnknownOutcomeIsSettledByReading(t *testing.T) {
	b := newBench(t)
	x, y := b.ensure(b.def), b.ensure(other(b.def))
	good := b.lake.cat

	stages := func() []*Stage {
		x, y = b.load(x.Name), b.load(y.Name)
		return []*Stage{{Table: x, ParentOf: Main, Data: b.data(x, row{1, "a", nil})}, {Table: y, ParentOf: Main}}
	}
	t.Run("it happened", func(t *testing.T) {
		s := stages()
		b.lake.cat = &fickle{Catalog: good, does: true}
		out, err := b.lake.Commit(t.Context(), s)
		b.lake.cat = good
		require.NoError(t, err)
		require.Equal(t, out[0].ID, b.load(x.Name).Head(Main).ID)
		require.Len(t, b.read(b.load(x.Name), 0), 1)
	})
	t.Run("it did not happen", func(t *testing.T) {
		s := stages()
		before := b.files()
		b.lake.cat = &fickle{Catalog: good}
		_, err := b.lake.Commit(t.Context(), s)
		b.lake.cat = good
		require.ErrorIs(t, err, ErrConflict)
		require.NotErrorIs(t, err, ErrUnknown)
		require.Equal(t, before, b.files())
	})
	t.Run("nobody can say", func(t *testing.T) {
		s := stages()
		before := b.files()
		b.lake.cat = &fickle{Catalog: good, does: true, loadErr: errors.New("no answer")}
		_, err := b.lake.Commit(t.Context(), s)
		b.lake.cat = good
		require.ErrorIs(t, err, ErrUnknown)
		for _, f := range before {
			require.FileExists(t, f)
		}
		// It had happened, and since nothing was deleted the table can be read.
		require.Len(t, b.files(), len(before)+5, "two manifest lists, one manifest, two metadata files")
	})
}

const childDir = "UNDROP_LAKE_TEST_DIR"

// TestMain lets this binary be the process that is killed.
func TestMain(m *testing.M) {
	dir := os.Getenv(childDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	if err := child(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// child commits an empty snapshot to two tables and publishes the load of a third.
func child(dir string) error {
	ctx := context.Background()
	wh, err := OpenWarehouse(dir + "/warehouse")
	if err != nil {
		return err
	}
	cat, err := catalog.OpenSQLite(ctx, dir+"/state/catalog.db", wh.FS, wh.Location)
	if err != nil {
		return err
	}
	l := Open(cat, wh)
	var stages []*Stage
	for _, n := range []string{"payments", "accounts", "cards"} {
		t, err := l.Load(ctx, undrop.TableName{Namespace: "bank", Name: n})
		if err != nil {
			return err
		}
		s := &Stage{Table: t, ParentOf: Main, Summary: mark(99)}
		if n == "cards" {
			s.ParentOf, s.Publish = undrop.LoadBranch, true
		}
		stages = append(stages, s)
	}
	_, err = l.Commit(ctx, stages)
	return err
}

func TestKillLeavesAllTablesOrNone(t *testing.T) {
	happened := map[string]bool{
		crashManifests:             false,
		"catalog.metadata.written": false,
		"catalog.pointer.swapped":  false,
		"catalog.commit.done":      true,
		crashDone:                  true,
		"":                         true,
	}
	for point, want := range happened {
		t.Run("at "+point, func(t *testing.T) {
			b := newBench(t)
			names := []undrop.TableName{}
			for _, n := range []string{"payments", "accounts", "cards"} {
				def := other(b.def)
				def.Name, def.Contract.ID, def.Relation = n, n, n
				tb := b.ensure(def)
				branch := Main
				if n == "cards" {
					branch = undrop.LoadBranch
				}
				b.commit(&Stage{Table: tb, Branch: branch, Data: b.data(tb, numbers(3)...), Summary: mark(1)})
				names = append(names, tb.Name)
			}
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), childDir+"="+b.dir, "UNDROP_CRASH="+point)
			out, err := cmd.CombinedOutput()
			if point == "" {
				require.NoError(t, err, string(out))
			} else {
				require.Equal(t, -1, cmd.ProcessState.ExitCode(), "killed by a signal: %s", out)
			}
			for _, n := range names {
				tb := b.load(n)
				require.Equal(t, want, tb.Head(Main) != nil && strings.Contains(tb.Head(Main).Summary[undrop.SummarySource], "0/63"), n)
				require.Equal(t, want, n.Name == "cards" && tb.Head(undrop.LoadBranch) == nil || n.Name != "cards" && want, n)
				if h := tb.Head(Main); h != nil {
					require.Len(t, b.read(tb, 0), 3, "every referenced file is there")
				}
				b.commit(&Stage{Table: tb, ParentOf: Main, Summary: mark(100)})
			}
		})
	}
}
