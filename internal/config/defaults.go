package config

import (
	"path/filepath"
	"strings"
	"time"
)

// defaults is the configuration of a file that says nothing. Everything that has
// a default has it here, and only here.
func defaults() *Config {
	return &Config{
		State:     "./state",
		Warehouse: "./warehouse",
		Log: Log{
			Embedded:   Embedded{MaxBytes: 2 << 30},
			Format:     "avro",
			Registry:   "embedded",
			Partitions: 4,
		},
		S3: S3{Region: "us-east-1"},
		Catalog: Catalog{
			Listen: "127.0.0.1:8181",
			Vault:  "./vault",
			Window: 14 * 24 * time.Hour,
		},
		Contracts: []string{"./contracts/*.odcs.yaml"},
		Apply: Apply{
			CommitInterval: time.Second,
			Consistency:    "source",
			Deletes:        "equality",
			TargetFileSize: 128 << 20,
			FormatVersion:  2,
		},
		Maintain: Maintain{Compact: "auto", ExpireAfter: 14 * 24 * time.Hour},
		Listen:   "127.0.0.1:8080",
	}
}

func defaultSource(name string) Source {
	// A slot's name may hold only lower-case letters, digits and underscores.
	own := "undrop_" + strings.ReplaceAll(name, "-", "_")
	return Source{Name: name, Publication: own, Slot: own, Snapshot: Snapshot{Lane: "direct", Connections: 4, RangePages: 4096}, Envelope: "debezium"}
}

func defaultKafka() *Kafka { return &Kafka{ReplicationFactor: 3} }

func defaultView(state string) string { return filepath.Join(state, "catalog.db") }
