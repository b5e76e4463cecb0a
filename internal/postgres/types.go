package postgres

import (
	"fmt"
	"strconv"
	"strings"

	undrop "github.com/undrop/undrop"
)

// family groups source types whose values have the same forms on the wire.
type family uint8

const (
	famOther       family = iota // known to the server only; carried as its text
	famText                      // text and binary form are the same bytes: text, varchar, char(n), name, enums, json, citext
	famChar                      // "char": one byte, not always a character
	famBool                      //
	famInt2                      //
	famInt4                      //
	famInt8                      //
	famOid                       // oid, xid, cid: unsigned 32 bits
	famXid8                      // unsigned 64 bits
	famFloat4                    //
	famFloat8                    //
	famNumeric                   //
	famBytea                     //
	famUUID                      //
	famDate                      //
	famTime                      //
	famTimestamp                 //
	famTimestampTZ               //
	famBit                       // bit(n)
	famVarbit                    //
	famJSONB                     // binary form: a version byte, then the text
	famXML                       // the cast to text is not the output function
	famInet                      // the cast to text is not the output function
	famHstore                    //
	famVector                    // pgvector: [1,2,3]
	famArray                     //
	famComposite                 //
)

// form says what values of one source type look like.
type form struct {
	fam       family
	name      string // as PostgreSQL spells it, for messages
	oid       uint32 // of the column; a domain's own
	precision int    // famNumeric: 0 when not declared
	scale     int
	bits      int    // famBit: 0 when not known
	custom    bool   // not a type of pg_catalog: someone may have made a cast to text for it
	delim     byte   // between elements of an array of this type; 0: not known
	elem      *form  // famArray; nil: elements that only the server can take apart
	members   []part // famComposite
}

// part is one member of a composite.
type part struct {
	name string
	form form
}

// families maps the spelling of a type, without modifier, to its family.
var families = map[string]family{
	"text": famText, "character varying": famText, "character": famText, "bpchar": famText, "name": famText, "json": famText,
	`"char"`: famChar, "boolean": famBool, "smallint": famInt2, "integer": famInt4, "bigint": famInt8,
	"oid": famOid, "xid": famOid, "cid": famOid, "xid8": famXid8, "real": famFloat4, "double precision": famFloat8,
	"numeric": famNumeric, "bytea": famBytea, "uuid": famUUID, "date": famDate, "time without time zone": famTime,
	"timestamp without time zone": famTimestamp, "timestamp with time zone": famTimestampTZ,
	"bit": famBit, `"bit"`: famBit, "bit varying": famVarbit, "jsonb": famJSONB, "xml": famXML, "inet": famInet,
}

// extensionFamilies are types of extensions, which may be in any schema. Their
// text is checked when it is read: another type of that name does not pass.
var extensionFamilies = map[string]family{"citext": famText, "hstore": famHstore, "vector": famVector}

// commaTypes are types of extensions whose array elements are known to be
// separated by commas.
var commaTypes = map[string]bool{"citext": true, "hstore": true, "vector": true, "ltree": true, "lquery": true, "cube": true, "seg": true}

// formOf reads the description of a column.
func formOf(c undrop.RelationColumn) form {
	base := c.Base
	if base == "" {
		base = c.Type
	}
	array := c.Class == "array"
	if c.Class == "domain" && strings.HasSuffix(base, "[]") {
		array, base = true, strings.TrimSuffix(base, "[]")
	}
	if !array {
		f := scalarForm(base, c)
		f.name, f.oid = c.Type, c.TypeOID
		return f
	}
	f := form{fam: famArray, name: c.Type, oid: c.TypeOID, custom: c.Class == "domain"}
	if strings.HasSuffix(base, "[]") {
		return f // an array of a domain over arrays
	}
	elem := scalarForm(base, c)
	elem.name = base
	f.elem = &elem
	return f
}

// scalarForm reads the spelling of a type below domains that is not an array.
func scalarForm(base string, c undrop.RelationColumn) form {
	plain, args := splitType(base)
	f := form{name: base, delim: ','}
	switch {
	case len(c.Members) > 0:
		f.fam, f.custom = famComposite, true
		for _, m := range c.Members {
			f.members = append(f.members, part{m.Name, formOf(m)})
		}
		return f
	case len(c.Enum) > 0, c.Class == "enum":
		f.fam, f.custom = famText, c.Class == "domain"
		return f
	case strings.Contains(plain, "."): // qualified, so not in pg_catalog
		name := strings.Trim(plain[strings.LastIndexByte(plain, '.')+1:], `"`)
		f.fam, f.custom = extensionFamilies[name], true
		if f.fam == famOther && !commaTypes[name] && c.Class != "range" {
			f.delim = 0
		}
		return f
	}
	f.fam = families[plain]
	switch f.fam {
	case famNumeric:
		if len(args) == 2 {
			f.precision, f.scale = args[0], args[1]
		}
	case famBit:
		if len(args) == 1 {
			f.bits = args[0]
		}
	}
	if plain == "box" {
		f.delim = ';'
	}
	return f
}

