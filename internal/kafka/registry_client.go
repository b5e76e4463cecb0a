package kafka

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	undrop "github.com/undrop/undrop"

	"github.com/twmb/franz-go/pkg/sr"
)

// UnknownSchema says that a registry answered and has no schema of that id.
type UnknownSchema struct {
	URL string
	ID  int
}

// Error names the id and the registry.
func (e *UnknownSchema) Error() string {
	return fmt.Sprintf("schema registry %s has no schema with id %d", e.URL, e.ID)
}

// RegistryDown says that a registry could not be asked: it may have the answer
// later.
type RegistryDown struct {
	URL string
	Err error
}

// Error names the registry and the cause.
func (e *RegistryDown) Error() string {
	return fmt.Sprintf("schema registry %s does not answer: %v", e.URL, e.Err)
}

// Unwrap gives the cause.
func (e *RegistryDown) Unwrap() error { return e.Err }

// SchemaRefused says that a registry does not take a schema: it cannot parse it,
// or its own compatibility setting is against it.
type SchemaRefused struct {
	URL, Subject, Reason string
}

// Error gives the registry's reason.
func (e *SchemaRefused) Error() string {
	return fmt.Sprintf("schema registry %s refuses the schema of subject %s: %s", e.URL, e.Subject, e.Reason)
}

// RegistryClient asks a schema registry and remembers the answers: an id never
// changes its schema. It is safe for concurrent use.
type RegistryClient struct {
	url string // without credentials
	sr  *sr.Client

	mu   sync.Mutex
	ids  map[[2]string]int
	text map[int]string
}

// NewRegistryClient prepares to ask the registry at an http or https URL, which
// may carry user:password. It does not connect.
func NewRegistryClient(address string) (*RegistryClient, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		// The address may hold a password, so it is not repeated.
		return nil, &undrop.Error{Code: undrop.BadInput, Op: "use a schema registry", Err: errors.New("its address is no http:// or https:// URL"),
			Hint: "set log.registry in undrop.yaml to http://host:8081, or to embedded"}
	}
	opts := []sr.ClientOpt{sr.UserAgent("undrop"), sr.HTTPClient(&http.Client{Timeout: 10 * time.Second})}
	if u.User != nil {
		password, _ := u.User.Password()
		opts = append(opts, sr.BasicAuth(u.User.Username(), password))
		u.User = nil
	}
	opts = append(opts, sr.URLs(u.String()))
	cl, err := sr.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("make schema registry client: %w", err)
	}
	return &RegistryClient{url: u.String(), sr: cl, ids: map[[2]string]int{}, text: map[int]string{}}, nil
}

// Register gives the id of a schema under a subject and registers it when it is
// new there. The error is a *RegistryDown or a *SchemaRefused.
func (c *RegistryClient) Register(ctx context.Context, subject, schema string) (int, error) {
	key := [2]string{subject, schema}
	c.mu.Lock()
	id, ok := c.ids[key]
	c.mu.Unlock()
	if ok {
		return id, nil
	}
	id, err := c.sr.RegisterSchema(ctx, subject, sr.Schema{Schema: schema}, -1, -1)
	if err != nil {
		var answer *sr.ResponseError
		if errors.As(err, &answer) && (answer.StatusCode == http.StatusConflict || answer.StatusCode == http.StatusUnprocessableEntity) {
			return 0, &SchemaRefused{URL: c.url, Subject: subject, Reason: answer.Error()}
		}
		return 0, c.down(ctx, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ids[key] = id
	return id, nil
}

// Schema gives the text of a schema. The error is an *UnknownSchema when the
// registry says that there is none, and a *RegistryDown when it says nothing.
func (c *RegistryClient) Schema(ctx context.Context, id int) (string, error) {
	c.mu.Lock()
	s, ok := c.text[id]
	c.mu.Unlock()
	if ok {
		return s, nil
	}
	got, err := c.sr.SchemaByID(ctx, id)
	if err != nil {
		var answer *sr.ResponseError
		// A bare 404 may come from whatever else listens there; the registry says
		// more than that.
		if errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound && answer.ErrorCode == sr.ErrSchemaNotFound.Code {
			return "", &UnknownSchema{URL: c.url, ID: id}
		}
		return "", c.down(ctx, err)
	}
	if got.Type != sr.TypeAvro {
		return "", fmt.Errorf("schema %d in registry %s is %s, not AVRO", id, c.url, got.Type)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text[id] = got.Schema
	return got.Schema, nil
}

// down is the error for a registry that gave no usable answer.
func (c *RegistryClient) down(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return &RegistryDown{URL: c.url, Err: err}
}
