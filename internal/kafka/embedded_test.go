package kafka_test

import (
	"testing"

	"github.com/undrop/undrop/internal/kafka/kafkatest"
)

func TestEmbeddedLog(t *testing.T) { kafkatest.RunLog(t, kafkatest.StartEmbedded) }
