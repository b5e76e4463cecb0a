package pipeline

import (
	"fmt"
	"strings"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
	"github.com/undrop/undrop/internal/envelope"
	"github.com/undrop/undrop/internal/kafka"
)

// driftRule marks a row of a source table that no longer fitted its contract: it
// is in the log as the source's own text.
const driftRule = "schema.drift"

// undrift reads a drifted row by the present contract, if that is another version
// than the one that it did not fit. Otherwise the table halts before the row, and
// goes on with it when there is a version that fits.
func (l *lane) undrift(b *batch.Batch, at int, rec *kafka.Record) error {
	reason := ""
	for _, v := range b.Bad[at] {
		if v.Rule == driftRule {
			reason = v.Detail
		}
	}
	if reason == "" {
		return nil
	}
	op, pos, when, raw := b.Op[at], b.Position(at), b.At[at], b.Raw[at]
	dropFrom(b, at)
	halt := fmt.Errorf("the source table no longer fits the contract: %s", reason)
	if l.in.raw == nil || raw == "" || contractVersion(rec) == l.in.product.Table.Contract.Version {
		return halt
	}
	if err := l.in.raw(b, op, pos, when, raw); err != nil {
		dropFrom(b, at)
		return fmt.Errorf("%w; version %s of the contract cannot read it either: %w", halt, l.in.product.Table.Contract.Version, err)
	}
	// A value that was not sent is one that an UPDATE left as it was, unless the
	// source had no such column.
	for _, i := range b.Unchanged[at] {
		name := l.in.product.Table.Fields[i].Source
		if name == "" {
			name = l.in.product.Table.Fields[i].Name
		}
		if op != undrop.Update || strings.Contains(reason, "column "+name+" is gone") {
			dropFrom(b, at)
			return halt
		}
	}
	return nil
}

// contractVersion is the version under which a record was captured.
func contractVersion(rec *kafka.Record) string {
	for _, h := range rec.Headers {
		if h.Key == envelope.HeaderVersion {
			return string(h.Value)
		}
	}
	return ""
}

// dropFrom takes the last row out of a batch, whole or only begun, whose index
// is at.
func dropFrom(b *batch.Batch, at int) {
	for i := range b.Cols {
		if b.Cols[i].Rows() > at {
			b.Cols[i].Truncate(at)
		}
	}
	b.Op, b.LSN, b.Seq, b.At = b.Op[:at], b.LSN[:at], b.Seq[:at], b.At[:at]
	delete(b.Bad, at)
	delete(b.Unchanged, at)
	delete(b.PrevKey, at)
	delete(b.Raw, at)
}
