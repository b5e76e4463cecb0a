package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	undrop "github.com/undrop/undrop"
)

func config() Config {
	return Config{Metrics: prometheus.NewRegistry(), Ready: func() error { return nil }, Log: slog.New(slog.DiscardHandler)}
}

func start(t *testing.T, c Config) string {
	t.Helper()
	h, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func ask(t *testing.T, method, url, body string, header ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

func TestReadinessGivesEveryReason(t *testing.T) {
	c := config()
	var reason error
	c.Ready = func() error { return reason }
	url := start(t, c)
	if status, body := ask(t, "GET", url+"/readyz", ""); status != 200 || !strings.Contains(body, `"ready": true`) {
		t.Errorf("got %d %s", status, body)
	}
	reason = errors.Join(errors.New("core.payments is loading"), errors.New("no slot"))
	if status, body := ask(t, "GET", url+"/readyz", ""); status != 503 || !strings.Contains(body, "core.payments is loading\",\n    \"no slot\"") {
		t.Errorf("got %d %s", status, body)
	}
	if status, _ := ask(t, "GET", url+"/healthz", ""); status != 200 {
		t.Errorf("a process that is not ready is still alive: %d", status)
	}
}

func TestMetrics(t *testing.T) {
	c := config()
	n := prometheus.NewCounter(prometheus.CounterOpts{Name: "undrop_rows_total", Help: "Rows."})
	c.Metrics.MustRegister(n)
	n.Add(3)
	if status, body := ask(t, "GET", start(t, c)+"/metrics", ""); status != 200 || !strings.Contains(body, "undrop_rows_total 3") {
		t.Errorf("got %d %s", status, body)
	}
}

func TestAnswersAndErrors(t *testing.T) {
	c := config()
	c.Status = func(context.Context) (any, error) { return map[string]int{"rows": 1}, nil }
	c.Tables = func(context.Context) (any, error) {
		return nil, fmt.Errorf("list: %w", &undrop.Error{Code: undrop.Refused, Op: "open", Err: errors.New("locked"), Hint: "undrop status"})
	}
	c.Gaps = func(context.Context) (any, error) { return nil, errors.New("disk") }
	c.Table = func(_ context.Context, name string) (any, error) {
		if name != "bank.payments" {
			return nil, &undrop.Error{Code: undrop.BadInput, Op: "show table", Err: fmt.Errorf("no table %s", name)}
		}
		return map[string]string{"name": name}, nil
	}
	c.Replay = func(_ context.Context, body json.RawMessage) (any, error) { return body, nil }
	url := start(t, c)
	for _, tc := range []struct {
		method, path, body string
		header             []string
		status             int
		want               string
	}{
		{"GET", "/api/v1/status", "", nil, 200, `"rows": 1`},
		{"GET", "/api/v1/tables", "", nil, 409, `"message": "list: open: locked",` + "\n    " + `"hint": "undrop status"`},
		{"GET", "/api/v1/gaps", "", nil, 500, `"code": "failed"`},
		{"GET", "/api/v1/tables/bank.payments", "", nil, 200, `"name": "bank.payments"`},
		{"GET", "/api/v1/tables/nope", "", nil, 404, `"op": "show table"`},
		{"POST", "/api/v1/status", "{}", []string{"Content-Type", "application/json"}, 404, `nothing is served at POST /api/v1/status`},
		{"GET", "/nope", "", nil, 404, "nothing is served"},
		{"POST", "/api/v1/quarantine/replay", `{"ids":["a"]}`, []string{"Content-Type", "application/json"}, 200, `"ids"`},
		{"POST", "/api/v1/quarantine/replay", `{"ids":`, []string{"Content-Type", "application/json"}, 400, `"hint": "send one JSON object"`},
		{"POST", "/api/v1/quarantine/replay", `{}`, []string{"Content-Type", "text/plain"}, 415, "must be JSON"},
		{"POST", "/api/v1/quarantine/discard", `{}`, []string{"Content-Type", "application/json"}, 404, "nothing is served"},
		{"POST", "/api/v1/quarantine/replay", `{}`, []string{"Content-Type", "application/json", "Sec-Fetch-Site", "cross-site"}, 403, "another web site"},
		{"GET", "/api/v1/status", "", []string{"Host", "evil.example"}, 403, "localhost"},
		{"GET", "/api/v1/status", "", []string{"Host", "localhost:8080"}, 200, "rows"},
		{"GET", "/api/v1/status", "", []string{"Host", "[::1]:8080"}, 200, "rows"},
	} {
		if status, body := ask(t, tc.method, url+tc.path, tc.body, tc.header...); status != tc.status || !strings.Contains(body, tc.want) {
			t.Errorf("%s %s %v: got %d %s, want %d %s", tc.method, tc.path, tc.header, status, body, tc.status, tc.want)
		}
	}
}

func TestNewChecks(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("an API without metrics is made")
	}
}

func TestPortInUse(t *testing.T) {
	l, err := Listen(t.Context(), "listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = Listen(t.Context(), "listen", l.Addr().String())
	var e *undrop.Error
	if !errors.As(err, &e) || e.Hint == "" || !strings.Contains(err.Error(), "another process has this port") {
		t.Errorf("got %v", err)
	}
}

func TestServeLetsARunningRequestEnd(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	arrived, release := make(chan struct{}), make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-release
		_, _ = io.WriteString(w, "whole")
	})
	ctx, cancel := context.WithCancel(t.Context())
	served, answered := make(chan error, 1), make(chan string, 1)
	go func() { served <- Serve(ctx, l, h, slog.New(slog.DiscardHandler)) }()
	go func() {
		_, body := ask(t, "GET", "http://"+l.Addr().String(), "")
		answered <- body
	}()
	<-arrived
	cancel()
	select {
	case err := <-served:
		t.Fatalf("stopped with a request running: %v", err)
	default:
	}
	close(release)
	if body := <-answered; body != "whole" {
		t.Errorf("got %q", body)
	}
	if err := <-served; err != nil {
		t.Errorf("a clean stop gives %v", err)
	}
}
