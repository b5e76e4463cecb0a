package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	undrop "github.com/undrop/undrop"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Config says how to reach a Kafka cluster. The embedded broker needs only
// Brokers.
type Config struct {
	Brokers           []string // host:port
	ReplicationFactor int16    // of topics that we create; 0 means 1
	TLS               *TLS
	SASL              *SASL
	ClientID          string       // default "undrop"
	Logger            *slog.Logger // default: discard
}

// dialTimeout bounds how long Dial waits for a first answer.
const dialTimeout = 10 * time.Second

// metadataWithTopicIDs is the version of the metadata request that first tells
// the id of a topic (Apache Kafka 2.8).
const metadataWithTopicIDs = 10

// Client is a connection to one cluster. It is safe for concurrent use.
type Client struct {
	cfg  Config
	opts []kgo.Opt // what producers and readers share
	kgo  *kgo.Client
	adm  *kadm.Client
	log  *slog.Logger

	embedded bool // the cluster is our own embedded broker

	mu      sync.Mutex
	maxSize map[string]int32 // by topic: the largest batch that the broker takes, bytes
}

// Dial connects and waits for a broker to answer. It refuses a cluster that
// does not tell topic ids: without them a topic that was deleted and made again
// looks like the old one.
func Dial(ctx context.Context, cfg Config) (*Client, error) {
	op := "connect to Kafka at " + strings.Join(cfg.Brokers, ", ")
	if len(cfg.Brokers) == 0 {
		return nil, &undrop.Error{Code: undrop.BadInput, Op: "connect to Kafka", Err: errors.New("no broker is named"),
			Hint: "name at least one host:port in log.kafka.brokers of undrop.yaml"}
	}
	if cfg.ReplicationFactor <= 0 {
		cfg.ReplicationFactor = 1
	}
	if cfg.ClientID == "" {
		cfg.ClientID = "undrop"
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	opts, err := options(cfg)
	if err != nil {
		return nil, &undrop.Error{Code: undrop.BadInput, Op: op, Err: err, Hint: "check log.kafka in undrop.yaml"}
	}
	// What we ask for is asked to be current; the library would answer from what
	// it knew seconds ago.
	cl, err := kgo.NewClient(append(opts[:len(opts):len(opts)], kgo.MetadataMinAge(50*time.Millisecond))...)
	if err != nil {
		return nil, &undrop.Error{Code: undrop.BadInput, Op: op, Err: err, Hint: "check log.kafka in undrop.yaml"}
	}
	c := &Client{cfg: cfg, opts: opts, kgo: cl, adm: kadm.NewClient(cl), log: cfg.Logger, maxSize: map[string]int32{}}
	pctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	// The library finishes a handshake whatever the context says; closing the
	// client ends it.
	answer := make(chan error, 1)
	go func() { answer <- c.ping(pctx) }()
	select {
	case err = <-answer:
	case <-pctx.Done():
		cl.Close()
		err = errors.Join(errors.New("no answer within 10s"), <-answer)
	}
	if err != nil {
		cl.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		var e *undrop.Error
		if errors.As(err, &e) {
			return nil, err
		}
		return nil, &undrop.Error{Code: undrop.Failed, Op: op, Err: err,
			Hint: "check that the broker runs and that log.kafka.brokers, tls and sasl in undrop.yaml fit it; each broker must also be reachable under the address that it advertises"}
	}
	return c, nil
}

// ping waits for an answer and checks that the cluster knows topic ids.
func (c *Client) ping(ctx context.Context) error {
	if err := c.kgo.Ping(ctx); err != nil {
		return err
	}
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{} // none, not all
	resp, err := req.RequestWith(ctx, c.kgo)
	if err != nil {
		return err
	}
	c.embedded = resp.ClusterID != nil && strings.HasPrefix(*resp.ClusterID, embeddedCluster)
	versions, err := c.adm.ApiVersions(ctx)
	if err != nil {
		return err
	}
	for _, v := range versions {
		if v.Err != nil {
			continue
		}
		if _, highest, ok := v.KeyVersions(kmsg.Metadata.Int16()); !ok || highest < metadataWithTopicIDs {
			return &undrop.Error{Code: undrop.Refused, Op: "connect to Kafka at " + strings.Join(c.cfg.Brokers, ", "),
				Err:  fmt.Errorf("broker %d does not tell topic ids, so a topic that was deleted and made again could not be noticed", v.NodeID),
				Hint: "use Apache Kafka 2.8 or newer"}
		}
	}
	return nil
}

// Close ends the connection. Producers and readers have their own and outlive it.
func (c *Client) Close() { c.kgo.Close() }

// Brokers are the addresses that the client was made with.
func (c *Client) Brokers() []string { return c.cfg.Brokers }

// batchLimit is the largest batch that topic takes, bytes.
func (c *Client) batchLimit(topic string) int32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n, ok := c.maxSize[topic]; ok {
		return n
	}
	return defaultBatchBytes
}

func (c *Client) setBatchLimit(topic string, bytes int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.maxSize[topic] = bytes
}
