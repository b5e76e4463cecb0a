package postgres

import (
	"fmt"
	"math"
	"strings"

	undrop "github.com/undrop/undrop"
)

// op is what a codec does with a value.
type op uint8

const (
	opText op = iota
	opBool
	opBoolText // a boolean contracted as string: true or false, as a cast gives it
	opInt
	opIntDecimal
	opFloat4
	opFloat8
	opNumeric
	opBytes
	opBits
	opUUID
	opDate
	opTime
	opTimestamp
	opList
	opStruct
	opMap
)

// codec turns the values of one source column into one contracted field, from
// the text form and, where asText is false, from the binary form. It is compiled
// once and not changed afterwards.
type codec struct {
	op     op
	typ    undrop.Type
	form   form
	asText bool // COPY must send the text form

	width  int   // opInt, opIntDecimal: bytes of the binary form
	signed bool  //
	lo, hi int64 // opInt: what the contracted type holds
	limit  u128  // decimals: 10^precision

	onNaN, onInfinity, onOverflow undrop.OnBad

	key, elem *codec  // opList, opMap
	parts     []codec // opStruct: one for each contracted field
	from      []int   // opStruct: which member each is
}

// newCodec compiles the codec of a field for a source type. Its error is the
// reason why the type cannot carry the field.
func newCodec(f undrop.Field, in form) (codec, error) {
	c := codec{typ: f.Type, form: in, onNaN: f.OnNaN, onInfinity: f.OnInfinity, onOverflow: f.OnOverflow}
	var err error
	switch f.Type.Kind {
	case undrop.String:
		c.text()
	case undrop.Bool:
		c.op = opBool
		if in.fam != famBool && (in.fam != famBit || in.bits != 1) {
			err = c.wants("boolean or bit(1)")
		}
	case undrop.Int32, undrop.Int64:
		err = c.integer(f)
	case undrop.Float32, undrop.Float64:
		err = c.float(f)
	case undrop.Decimal:
		err = c.decimal(f)
	case undrop.Binary:
		err = c.bytes()
	case undrop.UUID:
		c.op, err = opUUID, c.only(famUUID, "uuid")
	case undrop.Date:
		c.op, err = opDate, c.only(famDate, "date")
	case undrop.Time:
		c.op, err = opTime, c.only(famTime, "time without time zone")
	case undrop.Timestamp:
		c.op, err = opTimestamp, c.only(famTimestamp, "timestamp without time zone")
	case undrop.TimestampTZ:
		c.op, err = opTimestamp, c.only(famTimestampTZ, "timestamp with time zone")
	case undrop.List:
		err = c.list(f)
	case undrop.Struct:
		err = c.structure()
	case undrop.Map:
		err = c.mapping(f)
	default:
		err = fmt.Errorf("the contract gives it no type")
	}
	return c, err
}

func (c *codec) wants(what string) error {
	return fmt.Errorf("the source has %s, and %s takes %s", c.form.name, c.typ, what)
}

func (c *codec) only(fam family, what string) error {
	if c.form.fam != fam {
		return c.wants(what)
	}
	return nil
}

// text takes everything: each type has a text form. Only where the binary form
// is that text is it read directly.
func (c *codec) text() {
	switch c.form.fam {
	case famBool:
		c.op = opBoolText
	case famText:
		c.asText = c.form.custom
	case famJSONB:
	default:
		c.asText = true
	}
}

func (c *codec) integer(f undrop.Field) error {
	c.op = opInt
	c.lo, c.hi = math.MinInt32, math.MaxInt32
	if f.Type.Kind == undrop.Int64 {
		c.lo, c.hi = math.MinInt64, math.MaxInt64
	}
	fits := f.Type.Kind == undrop.Int64
	switch c.form.fam {
	case famInt2:
		c.width, c.signed, fits = 2, true, true
	case famInt4:
		c.width, c.signed, fits = 4, true, true
	case famInt8:
		c.width, c.signed = 8, true
	case famOid:
		c.width = 4
	default:
		return c.wants("smallint, integer or bigint")
	}
	if !fits && declared(f.SourceType) != c.form.fam {
		return c.wants("integer or smallint, unless the contract's physicalType declares the wider type")
	}
	return nil
}

func (c *codec) float(f undrop.Field) error {
	c.op = opFloat8
	switch {
	case c.form.fam == famFloat4:
		c.op = opFloat4
	case c.form.fam != famFloat8:
		return c.wants("real or double precision")
	case f.Type.Kind == undrop.Float32 && declared(f.SourceType) != famFloat8:
		return c.wants("real, unless the contract's physicalType declares double precision")
	}
	return nil
}

// integerNeeds is how many decimal digits the integer families need.
var integerNeeds = map[family]int{famInt2: 5, famInt4: 10, famInt8: 19, famOid: 10, famXid8: 20}

