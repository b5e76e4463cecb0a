package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/catalog"
	"github.com/undrop/undrop/internal/config"
	"github.com/undrop/undrop/internal/durable"
	"github.com/undrop/undrop/internal/kafka"
	"github.com/undrop/undrop/internal/lake"
	"github.com/undrop/undrop/internal/pipeline"
	"github.com/undrop/undrop/internal/postgres"
)

// openLake opens the warehouse and its catalog.
func (a *App) openLake(ctx context.Context) error {
	wh, err := lake.OpenWarehouse(a.cfg.Warehouse)
	if err != nil {
		return err
	}
	if a.catalog, err = catalog.OpenSQLite(ctx, a.cfg.Catalog.View.Reveal(), wh.FS, wh.Location); err != nil {
		return err
	}
	a.lake = lake.Open(a.catalog, wh)
	return nil
}

// openSource connects to a source's database.
func (a *App) openSource(ctx context.Context, name string) (*postgres.Source, error) {
	s := a.cfg.Source(name)
	return postgres.Open(ctx, postgres.Config{Name: name, DSN: s.Postgres.Reveal(), Publication: s.Publication, Slot: s.Slot, Logger: a.log})
}

// embeddedLog is the broker and registry that this process hosts, or the address
// of those that another process of this installation hosts.
type embeddedLog struct {
	broker   *kafka.Embedded
	registry *kafka.Registry
	server   *http.Server
	Brokers  []string `json:"brokers"`
	Registry string   `json:"registry"`
}

func (e *embeddedLog) full() bool { return e != nil && e.broker != nil && e.broker.Full() }

func (e *embeddedLog) close() error {
	if e == nil {
		return nil
	}
	var errs []error
	if e.server != nil {
		errs = append(errs, e.server.Close())
	}
	if e.registry != nil {
		errs = append(errs, e.registry.Close())
	}
	if e.broker != nil {
		errs = append(errs, e.broker.Close())
	}
	return errors.Join(errs...)
}

// addressFile says where the embedded log listens.
func (a *App) addressFile() string { return filepath.Join(a.cfg.State, "log.json") }

// hostLog opens the embedded broker and registry in this process.
func (a *App) hostLog(ctx context.Context) (*embeddedLog, error) {
	before := a.lastLog()
	broker, err := kafka.OpenEmbedded(ctx, kafka.EmbeddedConfig{Dir: filepath.Join(a.cfg.State, "log"), MaxBytes: a.cfg.Log.Embedded.MaxBytes,
		Listen: before.broker(), Logger: a.log})
	if err != nil {
		return nil, err
	}
	e := &embeddedLog{broker: broker, Brokers: broker.Brokers()}
	if err := a.hostRegistry(ctx, e, before.registry()); err != nil {
		return nil, errors.Join(err, e.close())
	}
	return e, nil
}

// hostRegistry serves the embedded schema registry and writes down where both are.
func (a *App) hostRegistry(ctx context.Context, e *embeddedLog, listen string) (err error) {
	if e.registry, err = kafka.NewRegistry(filepath.Join(a.cfg.State, "registry")); err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", listen)
	if err != nil {
		return fmt.Errorf("listen for the schema registry: %w", err)
	}
	e.Registry = "http://" + l.Addr().String()
	e.server = &http.Server{Handler: e.registry, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = e.server.Serve(l) }() // ends with Close
	data, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("write down the log's address: %w", err)
	}
	return durable.WriteFile(a.addressFile(), data)
}

// captureFirst is what to do where the embedded log is not up.
const captureFirst = "start the process that captures first: undrop up --only capture"

// findLog reads where another process hosts the embedded log.
func (a *App) findLog() (*embeddedLog, error) {
	data, err := os.ReadFile(a.addressFile())
	if err != nil {
		return nil, &undrop.Error{Code: undrop.Failed, Op: "find the embedded log", Err: err,
			Hint: captureFirst}
	}
	e := new(embeddedLog)
	if err := json.Unmarshal(data, e); err != nil {
		return nil, fmt.Errorf("read %s: %w", a.addressFile(), err)
	}
	return e, nil
}

// openLog connects to the log: Kafka by configuration, else the embedded one.
func (a *App) openLog(ctx context.Context) (*kafka.Client, pipeline.Registry, error) {
	cfg := kafka.Config{ClientID: "undrop-" + a.cfg.Name, Logger: a.log, ReplicationFactor: 1}
	if k := a.cfg.Log.Kafka; k != nil {
		cfg.Brokers, cfg.ReplicationFactor = k.Brokers, int16(k.ReplicationFactor)
		cfg.TLS, cfg.SASL = kafkaTLS(k), kafkaSASL(k)
	} else {
		cfg.Brokers = a.embedded.Brokers
	}
	client, err := kafka.Dial(ctx, cfg)
	if err != nil && a.cfg.Log.Kafka == nil && a.embedded.broker == nil && ctx.Err() == nil {
		return nil, nil, &undrop.Error{Code: undrop.Failed, Op: "find the embedded log", Err: err, Hint: captureFirst}
	}
	if err != nil {
		return nil, nil, err
	}
	url := a.cfg.Log.Registry
	if url == "" || url == "embedded" {
		url = a.embedded.Registry
	}
	registry, err := kafka.NewRegistryClient(url)
	if err != nil {
		client.Close()
		return nil, nil, err
	}
	return client, registry, nil
}

func kafkaTLS(k *config.Kafka) *kafka.TLS {
	if k.TLS == nil {
		return nil
	}
	return &kafka.TLS{CA: k.TLS.CA, Cert: k.TLS.Cert, Key: k.TLS.Key, InsecureSkipVerify: k.TLS.InsecureSkipVerify}
}

func kafkaSASL(k *config.Kafka) *kafka.SASL {
	if k.SASL == nil {
		return nil
	}
	return &kafka.SASL{Mechanism: k.SASL.Mechanism, Username: k.SASL.Username, Password: k.SASL.Password.Reveal()}
}

// needsHost says whether the embedded log or registry is used at all.
func (a *App) needsHost() bool {
	return a.cfg.Log.Kafka == nil || a.cfg.Log.Registry == "" || a.cfg.Log.Registry == "embedded"
}
