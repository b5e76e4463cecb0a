package pipeline

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/catalog"
)

// Invariant I3. Seen to fail with an acknowledgement before the cut is written,
// and with one of the position that the stream has read.
func TestTheSlotStaysWhereTheLogIsDurable(t *testing.T) {
	r := newRig(t)
	c, stop := r.capture()
	r.until("the stream runs and the origin is acknowledged", func() bool { return c.Stats.Acked.Load() > 0 })
	r.exec("insert into payments values (3, 'durable')")
	r.until("it is acknowledged", func() bool { return c.Stats.Changes.Load() == 1 && r.confirmed() >= undrop.LSN(c.Stats.Cut.Load()) })

	// From here on the broker takes nothing.
	r.broker.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		r.broker.KeepControl()
		return nil, errors.New("the broker does not answer"), true
	})
	cut := c.Stats.Cut.Load()
	before := r.confirmed()
	r.exec("insert into payments values (4, 'not durable')", "insert into payments values (5, 'not durable')")
	r.until("the stream has read them", func() bool { return c.Stats.Changes.Load() == 3 })
	// Heartbeats and the stream's own reports pass by meanwhile.
	quietly := time.Now().Add(1500 * time.Millisecond)
	r.until("time has passed", func() bool {
		require.LessOrEqual(t, r.confirmed(), max(before, undrop.LSN(cut)+1))
		require.Equal(t, cut, c.Stats.Cut.Load())
		return time.Now().After(quietly)
	})
	_ = stop() // it cannot write what it holds; that is its error or its end
	require.LessOrEqual(t, r.confirmed(), max(before, undrop.LSN(cut)+1), "nor does a stop acknowledge")
}

// A commit whose answer never comes is settled by reading the table, whether it
// happened or not. Seen to fail with an apply that takes an unknown outcome for
// done.
func TestAnUnknownCommitIsSettledByReading(t *testing.T) {
	for name, mode := range map[string]int32{"happened": lostAnswer, "did not happen": lostCommit} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.capture()
			_, stop := r.apply()
			r.until("the table is live", func() bool { return len(r.rows()) == 2 })
			require.NoError(t, stop())

			a, err := NewApply(ApplyConfig{Name: r.name, Products: []*Product{r.product}, Client: r.client(), Format: "json", Lake: r.lake, Gaps: r.gaps,
				Interval: 20 * time.Millisecond, Log: quiet})
			require.NoError(t, err)
			done := make(chan error, 1)
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			go func() { done <- a.Run(ctx) }()
			r.until("it reads", func() bool { return len(a.States()) == 1 && a.States()[0].State == stateLive })
			r.catalog.mode.Store(mode)
			r.exec("insert into payments values (3, 'c')", "update payments set note = 'x' where id = 1")
			err = <-done
			require.Error(t, err)
			require.Equal(t, undrop.Unknown, undrop.CodeOf(err), err.Error())
			require.ErrorIs(t, err, catalog.ErrUnknown)
			r.catalog.mode.Store(steady)
			r.catalog.hits.Store(0)

			b, stop := r.apply()
			r.exec("insert into payments values (4, 'd')")
			r.until("all changes are there", func() bool { return len(r.rows()) == 4 })
			require.NoError(t, stop())
			require.Equal(t, []string{"1=x", "2=b", "3=c", "4=d"}, r.rows())
			total := b.States()[0].Total
			require.NoError(t, total.Check())
			require.EqualValues(t, 5, total.Read, "two rows of the load and three changes, each counted once")
		})
	}
}
