package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
	"github.com/undrop/undrop/internal/envelope"
	"github.com/undrop/undrop/internal/lake"
)

// The columns of a quarantine table. It only grows: a row that was replayed or
// discarded gets another row with the same record_id, and the newest counts.
const (
	qRecord = iota
	qStatus
	qTable
	qContract
	qVersion
	qRule
	qPath
	qActual
	qViolations
	qOp
	qKey
	qKeyBytes
	qTopic
	qPartition
	qOffset
	qValue
	qHeaders
	qReason
	qResolvedAt
)

// The states of a quarantined row.
const (
	StatusOpen      = "open"
	StatusReplayed  = "replayed"
	StatusDiscarded = "discarded"
	// StatusSuperseded is a change that a newer good one of its key made pointless
	// (undrop.onBadKey: latest).
	StatusSuperseded = "superseded"
)

// quarantineTable describes the quarantine of a namespace.
func quarantineTable(namespace string) *undrop.Table {
	str := undrop.Type{Kind: undrop.String}
	t := &undrop.Table{TableName: undrop.TableName{Namespace: namespace, Name: "quarantine"}, Mode: undrop.Events,
		Contract: undrop.ContractRef{ID: "undrop.quarantine", Version: "1"}}
	for i, f := range []undrop.Field{
		{Name: "record_id", Type: str, Required: true, Doc: "one rejected change; equal for all rows about it"},
		{Name: "status", Type: str, Required: true, Doc: "open, replayed or discarded; the newest row of a record counts"},
		{Name: "table_name", Type: str, Required: true},
		{Name: "contract_id", Type: str, Required: true},
		{Name: "contract_version", Type: str, Required: true},
		{Name: "rule", Type: str, Required: true, Doc: "the first broken rule"},
		{Name: "path", Type: str, Doc: "the column it broke in"},
		{Name: "actual", Type: str, Doc: "the value as the source wrote it"},
		{Name: "violations", Type: str, Required: true, Doc: "all broken rules, JSON"},
		{Name: "op", Type: str, Required: true},
		{Name: "key", Type: str, Doc: "key columns, JSON"},
		{Name: "key_bytes", Type: undrop.Type{Kind: undrop.Binary}},
		{Name: "topic", Type: str},
		{Name: "partition", Type: undrop.Type{Kind: undrop.Int32}},
		{Name: "offset", Type: undrop.Type{Kind: undrop.Int64}},
		{Name: "value", Type: str, Required: true, Doc: "the change as a JSON envelope"},
		{Name: "headers", Type: str, Doc: "what the envelope cannot say, JSON"},
		{Name: "reason", Type: str, Doc: "why it was discarded"},
		{Name: "resolved_at", Type: undrop.Type{Kind: undrop.TimestampTZ}},
	} {
		f.ID = i + 1
		t.Fields = append(t.Fields, f)
	}
	return t
}

// origin is where a rejected change was read.
type origin struct {
	topic     string // "" for a snapshot row of the direct lane
	partition int32
	offset    int64
	lane      undrop.Lane
}

// quarantiner collects the rejected rows of one table for one commit.
type quarantiner struct {
	table    *undrop.Table // the mart table
	rows     *batch.Batch  // rows of the quarantine table
	encoder  *envelope.Encoder
	count    int64 // changes put aside
	resolved int64 // rows that say what became of an earlier one
	lane     undrop.Lane
}

func newQuarantiner(t *undrop.Table) *quarantiner {
	return &quarantiner{table: t, lane: undrop.LaneStream}
}

// split puts the bad rows of a snapshot batch aside and returns the good ones,
// nil when all are good.
func (q *quarantiner) split(b *batch.Batch) ([]int32, error) {
	if len(b.Bad) == 0 {
		return nil, nil
	}
	good := []int32{}
	for i := range b.Len() {
		if len(b.Bad[i]) == 0 {
			good = append(good, int32(i))
			continue
		}
		if _, err := q.add(b, i, origin{lane: undrop.LaneSnapshot}); err != nil {
			return nil, err
		}
	}
	return good, nil
}

// add puts row i of b aside and returns its record id.
func (q *quarantiner) add(b *batch.Batch, i int, o origin) (string, error) {
	if q.rows == nil {
		q.rows = batch.New(quarantineTable(q.table.Namespace))
	}
	if q.encoder == nil { // rows may be there from resolve
		q.encoder = envelope.NewEncoder(q.table, envelope.JSON, 0, 0, envelope.SourceInfo{Name: q.table.Source})
	}
	q.lane = o.lane
	violations, err := json.Marshal(b.Bad[i])
	if err != nil {
		return "", fmt.Errorf("quarantine a row of %s: %w", q.table.TableName, err)
	}
	headers, err := json.Marshal(headerMap(q.encoder, b, i))
	if err != nil {
		return "", fmt.Errorf("quarantine a row of %s: %w", q.table.TableName, err)
	}
	first := b.Bad[i][0]
	keyBytes := b.AppendKey(nil, i)
	c := q.rows.Cols
	record := recordID(q.table.TableName, b.Position(i), b.Op[i], keyBytes, o)
	c[qRecord].AppendString(record)
	c[qStatus].AppendString(StatusOpen)
	c[qTable].AppendString(q.table.TableName.String())
	c[qContract].AppendString(q.table.Contract.ID)
	c[qVersion].AppendString(q.table.Contract.Version)
	c[qRule].AppendString(first.Rule)
	c[qPath].AppendString(text(first.Path))
	c[qActual].AppendString(text(first.Actual))
	c[qViolations].AppendBytes(violations)
	c[qOp].AppendString(b.Op[i].String())
	c[qKey].AppendString(keyJSON(b, i))
	c[qKeyBytes].AppendBytes(keyBytes)
	if o.topic == "" {
		c[qTopic].AppendNull()
		c[qPartition].AppendNull()
		c[qOffset].AppendNull()
	} else {
		c[qTopic].AppendString(o.topic)
		c[qPartition].AppendInt(int64(o.partition))
		c[qOffset].AppendInt(o.offset)
	}
	c[qValue].AppendBytes(q.encoder.AppendValue(nil, b, i))
	c[qHeaders].AppendBytes(headers)
	c[qReason].AppendNull()
	c[qResolvedAt].AppendNull()
	q.rows.AddRow(undrop.Create, b.Position(i), b.At[i])
	q.count++
	return record, nil
}

