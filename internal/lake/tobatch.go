package lake

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// The metadata columns that become the change columns of a batch.
const (
	metaLSN = "_undrop_lsn"
	metaSeq = "_undrop_seq"
	metaAt  = "_undrop_committed_at"
	metaOp  = "_undrop_op"
)

// ToBatch appends the rows of rec to a batch. Columns are found by field id, or by
// name where rec has no ids; a column that rec does not have is null. Op, LSN, Seq
// and At come from the metadata columns; without an operation column a row is
// undrop.Read.
func ToBatch(rec arrow.RecordBatch, into *batch.Batch) error {
	rows, fields := int(rec.NumRows()), rec.Schema().Fields()
	for i, f := range into.Table.Fields {
		if err := appendColumn(&into.Cols[i], column(rec, fields, f), 0, rows); err != nil {
			return fmt.Errorf("column %s: %w", f.Name, err)
		}
	}
	return appendChange(into, rec)
}

// column finds what holds f in rec, nil if nothing does.
func column(rec arrow.RecordBatch, fields []arrow.Field, f undrop.Field) arrow.Array {
	if i := fieldIndex(fields, f); i >= 0 {
		return rec.Column(i)
	}
	return nil
}

// fieldIndex finds f among arrow fields, -1 if it is not there. The id decides
// where there is one: a column may have had another name when it was written.
func fieldIndex(fields []arrow.Field, f undrop.Field) int {
	named := -1
	for i, have := range fields {
		id, ok := fieldID(have)
		if ok && id == f.ID {
			return i
		}
		if have.Name == f.Name && (!ok || f.ID == 0) {
			named = i
		}
	}
	return named
}

// fieldIDKey is where the Parquet reader keeps field ids.
const fieldIDKey = "PARQUET:field_id"

// fieldID is the Iceberg field id of an arrow field.
func fieldID(f arrow.Field) (int, bool) {
	raw, ok := f.Metadata.GetValue(fieldIDKey)
	if !ok {
		return 0, false
	}
	id, err := strconv.Atoi(raw)
	return id, err == nil && id > 0
}

// appendColumn appends rows [from, to) of a, or nulls when there is no a.
func appendColumn(c *batch.Column, a arrow.Array, from, to int) error {
	if a == nil {
		for range to - from {
			c.AppendNull()
		}
		return nil
	}
	return appendArrow(c, a, from, to)
}

func appendChange(into *batch.Batch, rec arrow.RecordBatch) error {
	named := func(name string) arrow.Array {
		if at := rec.Schema().FieldIndices(name); len(at) == 1 {
			return rec.Column(at[0])
		}
		return nil
	}
	lsn, _ := named(metaLSN).(*array.Int64)
	seq, _ := named(metaSeq).(*array.Int64)
	at, _ := named(metaAt).(*array.Timestamp)
	op, _ := named(metaOp).(*array.String)
	for i := range int(rec.NumRows()) {
		o, p, when := undrop.Read, undrop.Position{}, int64(0)
		if lsn != nil {
			p.CommitLSN = undrop.LSN(lsn.Value(i))
		}
		if seq != nil {
			p.Seq = seq.Value(i)
		}
		if at != nil {
			when = int64(at.Value(i))
		}
		if op != nil {
			if len(op.Value(i)) != 1 {
				return fmt.Errorf("column %s: %q is no operation", metaOp, op.Value(i))
			}
			o = undrop.Op(op.Value(i)[0])
		}
		into.AddRow(o, p, when)
	}
	return nil
}

// appendArrow appends rows [from, to) of a. Types that the schema may have been
// widened from are accepted; anything else is an error, never a rounded value.
func appendArrow(c *batch.Column, a arrow.Array, from, to int) error {
	if e, ok := a.(array.ExtensionArray); ok {
		a = e.Storage()
	}
	switch a := a.(type) {
	case *array.Boolean:
		return appendInts(c, a, from, to, undrop.Bool, func(i int) int64 {
			if a.Value(i) {
				return 1
			}
			return 0
		})
	case *array.Int32:
		if c.Type.Kind == undrop.Int64 {
			return appendInts(c, a, from, to, undrop.Int64, func(i int) int64 { return int64(a.Value(i)) })
		}
		return appendInts(c, a, from, to, undrop.Int32, func(i int) int64 { return int64(a.Value(i)) })
	case *array.Int64:
		return appendInts(c, a, from, to, undrop.Int64, a.Value)
	case *array.Float32:
		if c.Type.Kind == undrop.Float64 {
			return appendInts(c, a, from, to, undrop.Float64, func(i int) int64 { return floatBits(float64(a.Value(i))) })
		}
		return appendInts(c, a, from, to, undrop.Float32, func(i int) int64 { return floatBits(float64(a.Value(i))) })
	case *array.Float64:
		return appendInts(c, a, from, to, undrop.Float64, func(i int) int64 { return floatBits(a.Value(i)) })
	case *array.Date32:
		return appendInts(c, a, from, to, undrop.Date, func(i int) int64 { return int64(a.Value(i)) })
	case *array.Time64:
		if a.DataType().(*arrow.Time64Type).Unit == arrow.Microsecond {
			return appendInts(c, a, from, to, undrop.Time, func(i int) int64 { return int64(a.Value(i)) })
		}
	case *array.Timestamp:
		ts := a.DataType().(*arrow.TimestampType)
		kind := undrop.TimestampTZ
		if ts.TimeZone == "" {
			kind = undrop.Timestamp
		}
		if ts.Unit == arrow.Microsecond {
			return appendInts(c, a, from, to, kind, func(i int) int64 { return int64(a.Value(i)) })
		}
	case *array.Decimal128:
		return appendDecimals(c, a, from, to)
	case *array.String:
		return appendValues(c, a, from, to, undrop.String, func(i int) []byte { return []byte(a.Value(i)) })
	case *array.LargeString:
		return appendValues(c, a, from, to, undrop.String, func(i int) []byte { return []byte(a.Value(i)) })
	case *array.Binary:
		return appendValues(c, a, from, to, undrop.Binary, a.Value)
	case *array.LargeBinary:
		return appendValues(c, a, from, to, undrop.Binary, a.Value)
	case *array.FixedSizeBinary:
		if a.DataType().(*arrow.FixedSizeBinaryType).ByteWidth == 16 {
			return appendValues(c, a, from, to, undrop.UUID, a.Value)
		}
	case *array.Map:
		return appendList(c, a, a.Keys(), a.Items(), from, to)
	case *array.List:
		return appendList(c, a, nil, a.ListValues(), from, to)
	case *array.LargeList:
		return appendList(c, a, nil, a.ListValues(), from, to)
	case *array.Struct:
		return appendStruct(c, a, from, to)
	}
	return mismatch(c, a)
}

