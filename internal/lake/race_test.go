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
	"github.com/undrop/undrop/internal/crash"
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

// committed are the points after which the commit stands.
var committed = map[string]bool{"catalog.commit.done": true, crashDone: true}

// Every call of every point on the way of a commit of three tables.
func TestKillLeavesAllTablesOrNone(t *testing.T) {
	var points []string
	for _, p := range crash.Names() {
		if strings.HasPrefix(p, "lake.") || strings.HasPrefix(p, "catalog.") {
			points = append(points, p)
		}
	}
	require.Contains(t, points, crashManifests)
	kills := 0
	for _, point := range points {
		for n := 1; ; n++ {
			at := fmt.Sprint(point, ":", n)
			killed := true
			t.Run(at, func(t *testing.T) { killed = killAt(t, at, committed[point]) })
			if !killed {
				break
			}
			kills++
		}
	}
	require.Greater(t, kills, 3*6, "three tables have a list and a metadata file each, in three durable steps")
}

// killAt runs the child until it dies at a point and looks at what it left.
func killAt(t *testing.T, at string, happened bool) (killed bool) {
	b := newBench(t)
	var names []undrop.TableName
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
	cmd.Env = append(os.Environ(), childDir+"="+b.dir, crash.Env+"="+at)
	out, err := cmd.CombinedOutput()
	if killed = cmd.ProcessState.ExitCode() == -1; !killed {
		require.NoError(t, err, string(out))
		happened = true
	}
	for _, n := range names {
		tb := b.load(n)
		main, loading := tb.Head(Main), tb.Head(undrop.LoadBranch)
		if n.Name == "cards" {
			require.Equal(t, happened, main != nil)
			require.Equal(t, happened, loading == nil)
		}
		if main != nil {
			require.Equal(t, happened, strings.Contains(main.Summary[undrop.SummarySource], "0/63"), n)
			require.Len(t, b.read(tb, 0), 3, "every referenced file is there")
		}
		// What the dead process left does not stand in the way.
		b.commit(&Stage{Table: tb, ParentOf: Main, Summary: mark(100)})
	}
	return killed
}