// resolve notes what became of a record.
func (q *quarantiner) resolve(record, status, reason string, at time.Time) {
	if q.rows == nil {
		q.rows = batch.New(quarantineTable(q.table.Namespace))
	}
	for i := range q.rows.Cols {
		q.rows.Cols[i].AppendNull()
	}
	c := q.rows.Cols
	put := func(col int, v string) {
		c[col].Truncate(c[col].Rows() - 1)
		c[col].AppendString(v)
	}
	put(qRecord, record)
	put(qStatus, status)
	put(qTable, q.table.TableName.String())
	put(qContract, q.table.Contract.ID)
	put(qVersion, q.table.Contract.Version)
	for _, col := range []int{qRule, qViolations, qOp, qValue} {
		put(col, "")
	}
	if reason != "" {
		put(qReason, text(reason))
	}
	c[qResolvedAt].Truncate(c[qResolvedAt].Rows() - 1)
	c[qResolvedAt].AppendInt(at.UnixMicro())
	q.rows.AddRow(undrop.Update, undrop.Position{}, at.UnixMicro())
	q.resolved++
}

// opened is the position of each record that was put aside here.
func (q *quarantiner) opened() map[string]undrop.Position {
	at := map[string]undrop.Position{}
	if q.rows == nil {
		return at
	}
	for i := range q.rows.Len() {
		if q.rows.Op[i] == undrop.Create {
			at[string(q.rows.Cols[qRecord].Bytes(i))] = q.rows.Position(i)
		}
	}
	return at
}

// empty reports whether there is nothing to commit.
func (q *quarantiner) empty() bool { return q == nil || q.count+q.resolved == 0 }

// text makes any bytes a valid string for a table.
func text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\\u0000")
}

// headerMap is what the envelope leaves to headers.
func headerMap(e *envelope.Encoder, b *batch.Batch, i int) map[string]string {
	m := map[string]string{}
	for _, h := range e.Headers(nil, b, i) {
		m[h.Key] = hex.EncodeToString(h.Value)
	}
	return m
}

func keyJSON(b *batch.Batch, i int) string {
	dst := []byte{'{'}
	for n, k := range b.Table.Key {
		if n > 0 {
			dst = append(dst, ',')
		}
		name, _ := json.Marshal(b.Table.Fields[k].Name) // strings always marshal
		dst = append(append(dst, name...), ':')
		dst = b.Cols[k].AppendJSON(dst, i)
	}
	return string(append(dst, '}'))
}

// recordID is the same for a change however often it is read.
func recordID(t undrop.TableName, p undrop.Position, op undrop.Op, key []byte, o origin) string {
	h := sha256.New()
	h.Write([]byte(t.String()))
	var buf []byte
	buf = binary.BigEndian.AppendUint64(buf, uint64(p.CommitLSN))
	buf = binary.BigEndian.AppendUint64(buf, uint64(p.Seq))
	buf = append(buf, byte(op))
	h.Write(buf)
	h.Write(key)
	if p == (undrop.Position{}) {
		fmt.Fprintf(h, "%s %d %d", o.topic, o.partition, o.offset)
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// stageQuarantines makes the commits of collected rows, one per namespace.
func stageQuarantines(ctx context.Context, l *lake.Lake, qs ...*quarantiner) ([]*lake.Stage, error) {
	var stages []*lake.Stage
	for n, q := range qs {
		if q.empty() {
			continue
		}
		ns := q.table.Namespace
		if slices.ContainsFunc(qs[:n], func(p *quarantiner) bool { return !p.empty() && p.table.Namespace == ns }) {
			continue // written with the first of its namespace
		}
		qt := quarantineTable(ns)
		table, err := l.Ensure(ctx, qt, nil)
		if err != nil {
			return nil, err
		}
		w, err := lake.NewWriter(l.WriterConfig(table, qt, q.table.Source))
		if err != nil {
			return nil, err
		}
		for _, p := range qs[n:] {
			if p.empty() || p.table.Namespace != ns {
				continue
			}
			if err := w.Write(p.rows, nil, p.lane); err != nil {
				w.Abort()
				return nil, err
			}
		}
		files, err := w.Close()
		if err != nil {
			return nil, err
		}
		s := &lake.Stage{Table: table, Branch: "main", ParentOf: "main", Data: files, Summary: map[string]string{}}
		putSummary(s.Summary, undrop.SummaryLane, q.lane)
		stages = append(stages, s)
	}
	return stages, nil
}
