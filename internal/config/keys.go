package config

import (
	"math"
	"time"
)

// The keys of undrop.yaml: what may stand where, and what reads it.

func (c *Config) keys() keys {
	return keys{
		"name":      text(&c.Name),
		"state":     text(&c.State),
		"sources":   c.readSources,
		"log":       func(v value) { v.mapping(c.Log.keys()) },
		"warehouse": text(&c.Warehouse),
		"s3":        func(v value) { v.mapping(c.S3.keys()) },
		"catalog":   func(v value) { v.mapping(c.Catalog.keys()) },
		"contracts": texts(&c.Contracts),
		"apply":     func(v value) { v.mapping(c.Apply.keys()) },
		"maintain":  func(v value) { v.mapping(c.Maintain.keys()) },
		"listen":    text(&c.Listen),
	}
}

func (c *Config) readSources(v value) {
	v.each(func(name string, v value) {
		s := defaultSource(name)
		v.mapping(s.keys())
		c.Sources = append(c.Sources, s)
	})
}

func (s *Source) keys() keys {
	return keys{
		"postgres":    dsn(&s.Postgres),
		"publication": text(&s.Publication),
		"slot":        text(&s.Slot),
		"snapshot":    func(v value) { v.mapping(s.Snapshot.keys()) },
		"topics":      texts(&s.Topics),
		"envelope":    oneOf(&s.Envelope, "debezium"),
		"registry":    text(&s.Registry),
	}
}

func (s *Snapshot) keys() keys {
	return keys{
		"lane":                oneOf(&s.Lane, "direct", "log"),
		"connections":         integer(&s.Connections, 1, 64),
		"max_rows_per_second": integer(&s.MaxRowsPerSecond, 0, math.MaxInt64),
		"range_pages":         integer(&s.RangePages, 1, math.MaxInt32),
	}
}

func (l *Log) keys() keys {
	return keys{
		"embedded":   func(v value) { v.mapping(l.Embedded.keys()) },
		"kafka":      func(v value) { l.Kafka = defaultKafka(); v.mapping(l.Kafka.keys()) },
		"format":     oneOf(&l.Format, "avro", "json"),
		"registry":   text(&l.Registry),
		"partitions": integer(&l.Partitions, 1, 1024),
	}
}

func (e *Embedded) keys() keys {
	return keys{"max_bytes": size(&e.MaxBytes, 16<<20)}
}

func (k *Kafka) keys() keys {
	return keys{
		"brokers":            texts(&k.Brokers),
		"replication_factor": integer(&k.ReplicationFactor, 1, math.MaxInt16),
		"tls":                func(v value) { k.TLS = &TLS{}; v.mapping(k.TLS.keys()) },
		"sasl":               func(v value) { k.SASL = &SASL{}; v.mapping(k.SASL.keys()) },
	}
}

func (t *TLS) keys() keys {
	return keys{
		"ca":                   text(&t.CA),
		"cert":                 text(&t.Cert),
		"key":                  text(&t.Key),
		"insecure_skip_verify": boolean(&t.InsecureSkipVerify),
	}
}

func (s *SASL) keys() keys {
	return keys{
		"mechanism": oneOf(&s.Mechanism, "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"),
		"username":  text(&s.Username),
		"password":  secret(&s.Password),
	}
}

func (s *S3) keys() keys {
	return keys{
		"endpoint":   text(&s.Endpoint),
		"region":     text(&s.Region),
		"access_key": secret(&s.AccessKey),
		"secret_key": secret(&s.SecretKey),
		"path_style": boolean(&s.PathStyle),
	}
}

func (c *Catalog) keys() keys {
	return keys{
		"listen": text(&c.Listen),
		"rest":   func(v value) { c.REST = &REST{}; v.mapping(c.REST.keys()) },
		"view":   dsn(&c.View),
		"vault":  text(&c.Vault),
		"window": duration(&c.Window, 0),
	}
}

func (r *REST) keys() keys {
	return keys{
		"uri":       text(&r.URI),
		"warehouse": text(&r.Warehouse),
		"token":     secret(&r.Token),
	}
}

func (a *Apply) keys() keys {
	return keys{
		"commit_interval":  duration(&a.CommitInterval, 10*time.Millisecond),
		"consistency":      oneOf(&a.Consistency, "source", "table"),
		"deletes":          oneOf(&a.Deletes, "position", "equality"),
		"target_file_size": size(&a.TargetFileSize, 64<<10),
		"format_version":   integer(&a.FormatVersion, 2, 3),
		"workers":          integer(&a.Workers, 0, 256),
	}
}

func (m *Maintain) keys() keys {
	return keys{
		"compact":      oneOf(&m.Compact, "auto", "off"),
		"expire_after": duration(&m.ExpireAfter, 0),
	}
}
