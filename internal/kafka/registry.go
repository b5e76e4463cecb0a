package kafka

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync"

	undrop "github.com/undrop/undrop"

	"github.com/twmb/avro"
)

// Registry is a schema registry with the REST API that Avro serialisers and
// deserialisers of Kafka clients speak. It keeps Avro schemas only, without
// references between them, and checks compatibility only where it is asked to:
// what may change is decided by the contract, before a schema gets here.
//
// An id that was answered stays the id of its schema for ever: it is on disk
// before the answer, and records in the log name their schema by it.
type Registry struct {
	mux  *http.ServeMux
	lock *dirLock

	mu       sync.RWMutex
	log      *registryLog
	schemas  map[int]string // by id, as first registered
	ids      map[string]int // by canonical form
	subjects map[string]*subject
	level    level
	mode     string
	nextID   int
}

// subject is a name under which versions of a schema are kept.
type subject struct {
	versions []version // ascending
	next     int       // the number of the next version: numbers are never used again
	level    level     // empty: the registry's
	mode     string    // empty: the registry's
}

// version is one schema under a subject.
type version struct {
	number, id int
	deleted    bool
}

// change is one line of the file.
type change struct {
	Op      string `json:"op"` // register, delete, purge, level, mode
	Subject string `json:"subject,omitempty"`
	Version int    `json:"version,omitempty"` // delete, purge: 0 is every version
	ID      int    `json:"id,omitempty"`
	Schema  string `json:"schema,omitempty"` // register: only with the first use of its id
	Value   string `json:"value,omitempty"`
}

// NewRegistry opens the registry in dir, a new one when there is none. It
// refuses a directory that another process has open and a file that is damaged.
func NewRegistry(dir string) (*Registry, error) {
	op := "open the schema registry in " + dir
	if dir == "" {
		return nil, &undrop.Error{Code: undrop.BadInput, Op: "open the schema registry", Err: errors.New("no directory is named"), Hint: "set state in undrop.yaml"}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, &undrop.Error{Code: undrop.Failed, Op: op, Err: err, Hint: "make the directory writable, or set another one with state in undrop.yaml"}
	}
	lock, err := lockDir(dir, op)
	if err != nil {
		return nil, err
	}
	r := &Registry{lock: lock, schemas: map[int]string{}, ids: map[string]int{}, subjects: map[string]*subject{}, level: none, mode: "READWRITE", nextID: 1}
	r.log, err = openRegistryLog(dir, op, func(line []byte) error {
		var c change
		if err := json.Unmarshal(line, &c); err != nil {
			return err
		}
		return r.apply(c)
	})
	if err != nil {
		_ = lock.unlock() // the first error is the one that counts
		return nil, err
	}
	r.routes()
	return r, nil
}

// Close ends the registry. Requests that come later fail.
func (r *Registry) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log.err = errors.New("the schema registry is closed")
	return errors.Join(r.log.close(), r.lock.unlock())
}

// commit makes a change durable and then true.
func (r *Registry) commit(c change) error {
	line, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if err := r.log.append(line); err != nil {
		return err
	}
	return r.apply(c)
}

// apply is the only place where the state changes; reading the file goes through
// it as well, so what was answered and what is read after a crash are the same.
func (r *Registry) apply(c change) error {
	switch c.Op {
	case "register":
		if c.Schema != "" {
			key, err := canonical(c.Schema)
			if err != nil {
				return err
			}
			r.schemas[c.ID], r.ids[key] = c.Schema, c.ID
			r.nextID = max(r.nextID, c.ID+1)
		}
		if _, ok := r.schemas[c.ID]; !ok {
			return fmt.Errorf("schema %d is registered without its text", c.ID)
		}
		s := r.subjects[c.Subject]
		if s == nil {
			s = &subject{next: 1}
			r.subjects[c.Subject] = s
		}
		s.versions = append(s.versions, version{number: c.Version, id: c.ID})
		slices.SortFunc(s.versions, func(a, b version) int { return a.number - b.number })
		s.next = max(s.next, c.Version+1)
	case "delete", "purge":
		s := r.subjects[c.Subject]
		if s == nil {
			return fmt.Errorf("subject %q is deleted and was never there", c.Subject)
		}
		if c.Op == "purge" {
			s.versions = slices.DeleteFunc(s.versions, func(v version) bool { return v.deleted && (c.Version == 0 || v.number == c.Version) })
			break
		}
		for i := range s.versions {
			if v := &s.versions[i]; c.Version == 0 || v.number == c.Version {
				v.deleted = true
			}
		}
	case "level", "mode":
		if c.Subject == "" && c.Op == "level" {
			r.level = level(c.Value)
			if c.Value == "" {
				r.level = none
			}
			break
		}
		if c.Subject == "" {
			r.mode = c.Value
			if c.Value == "" {
				r.mode = "READWRITE"
			}
			break
		}
		s := r.subjects[c.Subject]
		if s == nil {
			s = &subject{next: 1}
			r.subjects[c.Subject] = s
		}
		if c.Op == "level" {
			s.level = level(c.Value)
		} else {
			s.mode = c.Value
		}
	default:
		return fmt.Errorf("change %q is not known", c.Op)
	}
	return nil
}

// register gives the schema's id under a subject, a new one when it is new there.
func (r *Registry) register(name, schema string) (int, error) {
	key, err := r.checkSchema(schema)
	if err != nil {
		return 0, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.subjects[name]
	id, known := r.ids[key]
	if v := s.find(id); known && v != nil && !v.deleted {
		return id, nil
	}
	if mode := r.modeOf(s); mode != "READWRITE" {
		return 0, apiError{http.StatusUnprocessableEntity, 42205, fmt.Sprintf("Subject %s is in %s mode", name, mode)}
	}
	against, err := r.levelOf(s).compare(schema, r.living(s))
	if err != nil {
		return 0, apiError{http.StatusUnprocessableEntity, 42201, err.Error()}
	}
	if len(against) > 0 {
		return 0, apiError{http.StatusConflict, 409, "Schema being registered is incompatible with an earlier schema for subject \"" + name + "\": " + against[0]}
	}
	c := change{Op: "register", Subject: name, Version: 1, ID: id}
	if s != nil {
		c.Version = s.next
	}
	if !known {
		c.ID, c.Schema = r.nextID, schema
	}
	if err := r.commit(c); err != nil {
		return 0, err
	}
	return c.ID, nil
}

// checkSchema parses an Avro schema and gives its canonical form.
func (*Registry) checkSchema(schema string) (string, error) {
	key, err := canonical(schema)
	if err == nil {
		_, err = avro.Parse(schema)
	}
	if err != nil {
		return "", apiError{http.StatusUnprocessableEntity, 42201, "Invalid schema: " + err.Error()}
	}
	return key, nil
}

// find is the newest living version with a schema, else a deleted one.
func (s *subject) find(id int) *version {
	if s == nil {
		return nil
	}
	var found *version
	for i := range s.versions {
		if v := &s.versions[i]; v.id == id && (found == nil || found.deleted || !v.deleted) {
			found = v
		}
	}
	return found
}

// living are the schemas of a subject that are not deleted, oldest first.
func (r *Registry) living(s *subject) []string {
	if s == nil {
		return nil
	}
	var list []string
	for _, v := range s.versions {
		if !v.deleted {
			list = append(list, r.schemas[v.id])
		}
	}
	return list
}

func (r *Registry) levelOf(s *subject) level {
	if s != nil && s.level != "" {
		return s.level
	}
	return r.level
}

func (r *Registry) modeOf(s *subject) string {
	if s != nil && s.mode != "" {
		return s.mode
	}
	return r.mode
}
