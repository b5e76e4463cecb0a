package pipeline

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/kafka"
)

const topicName = "core.public.payments"

func newTestPublisher(t *testing.T, partitions int, last *Control) *publisher {
	t.Helper()
	p := newPublisher("core", nil, nil, nil, last)
	p.addTopic(kafka.Topic{Name: topicName, ID: "id", Start: make([]int64, partitions), End: make([]int64, partitions)},
		undrop.TableName{Namespace: "bank", Name: "payments"}, last)
	return p
}

func sent(partition int32, offset int64) *kafka.Record {
	return &kafka.Record{Topic: topicName, Partition: partition, Offset: offset}
}

// expect hands n records over, which wait for their acknowledgement.
func expect(p *publisher, n int) *epoch {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open.pending += n
	return p.open
}

func taken(t *testing.T, p *publisher) *Control {
	t.Helper()
	c, err := p.take()
	require.NoError(t, err)
	return c
}

// Seen to fail with a take that looks at the newest epoch only.
func TestACutWaitsForEveryRecordBeforeIt(t *testing.T) {
	p := newTestPublisher(t, 2, nil)
	first := expect(p, 2)
	p.seal(undrop.Cut{LSN: 10, EndLSN: 11})
	second := expect(p, 1)
	p.seal(undrop.Cut{LSN: 20, EndLSN: 21})
	require.Nil(t, taken(t, p))
	second.acknowledged(sent(1, 0), nil)
	require.Nil(t, taken(t, p), "an earlier record is not durable")
	first.acknowledged(sent(0, 1), nil)
	require.Nil(t, taken(t, p), "one of two is")
	first.acknowledged(sent(0, 0), nil)
	c := taken(t, p)
	require.EqualValues(t, 20, c.LSN, "both are due, the newest says all")
	require.Equal(t, []int64{2, 1}, c.Topics[topicName].Next)
	require.Nil(t, taken(t, p))
}

func TestAnEmptyEpochIsDueAtOnceButNotBeforeOthers(t *testing.T) {
	p := newTestPublisher(t, 1, nil)
	p.seal(undrop.Cut{LSN: 5})
	require.EqualValues(t, 5, taken(t, p).LSN)
	e := expect(p, 1)
	p.seal(undrop.Cut{LSN: 10})
	p.seal(undrop.Cut{LSN: 20})
	require.Nil(t, taken(t, p))
	e.acknowledged(sent(0, 0), nil)
	require.EqualValues(t, 20, taken(t, p).LSN)
}

func TestAFailedRecordEndsAllCuts(t *testing.T) {
	p := newTestPublisher(t, 1, nil)
	e := expect(p, 1)
	p.seal(undrop.Cut{LSN: 10})
	e.acknowledged(sent(0, 0), errors.New("broker is gone"))
	_, err := p.take()
	require.ErrorContains(t, err, "broker is gone")
	p.seal(undrop.Cut{LSN: 20})
	_, err = p.take()
	require.Error(t, err, "nothing after the loss may be promised")
}

func TestRecordsOfADeadCaptureStayBehindItsCut(t *testing.T) {
	last := &Control{Cut: undrop.Cut{LSN: 10, Topics: map[string]undrop.TopicEnd{topicName: {ID: "id", Next: []int64{3}}}}}
	p := newPublisher("core", nil, nil, nil, last)
	p.addTopic(kafka.Topic{Name: topicName, ID: "id", Start: []int64{0}, End: []int64{7}}, undrop.TableName{}, last)
	p.seal(undrop.Cut{LSN: 20})
	require.Equal(t, []int64{3}, taken(t, p).Topics[topicName].Next, "what lies from 3 to 7 may be of a later transaction")
	e := expect(p, 1)
	p.seal(undrop.Cut{LSN: 30})
	e.acknowledged(sent(0, 7), nil)
	require.Equal(t, []int64{8}, taken(t, p).Topics[topicName].Next)
}

func TestCutsCarryOpenGapsOnce(t *testing.T) {
	p := newTestPublisher(t, 1, nil)
	p.addGap(undrop.Gap{ID: "g"})
	p.addGap(undrop.Gap{ID: "g"})
	p.seal(undrop.Cut{LSN: 10})
	require.Len(t, taken(t, p).Gaps, 1)
}

// Whatever the order of answers: a cut names exactly the end of what was handed
// over before it was sealed, and only when all of that is durable.
func TestNoCutCoversWhatIsNotAcknowledged(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		const partitions = 3
		p := newTestPublisher(t, partitions, nil)
		type record struct {
			e    *epoch
			part int32
			off  int64
		}
		var waiting []record
		open := map[undrop.LSN]int{} // records that a cut still waits for, its own and all before
		want := map[undrop.LSN][]int64{}
		next := make([]int64, partitions)
		var unacked []record
		var lsn undrop.LSN
		for range 300 {
			switch rng.IntN(4) {
			case 0:
				e := expect(p, 1)
				r := record{e, int32(rng.IntN(partitions)), 0}
				r.off = next[r.part]
				next[r.part]++
				waiting, unacked = append(waiting, r), append(unacked, r)
			case 1:
				lsn++
				p.seal(undrop.Cut{LSN: lsn})
				open[lsn], want[lsn] = len(unacked), append([]int64(nil), next...)
			default:
				if len(waiting) == 0 {
					continue
				}
				i := rng.IntN(len(waiting))
				r := waiting[i]
				waiting = append(waiting[:i], waiting[i+1:]...)
				r.e.acknowledged(sent(r.part, r.off), nil)
				for j := range unacked {
					if unacked[j] == r {
						unacked = append(unacked[:j], unacked[j+1:]...)
						break
					}
				}
			}
			c := taken(t, p)
			if c == nil {
				continue
			}
			require.Equal(t, want[c.LSN], c.Topics[topicName].Next, "seed %d", seed)
			for _, r := range unacked {
				require.GreaterOrEqual(t, r.off, c.Topics[topicName].Next[r.part], "seed %d: cut %d covers a record that is not durable", seed, c.LSN)
			}
		}
	}
}
