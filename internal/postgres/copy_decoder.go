package postgres

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// RowStamp is the version that all rows of a snapshot share.
type RowStamp struct {
	Position undrop.Position
	At       int64 // microseconds since 1970-01-01T00:00:00Z, by the source's clock
}

// CopyDecoder fills batches of one contracted table from COPY BINARY tuples. It
// is not safe for concurrent use.
type CopyDecoder struct {
	At RowStamp // of every row that is appended

	table  *undrop.Table
	codecs []codec
	names  []string // source columns
	x      scratch
}

// NewCopyDecoder compiles a decoder. It fails when the relation lacks a
// contracted column or has it in a type that cannot be carried.
func NewCopyDecoder(t *undrop.Table, rel undrop.Relation) (*CopyDecoder, error) {
	d := &CopyDecoder{table: t}
	if len(t.Fields) == 0 {
		return nil, fmt.Errorf("copy %s: the contract names no column", t.SourceRelation())
	}
	for _, f := range t.Fields {
		name := sourceName(f)
		col := relationColumn(rel, name)
		if col == nil {
			return nil, &Drift{Table: t, Reason: fmt.Sprintf("%s has no column %s", t.SourceRelation(), name)}
		}
		c, err := newCodec(f, formOf(*col))
		if err != nil {
			return nil, &Drift{Table: t, Reason: fmt.Sprintf("column %s of %s: %v", name, t.SourceRelation(), err)}
		}
		d.codecs, d.names = append(d.codecs, c), append(d.names, name)
	}
	return d, nil
}

func relationColumn(rel undrop.Relation, name string) *undrop.RelationColumn {
	for i := range rel.Columns {
		if rel.Columns[i].Name == name {
			return &rel.Columns[i]
		}
	}
	return nil
}

// SelectList is what COPY must select, in field order: the binary form where it
// is exact and cheap, the text that the type's output function makes (which is
// what the stream sends) elsewhere.
func (d *CopyDecoder) SelectList() string {
	parts := make([]string, len(d.codecs))
	for i := range d.codecs {
		parts[i] = d.codecs[i].selectTerm(ident(d.names[i]))
	}
	return strings.Join(parts, ", ")
}

func (c *codec) selectTerm(name string) string {
	switch {
	case !c.asText:
		return name
	case c.form.fam == famInet: // the cast to text appends a netmask
		return "pg_catalog.textin(pg_catalog.inet_out(" + name + "))"
	case c.form.fam == famXML: // the cast to text keeps the XML declaration
		return "pg_catalog.textin(pg_catalog.xml_out(" + name + "))"
	case c.form.custom:
		// Someone may have made a cast to text; format() always takes the output
		// function. A record of nulls is not null.
		return "case when " + name + " is not distinct from null then null else pg_catalog.format('%s', " + name + ") end"
	default:
		return name + "::text"
	}
}

// The types that the server may answer with for a text form.
const (
	oidText    = 25
	oidVarchar = 1043
)

// binaryOIDs are the types that a family's binary form belongs to.
var binaryOIDs = map[family][]uint32{
	famText: {25, 1043, 1042, 19, 114}, famBool: {16}, famInt2: {21}, famInt4: {23}, famInt8: {20}, famOid: {26, 28, 29}, famXid8: {5069},
	famFloat4: {700}, famFloat8: {701}, famNumeric: {1700}, famBytea: {17}, famUUID: {2950}, famDate: {1082}, famTime: {1083},
	famTimestamp: {1114}, famTimestampTZ: {1184}, famBit: {1560}, famJSONB: {3802},
}

// expects checks the types of the columns that the server is about to send.
func (d *CopyDecoder) expects(oids []uint32) error {
	if len(oids) != len(d.codecs) {
		return fmt.Errorf("the server sends %d columns for %d", len(oids), len(d.codecs))
	}
	for i, oid := range oids {
		c := &d.codecs[i]
		ok := oid == oidText || oid == oidVarchar
		if !c.asText {
			ok = c.form.fam == famText && oid == c.form.oid // an enum
			for _, known := range binaryOIDs[c.form.fam] {
				ok = ok || oid == known
			}
		}
		if !ok {
			return fmt.Errorf("column %s was %s when the table was looked at and is another type now", d.names[i], c.form.name)
		}
	}
	return nil
}

// copySignature begins every COPY BINARY stream; flags and the length of an
// extension follow.
const copySignature = "PGCOPY\n\xff\r\n\x00"

// header strips the file header from the first message of a COPY.
func (d *CopyDecoder) header(b []byte) ([]byte, error) {
	at := len(copySignature)
	if len(b) < at+8 || string(b[:at]) != copySignature {
		return nil, errors.New("the answer is not in COPY's binary format")
	}
	if flags := binary.BigEndian.Uint32(b[at:]); flags&0xffff0000 != 0 {
		return nil, fmt.Errorf("COPY's binary format has critical flags %#x that are not known", flags)
	}
	extension := int(binary.BigEndian.Uint32(b[at+4:]))
	b = b[at+8:]
	if extension < 0 || extension > len(b) {
		return nil, errors.New("COPY's header is cut off")
	}
	return b[extension:], nil
}

var errTuple = errors.New("tuple is cut off")

// Append appends one tuple as a row (Op Read). A value that the contracted type
// cannot hold is noted in the batch; an error means that the bytes are no tuple
// of this table.
func (d *CopyDecoder) Append(b *batch.Batch, row []byte) error {
	if len(row) < 2 || int(int16(binary.BigEndian.Uint16(row))) != len(d.codecs) {
		return fmt.Errorf("copy %s: tuple does not have %d columns", d.table.SourceRelation(), len(d.codecs))
	}
	at, bad := 2, false
	for i := range d.codecs {
		if len(row)-at < 4 {
			return errTuple
		}
		n := int(int32(binary.BigEndian.Uint32(row[at:])))
		at += 4
		col := &b.Cols[i]
		if n < 0 {
			col.AppendNull()
			continue
		}
		if len(row)-at < n {
			return errTuple
		}
		if !d.codecs[i].appendBinary(col, row[at:at+n], &d.x) {
			if d.x.broken != nil {
				return fmt.Errorf("copy %s: column %s: %w", d.table.SourceRelation(), d.names[i], d.x.broken)
			}
			col.AppendNull()
			b.AddBad(b.Len(), undrop.Violation{Rule: d.x.rule, Path: d.table.Fields[i].Name + d.x.path, Actual: d.x.actual, Detail: d.x.detail})
			bad = true
		}
		at += n
	}
	if at != len(row) {
		return errTuple
	}
	if bad {
		b.SetRaw(b.Len(), d.raw(row))
	}
	b.AddRow(undrop.Read, d.At.Position, d.At.At)
	return nil
}

// raw is the raw form of a whole tuple.
func (d *CopyDecoder) raw(row []byte) string {
	dst, at := []byte{'{'}, 2
	for i := range d.codecs {
		dst = appendRawName(dst, d.names[i])
		n := int(int32(binary.BigEndian.Uint32(row[at:])))
		at += 4
		if n < 0 {
			dst = append(dst, "null"...)
			continue
		}
		c := &d.codecs[i]
		dst = c.appendRaw(dst, c.render(nil, row[at:at+n]), &d.x)
		at += n
	}
	return string(append(dst, '}'))
}
