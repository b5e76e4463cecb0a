package kafka

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestPartitionIsThatOfOtherClients(t *testing.T) {
	p := kgo.StickyKeyPartitioner(nil).ForTopic("t")
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 1000 {
		key := make([]byte, i%67+1) // the library spreads an empty key as if it were none
		for j := range key {
			key[j] = byte(r.Uint32())
		}
		n := int(r.Int32N(100)) + 1
		require.EqualValues(t, p.Partition(&kgo.Record{Key: key}, n), Partition(key, int32(n)), "%x of %d", key, n)
	}
}

// Values of org.apache.kafka.common.utils.Utils.murmur2, from its own test.
func TestHashIsThatOfTheJavaClient(t *testing.T) {
	for key, want := range map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
		"a-little-bit-longer-string": -1486304829, "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107, "": 275646681,
	} {
		require.Equal(t, want, int32(murmur2([]byte(key))), key)
	}
}

func BenchmarkPartition(b *testing.B) {
	key := []byte("0123456789abcdef")
	for range b.N {
		Partition(key, 8)
	}
}