func (c *codec) decimal(f undrop.Field) error {
	p, s := f.Type.Precision, f.Type.Scale
	if p < 1 || p > 38 || s < 0 || s > p {
		return fmt.Errorf("%s does not exist", f.Type)
	}
	c.limit = pow10(p)
	if c.form.fam == famNumeric {
		c.op = opNumeric
		whole := max(c.form.precision-c.form.scale, 0)
		if c.form.precision == 0 || c.form.scale <= s && whole <= p-s {
			return nil // without a declared precision each value is checked
		}
		plain, args := splitType(strings.ToLower(strings.TrimSuffix(f.SourceType, "[]")))
		if declared(f.SourceType) == famNumeric && (len(args) == 0 && plain != "" || len(args) > 0 && args[0] == c.form.precision && (len(args) == 1 && c.form.scale == 0 || len(args) == 2 && args[1] == c.form.scale)) {
			return nil
		}
		return c.wants(fmt.Sprintf("numeric with at most %d digits before and %d after the point", p-s, s))
	}
	need, ok := integerNeeds[c.form.fam]
	if !ok {
		return c.wants("numeric or an integer")
	}
	c.op = opIntDecimal
	c.width, c.signed = map[family]int{famInt2: 2, famInt4: 4, famInt8: 8, famOid: 4, famXid8: 8}[c.form.fam], c.form.fam <= famInt8
	if p-s < need && declared(f.SourceType) != c.form.fam {
		return c.wants(fmt.Sprintf("at most %d digits before the point", p-s))
	}
	return nil
}

func (c *codec) bytes() error {
	switch c.form.fam {
	case famBytea:
		c.op = opBytes
	case famBit:
		c.op = opBits
		if c.form.bits == 0 {
			return c.wants("bytea or bit(n)")
		}
	default: // the bits of a bit varying have no place for their number
		return c.wants("bytea or bit(n)")
	}
	return nil
}

func (c *codec) list(f undrop.Field) error {
	c.op, c.asText = opList, true
	elem := undrop.Field{Name: f.Name, Type: *f.Type.Elem, SourceType: strings.TrimSuffix(f.SourceType, "[]"),
		OnNaN: f.OnNaN, OnInfinity: f.OnInfinity, OnOverflow: f.OnOverflow}
	in := c.form.elem
	switch {
	case c.form.fam == famVector:
		in = &form{fam: famFloat4, name: "real", delim: ','}
	case c.form.fam != famArray:
		return c.wants("an array")
	case in == nil || in.delim == 0:
		return fmt.Errorf("the source has %s, and how its elements are separated is not known: declare logicalType: string", c.form.name)
	}
	e, err := newCodec(elem, *in)
	if err != nil {
		return fmt.Errorf("elements: %w", err)
	}
	c.elem = &e
	return nil
}

func (c *codec) structure() error {
	c.op, c.asText = opStruct, true
	if c.form.fam != famComposite {
		return c.wants("a composite type")
	}
	for _, f := range c.typ.Fields {
		name := f.Source
		if name == "" {
			name = f.Name
		}
		at := -1
		for i, m := range c.form.members {
			if m.name == name {
				at = i
			}
		}
		if at < 0 {
			return fmt.Errorf("%s has no member %s", c.form.name, name)
		}
		p, err := newCodec(f, c.form.members[at].form)
		if err != nil {
			return fmt.Errorf("member %s: %w", name, err)
		}
		c.parts, c.from = append(c.parts, p), append(c.from, at)
	}
	return nil
}

func (c *codec) mapping(f undrop.Field) error {
	c.op, c.asText = opMap, true
	if c.form.fam != famHstore || f.Type.Key.Kind != undrop.String || f.Type.Elem.Kind != undrop.String {
		return c.wants("hstore, and only as map<string,string>")
	}
	c.key, c.elem = &codec{typ: *f.Type.Key}, &codec{typ: *f.Type.Elem}
	return nil
}

// declaredTypes are the spellings by which a contract's physicalType allows a
// type that is wider than the contracted one; what does not fit is then bad,
// value by value.
var declaredTypes = map[string]family{
	"smallint": famInt2, "int2": famInt2, "smallserial": famInt2, "integer": famInt4, "int": famInt4, "int4": famInt4, "serial": famInt4,
	"bigint": famInt8, "int8": famInt8, "bigserial": famInt8, "serial8": famInt8, "oid": famOid, "xid8": famXid8,
	"double precision": famFloat8, "float8": famFloat8, "double": famFloat8, "real": famFloat4, "float4": famFloat4,
	"numeric": famNumeric, "decimal": famNumeric,
}

func declared(physicalType string) family {
	plain, _ := splitType(strings.ToLower(strings.TrimSpace(physicalType)))
	return declaredTypes[strings.TrimSpace(plain)]
}
