//go:build unix

package kafka_test

import (
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/undrop/undrop/internal/kafka"
	"github.com/undrop/undrop/internal/kafka/kafkatest"
)

// The broker runs in another process, so the CPU time is that of our side alone.

// cpu is the CPU time that this process has used.
func cpu() time.Duration {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func reportCPU(b *testing.B, begin time.Duration) {
	b.ReportMetric(float64((cpu()-begin).Nanoseconds())/1e3/float64(b.N), "cpu-µs/record")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
	b.ReportMetric(0, "ns/op")
}

// payload is 150 bytes of key and value as capture writes them.
func payload(i int) (key, value []byte) {
	return fmt.Appendf(nil, "%010d", i), fmt.Appendf(nil, "%060d some text that is not the same twice %x, %032d", i, i*7919, i)
}

func produce(b *testing.B, c *kafka.Client, topic, codec string, n int) {
	p, err := c.NewProducer(kafka.ProducerConfig{Codec: codec})
	require.NoError(b, err)
	defer p.Close()
	const reuse = 4096
	var keys, values [reuse][]byte
	for i := range reuse {
		keys[i], values[i] = payload(i)
	}
	headers := []kafka.Header{{Key: "lsn", Value: []byte("0/16B3748")}, {Key: "seq", Value: []byte("42")}}
	var failed atomic.Int64
	done := func(_ *kafka.Record, err error) {
		if err != nil {
			failed.Add(1)
		}
	}
	records := make([]kafka.Record, 0, 1024)
	begin := cpu()
	b.ResetTimer()
	for i := range n {
		if len(records) == cap(records) {
			records = make([]kafka.Record, 0, 1024)
		}
		key := keys[i%reuse]
		records = append(records, kafka.Record{Topic: topic, Partition: kafka.Partition(key, 8), Key: key, Value: values[i%reuse], Headers: headers})
		p.Produce(b.Context(), &records[len(records)-1], done)
	}
	require.NoError(b, p.Flush(b.Context()))
	b.StopTimer()
	require.Zero(b, failed.Load())
	reportCPU(b, begin)
}

func BenchmarkProduce(b *testing.B) {
	for _, codec := range []string{"none", "lz4", "snappy", "zstd"} {
		b.Run(codec, func(b *testing.B) {
			c := kafkatest.Dial(b, kafka.Config{Brokers: []string{startBroker(b, b.TempDir(), "").addr}})
			_, err := c.EnsureTopic(b.Context(), "t", 8, kafka.TopicOptions{})
			require.NoError(b, err)
			produce(b, c, "t", codec, b.N)
		})
	}
}

func BenchmarkConsume(b *testing.B) {
	for _, codec := range []string{"none", "lz4", "snappy"} {
		b.Run(codec, func(b *testing.B) {
			c := kafkatest.Dial(b, kafka.Config{Brokers: []string{startBroker(b, b.TempDir(), "").addr}})
			topic, err := c.EnsureTopic(b.Context(), "t", 8, kafka.TopicOptions{})
			require.NoError(b, err)
			produce(b, c, "t", codec, b.N)
			r, err := c.NewReader(kafka.ReaderConfig{})
			require.NoError(b, err)
			defer r.Close()
			var as []kafka.Assignment
			for p := range int32(8) {
				as = append(as, kafka.Assignment{Topic: "t", TopicID: topic.ID, Partition: p})
			}
			begin := cpu()
			b.ResetTimer()
			b.StartTimer()
			require.NoError(b, r.Add(b.Context(), as))
			for got := 0; got < b.N; {
				fetched, err := r.Poll(b.Context())
				require.NoError(b, err)
				for _, f := range fetched {
					got += len(f.Records)
				}
			}
			b.StopTimer()
			reportCPU(b, begin)
		})
	}
}

// BenchmarkRoundTrip is the time from Produce of one record until Poll returns
// it, on an idle log: what a cut waits at least.
func BenchmarkRoundTrip(b *testing.B) {
	c := kafkatest.Dial(b, kafka.Config{Brokers: []string{startBroker(b, b.TempDir(), "").addr}})
	_, err := c.EnsureTopic(b.Context(), "t", 1, kafka.TopicOptions{})
	require.NoError(b, err)
	p, err := c.NewProducer(kafka.ProducerConfig{})
	require.NoError(b, err)
	defer p.Close()
	r, err := c.NewReader(kafka.ReaderConfig{})
	require.NoError(b, err)
	defer r.Close()
	require.NoError(b, r.Add(b.Context(), []kafka.Assignment{{Topic: "t"}}))
	for b.Loop() {
		p.Produce(b.Context(), &kafka.Record{Topic: "t", Value: []byte("x")}, func(*kafka.Record, error) {})
		_, err := r.Poll(b.Context())
		require.NoError(b, err)
	}
}
