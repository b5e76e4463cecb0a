package lake

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/iceberg-go"
	"github.com/google/uuid"
	"github.com/twmb/murmur3"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// partition is the place of a file in a partition spec.
type partition struct {
	values  map[int]any    // by partition field id; nil is null
	logical map[int]string // how values that Avro has no own type for are encoded
}

// partitioner computes the partitions of rows. Iceberg's library does so too, but
// with several allocations a row.
type partitioner struct {
	fields []partPart
}

type partPart struct {
	id    int // of the partition field
	col   int // index into Table.Fields
	typ   undrop.Type
	apply iceberg.Transform
	width int64 // of bucket and truncate
}

// newPartitioner prepares for the columns that keep accepts; nil if the spec has
// no partitions.
func newPartitioner(c *WriterConfig, keep func(id int) bool) (*partitioner, error) {
	if c.Spec.IsUnpartitioned() {
		return nil, nil
	}
	p := &partitioner{}
	for _, f := range c.Spec.Fields() {
		part := partPart{id: f.FieldID, col: -1, apply: f.Transform}
		for i, have := range c.Table.Fields {
			if have.ID == f.SourceID() && (keep == nil || keep(have.ID)) {
				part.col, part.typ = i, have.Type
			}
		}
		switch t := f.Transform.(type) {
		case iceberg.VoidTransform:
			p.fields = append(p.fields, part)
			continue
		case iceberg.BucketTransform:
			part.width = int64(t.NumBuckets)
		case iceberg.TruncateTransform:
			part.width = int64(t.Width)
		case iceberg.IdentityTransform, iceberg.YearTransform, iceberg.MonthTransform, iceberg.DayTransform, iceberg.HourTransform:
		default:
			return nil, fmt.Errorf("partition field %s: transform %s is not known", f.Name, f.Transform)
		}
		if part.col < 0 {
			return nil, fmt.Errorf("partition field %s: its column is not among those that are written", f.Name)
		}
		if !f.Transform.CanTransform(icebergType(part.typ)) {
			return nil, fmt.Errorf("partition field %s: %s does not take a %s", f.Name, f.Transform, part.typ)
		}
		p.fields = append(p.fields, part)
	}
	return p, nil
}

// key appends the partition of row i: equal keys are equal partitions.
func (p *partitioner) key(dst []byte, b *batch.Batch, i int) ([]byte, error) {
	for k := range p.fields {
		f := &p.fields[k]
		if _, void := f.apply.(iceberg.VoidTransform); void || b.Cols[f.col].Null[i] {
			dst = append(dst, 0)
			continue
		}
		dst = append(dst, 1)
		c := &b.Cols[f.col]
		if f.typ.Fixed() {
			x, err := f.ofInt(c.Ints[i])
			if err != nil {
				return nil, err
			}
			dst = binary.BigEndian.AppendUint64(dst, uint64(x))
			continue
		}
		v := c.Bytes(i)
		switch f.apply.(type) {
		case iceberg.BucketTransform:
			if f.typ.Kind == undrop.Decimal {
				v = shortDecimal(v)
			}
			dst = binary.BigEndian.AppendUint64(dst, uint64(f.bucket(murmur3.Sum32(v))))
			continue
		case iceberg.TruncateTransform:
			v = f.truncate(v)
		}
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(v)))
		dst = append(dst, v...)
	}
	return dst, nil
}

// bucket is the bucket of a hash.
func (f *partPart) bucket(hash uint32) int64 { return int64(hash&math.MaxInt32) % f.width }

func (f *partPart) ofInt(x int64) (int64, error) {
	switch f.apply.(type) {
	case iceberg.BucketTransform:
		var buf [8]byte
		if f.typ.Kind == undrop.Decimal {
			binary.BigEndian.PutUint64(buf[:], uint64(x))
			return f.bucket(murmur3.Sum32(shortDecimal(buf[:]))), nil
		}
		binary.LittleEndian.PutUint64(buf[:], uint64(x))
		return f.bucket(murmur3.Sum32(buf[:])), nil
	case iceberg.TruncateTransform:
		low := x - floorMod(x, f.width)
		if low > x || f.typ.Kind == undrop.Int32 && low < math.MinInt32 {
			return 0, fmt.Errorf("%d cannot be truncated to a multiple of %d", x, f.width)
		}
		return low, nil
	case iceberg.YearTransform:
		year, _ := f.month(x)
		return year - 1970, nil
	case iceberg.MonthTransform:
		year, month := f.month(x)
		return (year-1970)*12 + month, nil
	case iceberg.DayTransform:
		return f.days(x), nil
	case iceberg.HourTransform:
		return floorDiv(x, time.Hour.Microseconds()), nil
	}
	return x, nil
}

