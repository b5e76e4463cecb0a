package kafka

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	undrop "github.com/undrop/undrop"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// TopicOptions says how a new topic is made. The zero value keeps every record.
type TopicOptions struct {
	Retention       time.Duration // how long records stay; 0 means for ever
	MaxMessageBytes int32         // largest record, bytes; 0 means 8 MiB, which hosted clusters allow too
}

const (
	// newTopicBatchBytes is the limit of a topic that we make.
	newTopicBatchBytes = 8 << 20
	// defaultBatchBytes is what a broker takes when nothing is said.
	defaultBatchBytes = 1_000_012
)

var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// EnsureTopic makes a topic, or checks that the one that is there fits: the same
// number of partitions, no compaction, and at least our replication factor.
// Another partition count would put a key's later changes into another
// partition; compaction would remove changes that were never read.
func (c *Client) EnsureTopic(ctx context.Context, name string, partitions int32, opts TopicOptions) (Topic, error) {
	if !topicName.MatchString(name) || name == "." || name == ".." {
		return Topic{}, &undrop.Error{Code: undrop.BadInput, Op: "create topic " + name,
			Err:  errors.New("a topic name has 1 to 249 characters from a-z, A-Z, 0-9, dot, underscore and hyphen"),
			Hint: "set undrop.topic in the contract"}
	}
	if partitions < 1 {
		return Topic{}, &undrop.Error{Code: undrop.BadInput, Op: "create topic " + name, Err: fmt.Errorf("%d partitions", partitions)}
	}
	existing, err := c.describe(ctx, []string{name})
	if err != nil {
		return Topic{}, err
	}
	if _, ok := existing[name]; !ok {
		if err := c.create(ctx, name, partitions, opts); err != nil {
			return Topic{}, err
		}
	}
	t, err := c.settled(ctx, name)
	if err != nil {
		return Topic{}, err
	}
	if err := c.fits(ctx, name, partitions); err != nil {
		return Topic{}, err
	}
	return t, nil
}

// create makes the topic. Another process may do the same at that moment.
func (c *Client) create(ctx context.Context, name string, partitions int32, opts TopicOptions) error {
	retention, size := int64(-1), int32(newTopicBatchBytes)
	if opts.Retention > 0 {
		retention = opts.Retention.Milliseconds()
	}
	if opts.MaxMessageBytes > 0 {
		size = opts.MaxMessageBytes
	}
	configs := map[string]*string{
		"cleanup.policy":    kadm.StringPtr("delete"),
		"retention.ms":      kadm.StringPtr(strconv.FormatInt(retention, 10)),
		"retention.bytes":   kadm.StringPtr("-1"),
		"max.message.bytes": kadm.StringPtr(strconv.Itoa(int(size))),
	}
	// With one replica in sync, an acknowledged record may live on one disk only.
	if c.cfg.ReplicationFactor >= 3 {
		configs["min.insync.replicas"] = kadm.StringPtr("2")
	}
	_, err := c.adm.CreateTopic(ctx, partitions, c.cfg.ReplicationFactor, configs, name)
	switch {
	case err == nil, errors.Is(err, kerr.TopicAlreadyExists):
		return nil
	case errors.Is(err, kerr.InvalidReplicationFactor):
		return &undrop.Error{Code: undrop.Refused, Op: "create topic " + name,
			Err:  fmt.Errorf("the cluster cannot hold %d replicas: %w", c.cfg.ReplicationFactor, err),
			Hint: "set log.kafka.replication_factor to at most the number of brokers"}
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		return &undrop.Error{Code: undrop.Refused, Op: "create topic " + name, Err: err,
			Hint: "grant CREATE on the topic to the user in log.kafka.sasl, or create it: " +
				fmt.Sprintf("kafka-topics.sh --create --topic %s --partitions %d --replication-factor %d --config retention.ms=%d", name, partitions, c.cfg.ReplicationFactor, retention)}
	default:
		return fmt.Errorf("create topic %s: %w", name, err)
	}
}

// settled waits until a topic that was just made has leaders and offsets.
func (c *Client) settled(ctx context.Context, name string) (Topic, error) {
	deadline := time.Now().Add(30 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		t, err := c.Topic(ctx, name)
		if err == nil {
			return t, nil
		}
		var e *kerr.Error
		retry := errors.Is(err, ErrNoTopic) || errors.As(err, &e) && e.Retriable
		if !retry || time.Now().After(deadline) {
			return Topic{}, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return Topic{}, ctx.Err()
		}
	}
}

// fits compares a topic with what was asked for.
func (c *Client) fits(ctx context.Context, name string, partitions int32) error {
	d, err := c.describe(ctx, []string{name})
	if err != nil {
		return err
	}
	t, ok := d[name]
	if !ok {
		return fmt.Errorf("topic %s: %w", name, ErrNoTopic)
	}
	refuse := func(hint, format string, args ...any) error {
		return &undrop.Error{Code: undrop.Refused, Op: "use topic " + name, Err: fmt.Errorf(format, args...), Hint: hint}
	}
	if have := int32(t.partitions); have != partitions {
		return refuse("name another topic with undrop.topic in the contract, or set the source's partitions to "+strconv.Itoa(int(have)),
			"it has %d partitions, %d are wanted: a key's later changes would go to another partition than its earlier ones", have, partitions)
	}
	if have := t.replicas; have < int(c.cfg.ReplicationFactor) {
		return refuse("kafka-reassign-partitions.sh raises it, or set log.kafka.replication_factor to "+strconv.Itoa(have),
			"it has %d replicas, %d are wanted", have, c.cfg.ReplicationFactor)
	}
	configs, err := c.adm.DescribeTopicConfigs(ctx, name)
	if err != nil {
		return fmt.Errorf("describe the configuration of topic %s: %w", name, err)
	}
	r, err := configs.On(name, nil)
	if err == nil {
		err = r.Err
	}
	if err != nil {
		return fmt.Errorf("describe the configuration of topic %s: %w", name, err)
	}
	limit := int32(defaultBatchBytes)
	for _, kv := range r.Configs {
		switch kv.Key {
		case "cleanup.policy":
			if strings.Contains(kv.MaybeValue(), "compact") {
				return refuse("kafka-configs.sh --alter --entity-type topics --entity-name "+name+" --add-config cleanup.policy=delete",
					"its cleanup.policy is %q, wanted is \"delete\": compaction would remove changes that nobody has read yet", kv.MaybeValue())
			}
		case "max.message.bytes":
			if n, err := strconv.ParseInt(kv.MaybeValue(), 10, 32); err == nil && n >= 1024 {
				limit = int32(min(n, 1<<29))
			}
		}
	}
	c.setBatchLimit(name, limit)
	return nil
}
