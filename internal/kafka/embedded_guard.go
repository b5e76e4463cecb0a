package kafka

import (
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// Segments are the unit in which trimming frees space, and every partition
	// keeps its newest one. So they are small, and smaller in a log with many
	// partitions: all the newest together must leave room below the cap. Opening
	// reads segments whole, several at once, which is another reason.
	minSegmentBytes = 256 << 10
	maxSegmentBytes = 8 << 20
	// embeddedBatchBytes is the largest record: twice what we ask of Kafka.
	embeddedBatchBytes = 16 << 20
)

func (e *Embedded) brokerConfigs() map[string]string {
	return map[string]string{
		"log.segment.bytes": strconv.Itoa(maxSegmentBytes),
		"message.max.bytes": strconv.Itoa(embeddedBatchBytes),
	}
}

// guard sees every request before the broker does, one at a time, and stops
// what the broker would do and not survive: see "hazards" in the design record.
// It is called for every request, so the common ones do next to nothing here.
func (e *Embedded) guard(req kmsg.Request) (kmsg.Response, error, bool) { //nolint:revive // the library's signature
	e.names.before(req)
	var resp kmsg.Response
	switch r := req.(type) {
	case *kmsg.ProduceRequest:
		resp = e.guardProduce(r)
	case *kmsg.CreateTopicsRequest:
		resp = e.guardCreate(r)
	case *kmsg.DeleteRecordsRequest:
		e.guardDelete(r)
	case *kmsg.InitProducerIDRequest:
		resp = guardTransaction(r)
	case *kmsg.AlterConfigsRequest, *kmsg.IncrementalAlterConfigsRequest:
		resp = guardAlter(r)
	}
	if resp == nil {
		return nil, nil, false
	}
	// The library would drop a guard after the first request that it answers.
	e.cluster.KeepControl()
	return resp, nil, true
}