func mismatch(c *batch.Column, a arrow.Array) error {
	return fmt.Errorf("cannot read %s as %s", a.DataType(), c.Type)
}

// floatBits is the form that a batch keeps floats in.
func floatBits(f float64) int64 { return int64(math.Float64bits(f)) }

func appendInts(c *batch.Column, a arrow.Array, from, to int, kind undrop.Kind, value func(int) int64) error {
	if c.Type.Kind != kind {
		return mismatch(c, a)
	}
	c.Ints, c.Null = slices.Grow(c.Ints, to-from), slices.Grow(c.Null, to-from)
	for i := from; i < to; i++ {
		if a.IsNull(i) {
			c.AppendNull()
		} else {
			c.AppendInt(value(i))
		}
	}
	return nil
}

func appendValues(c *batch.Column, a arrow.Array, from, to int, kind undrop.Kind, value func(int) []byte) error {
	if c.Type.Kind != kind {
		return mismatch(c, a)
	}
	for i := from; i < to; i++ {
		if a.IsNull(i) {
			c.AppendNull()
		} else {
			c.AppendBytes(value(i))
		}
	}
	return nil
}

func appendDecimals(c *batch.Column, a *array.Decimal128, from, to int) error {
	t := a.DataType().(*arrow.Decimal128Type)
	if c.Type.Kind != undrop.Decimal || int(t.Scale) != c.Type.Scale || int(t.Precision) > c.Type.Precision {
		return mismatch(c, a)
	}
	for i := from; i < to; i++ {
		v := a.Value(i)
		switch {
		case a.IsNull(i):
			c.AppendNull()
		case !c.Type.Fixed():
			c.Data = binary.BigEndian.AppendUint64(c.Data, uint64(v.HighBits()))
			c.Data = binary.BigEndian.AppendUint64(c.Data, v.LowBits())
			c.EndData()
		case v.HighBits() != int64(v.LowBits())>>63:
			return fmt.Errorf("a value does not fit %s", c.Type)
		default:
			c.AppendInt(int64(v.LowBits()))
		}
	}
	return nil
}

// lists is what list and map arrays have in common.
type lists interface {
	arrow.Array
	ValueOffsets(i int) (start, end int64)
}

func appendList(c *batch.Column, a lists, keys, items arrow.Array, from, to int) error {
	if c.Elem == nil || (c.Key != nil) != (keys != nil) {
		return mismatch(c, a)
	}
	for i := from; i < to; i++ {
		if a.IsNull(i) {
			c.AppendNull()
			continue
		}
		start, end := a.ValueOffsets(i)
		if keys != nil {
			if err := appendArrow(c.Key, keys, int(start), int(end)); err != nil {
				return err
			}
		}
		if err := appendArrow(c.Elem, items, int(start), int(end)); err != nil {
			return err
		}
		c.EndList()
	}
	return nil
}

func appendStruct(c *batch.Column, a *array.Struct, from, to int) error {
	if c.Type.Kind != undrop.Struct {
		return mismatch(c, a)
	}
	members := a.DataType().(*arrow.StructType).Fields()
	for i := from; i < to; i++ {
		if a.IsNull(i) {
			c.AppendNull()
			continue
		}
		for f := range c.Fields {
			var child arrow.Array
			if at := fieldIndex(members, c.Type.Fields[f]); at >= 0 {
				child = a.Field(at)
			}
			if err := appendColumn(&c.Fields[f], child, i, i+1); err != nil {
				return fmt.Errorf("%s: %w", c.Type.Fields[f].Name, err)
			}
		}
		c.EndStruct()
	}
	return nil
}
