package kafka

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/durable"

	"github.com/twmb/franz-go/pkg/kfake"
)

// EmbeddedConfig places an embedded broker.
type EmbeddedConfig struct {
	Dir      string       // made when missing; one process at a time
	MaxBytes int64        // how large the log may become; 0 means 2 GiB
	Listen   string       // host:port; empty means 127.0.0.1:0, a free port
	Logger   *slog.Logger // default: discard
}

// Embedded is the broker of single-machine mode, see the package comment.
type Embedded struct {
	cfg     EmbeddedConfig
	id      string
	lock    *dirLock
	cluster *kfake.Cluster
	addr    string
	size    *logSize
	names   *nameSync
	warned  atomic.Int64 // unix seconds of the newest warning that the log is full
	closed  atomic.Bool
}

// embeddedCluster begins the cluster id by which clients know an embedded broker.
const embeddedCluster = "undrop.embedded."

// embeddedFormat is the version of what lies in the directory.
const embeddedFormat = 1

// identity is the file that says what the directory is.
type identity struct {
	Format int       `json:"format"`
	LogID  string    `json:"log_id"` // random: a log that was deleted and made again has another
	MadeAt time.Time `json:"made_at"`
}

const (
	defaultEmbeddedBytes = 2 << 30
	minEmbeddedBytes     = 64 << 20
)

// OpenEmbedded starts a broker on what Dir holds, an empty log when it holds
// nothing. After a kill it opens with every record that was acknowledged. It
// refuses a directory that another process has open, one of a newer format, and
// one that holds something else.
func OpenEmbedded(ctx context.Context, cfg EmbeddedConfig) (*Embedded, error) {
	op := "open the embedded log in " + cfg.Dir
	if cfg.Dir == "" {
		return nil, &undrop.Error{Code: undrop.BadInput, Op: "open the embedded log", Err: errors.New("no directory is named"), Hint: "set state in undrop.yaml"}
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = defaultEmbeddedBytes
	}
	if cfg.MaxBytes < minEmbeddedBytes {
		return nil, &undrop.Error{Code: undrop.BadInput, Op: op, Err: fmt.Errorf("a log of at most %d bytes has no room for its own segments", cfg.MaxBytes),
			Hint: "set log.embedded.max_bytes in undrop.yaml to 64MiB or more"}
	}
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
		return nil, &undrop.Error{Code: undrop.Failed, Op: op, Err: err, Hint: "make the directory writable, or set another one with state in undrop.yaml"}
	}
	lock, err := lockDir(cfg.Dir, op)
	if err != nil {
		return nil, err
	}
	e := &Embedded{cfg: cfg, lock: lock}
	if err := e.open(op); err != nil {
		_ = lock.unlock() // the first error is the one that counts
		return nil, err
	}
	return e, nil
}

func (e *Embedded) open(op string) error {
	ident, err := openIdentity(e.cfg.Dir, op)
	if err != nil {
		return err
	}
	e.id = ident.LogID
	data := e.dataDir()
	if err := removeOrphans(data); err != nil {
		return &undrop.Error{Code: undrop.Failed, Op: op, Err: err}
	}
	e.names = newNameSync(data)
	e.size = newLogSize(data, e.cfg.MaxBytes)
	if err := e.size.measure(); err != nil {
		return &undrop.Error{Code: undrop.Failed, Op: op, Err: err}
	}
	ready := make(chan struct{}) // nobody is served before the guard stands
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.ClusterID(embeddedCluster+e.id),
		kfake.DataDir(data),
		kfake.SyncWrites(),
		kfake.WithLogger(brokerLogger{e.cfg.Logger}),
		kfake.BrokerConfigs(e.brokerConfigs()),
		kfake.ListenFn(func(network, _ string) (net.Listener, error) {
			l, err := new(net.ListenConfig).Listen(context.Background(), network, e.cfg.Listen)
			if err != nil {
				return nil, err
			}
			return &syncListener{l, e.names, ready}, nil
		}),
	)
	var busy *net.OpError
	switch {
	case errors.As(err, &busy):
		return &undrop.Error{Code: undrop.Failed, Op: op, Err: err, Hint: "give it another port or let it choose one: log.embedded.listen: 127.0.0.1:0"}
	case err != nil:
		return &undrop.Error{Code: undrop.Damaged, Op: op, Err: err,
			Hint: "move " + e.cfg.Dir + " aside to start with an empty log; tables then open a gap and are loaded again"}
	}
	if err := e.names.all(); err != nil {
		close(ready)
		cluster.Close()
		return &undrop.Error{Code: undrop.Failed, Op: op, Err: err}
	}
	e.cluster, e.addr = cluster, cluster.ListenAddrs()[0]
	cluster.Control(e.guard)
	close(ready)
	return nil
}

func (e *Embedded) dataDir() string { return filepath.Join(e.cfg.Dir, "data") }

// ID is the random id of this log.
func (e *Embedded) ID() string { return e.id }

// Brokers is the address that clients connect to.
func (e *Embedded) Brokers() []string { return []string{e.addr} }

// Bytes is how large the log is on disk.
func (e *Embedded) Bytes() int64 { return e.size.used() }

// MaxBytes is the cap.
func (e *Embedded) MaxBytes() int64 { return e.cfg.MaxBytes }

// Full says that the log has reached its cap or its disk is nearly full. Who
// writes should stop at the next transaction's end until Trim has made room. A
// quarter more is let in, so that what was begun can end; then the broker itself
// makes producers wait.
func (e *Embedded) Full() bool { return e.size.full() }

// Close stops the broker after it has written its state. Clients that are still
// connected see the connection end.
func (e *Embedded) Close() error {
	if e.closed.Swap(true) {
		return nil
	}
	e.cluster.Close()
	return errors.Join(e.names.all(), e.lock.unlock())
}

// openIdentity reads the identity file, or writes it into an empty directory.
func openIdentity(dir, op string) (identity, error) {
	path := filepath.Join(dir, "log.json")
	var id identity
	text, err := os.ReadFile(path)
	switch {
	case err == nil:
		if err := json.Unmarshal(text, &id); err != nil || id.Format < 1 || id.LogID == "" {
			return id, &undrop.Error{Code: undrop.Damaged, Op: op, Err: fmt.Errorf("%s is not the identity of a log: %q", path, text),
				Hint: "restore that file, or move " + dir + " aside to start with an empty log"}
		}
		if id.Format > embeddedFormat {
			return id, &undrop.Error{Code: undrop.Refused, Op: op, Err: fmt.Errorf("it has format %d, this program knows up to %d", id.Format, embeddedFormat),
				Hint: "use the newer program that wrote it"}
		}
		return id, nil
	case !errors.Is(err, fs.ErrNotExist):
		return id, &undrop.Error{Code: undrop.Failed, Op: op, Err: err}
	}
	if _, err := os.Stat(filepath.Join(dir, "data", "meta.json")); err == nil {
		return id, &undrop.Error{Code: undrop.Damaged, Op: op, Err: fmt.Errorf("it holds data, but %s is missing", path),
			Hint: "restore that file, or move " + dir + " aside to start with an empty log"}
	}
	id = identity{Format: embeddedFormat, LogID: rand.Text(), MadeAt: time.Now().UTC().Truncate(time.Second)}
	text, err = json.Marshal(id)
	if err == nil {
		err = durable.WriteFile(path, append(text, '\n'))
	}
	if err != nil {
		return id, &undrop.Error{Code: undrop.Failed, Op: op, Err: err}
	}
	return id, nil
}