// days is the day of a date or timestamp.
func (f *partPart) days(x int64) int64 {
	if f.typ.Kind == undrop.Date {
		return x
	}
	return floorDiv(x, 24*time.Hour.Microseconds())
}

// month is the year and the month from 0.
func (f *partPart) month(x int64) (year, month int64) {
	t := time.Unix(f.days(x)*86400, 0).UTC()
	return int64(t.Year()), int64(t.Month()) - 1
}

func floorDiv(x, y int64) int64 {
	q := x / y
	if x%y < 0 {
		q--
	}
	return q
}

func floorMod(x, y int64) int64 {
	if m := x % y; m < 0 {
		return m + y
	}
	return x % y
}

func (f *partPart) truncate(v []byte) []byte {
	switch f.typ.Kind {
	case undrop.String:
		n := int64(0)
		for i := 0; i < len(v); n++ {
			if n == f.width {
				return v[:i]
			}
			_, size := utf8.DecodeRune(v[i:])
			i += size
		}
		return v
	case undrop.Decimal:
		n, w := batch.BigFrom16(v), big.NewInt(f.width)
		return batch.AppendBig16(nil, n.Sub(n, new(big.Int).Mod(n, w)))
	default:
		return v[:min(int64(len(v)), f.width)]
	}
}

// describe turns a key back into partition values.
func (p *partitioner) describe(key string) (partition, error) {
	out := partition{values: map[int]any{}, logical: map[int]string{}}
	rest := []byte(key)
	for k := range p.fields {
		f := &p.fields[k]
		if f.col >= 0 {
			if logical := logicalTypes[f.result()]; logical != "" {
				out.logical[f.id] = logical
			}
		}
		null := rest[0] == 0
		if rest = rest[1:]; null {
			out.values[f.id] = nil
			continue
		}
		if f.typ.Fixed() || f.result() == undrop.Int32 {
			out.values[f.id] = f.literal(int64(binary.BigEndian.Uint64(rest)))
			rest = rest[8:]
			continue
		}
		n := binary.BigEndian.Uint32(rest)
		v := rest[4 : 4+n]
		rest = rest[4+n:]
		switch f.typ.Kind {
		case undrop.String:
			out.values[f.id] = string(v)
		case undrop.UUID:
			out.values[f.id] = uuid.UUID(v)
		case undrop.Decimal:
			out.values[f.id] = iceberg.Decimal{Val: decimal128.FromBigInt(batch.BigFrom16(v)), Scale: f.typ.Scale}
		default:
			out.values[f.id] = v
		}
	}
	if len(rest) > 0 {
		return out, errors.New("a partition key is damaged")
	}
	return out, nil
}

// logicalTypes are the names of Avro's logical types.
var logicalTypes = map[undrop.Kind]string{undrop.Date: "date", undrop.Time: "time-micros", undrop.Timestamp: "timestamp-micros",
	undrop.TimestampTZ: "timestamp-micros", undrop.Decimal: "decimal", undrop.UUID: "uuid"}

// result is the kind of the partition value.
func (f *partPart) result() undrop.Kind {
	switch f.apply.(type) {
	case iceberg.BucketTransform, iceberg.YearTransform, iceberg.MonthTransform, iceberg.HourTransform:
		return undrop.Int32
	case iceberg.DayTransform:
		return undrop.Date
	}
	return f.typ.Kind
}

func (f *partPart) literal(x int64) any {
	switch f.result() {
	case undrop.Bool:
		return x != 0
	case undrop.Int32:
		return int32(x)
	case undrop.Float32:
		return float32(math.Float64frombits(uint64(x)))
	case undrop.Float64:
		return math.Float64frombits(uint64(x))
	case undrop.Decimal:
		return iceberg.Decimal{Val: decimal128.FromI64(x), Scale: f.typ.Scale}
	case undrop.Date:
		return iceberg.Date(x)
	case undrop.Time:
		return iceberg.Time(x)
	case undrop.Timestamp, undrop.TimestampTZ:
		return iceberg.Timestamp(x)
	default:
		return x
	}
}
