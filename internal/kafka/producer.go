package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	undrop "github.com/undrop/undrop"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Record is one record of a topic. The producer wants Topic, Partition and
// Value; it must not be changed until its done function was called.
type Record = kgo.Record

// Header is one header of a record.
type Header = kgo.RecordHeader

// ProducerConfig says how records are batched.
type ProducerConfig struct {
	Codec            string        // none, lz4, snappy, zstd or gzip; empty means none
	Linger           time.Duration // how long a batch waits for company; 0 means 5ms, negative not at all
	MaxBufferedBytes int           // memory for records that are not acknowledged yet; 0 means 64 MiB
}

// Producer writes records. A record is acknowledged when every replica in sync
// has it, and records of one partition are written in the order of Produce.
// A broker that is away is waited for without end. It is safe for concurrent
// use, but order is only that of one goroutine.
type Producer struct {
	client *Client
	kgo    *kgo.Client
}

// RecordTooLarge says that a record does not fit into its topic.
type RecordTooLarge struct {
	Topic        string
	Partition    int32
	Bytes, Limit int
}

// Error names the sizes.
func (e *RecordTooLarge) Error() string {
	return fmt.Sprintf("a record of %d bytes is too large for topic %s partition %d, which takes %d (max.message.bytes)", e.Bytes, e.Topic, e.Partition, e.Limit)
}

// Unwrap is the protocol's own error.
func (e *RecordTooLarge) Unwrap() error { return kerr.MessageTooLarge }

// NewProducer makes a producer with its own connections.
func (c *Client) NewProducer(cfg ProducerConfig) (*Producer, error) {
	codec, err := codecOf(cfg.Codec)
	if err != nil {
		return nil, &undrop.Error{Code: undrop.BadInput, Op: "write to Kafka", Err: err, Hint: "use none, lz4, snappy, zstd or gzip"}
	}
	linger := cfg.Linger
	switch {
	case linger == 0:
		linger = 5 * time.Millisecond
	case linger < 0:
		linger = 0
	}
	buffered := cfg.MaxBufferedBytes
	if buffered <= 0 {
		buffered = 64 << 20
	}
	opts := append(c.opts[:len(c.opts):len(c.opts)],
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(codec),
		kgo.ProducerBatchMaxBytesFn(c.batchLimit),
		kgo.ProducerLinger(linger),
		kgo.MaxBufferedBytes(buffered),
		kgo.MaxBufferedRecords(1<<20), // bytes are the limit that counts
		kgo.UnknownTopicRetries(20),   // a topic just made is not known everywhere at once
		kgo.MetadataMinAge(refreshAge),
	)
	if c.embedded {
		// The embedded broker forgets what each producer wrote last when it is
		// killed, and would then take the second of two requests that are on their
		// way before the first. So there is only ever one. Records may come twice.
		opts = append(opts, kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(1))
	} else {
		// A broker that misses records which it acknowledged ends the producer. To
		// go on would put later records where the missing ones were.
		opts = append(opts, kgo.StopProducerOnDataLossDetected())
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("make producer: %w", err)
	}
	return &Producer{client: c, kgo: cl}, nil
}

func codecOf(name string) (kgo.CompressionCodec, error) {
	switch name {
	case "", "none":
		return kgo.NoCompression(), nil
	case "lz4":
		return kgo.Lz4Compression(), nil
	case "snappy":
		return kgo.SnappyCompression(), nil
	case "zstd":
		return kgo.ZstdCompression(), nil
	case "gzip":
		return kgo.GzipCompression(), nil
	}
	return kgo.NoCompression(), fmt.Errorf("compression %q is not known", name)
}

// refreshAge is how long metadata are good enough after a leader has moved: a
// stalled partition holds up the cut of all others.
const refreshAge = 250 * time.Millisecond

// suspicious is a size below which no topic refuses a record: the test for the
// limit is made only above it.
const suspicious = 256 << 10

// Produce hands over a record and blocks while the buffer is full. done is
// called once, from another goroutine, with the record's offset set or with an
// error; it must not block. After an error, later records of the partition may
// still be written: a caller that cannot accept the hole stops and starts again
// from its last position.
func (p *Producer) Produce(ctx context.Context, r *Record, done func(*Record, error)) {
	if size := len(r.Key) + len(r.Value); size > suspicious {
		inner := done
		done = func(r *Record, err error) {
			if errors.Is(err, kerr.MessageTooLarge) {
				err = &RecordTooLarge{Topic: r.Topic, Partition: r.Partition, Bytes: size, Limit: int(p.client.batchLimit(r.Topic))}
			}
			inner(r, err)
		}
	}
	p.kgo.Produce(ctx, r, done)
}

// Flush waits until every record handed over so far is acknowledged or failed.
func (p *Producer) Flush(ctx context.Context) error {
	if err := p.kgo.Flush(ctx); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	return nil
}

// Buffered is how many records and bytes are not acknowledged yet.
func (p *Producer) Buffered() (records, bytes int64) {
	return p.kgo.BufferedProduceRecords(), p.kgo.BufferedProduceBytes()
}

// Close gives up what is not acknowledged: its done functions get an error.
func (p *Producer) Close() { p.kgo.Close() }
