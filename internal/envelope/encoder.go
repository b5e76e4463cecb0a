package envelope

import (
	"encoding/binary"
	"encoding/json"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// Encoder writes the records of one table. It is not safe for concurrent use;
// Clone gives another goroutine its own.
type Encoder struct {
	*encoding
	headerArena
}

// encoding is what is the same for every row: compiled once, never changed.
type encoding struct {
	table  *undrop.Table
	format Format
	key    []byte // frame of a key
	value  []byte // frame of a value

	// The source block between the parts that differ from row to row.
	origin   []byte // up to ts_ms
	live     []byte // from there up to ts_us, for a change
	snapshot []byte // the same for a snapshot row
	relation []byte // up to lsn
	xmin     []byte // up to seq

	names   [][]byte // JSON: `"amount":`, by column
	headers fixedHeaders
}

// NewEncoder compiles an encoder. keyID and valueID are the ids that the registry
// gave KeySchema and ValueSchema; JSON does not use them.
func NewEncoder(t *undrop.Table, f Format, keyID, valueID int, src SourceInfo) *Encoder {
	e := &encoding{table: t, format: f, headers: newFixedHeaders(t)}
	if f == JSON {
		e.compileJSON(src)
	} else {
		e.compileAvro(keyID, valueID, src)
	}
	return &Encoder{encoding: e}
}

// Clone is an encoder of the same table for another goroutine.
func (e *Encoder) Clone() *Encoder { return &Encoder{encoding: e.encoding} }

func (e *encoding) compileAvro(keyID, valueID int, src SourceInfo) {
	frame := func(id int) []byte { return binary.BigEndian.AppendUint32([]byte{0}, uint32(id)) }
	str := func(dst []byte, s string) []byte { return append(appendLong(dst, int64(len(s))), s...) }
	e.key, e.value = frame(keyID), frame(valueID)
	e.origin = str(str(str(nil, src.Version), "postgresql"), src.Name)
	between := func(snapshot string) []byte {
		b := str(str([]byte{2}, snapshot), src.Database)
		return append(b, 0, 2) // no sequence; ts_us follows
	}
	e.live, e.snapshot = between("false"), between("true")
	e.relation = append(str(str(nil, e.table.Schema), e.table.Relation), 0, 2) // no txId; lsn follows
	e.xmin = []byte{0, 2}                                                      // no xmin; seq follows
}

func (e *encoding) compileJSON(src SourceInfo) {
	q := func(s string) string { return string(appendJSONString(nil, []byte(s))) }
	e.origin = []byte(`"source":{"version":` + q(src.Version) + `,"connector":"postgresql","name":` + q(src.Name) + `,"ts_ms":`)
	between := func(snapshot string) []byte {
		return []byte(`,"snapshot":"` + snapshot + `","db":` + q(src.Database) + `,"sequence":null,"ts_us":`)
	}
	e.live, e.snapshot = between("false"), between("true")
	e.relation = []byte(`,"schema":` + q(e.table.Schema) + `,"table":` + q(e.table.Relation) + `,"txId":null,"lsn":`)
	e.xmin = []byte(`,"xmin":null,"seq":`)
	for _, f := range e.table.Fields {
		e.names = append(e.names, append(appendJSONString(nil, []byte(f.Name)), ':'))
	}
}

// AppendKey appends the key of a row. A row without one appends nothing: its
// table has no key, or the row is so bad that its key is not known in full.
func (e *Encoder) AppendKey(dst []byte, b *batch.Batch, row int) []byte {
	keys := e.table.Key
	if len(keys) == 0 {
		return dst
	}
	for _, k := range keys {
		if b.Cols[k].Null[row] {
			return dst
		}
	}
	if e.format == JSON {
		for i, k := range keys {
			dst = append(dst, "{,"[min(i, 1)])
			dst = append(dst, e.names[k]...)
			dst = appendJSON(dst, &b.Cols[k], row)
		}
		return append(dst, '}')
	}
	dst = append(dst, e.key...)
	for _, k := range keys {
		dst = appendAvro(dst, &b.Cols[k], row)
	}
	return dst
}

// AppendValue appends the envelope of a row. A delete has its values in before, a
// truncate has none, everything else has them in after.
func (e *Encoder) AppendValue(dst []byte, b *batch.Batch, row int) []byte {
	if e.format == JSON {
		return e.appendJSONValue(dst, b, row)
	}
	dst = append(dst, e.value...)
	between := e.live
	switch b.Op[row] {
	case undrop.Truncate:
		dst = append(dst, 0, 0)
	case undrop.Delete:
		dst = e.appendAvroRow(append(dst, 2), b, row)
		dst = append(dst, 0)
	case undrop.Read:
		between = e.snapshot
		fallthrough
	default:
		dst = e.appendAvroRow(append(dst, 0, 2), b, row)
	}
	at := b.At[row]
	ms := millis(at)
	dst = append(dst, e.origin...)
	dst = appendLong(dst, ms)
	dst = append(dst, between...)
	dst = appendLong(dst, at)
	dst = append(dst, e.relation...)
	dst = appendLong(dst, int64(b.LSN[row]))
	dst = append(dst, e.xmin...)
	dst = appendLong(dst, b.Seq[row])
	dst = append(dst, 2, byte(b.Op[row]), 2)
	dst = appendLong(dst, ms)
	return append(dst, 0) // no transaction block
}

func (e *Encoder) appendJSONValue(dst []byte, b *batch.Batch, row int) []byte {
	dst = append(dst, `{"before":`...)
	between := e.live
	switch b.Op[row] {
	case undrop.Truncate:
		dst = append(dst, `null,"after":null,`...)
	case undrop.Delete:
		dst = append(e.appendJSONRow(dst, b, row), `,"after":null,`...)
	case undrop.Read:
		between = e.snapshot
		fallthrough
	default:
		dst = append(dst, `null,"after":`...)
		dst = append(e.appendJSONRow(dst, b, row), ',')
	}
	at := b.At[row]
	ms := millis(at)
	dst = append(dst, e.origin...)
	dst = appendJSONLong(dst, ms)
	dst = append(dst, between...)
	dst = appendJSONLong(dst, at)
	dst = append(dst, e.relation...)
	dst = appendJSONLong(dst, int64(b.LSN[row]))
	dst = append(dst, e.xmin...)
	dst = appendJSONLong(dst, b.Seq[row])
	dst = append(dst, `},"op":"`...)
	dst = append(dst, byte(b.Op[row]))
	dst = append(dst, `","ts_ms":`...)
	dst = appendJSONLong(dst, ms)
	return append(dst, `,"transaction":null}`...)
}

// millis rounds down, also before 1970; the exact time is in ts_us.
func millis(micros int64) int64 {
	ms := micros / 1000
	if micros%1000 < 0 {
		ms--
	}
	return ms
}

// missing reports whether column c of a row is marked as unchanged.
func missing(unchanged []int, c int) bool {
	for _, u := range unchanged {
		if u == c {
			return true
		}
	}
	return false
}

// appendJSONString appends s, which is UTF-8, as a JSON string.
func appendJSONString(dst, s []byte) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	from := 0
	for i, b := range s {
		if b >= 0x20 && b != '"' && b != '\\' {
			continue
		}
		dst = append(dst, s[from:i]...)
		from = i + 1
		switch b {
		case '"', '\\':
			dst = append(dst, '\\', b)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\t':
			dst = append(dst, '\\', 't')
		case '\r':
			dst = append(dst, '\\', 'r')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[b>>4], hex[b&15])
		}
	}
	return append(append(dst, s[from:]...), '"')
}

// appendJSONNames appends the names of columns as a JSON array.
func appendJSONNames(dst []byte, t *undrop.Table, cols []int) []byte {
	dst = append(dst, '[')
	for i, c := range cols {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendJSONString(dst, []byte(t.Fields[c].Name))
	}
	return append(dst, ']')
}

func parseJSONNames(v []byte) ([]string, error) {
	var names []string
	err := json.Unmarshal(v, &names)
	return names, err
}
