package batch

import (
	"encoding/binary"

	undrop "github.com/undrop/undrop"
)

// AppendKey appends the key of row i: two rows have equal bytes exactly if their
// keys are equal. The form is for comparing and hashing inside this program; it
// is neither ordered nor stored. A table without a key uses every column.
func (b *Batch) AppendKey(dst []byte, i int) []byte {
	if len(b.Table.Key) == 0 {
		for c := range b.Cols {
			dst = b.Cols[c].AppendValue(dst, i)
		}
		return dst
	}
	for _, c := range b.Table.Key {
		dst = b.Cols[c].AppendValue(dst, i)
	}
	return dst
}

// AppendValue appends a self-delimiting form of row i.
func (c *Column) AppendValue(dst []byte, i int) []byte {
	if c.Null[i] {
		return append(dst, 0)
	}
	dst = append(dst, 1)
	switch c.Type.Kind {
	case undrop.List, undrop.Map:
		dst = binary.AppendUvarint(dst, uint64(c.Off[i+1]-c.Off[i]))
		for j := int(c.Off[i]); j < int(c.Off[i+1]); j++ {
			if c.Key != nil {
				dst = c.Key.AppendValue(dst, j)
			}
			dst = c.Elem.AppendValue(dst, j)
		}
	case undrop.Struct:
		for f := range c.Fields {
			dst = c.Fields[f].AppendValue(dst, i)
		}
	default:
		if c.Type.Fixed() {
			return binary.LittleEndian.AppendUint64(dst, uint64(c.Ints[i]))
		}
		v := c.Bytes(i)
		dst = binary.AppendUvarint(dst, uint64(len(v)))
		dst = append(dst, v...)
	}
	return dst
}

// EqualFrom reports whether row i of c equals row j of d.
func (c *Column) EqualFrom(i int, d *Column, j int) bool {
	return string(c.AppendValue(nil, i)) == string(d.AppendValue(nil, j))
}
