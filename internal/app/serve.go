package app

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/api"
)

// serve opens the console's port and returns what answers on it until ctx ends.
func (a *App) serve(ctx context.Context) (func() error, error) {
	if a.cfg.Listen == "" {
		return func() error { return nil }, nil
	}
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), &collector{a: a})
	h, err := api.New(api.Config{
		Metrics: metrics, Ready: a.Ready, Log: a.log,
		Status: func(ctx context.Context) (any, error) { return a.Status(ctx) },
		Tables: func(ctx context.Context) (any, error) { t, err := a.Tables(ctx); return TablesAnswer{t}, err },
		Table:  func(ctx context.Context, name string) (any, error) { return a.Table(ctx, name, "") },
		Gaps:   func(context.Context) (any, error) { g, err := a.Gaps(); return GapsAnswer{g}, err },
		Replay: func(ctx context.Context, body json.RawMessage) (any, error) {
			var req ReplayRequest
			if err := decodeRequest(body, &req); err != nil {
				return nil, err
			}
			return a.Replay(ctx, req)
		},
		Discard: func(ctx context.Context, body json.RawMessage) (any, error) {
			var req DiscardRequest
			if err := decodeRequest(body, &req); err != nil {
				return nil, err
			}
			return a.Discard(ctx, req)
		},
	})
	if err != nil {
		return nil, err
	}
	l, err := api.Listen(ctx, "listen", a.cfg.Listen)
	if err != nil {
		return nil, err
	}
	a.serving.Store(true)
	a.log.Info("console", "url", "http://"+l.Addr().String()+"/api/v1/status")
	return func() error { return api.Serve(ctx, l, h, a.log) }, nil
}

func decodeRequest(body json.RawMessage, into any) error {
	if err := json.Unmarshal(body, into); err != nil {
		return &undrop.Error{Code: undrop.BadInput, Op: "read request", Err: fmt.Errorf("%w", err)}
	}
	return nil
}

// collector reads the pipeline's counters when it is asked; nothing is counted
// twice.
type collector struct{ a *App }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("undrop_"+name, help, labels, nil)
}

var (
	descCaptured  = desc("captured_changes_total", "Row changes handed to the log since the process started.", "source")
	descLoaded    = desc("loaded_rows_total", "Snapshot rows read since the process started.", "source")
	descCutLSN    = desc("cut_lsn", "Commit LSN of the newest durable cut.", "source")
	descAckedLSN  = desc("acked_lsn", "LSN that the replication slot was acknowledged to.", "source")
	descStreaming = desc("streaming", "1 while capture streams from the source.", "source")
	descLag       = desc("lag_seconds", "Now minus the source commit time that all tables hold.", "source")
	descChanges   = desc("table_changes_total", "Changes by what became of them, as the table's own account says.", "table", "fate")
	descTableLSN  = desc("table_lsn", "Commit LSN that the table holds.", "table")
	descWaiting   = desc("table_waiting_records", "Records of the log that the table does not hold yet.", "table")
	descState     = desc("table_state", "1 for the state that the table is in.", "table", "state")
	descGaps      = desc("open_gaps", "Known missing ranges that are not closed.")
	descLogBytes  = desc("log_bytes", "Size of the embedded log.")
)

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, v int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	for _, run := range c.a.runs() {
		c.a.mu.Lock()
		capture, apply := run.capture, run.apply
		c.a.mu.Unlock()
		if capture != nil {
			s := &capture.Stats
			count(descCaptured, s.Changes.Load(), run.name)
			count(descLoaded, s.Loaded.Load(), run.name)
			gauge(descCutLSN, float64(s.Cut.Load()), run.name)
			gauge(descAckedLSN, float64(s.Acked.Load()), run.name)
			streaming := 0.0
			if s.Streams.Load() {
				streaming = 1
			}
			gauge(descStreaming, streaming, run.name)
		}
		if apply == nil {
			continue
		}
		if at, ok := apply.Through(); ok {
			gauge(descLag, time.Since(at).Seconds(), run.name)
		}
		for _, s := range apply.States() {
			name := s.Name.String()
			count(descChanges, s.Total.Applied, name, "applied")
			count(descChanges, s.Total.Superseded, name, "superseded")
			count(descChanges, s.Total.Quarantined, name, "quarantined")
			count(descChanges, s.Total.Filtered, name, "filtered")
			gauge(descTableLSN, float64(s.Mark.LSN), name)
			gauge(descWaiting, float64(s.Waiting), name)
			gauge(descState, 1, name, s.State)
		}
	}
	if gaps, err := c.a.OpenGaps(); err == nil {
		gauge(descGaps, float64(len(gaps)))
	}
	if e := c.a.embedded; e != nil && e.broker != nil {
		gauge(descLogBytes, float64(e.broker.Bytes()))
	}
}
