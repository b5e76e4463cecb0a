// Package config reads undrop.yaml: strictly, with defaults, and with the file,
// the line and the nearest valid key for whatever is wrong. It knows strings,
// numbers and URLs; what an engine makes of them is not its business, and it
// opens nothing but the file itself.
package config

import "time"

// Config is one undrop.yaml with every default filled in. Paths are absolute.
type Config struct {
	File      string // the file, absolute
	Dir       string // its folder; relative paths in the file are relative to it
	Name      string // names the installation in topics and in other systems
	State     string // folder for everything that undrop itself keeps on local disk
	Sources   []Source
	Log       Log
	Warehouse string // absolute folder, file:// or s3:// URL
	S3        S3
	Catalog   Catalog
	Contracts []string // contract files, absolute, in order of name
	Apply     Apply
	Maintain  Maintain
	Listen    string // host:port of console, API and metrics; "" means none
}

// Source is a database (Postgres is set) or topics that another capture writes
// (Topics is set).
type Source struct {
	Name        string
	Postgres    DSN
	Publication string
	Slot        string
	Snapshot    Snapshot
	Topics      []string // patterns
	Envelope    string   // debezium
	Registry    string   // URL
}

// Snapshot says how the first rows of a source are read.
type Snapshot struct {
	Lane             string // direct, log
	Connections      int
	MaxRowsPerSecond int64 // 0: no cap
	RangePages       int   // heap pages that are read, and resumed after a crash, as one
}

// Log is where changes are kept between source and table. Kafka is nil when the
// log is embedded.
type Log struct {
	Embedded   Embedded
	Kafka      *Kafka
	Format     string // avro, json
	Registry   string // embedded, or a URL
	Partitions int    // of every topic that undrop creates
}

// Embedded is the log inside the process: for one machine.
type Embedded struct {
	MaxBytes int64
}

// Kafka is a cluster.
type Kafka struct {
	Brokers           []string // host:port
	ReplicationFactor int
	TLS               *TLS
	SASL              *SASL
}

// TLS with nothing in it trusts the system's roots.
type TLS struct {
	CA                 string // file, absolute
	Cert               string // file, absolute
	Key                string // file, absolute
	InsecureSkipVerify bool
}

// SASL is a Kafka login.
type SASL struct {
	Mechanism string // PLAIN, SCRAM-SHA-256, SCRAM-SHA-512
	Username  string
	Password  Secret
}

// S3 is how s3:// locations are reached.
type S3 struct {
	Endpoint  string // URL; "": the provider's own
	Region    string
	AccessKey Secret
	SecretKey Secret
	PathStyle bool
}

// Catalog is undrop's own, or another one when REST is set.
type Catalog struct {
	Listen string // host:port of the Iceberg REST API; "" means none
	REST   *REST
	View   DSN // absolute SQLite file, or postgres:// URL
	Vault  string
	Window time.Duration // how far back every commit stays restorable
}

// REST is an Iceberg REST catalog that somebody else runs.
type REST struct {
	URI       string
	Warehouse string
	Token     Secret
}

// Apply says how the log becomes tables.
type Apply struct {
	CommitInterval time.Duration
	Consistency    string // source, table
	Deletes        string // position, equality
	TargetFileSize int64  // bytes
	FormatVersion  int    // 2, 3
	Workers        int    // 0: one per core
}

// Maintain says how tables are looked after.
type Maintain struct {
	Compact     string        // auto, off
	ExpireAfter time.Duration // 0: never
}

// Source is the source called name, nil when there is none.
func (c *Config) Source(name string) *Source {
	for i := range c.Sources {
		if c.Sources[i].Name == name {
			return &c.Sources[i]
		}
	}
	return nil
}