// guardProduce makes producers wait while the log is over its limit. The error
// is one that clients try again after, so nothing is lost and nothing is
// reordered; they go on by themselves when Trim has made room.
func (e *Embedded) guardProduce(r *kmsg.ProduceRequest) kmsg.Response {
	n := 0
	for i := range r.Topics {
		for j := range r.Topics[i].Partitions {
			n += len(r.Topics[i].Partitions[j].Records)
		}
	}
	if e.size.admit(int64(n)) {
		return nil
	}
	if now := time.Now().Unix(); now-e.warned.Load() >= 10 {
		e.warned.Store(now)
		e.cfg.Logger.Warn("the embedded log is full, producers wait until tables have read what is in it",
			"bytes", e.size.used(), "max_bytes", e.cfg.MaxBytes, "dir", e.cfg.Dir)
	}
	resp := r.ResponseKind().(*kmsg.ProduceResponse)
	for _, t := range r.Topics {
		rt := kmsg.NewProduceResponseTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			rp := kmsg.NewProduceResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, kerr.KafkaStorageError.Code
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// unsafeSetting says why a topic setting is refused; empty when it is not.
func unsafeSetting(name string, value *string) string {
	v := ""
	if value != nil {
		v = *value
	}
	switch name {
	case "cleanup.policy", "log.cleanup.policy":
		if strings.Contains(v, "compact") {
			return "the embedded log does not compact: a crash in the middle would lose the partition"
		}
	case "retention.ms", "retention.bytes", "log.retention.ms", "log.retention.bytes":
		if n, err := strconv.ParseInt(v, 10, 64); value != nil && (err != nil || n >= 0) {
			return "the embedded log does not forget by time or size: an emptied partition would start at offset 0 again after a crash"
		}
	}
	return ""
}

// guardCreate refuses unsafe settings and puts ours in the place of others.
func (e *Embedded) guardCreate(r *kmsg.CreateTopicsRequest) kmsg.Response {
	refused := ""
	segment := e.segmentBytes(r)
	for i := range r.Topics {
		t := &r.Topics[i]
		kept := t.Configs[:0]
		for _, c := range t.Configs {
			if why := unsafeSetting(c.Name, c.Value); why != "" {
				refused = why
			}
			switch c.Name {
			case "retention.ms", "retention.bytes", "segment.bytes", "max.message.bytes":
				// Ours apply. A retention that is set, even to "for ever", would
				// start the broker's cleaner.
			default:
				kept = append(kept, c)
			}
		}
		largest := strconv.Itoa(embeddedBatchBytes)
		for name, value := range map[string]*string{"segment.bytes": &segment, "max.message.bytes": &largest} {
			c := kmsg.NewCreateTopicsRequestTopicConfig()
			c.Name, c.Value = name, value
			kept = append(kept, c)
		}
		t.Configs = kept
	}
	if refused == "" {
		return nil
	}
	resp := r.ResponseKind().(*kmsg.CreateTopicsResponse)
	for _, t := range r.Topics {
		rt := kmsg.NewCreateTopicsResponseTopic()
		rt.Topic, rt.ErrorCode, rt.ErrorMessage = t.Topic, kerr.PolicyViolation.Code, &refused
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// segmentBytes chooses the size of segments for topics that are about to be made.
func (e *Embedded) segmentBytes(r *kmsg.CreateTopicsRequest) string {
	n := int64(1)
	if list, err := readTopics(e.dataDir()); err == nil {
		for _, t := range list {
			n += int64(t.Partitions)
		}
	}
	for _, t := range r.Topics {
		n += max(0, int64(t.NumPartitions))
	}
	return strconv.FormatInt(min(max(e.cfg.MaxBytes/8/n, minSegmentBytes), maxSegmentBytes), 10)
}

// guardDelete keeps the newest batch of every partition: after a crash the
// broker knows the end of a partition only from it.
func (e *Embedded) guardDelete(r *kmsg.DeleteRecordsRequest) {
	e.size.stale()
	for i := range r.Topics {
		for j := range r.Topics[i].Partitions {
			p := &r.Topics[i].Partitions[j]
			info := e.partition(r.Topics[i].Topic, p.Partition)
			if info == nil {
				continue
			}
			if last := max(0, info.HighWatermark-1); p.Offset < 0 || p.Offset > last {
				p.Offset = max(last, info.LogStartOffset)
			}
		}
	}
}

func (e *Embedded) partition(topic string, partition int32) *kfake.PartitionInfo {
	return e.cluster.PartitionInfo(topic, partition)
}

// guardTransaction refuses transactions: a crash between the markers of two
// partitions would show half of one.
func guardTransaction(r *kmsg.InitProducerIDRequest) kmsg.Response {
	if r.TransactionalID == nil {
		return nil
	}
	resp := r.ResponseKind().(*kmsg.InitProducerIDResponse)
	resp.ErrorCode = kerr.TransactionalIDAuthorizationFailed.Code
	return resp
}

func guardAlter(req kmsg.Request) kmsg.Response {
	switch r := req.(type) {
	case *kmsg.AlterConfigsRequest:
		for _, res := range r.Resources {
			for _, c := range res.Configs {
				if why := unsafeSetting(c.Name, c.Value); why != "" {
					resp := r.ResponseKind().(*kmsg.AlterConfigsResponse)
					for _, res := range r.Resources {
						rr := kmsg.NewAlterConfigsResponseResource()
						rr.ResourceType, rr.ResourceName = res.ResourceType, res.ResourceName
						rr.ErrorCode, rr.ErrorMessage = kerr.PolicyViolation.Code, &why
						resp.Resources = append(resp.Resources, rr)
					}
					return resp
				}
			}
		}
	case *kmsg.IncrementalAlterConfigsRequest:
		for _, res := range r.Resources {
			for _, c := range res.Configs {
				if why := unsafeSetting(c.Name, c.Value); why != "" {
					resp := r.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
					for _, res := range r.Resources {
						rr := kmsg.NewIncrementalAlterConfigsResponseResource()
						rr.ResourceType, rr.ResourceName = res.ResourceType, res.ResourceName
						rr.ErrorCode, rr.ErrorMessage = kerr.PolicyViolation.Code, &why
						resp.Resources = append(resp.Resources, rr)
					}
					return resp
				}
			}
		}
	}
	return nil
}
