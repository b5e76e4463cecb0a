package kafka

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// nameSync makes file names durable before an acknowledgement leaves. The broker
// syncs what it writes into files, but never the directories, so after a power
// failure an acknowledged record could lie in a file without a name.
//
// The broker handles one request at a time and calls before() first. So what an
// earlier request touched is finished, and what the newest touched may or may
// not be there yet: both are looked at before any answer is written, and only
// the finished ones are then forgotten. A directory whose modification time has
// not moved has no new name and costs one stat.
type nameSync struct {
	data  string
	fsync func(dir string) error

	mu       sync.Mutex
	newest   []string // directories that the request now being handled may change
	finished []string
	synced   map[string]time.Time
	topics   map[[16]byte]string
	last     *kmsg.ProduceRequest
}

func newNameSync(data string) *nameSync {
	return &nameSync{data: data, fsync: syncDir, synced: map[string]time.Time{}, topics: map[[16]byte]string{}}
}

// before is called by the broker before it handles a request.
func (n *nameSync) before(req kmsg.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.newest) > 0 {
		n.finished = append(n.finished, n.newest...)
		n.newest = n.newest[:0]
	}
	if n.last != nil {
		// The broker remembers the newest request of each connection as long as it
		// lives; the records in it are on disk by now.
		n.last.Topics, n.last = nil, nil
	}
	switch r := req.(type) {
	case *kmsg.ProduceRequest:
		n.last = r
		for _, t := range r.Topics {
			name := t.Topic
			if name == "" {
				name = n.topicName(t.TopicID)
			}
			for _, p := range t.Partitions {
				n.newest = append(n.newest, filepath.Join(n.data, "partitions", url.PathEscape(name)+"-"+strconv.Itoa(int(p.Partition))))
			}
		}
	case *kmsg.CreateTopicsRequest, *kmsg.DeleteTopicsRequest, *kmsg.CreatePartitionsRequest,
		*kmsg.AlterConfigsRequest, *kmsg.IncrementalAlterConfigsRequest, *kmsg.InitProducerIDRequest:
		n.newest = append(n.newest, n.data)
		clear(n.topics)
	}
}

// topicName finds a topic by its id. The file is complete: the broker writes it
// before it answers the request that made the topic.
func (n *nameSync) topicName(id [16]byte) string {
	if name, ok := n.topics[id]; ok {
		return name
	}
	list, err := readTopics(n.data)
	if err != nil {
		return ""
	}
	for _, t := range list {
		n.topics[[16]byte(t.ID)] = t.Name
	}
	return n.topics[id]
}

// flush syncs what changed. It is called before every answer.
func (n *nameSync) flush() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.newest) == 0 && len(n.finished) == 0 {
		return nil
	}
	for _, list := range [][]string{n.finished, n.newest} {
		for _, dir := range list {
			if err := n.sync(dir); err != nil {
				return err
			}
		}
	}
	n.finished = n.finished[:0]
	return nil
}

// sync makes the names in dir durable, and dir's own name the first time.
func (n *nameSync) sync(dir string) error {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // nothing was written into it yet
	}
	if err != nil {
		return err
	}
	at, known := n.synced[dir]
	if known && at.Equal(info.ModTime()) {
		return nil
	}
	if err := n.fsync(dir); err != nil {
		return err
	}
	if !known && dir != n.data {
		for parent := filepath.Dir(dir); ; parent = filepath.Dir(parent) {
			if err := n.fsync(parent); err != nil {
				return err
			}
			if parent == n.data {
				break
			}
		}
	}
	n.synced[dir] = info.ModTime()
	return nil
}

// all syncs every directory of the log.
func (n *nameSync) all() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	err := filepath.WalkDir(n.data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		n.synced[path] = info.ModTime()
		return n.fsync(path)
	})
	if err == nil {
		err = n.fsync(filepath.Dir(n.data))
	}
	if err != nil {
		return fmt.Errorf("sync the log's directories: %w", err)
	}
	return nil
}

// syncListener hands out connections on which no answer leaves before the names
// of new files are durable.
type syncListener struct {
	net.Listener
	names *nameSync
	ready <-chan struct{}
}

// Accept waits for the next connection.
func (l *syncListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	<-l.ready
	return &syncConn{c, l.names}, nil
}

type syncConn struct {
	net.Conn
	names *nameSync
}

// Write sends an answer. When the names cannot be made durable the connection
// fails instead, so the client learns nothing and tries again.
func (c *syncConn) Write(b []byte) (int, error) {
	if err := c.names.flush(); err != nil {
		return 0, fmt.Errorf("sync the log's directories: %w", err)
	}
	return c.Conn.Write(b)
}

// storedTopic is what we need of the broker's own list of topics.
type storedTopic struct {
	Name       string `json:"name"`
	ID         []byte `json:"id"`
	Partitions int    `json:"partitions"`
}

func readTopics(data string) ([]storedTopic, error) {
	text, err := os.ReadFile(filepath.Join(data, "topics.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var file struct {
		Topics []storedTopic `json:"topics"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("read the list of topics: %w", err)
	}
	for _, t := range file.Topics {
		if len(t.ID) != 16 {
			return nil, fmt.Errorf("read the list of topics: topic %s has no id", t.Name)
		}
	}
	return file.Topics, nil
}

// removeOrphans removes partitions of topics that no longer exist. A kill in the
// middle of a deletion leaves them, and a new topic of that name would begin
// with the old one's records.
func removeOrphans(data string) error {
	list, err := readTopics(data)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, t := range list {
		for p := range t.Partitions {
			known[url.PathEscape(t.Name)+"-"+strconv.Itoa(p)] = true
		}
	}
	dir := filepath.Join(data, "partitions")
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() && !known[e.Name()] {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return fmt.Errorf("remove a deleted topic's partition: %w", err)
			}
		}
	}
	return nil
}
