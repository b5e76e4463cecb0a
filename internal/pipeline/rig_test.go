package pipeline

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/catalog"
	"github.com/undrop/undrop/internal/envelope"
	"github.com/undrop/undrop/internal/kafka"
	"github.com/undrop/undrop/internal/lake"
	"github.com/undrop/undrop/internal/postgres"
	"github.com/undrop/undrop/internal/postgres/postgrestest"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

// rig is a source, a broker that a test may disturb, and a lake whose catalog it
// may disturb, with no app around them.
type rig struct {
	t       *testing.T
	dsn     string
	name    string
	broker  *kfake.Cluster
	catalog *shakyCatalog
	lake    *lake.Lake
	gaps    *Gaps
	product *Product
}

var rigs atomic.Int64

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, name: fmt.Sprintf("core%d", rigs.Add(1))}
	r.dsn = postgrestest.NewDatabase(t, "create table payments(id bigint primary key, note text)", "insert into payments values (1, 'a'), (2, 'b')")
	var err error
	r.broker, err = kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(r.broker.Close)
	dir := t.TempDir()
	wh, err := lake.OpenWarehouse(dir + "/warehouse")
	require.NoError(t, err)
	cat, err := catalog.OpenSQLite(context.Background(), dir+"/catalog.db", wh.FS, wh.Location)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cat.Close()) })
	r.catalog = &shakyCatalog{Catalog: cat}
	r.lake = lake.Open(r.catalog, wh)
	r.gaps, err = OpenGaps(dir + "/gaps")
	require.NoError(t, err)
	table := payments(undrop.Mirror)
	table.Source, table.Topic = r.name, r.name+".public.payments"
	r.product = &Product{Table: table, NewChecker: func() Checker { return noRules{} }}
	return r
}

func (r *rig) client() *kafka.Client {
	r.t.Helper()
	c, err := kafka.Dial(r.t.Context(), kafka.Config{Brokers: r.broker.ListenAddrs()})
	require.NoError(r.t, err)
	r.t.Cleanup(c.Close)
	return c
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// capture runs until the test stops it.
func (r *rig) capture() (c *Capture, stop func() error) {
	r.t.Helper()
	source, err := postgres.Open(r.t.Context(), postgres.Config{Name: r.name, DSN: r.dsn, Publication: r.name, Slot: r.name, Logger: quiet})
	require.NoError(r.t, err)
	c, err = NewCapture(CaptureConfig{Source: source, Name: r.name, Products: []*Product{r.product}, Client: r.client(), Format: envelope.JSON, Codec: "none",
		Partitions: 2, Lake: r.lake, Gaps: r.gaps, Heartbeat: 50 * time.Millisecond, Log: quiet,
		Snapshot: SnapshotConfig{Lane: "direct", Connections: 1, RangePages: 4096, FileSize: 1 << 20}})
	require.NoError(r.t, err)
	return c, r.run(c.Run, source.Close)
}

func (r *rig) apply() (a *Apply, stop func() error) {
	r.t.Helper()
	a, err := NewApply(ApplyConfig{Name: r.name, Products: []*Product{r.product}, Client: r.client(), Format: envelope.JSON, Lake: r.lake, Gaps: r.gaps,
		Interval: 20 * time.Millisecond, Log: quiet})
	require.NoError(r.t, err)
	return a, r.run(a.Run, func() {})
}

// run runs f until stop, which waits and gives what f said.
func (r *rig) run(f func(context.Context) error, then func()) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		err := f(ctx)
		if err != nil {
			r.t.Logf("ended: %v", err)
		}
		then()
		done <- err
	}()
	stop = func() error {
		cancel()
		err := <-done
		done <- err
		return err
	}
	r.t.Cleanup(func() { _ = stop() })
	return stop
}

// until polls what must become true.
func (r *rig) until(what string, f func() bool) {
	r.t.Helper()
	deadline := time.Now().Add(12 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !f() {
		if time.Now().After(deadline) {
			r.t.Fatalf("not within 30 s: %s", what)
		}
		<-tick.C
	}
}

func (r *rig) exec(sql ...string) {
	r.t.Helper()
	postgrestest.Exec(r.t, r.dsn, sql...)
}

func (r *rig) confirmed() undrop.LSN {
	r.t.Helper()
	rows := postgrestest.Query(r.t, r.dsn, "select coalesce(confirmed_flush_lsn, '0/0') from pg_replication_slots where slot_name = '"+r.name+"'")
	require.Len(r.t, rows, 1)
	l, err := undrop.ParseLSN(rows[0][0])
	require.NoError(r.t, err)
	return l
}

// rows reads the mart as "id=note".
func (r *rig) rows() []string {
	r.t.Helper()
	t, err := r.lake.Load(context.Background(), r.product.Table.TableName)
	if err != nil {
		return nil
	}
	return (&bench{TB: r.t, lake: r.lake, product: r.product, table: t}).rows("main")
}

// shakyCatalog answers some commits not at all.
type shakyCatalog struct {
	catalog.Catalog
	mode atomic.Int32
	hits atomic.Int32
}

const (
	steady     int32 = iota
	lostAnswer       // the commit happens, nobody learns it
	lostCommit       // it does not happen, nobody learns it
)

func (c *shakyCatalog) Commit(ctx context.Context, commits []catalog.Commit) ([]*catalog.Entry, error) {
	mode := c.mode.Load()
	if mode == steady {
		return c.Catalog.Commit(ctx, commits)
	}
	c.hits.Add(1)
	if mode == lostAnswer {
		if _, err := c.Catalog.Commit(ctx, commits); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("no answer: %w", catalog.ErrUnknown)
}

// Load fails as well while the catalog does not answer: the outcome cannot be
// learned at once.
func (c *shakyCatalog) Load(ctx context.Context, name undrop.TableName) (*catalog.Entry, error) {
	if c.mode.Load() != steady && c.hits.Load() > 0 {
		return nil, fmt.Errorf("load %s: no answer", name)
	}
	return c.Catalog.Load(ctx, name)
}
