// Package api serves what undrop knows over HTTP: metrics, health, readiness and
// the JSON answers of the commands. It gets every answer from a function and
// knows no engine; it never sees a secret, so it cannot show one.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Config says where the answers come from. Metrics, Ready and Log are needed; a
// verb whose function is nil is not served.
type Config struct {
	Metrics *prometheus.Registry
	Ready   func() error // nil when ready; joined errors are several reasons
	Status  func(ctx context.Context) (any, error)
	Tables  func(ctx context.Context) (any, error)
	Table   func(ctx context.Context, name string) (any, error)
	Gaps    func(ctx context.Context) (any, error)
	Replay  func(ctx context.Context, request json.RawMessage) (any, error)
	Discard func(ctx context.Context, request json.RawMessage) (any, error)
	Log     *slog.Logger
}

const (
	answerTimeout = 30 * time.Second
	maxRequest    = 1 << 20 // bytes of a request's body
)

type server struct{ Config }

// New makes the handler.
func New(c Config) (http.Handler, error) {
	if c.Metrics == nil || c.Ready == nil || c.Log == nil {
		return nil, errors.New("make API: metrics, readiness and logger are needed")
	}
	s := &server{c}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(c.Metrics, promhttp.HandlerOpts{
		EnableOpenMetrics: true, ErrorLog: slog.NewLogLogger(c.Log.Handler(), slog.LevelError)}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		s.answer(w, http.StatusOK, map[string]string{"status": "alive"})
	})
	mux.HandleFunc("GET /readyz", s.ready)
	s.get(mux, "/api/v1/status", c.Status)
	s.get(mux, "/api/v1/tables", c.Tables)
	s.get(mux, "/api/v1/gaps", c.Gaps)
	if c.Table != nil {
		mux.HandleFunc("GET /api/v1/tables/{name}", s.table)
	}
	s.post(mux, "/api/v1/quarantine/replay", c.Replay)
	s.post(mux, "/api/v1/quarantine/discard", c.Discard)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.answer(w, http.StatusNotFound, failed(Failure{Code: "invalid", Message: fmt.Sprintf("nothing is served at %s %s", r.Method, r.URL.Path)}))
	})
	return s.guard(mux), nil
}

// ready answers 503 with the reasons until the installation can do its work.
func (s *server) ready(w http.ResponseWriter, _ *http.Request) {
	err := s.Ready()
	if err == nil {
		s.answer(w, http.StatusOK, readiness{Ready: true})
		return
	}
	reasons := []string{err.Error()}
	if joined, ok := err.(interface{ Unwrap() []error }); ok { // only the outermost error is a list of reasons
		reasons = reasons[:0]
		for _, one := range joined.Unwrap() {
			reasons = append(reasons, one.Error())
		}
	}
	s.answer(w, http.StatusServiceUnavailable, readiness{Reasons: reasons})
}

type readiness struct {
	Ready   bool     `json:"ready"`
	Reasons []string `json:"reasons,omitempty"`
}

func (s *server) get(mux *http.ServeMux, path string, ask func(context.Context) (any, error)) {
	if ask == nil {
		return
	}
	mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
		defer cancel()
		v, err := ask(ctx)
		s.reply(w, v, err)
	})
}

func (s *server) table(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
	defer cancel()
	v, err := s.Table(ctx, r.PathValue("name"))
	if err != nil && statusOf(err) == http.StatusBadRequest { // the name is the only input
		s.answer(w, http.StatusNotFound, failed(FailureOf(err)))
		return
	}
	s.reply(w, v, err)
}

func (s *server) post(mux *http.ServeMux, path string, do func(context.Context, json.RawMessage) (any, error)) {
	if do == nil {
		return
	}
	mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
		var body json.RawMessage
		dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
		if err := dec.Decode(&body); err != nil {
			s.answer(w, http.StatusBadRequest, failed(Failure{Code: "invalid", Op: "read request", Message: err.Error(), Hint: "send one JSON object"}))
			return
		}
		// A change is not cut short because the one who asked for it went away.
		v, err := do(context.WithoutCancel(r.Context()), body)
		s.reply(w, v, err)
	})
}

func (s *server) reply(w http.ResponseWriter, v any, err error) {
	if err != nil {
		s.answer(w, statusOf(err), failed(FailureOf(err)))
		return
	}
	s.answer(w, http.StatusOK, v)
}

func (s *server) answer(w http.ResponseWriter, status int, v any) {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		s.Log.Error("cannot write an answer as JSON", "err", err)
		status, body = http.StatusInternalServerError, []byte(`{"error":{"code":"failed","message":"the answer cannot be written as JSON"}}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the one who asked may be gone
}
