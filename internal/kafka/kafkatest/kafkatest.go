// Package kafkatest holds what tests of the log share: one suite that every
// broker has to pass, an embedded broker for a test and a real Apache Kafka
// that starts and stops with one. It is for tests only.
package kafkatest

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/undrop/undrop/internal/kafka"
)

// StartEmbedded runs an embedded broker until the test ends.
func StartEmbedded(t testing.TB) kafka.Config {
	t.Helper()
	e, err := kafka.OpenEmbedded(t.Context(), kafka.EmbeddedConfig{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return kafka.Config{Brokers: e.Brokers()}
}

// Dial connects until the test ends.
func Dial(t testing.TB, cfg kafka.Config) *kafka.Client {
	t.Helper()
	c, err := kafka.Dial(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// Admin is a plain client for what undrop's own never does, such as deleting a
// topic.
func Admin(t testing.TB, cfg kafka.Config) *kadm.Client {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(cfg.Brokers...))
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	return kadm.NewClient(cl)
}

// Context ends with the test or after a minute, whichever is first.
func Context(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// Name is a topic name that no other test uses.
func Name(t testing.TB) string {
	t.Helper()
	return "undrop.test." + strings.ToLower(rand.Text()[:12])
}
