package envelope

import (
	"encoding/binary"
	"encoding/hex"
	"math"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// appendAvroRow appends every column as a union with null.
func (e *encoding) appendAvroRow(dst []byte, b *batch.Batch, row int) []byte {
	if len(b.Unchanged) > 0 {
		if u := b.Unchanged[row]; len(u) > 0 {
			return appendAvroPartial(dst, b, row, u)
		}
	}
	for i := range b.Cols {
		c := &b.Cols[i]
		if c.Null[row] {
			dst = append(dst, 0)
			continue
		}
		switch c.Type.Kind { // the common kinds, without a call
		case undrop.Int32, undrop.Int64, undrop.Date, undrop.Time, undrop.Timestamp, undrop.TimestampTZ:
			dst = appendLong(append(dst, 2), c.Ints[row])
		case undrop.String, undrop.Binary:
			v := c.Data[c.Off[row]:c.Off[row+1]]
			if len(v) < 64 {
				dst = append(dst, 2, byte(len(v)<<1))
			} else {
				dst = appendLong(append(dst, 2), int64(len(v)))
			}
			dst = append(dst, v...)
		default:
			dst = appendAvro(append(dst, 2), c, row)
		}
	}
	return dst
}

// appendAvroPartial does the same for a row with columns that were not sent.
func appendAvroPartial(dst []byte, b *batch.Batch, row int, unchanged []int) []byte {
	for i := range b.Cols {
		c := &b.Cols[i]
		k := c.Type.Kind
		if missing(unchanged, i) && (k == undrop.String || k == undrop.Binary) {
			dst = append(dst, 2, byte(len(Unavailable)<<1))
			dst = append(dst, Unavailable...)
			continue
		}
		dst = appendAvroOptional(dst, c, row)
	}
	return dst
}

func appendAvroOptional(dst []byte, c *batch.Column, row int) []byte {
	if c.Null[row] {
		return append(dst, 0)
	}
	return appendAvro(append(dst, 2), c, row)
}

// appendAvro appends a value that is not null.
func appendAvro(dst []byte, c *batch.Column, row int) []byte {
	switch c.Type.Kind {
	case undrop.Bool:
		return append(dst, byte(c.Ints[row]))
	case undrop.Float32:
		f := float32(math.Float64frombits(uint64(c.Ints[row])))
		return binary.LittleEndian.AppendUint32(dst, math.Float32bits(f))
	case undrop.Float64:
		return binary.LittleEndian.AppendUint64(dst, uint64(c.Ints[row]))
	case undrop.Decimal:
		if small(c.Type) {
			return appendUnscaled(dst, c.Ints[row])
		}
		return appendUnscaled16(dst, c.Bytes(row))
	case undrop.String, undrop.Binary:
		v := c.Bytes(row)
		return append(appendLong(dst, int64(len(v))), v...)
	case undrop.UUID:
		return appendUUID(append(dst, 36<<1), c.Bytes(row))
	case undrop.List:
		return appendAvroBlock(dst, c, row, nil)
	case undrop.Map:
		return appendAvroBlock(dst, c, row, c.Key)
	case undrop.Struct:
		for f := range c.Fields {
			dst = appendAvroOptional(dst, &c.Fields[f], row)
		}
		return dst
	default:
		return appendLong(dst, c.Ints[row])
	}
}

// appendAvroBlock appends the children of a list or map as one block.
func appendAvroBlock(dst []byte, c *batch.Column, row int, key *batch.Column) []byte {
	from, to := int(c.Off[row]), int(c.Off[row+1])
	if from == to {
		return append(dst, 0)
	}
	dst = appendLong(dst, int64(to-from))
	for j := from; j < to; j++ {
		if key != nil {
			dst = appendAvro(dst, key, j)
		}
		dst = appendAvroOptional(dst, c.Elem, j)
	}
	return append(dst, 0)
}

// appendUUID appends the 36 characters of a UUID.
func appendUUID(dst, v []byte) []byte {
	dst = append(hex.AppendEncode(dst, v[0:4]), '-')
	dst = append(hex.AppendEncode(dst, v[4:6]), '-')
	dst = append(hex.AppendEncode(dst, v[6:8]), '-')
	dst = append(hex.AppendEncode(dst, v[8:10]), '-')
	return hex.AppendEncode(dst, v[10:16])
}
