package pipeline

import (
	"context"
	"fmt"
	"sync"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
	"github.com/undrop/undrop/internal/crash"
	"github.com/undrop/undrop/internal/kafka"
	"github.com/undrop/undrop/internal/lake"
	"github.com/undrop/undrop/internal/postgres"
)

// logLane publishes snapshot rows as op=r. They go through a producer of their
// own, so that the stream's cuts do not wait for them; a range is done when its
// last row is acknowledged.
type logLane struct {
	c *Capture
}

func (l *logLane) begin(ctx context.Context, j *loadJob, snap *postgres.Snapshot) error {
	// The branch tells apply which load this is and where to begin to read. One that
	// holds no range yet, or only asks for a load, is replaced.
	if !j.repeat {
		d := &directLane{c: l.c}
		if err := d.commit(ctx, j, &lake.Stage{ParentOf: ""}, nil); err != nil {
			return err
		}
	}
	if j.repeat {
		// Rows that changed are published again at the new position; apply keeps the
		// newest of each key.
		w := l.worker(j)
		publish := func(b *batch.Batch) error { return w.rows(ctx, b) }
		if err := j.changed(ctx, snap, j.load.Ranges, publish); err != nil {
			return err
		}
		if err := w.flush(ctx); err != nil {
			return err
		}
	}
	l.note(j)
	return nil
}

// note lets the next cut carry the progress.
func (l *logLane) note(j *loadJob) {
	load := &LogLoad{Load: j.load}
	load.Ranges = append([]undrop.Range(nil), j.load.Ranges...)
	l.c.pub.setLoad(j.product.Table, load)
}

func (l *logLane) worker(j *loadJob) loadWorker {
	return &logWorker{l: l, j: j, outlet: l.c.pub.outlets[j.product.Table.TableName.String()].clone(), ends: map[string][]int64{}}
}

func (l *logLane) finish(_ context.Context, j *loadJob) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.load.Complete = true
	l.note(j)
	return nil
}

// logWorker publishes the rows of one connection.
type logWorker struct {
	l        *logLane
	j        *loadJob
	outlet   *outlet
	producer *kafka.Producer

	mu   sync.Mutex
	ends map[string][]int64
	err  error
}

func (w *logWorker) rows(ctx context.Context, b *batch.Batch) error {
	if w.producer == nil {
		p, err := w.l.c.Client.NewProducer(kafka.ProducerConfig{Codec: w.l.c.Codec, MaxBufferedBytes: logBuffer / max(1, w.l.c.Snapshot.Connections)})
		if err != nil {
			return err
		}
		w.producer = p
	}
	if err := w.l.c.waitForRoom(ctx, false); err != nil {
		return err
	}
	for i := range b.Len() {
		rec, err := w.l.c.pub.record(ctx, w.outlet, b, i)
		if err != nil {
			return err
		}
		w.producer.Produce(ctx, rec, w.acknowledged)
	}
	return w.failure()
}

func (w *logWorker) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

func (w *logWorker) acknowledged(r *kafka.Record, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		if w.err == nil {
			w.err = fmt.Errorf("write snapshot row to topic %s partition %d: %w", r.Topic, r.Partition, err)
		}
		return
	}
	ends := w.ends[r.Topic]
	if ends == nil {
		ends = make([]int64, w.outlet.n)
		w.ends[r.Topic] = ends
	}
	ends[r.Partition] = max(ends[r.Partition], r.Offset+1)
}

func (w *logWorker) done(ctx context.Context, r undrop.Range, rows int64) error {
	if err := w.drain(ctx); err != nil {
		return err
	}
	crash.Point("load.log.acked")
	w.j.mu.Lock()
	defer w.j.mu.Unlock()
	w.j.noteRange(r, rows)
	w.l.note(w.j)
	return nil
}

// drain waits until every row is acknowledged and lets the cuts cover them.
func (w *logWorker) drain(ctx context.Context) error {
	if w.producer == nil {
		return nil
	}
	if err := w.producer.Flush(ctx); err != nil {
		return err
	}
	if err := w.failure(); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for topic, ends := range w.ends {
		w.l.c.pub.addLoaded(topic, ends)
	}
	return nil
}

func (w *logWorker) flush(ctx context.Context) error {
	if err := w.drain(ctx); err != nil {
		return err
	}
	if w.producer != nil {
		w.producer.Close()
		w.producer = nil
	}
	return nil
}
