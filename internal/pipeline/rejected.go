package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
	"github.com/undrop/undrop/internal/catalog"
	"github.com/undrop/undrop/internal/lake"
)

// Rejected is one quarantined change as it stands now.
type Rejected struct {
	RecordID   string             `json:"record_id"`
	Status     string             `json:"status"`
	Table      string             `json:"table"`
	Contract   string             `json:"contract_id"`
	Version    string             `json:"contract_version"`
	Violations []undrop.Violation `json:"violations"`
	Op         string             `json:"op"`
	Key        json.RawMessage    `json:"key"`
	Topic      string             `json:"topic,omitempty"`
	Partition  int64              `json:"partition"`
	Offset     int64              `json:"offset"`
	LSN        undrop.LSN         `json:"lsn"`
	Seq        int64              `json:"seq"`
	At         time.Time          `json:"committed_at"`
	Value      json.RawMessage    `json:"value"`
	Headers    map[string]string  `json:"headers,omitempty"` // hex
	Reason     string             `json:"reason,omitempty"`
	ResolvedAt time.Time          `json:"resolved_at,omitzero"`

	keyBytes []byte
}

// Position of the change.
func (r *Rejected) Position() undrop.Position { return undrop.Position{CommitLSN: r.LSN, Seq: r.Seq} }

// ReadQuarantine reads the quarantine of a namespace, in the order of positions.
// A table that does not exist is an empty quarantine.
func ReadQuarantine(ctx context.Context, l *lake.Lake, namespace string) ([]*Rejected, error) {
	qt := quarantineTable(namespace)
	table, err := l.Load(ctx, qt.TableName)
	if errors.Is(err, catalog.ErrNoTable) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if table.Head("main") == nil {
		return nil, nil
	}
	byID := map[string]*Rejected{}
	verdicts := map[string]*Rejected{}
	b := batch.New(qt)
	for rec, err := range l.Scan(ctx, table, lake.ScanOptions{}) {
		if err != nil {
			return nil, fmt.Errorf("read quarantine %s: %w", qt.TableName, err)
		}
		b.Reset()
		if err := lake.ToBatch(rec, b); err != nil {
			return nil, err
		}
		for i := range b.Len() {
			r := rejectedRow(b, i)
			if r.Status == StatusOpen {
				byID[r.RecordID] = r
			} else {
				verdicts[r.RecordID] = r
			}
		}
	}
	var all []*Rejected
	for id, r := range byID {
		if v := verdicts[id]; v != nil {
			r.Status, r.Reason, r.ResolvedAt = v.Status, v.Reason, v.ResolvedAt
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(x, y *Rejected) int { return x.Position().Compare(y.Position()) })
	return all, nil
}

func rejectedRow(b *batch.Batch, i int) *Rejected {
	str := func(c int) string {
		if b.Cols[c].Null[i] {
			return ""
		}
		return string(b.Cols[c].Bytes(i))
	}
	r := &Rejected{RecordID: str(qRecord), Status: str(qStatus), Table: str(qTable), Contract: str(qContract), Version: str(qVersion),
		Op: str(qOp), Key: rawJSON(str(qKey)), Topic: str(qTopic), Partition: b.Cols[qPartition].Ints[i], Offset: b.Cols[qOffset].Ints[i],
		LSN: b.LSN[i], Seq: b.Seq[i], At: time.UnixMicro(b.At[i]).UTC(), Value: rawJSON(str(qValue)), Reason: str(qReason), keyBytes: []byte(str(qKeyBytes))}
	if !b.Cols[qResolvedAt].Null[i] {
		r.ResolvedAt = time.UnixMicro(b.Cols[qResolvedAt].Ints[i]).UTC()
	}
	// Written by us; a row that says otherwise is shown without them.
	_ = json.Unmarshal([]byte(str(qViolations)), &r.Violations)
	_ = json.Unmarshal([]byte(str(qHeaders)), &r.Headers)
	return r
}

func rawJSON(s string) json.RawMessage {
	if s == "" {
		return json.RawMessage("null")
	}
	return json.RawMessage(s)
}

// loadParked finds the keys of a table that have open records.
func (a *Apply) loadParked(ctx context.Context, t *applied) error {
	t.parked = map[string][]string{}
	if len(t.product.Table.Key) == 0 {
		return nil
	}
	all, err := ReadQuarantine(ctx, a.Lake, t.product.Table.Namespace)
	if err != nil {
		return err
	}
	for _, r := range all {
		if r.Status == StatusOpen && r.Table == t.product.Table.TableName.String() {
			t.parked[string(r.keyBytes)] = append(t.parked[string(r.keyBytes)], r.RecordID)
		}
	}
	return nil
}
