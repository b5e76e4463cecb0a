package kafka_test

import (
	"testing"

	"github.com/undrop/undrop/internal/kafka/kafkatest"
)

func TestApacheKafka(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: Apache Kafka is not started in short mode")
	}
	kafkatest.RunLog(t, kafkatest.Kafka)
}