// splitType takes "timestamp(3) without time zone" apart.
func splitType(spelling string) (plain string, args []int) {
	before, rest, ok := strings.Cut(spelling, "(")
	if !ok {
		return spelling, nil
	}
	inside, after, ok := strings.Cut(rest, ")")
	if !ok {
		return spelling, nil
	}
	for s := range strings.SplitSeq(inside, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil {
			return spelling, nil
		}
		args = append(args, n)
	}
	return before + after, args
}

// Fits says why the values of a live column cannot be carried by a contracted
// field; nil if they can. Whether a single value fits (a NaN, a numeric without
// a declared scale) is decided row by row.
func Fits(f undrop.Field, c undrop.RelationColumn) error {
	_, err := newCodec(f, formOf(c))
	return err
}

// RelColumn is a column as the stream's RELATION message names it.
type RelColumn struct {
	Name   string
	OID    uint32
	Typmod int32
	Key    bool // part of the replica identity

	// Described is what the server says about a type that is not built in; nil
	// for one that is, or that is gone.
	Described *undrop.RelationColumn
}

func (c RelColumn) form() form {
	if c.Described != nil {
		return formOf(*c.Described)
	}
	col, ok := builtin(c.OID, c.Typmod)
	if !ok {
		return form{fam: famOther, name: fmt.Sprintf("type %d, which no longer exists", c.OID), oid: c.OID, custom: true}
	}
	return formOf(col)
}

// builtinTypes are the types whose oids are the same in every database, by
// spelling; the second oid is that of the array.
var builtinTypes = map[string][2]uint32{
	"boolean": {16, 1000}, "bytea": {17, 1001}, `"char"`: {18, 1002}, "name": {19, 1003}, "bigint": {20, 1016}, "smallint": {21, 1005},
	"integer": {23, 1007}, "text": {25, 1009}, "oid": {26, 1028}, "tid": {27, 1010}, "xid": {28, 1011}, "cid": {29, 1012},
	"json": {114, 199}, "xml": {142, 143}, "point": {600, 1017}, "lseg": {601, 1018}, "path": {602, 1019}, "box": {603, 1020},
	"polygon": {604, 1027}, "cidr": {650, 651}, "real": {700, 1021}, "double precision": {701, 1022}, "circle": {718, 719},
	"macaddr8": {774, 775}, "money": {790, 791}, "macaddr": {829, 1040}, "inet": {869, 1041}, "character": {1042, 1014},
	"character varying": {1043, 1015}, "date": {1082, 1182}, "time without time zone": {1083, 1183},
	"timestamp without time zone": {1114, 1115}, "timestamp with time zone": {1184, 1185}, "interval": {1186, 1187},
	"time with time zone": {1266, 1270}, "bit": {1560, 1561}, "bit varying": {1562, 1563}, "numeric": {1700, 1231},
	"uuid": {2950, 2951}, "pg_lsn": {3220, 3221}, "tsvector": {3614, 3643}, "tsquery": {3615, 3645}, "jsonb": {3802, 3807},
	"jsonpath": {4072, 4073}, "xid8": {5069, 271},
}

// builtinNames is builtinTypes by oid; arrays end in [].
var builtinNames = func() map[uint32]string {
	m := make(map[uint32]string, 2*len(builtinTypes))
	for name, oids := range builtinTypes {
		m[oids[0]], m[oids[1]] = name, name+"[]"
	}
	return m
}()

// builtin describes a built-in type by its oid.
func builtin(oid uint32, typmod int32) (undrop.RelationColumn, bool) {
	name, ok := builtinNames[oid]
	if !ok {
		return undrop.RelationColumn{}, false
	}
	base, array := strings.CutSuffix(name, "[]")
	if typmod >= 0 {
		switch base {
		case "numeric":
			// Since PostgreSQL 15 a scale is an 11-bit signed number.
			m := typmod - 4
			base = fmt.Sprintf("numeric(%d,%d)", m>>16&0xffff, (m&0x7ff^1024)-1024)
		case "bit":
			base = fmt.Sprintf("bit(%d)", typmod)
		}
	} else if base == "bit" {
		base = `"bit"` // of any length
	}
	c := undrop.RelationColumn{Type: base, TypeOID: oid, Typmod: typmod, Class: "base", Base: base}
	if array {
		c.Type, c.Class = base+"[]", "array"
	}
	return c, true
}
