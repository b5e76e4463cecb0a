package bench

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/postgres/postgrestest"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

func options(t *testing.T) Options {
	postgrestest.Start(t) // skips where no PostgreSQL can be had
	return Options{Rows: 3000, Changes: 2000, Lane: "direct", Log: slog.New(slog.DiscardHandler), Story: io.Discard}
}

// Every measurement ends with a figure for each side, and with a table that is
// what the source is.
func TestMeasurements(t *testing.T) {
	for _, lane := range []string{"direct", "log"} {
		t.Run("snapshot "+lane, func(t *testing.T) {
			o := options(t)
			o.Lane = lane
			r, err := Snapshot(context.Background(), o)
			require.NoError(t, err)
			require.EqualValues(t, 3000, r.Rows)
			require.Positive(t, r.TableBytes)
		})
	}
	t.Run("stream", func(t *testing.T) {
		o := options(t)
		o.Profile = filepath.Join(t.TempDir(), "cpu")
		r, err := Stream(context.Background(), o)
		require.NoError(t, err)
		require.EqualValues(t, 2000, r.Rows)
		info, err := os.Stat(o.Profile)
		require.NoError(t, err)
		require.Positive(t, info.Size())
	})
	t.Run("latency", func(t *testing.T) {
		r, err := Latency(context.Background(), options(t), time.Second)
		require.NoError(t, err)
		require.Positive(t, r.P50)
		require.LessOrEqual(t, r.P50, r.P99)
	})
}

// A measurement of a wrong result fails. The source is changed behind the
// pipeline's back in each way that the sums must see.
func TestWrongResultsFail(t *testing.T) {
	ctx := context.Background()
	b, err := prepare(ctx, options(t))
	require.NoError(t, err)
	defer b.close()
	require.NoError(t, b.catchUp(ctx))
	require.NoError(t, b.verify(ctx))
	for _, sql := range []string{
		"delete from payments where id = 7",
		"update payments set amount = amount + 0.01 where id = 7",
		"update payments set updated_at = updated_at + interval '1 microsecond' where id = 7",
		"update payments set note = coalesce(note, '') || '!' where id = 7",
		"update payments set id = -id where id = 7",
	} {
		tx, err := b.conn.Begin(ctx)
		require.NoError(t, err)
		_, err = tx.Exec(ctx, sql)
		require.NoError(t, err)
		require.Equal(t, undrop.Damaged, undrop.CodeOf(b.verify(ctx)), sql)
		require.NoError(t, tx.Rollback(ctx))
	}
	require.NoError(t, b.verify(ctx))
}

// The CPU time of a child that has ended is found with its parent.
func TestTreeCPUCountsTheDead(t *testing.T) {
	if _, ok := readStat(os.Getpid()); !ok {
		t.Skip("there is no /proc")
	}
	before := treeCPU(os.Getpid())
	child := exec.Command("sh", "-c", "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done")
	require.NoError(t, child.Run())
	spent := (child.ProcessState.UserTime() + child.ProcessState.SystemTime()).Seconds()
	require.GreaterOrEqual(t, treeCPU(os.Getpid())-before, spent-0.05)
}
