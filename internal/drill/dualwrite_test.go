package drill

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/undrop/undrop/internal/crash"
	"github.com/undrop/undrop/internal/kafka/kafkatest"
	"github.com/undrop/undrop/internal/postgres/postgrestest"
)

// The places where a producer may die: between its two writes, and, with an
// outbox, at the same two moments of its one write.
const (
	producerFirst  = "producer.first.done"
	producerSecond = "producer.second.done"
)

func init() {
	if os.Getenv("DRILL_PRODUCER") != "" {
		crash.Register(producerFirst, producerSecond)
	}
}

const (
	dualTopic = "dual.orders"
	eventType = "order"
)

// TestDualWriteLosesAndInventsEvents runs two producers under one crash schedule.
// One writes the order to the database and then the event to the log, or the event
// first: whichever comes first, a kill between them leaves the other out. The other
// producer writes the order and its event in one transaction and leaves the rest to
// undrop.
func TestDualWriteLosesAndInventsEvents(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{rows: 20})
	postgrestest.Exec(t, r.dsn, `create table orders (id text primary key, producer text not null)`)
	log := kafkatest.StartEmbedded(t)
	_, err := kafkatest.Dial(t, log).EnsureTopic(t.Context(), dualTopic, 1, kafkaDefaults)
	require.NoError(t, err)

	schedule := []string{producerFirst + ":4", producerSecond + ":7", producerFirst + ":5", producerFirst + ":10", producerSecond + ":3"}
	from := 1
	for i, point := range schedule {
		from += 20
		for _, producer := range []string{"dual", "outbox"} {
			produce(t, producer, r.dsn, log.Brokers[0], from, point)
		}
		if i%2 == 0 { // undrop dies with them
			r.killLoop(1, 300*time.Millisecond, 1500*time.Millisecond)
		}
	}
	r.catchUp()

	lost, invented := compareOrders(orders(t, r.dsn, "dual"), dualEvents(t, log.Brokers[0]))
	t.Logf("dual write: %d events lost, %d invented", len(lost), len(invented))
	require.NotEmpty(t, lost, "a dual write under kills loses events")
	require.NotEmpty(t, invented, "a dual write under kills invents events")

	lost, invented = compareOrders(orders(t, r.dsn, "outbox"), r.outboxEvents())
	require.Empty(t, lost, "events that the outbox lost")
	require.Empty(t, invented, "events that the outbox invented")
}

// produce runs a producer in a process of its own until it dies at a point.
func produce(t *testing.T, producer, dsn, broker string, from int, point string) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, "-test.run=^TestProducer$")
	cmd.Env = append(os.Environ(), "DRILL_PRODUCER="+producer, "DRILL_DSN="+dsn, "DRILL_BROKER="+broker, fmt.Sprintf("DRILL_FROM=%d", from), crash.Env+"="+point)
	out, err := cmd.CombinedOutput()
	require.True(t, (&process{err: err}).killed(), "producer %s ended otherwise: %v\n%s", producer, err, out)
}

// TestProducer is the producers' own process.
func TestProducer(t *testing.T) {
	producer := os.Getenv("DRILL_PRODUCER")
	if producer == "" {
		t.Skip("it is run by TestDualWriteLosesAndInventsEvents")
	}
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, os.Getenv("DRILL_DSN"))
	require.NoError(t, err)
	client, err := kgo.NewClient(kgo.SeedBrokers(os.Getenv("DRILL_BROKER")))
	require.NoError(t, err)
	var from int
	_, err = fmt.Sscan(os.Getenv("DRILL_FROM"), &from)
	require.NoError(t, err)
	for id := from; id < from+20; id++ {
		name := fmt.Sprintf("%s %d", producer, id)
		order := func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "insert into orders values ($1, $2)", name, producer)
			return err
		}
		event := func() error {
			return client.ProduceSync(ctx, &kgo.Record{Topic: dualTopic, Value: []byte(name)}).FirstErr()
		}
		switch {
		case producer == "outbox":
			err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
				if err := order(tx); err != nil {
					return err
				}
				crash.Point(producerFirst)
				_, err := tx.Exec(ctx, "insert into bank.outbox(id, aggregatetype, aggregateid, type) values (gen_random_uuid(), $1, $2, 'Ordered')", eventType, name)
				return err
			})
		case id%2 == 0: // the row first: the event may be lost
			if err = pgx.BeginFunc(ctx, conn, order); err == nil {
				crash.Point(producerFirst)
				err = event()
			}
		default: // the event first: the row may never come
			if err = event(); err == nil {
				crash.Point(producerFirst)
				err = pgx.BeginFunc(ctx, conn, order)
			}
		}
		require.NoError(t, err)
		crash.Point(producerSecond)
	}
}

// orders are the rows that a producer committed.
func orders(t *testing.T, dsn, producer string) (ids []string) {
	t.Helper()
	for _, row := range postgrestest.Query(t, dsn, "select id from orders where producer = '"+producer+"'") {
		ids = append(ids, row[0])
	}
	return ids
}

// dualEvents are the events that the dual-write producer published.
func dualEvents(t *testing.T, broker string) (ids []string) {
	t.Helper()
	records, err := kafkatest.Dial(t, kafkaAt(broker)).ReadAll(kafkatest.Context(t), dualTopic)
	require.NoError(t, err)
	for _, rec := range records {
		ids = append(ids, string(rec.Value))
	}
	return ids
}

// outboxEvents are the events in undrop's table.
func (r *rig) outboxEvents() (ids []string) {
	m := openMart(r.t, r.dir)["bank.outbox"]
	for _, row := range m.scan(r.t, m.newest().SnapshotID) {
		if columns := strings.Split(row.image, Separator); columns[1] == eventType {
			ids = append(ids, columns[2])
		}
	}
	return ids
}

// compareOrders names rows without an event, and events without a row or that are
// there twice.
func compareOrders(rows, events []string) (lost, invented []string) {
	slices.Sort(rows)
	slices.Sort(events)
	for _, id := range rows {
		if !slices.Contains(events, id) {
			lost = append(lost, id)
		}
	}
	for i, id := range events {
		if !slices.Contains(rows, id) || i > 0 && events[i-1] == id {
			invented = append(invented, id)
		}
	}
	return lost, invented
}
