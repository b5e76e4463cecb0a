package contract

import (
	"fmt"
	"strconv"

	undrop "github.com/undrop/undrop"
)

// typing decides the type of one property. It returns a reason instead of a
// type when the contract does not say enough, or says what cannot be carried.
//
// The rule in one sentence: logicalType says the family, logicalTypeOptions and
// the undrop.* properties say the width, physicalType says it where they do not,
// and nothing is guessed.
type typing struct {
	logical   string
	phys      physical
	format    string
	timezone  *bool
	precision *int // undrop.precision
	scale     *int // undrop.scale
}

// widths are the integer formats: the type that holds them and their range.
var widths = map[string]struct {
	t        undrop.Type
	min, max string
}{
	"i8":  {undrop.Type{Kind: undrop.Int32}, "-128", "127"},
	"u8":  {undrop.Type{Kind: undrop.Int32}, "0", "255"},
	"i16": {undrop.Type{Kind: undrop.Int32}, "-32768", "32767"},
	"u16": {undrop.Type{Kind: undrop.Int32}, "0", "65535"},
	"i32": {undrop.Type{Kind: undrop.Int32}, "", ""},
	"u32": {undrop.Type{Kind: undrop.Int64}, "0", "4294967295"},
	"i64": {undrop.Type{Kind: undrop.Int64}, "", ""},
	"u64": {undrop.Type{Kind: undrop.Decimal, Precision: 20}, "0", "18446744073709551615"},
}

// scalar decides a type without children.
func (y typing) scalar() (undrop.Type, error) {
	if y.phys.union() {
		return undrop.Type{}, fmt.Errorf("%s holds values of several types; no table has such a column: split it, or declare logicalType: string", y.phys.raw)
	}
	switch y.logical {
	case "string":
		return y.text(), nil
	case "boolean":
		return y.boolean()
	case "integer":
		return y.integer()
	case "number":
		return y.number()
	case "date", "timestamp", "time":
		return y.temporal()
	case "":
		return y.physicalOnly()
	}
	return undrop.Type{}, fmt.Errorf("logicalType %s is not known", y.logical)
}

func (y typing) text() undrop.Type {
	switch {
	case y.phys.base == "uuid", y.phys.base == "" && y.format == "uuid":
		return undrop.Type{Kind: undrop.UUID}
	case y.phys.base == "bytea", y.phys.base == "" && y.format == "binary":
		return undrop.Type{Kind: undrop.Binary}
	}
	return undrop.Type{Kind: undrop.String}
}

func (y typing) boolean() (undrop.Type, error) {
	if y.phys.base == "bit" && len(y.phys.args) == 1 && y.phys.args[0] > 1 {
		return undrop.Type{}, fmt.Errorf("%s has more bits than a boolean; declare logicalType: string", y.phys.raw)
	}
	return undrop.Type{Kind: undrop.Bool}, nil
}

func (y typing) integer() (undrop.Type, error) {
	if y.precision != nil || y.scale != nil {
		return undrop.Type{}, fmt.Errorf("undrop.precision and undrop.scale are for logicalType number")
	}
	if y.format != "" {
		w, ok := widths[y.format]
		if !ok {
			return undrop.Type{}, fmt.Errorf("format %s has more digits than a decimal(38,0) can hold; declare logicalType: string", y.format)
		}
		return w.t, nil
	}
	switch y.phys.base {
	case "int8", "oid", "xid", "cid":
		return undrop.Type{Kind: undrop.Int64}, nil
	case "xid8":
		return undrop.Type{Kind: undrop.Decimal, Precision: 20}, nil
	case "numeric":
		t, err := y.number()
		if err == nil && t.Scale != 0 {
			err = fmt.Errorf("%s has a scale, an integer has none; declare logicalType: number", y.phys.raw)
		}
		return t, err
	}
	return undrop.Type{Kind: undrop.Int32}, nil // the standard's default format is i32
}

func (y typing) number() (undrop.Type, error) {
	if y.precision != nil || y.scale != nil {
		return y.declared()
	}
	switch y.format {
	case "f32":
		return undrop.Type{Kind: undrop.Float32}, nil
	case "f64":
		return undrop.Type{Kind: undrop.Float64}, nil
	}
	switch y.phys.base {
	case "float4":
		return undrop.Type{Kind: undrop.Float32}, nil
	case "float8":
		return undrop.Type{Kind: undrop.Float64}, nil
	case "int2", "int4":
		return undrop.Type{Kind: undrop.Int32}, nil
	case "int8", "oid":
		return undrop.Type{Kind: undrop.Int64}, nil
	case "xid8":
		return undrop.Type{Kind: undrop.Decimal, Precision: 20}, nil
	case "numeric":
		if len(y.phys.args) > 0 {
			return decimalOf(y.phys.args)
		}
		return undrop.Type{}, fmt.Errorf("numeric without precision and scale holds up to 131072 digits: give physicalType: numeric(p,s), or undrop.precision and undrop.scale, or logicalType: string")
	case "money":
		return undrop.Type{}, fmt.Errorf("money prints by the server's locale: declare logicalType: string")
	}
	return undrop.Type{}, fmt.Errorf("a number needs its width: logicalTypeOptions.format f32 or f64, physicalType numeric(p,s), or undrop.precision and undrop.scale")
}

func (y typing) declared() (undrop.Type, error) {
	if y.precision == nil {
		return undrop.Type{}, fmt.Errorf("undrop.scale needs undrop.precision beside it")
	}
	scale := 0
	if y.scale != nil {
		scale = *y.scale
	}
	if *y.precision < 1 || *y.precision > 38 || scale < 0 || scale > *y.precision {
		return undrop.Type{}, fmt.Errorf("decimal(%d,%d) does not exist: precision is 1 to 38, scale 0 to precision", *y.precision, scale)
	}
	return undrop.Type{Kind: undrop.Decimal, Precision: *y.precision, Scale: scale}, nil
}

// decimalOf finds the decimal that holds every value of numeric(args...), whose
// scale may be negative or above the precision since PostgreSQL 15.
func decimalOf(args []int) (undrop.Type, error) {
	p, s := args[0], 0
	if len(args) > 1 {
		s = args[1]
	}
	switch {
	case s < 0:
		p, s = p-s, 0
	case s > p:
		p = s
	}
	if p < 1 || p > 38 {
		return undrop.Type{}, fmt.Errorf("numeric(%d,%d) needs %d digits and a decimal has at most 38: declare logicalType: string, or a smaller undrop.precision and undrop.scale", args[0], s, p)
	}
	return undrop.Type{Kind: undrop.Decimal, Precision: p, Scale: s}, nil
}

func (y typing) temporal() (undrop.Type, error) {
	if y.phys.nanos() {
		return undrop.Type{}, fmt.Errorf("%s is finer than a microsecond, which readers of the table do not agree on: declare logicalType: string", y.phys.raw)
	}
	base := y.phys.base
	zoned := base == "timestamptz" || base == "timetz"
	conflict := func() (undrop.Type, error) {
		return undrop.Type{}, fmt.Errorf("logicalType %s and physicalType %s do not mean the same; nothing is converted: declare what the source has", y.logical, y.phys.raw)
	}
	switch y.logical {
	case "date":
		if base == "timestamp" || base == "timestamptz" || base == "time" || base == "timetz" {
			return conflict()
		}
		return undrop.Type{Kind: undrop.Date}, nil
	case "time":
		if base == "timetz" || y.timezone != nil && *y.timezone {
			return undrop.Type{}, fmt.Errorf("no table has a time of day with a zone: declare logicalType: string")
		}
		if base == "date" || base == "timestamp" || base == "timestamptz" {
			return conflict()
		}
		return undrop.Type{Kind: undrop.Time}, nil
	}
	if base == "date" || base == "time" || base == "timetz" {
		return conflict()
	}
	if y.timezone != nil && base != "" && (base == "timestamp" || base == "timestamptz") && *y.timezone != zoned {
		return undrop.Type{}, fmt.Errorf("timezone: %t and physicalType %s contradict each other", *y.timezone, y.phys.raw)
	}
	if zoned || y.timezone != nil && *y.timezone {
		return undrop.Type{Kind: undrop.TimestampTZ}, nil
	}
	return undrop.Type{Kind: undrop.Timestamp}, nil
}

// physicalOnly decides where logicalType is not given but the source's type name
// leaves no doubt.
func (y typing) physicalOnly() (undrop.Type, error) {
	logical := map[string]string{
		"int2": "integer", "int4": "integer", "int8": "integer", "oid": "integer", "xid8": "integer",
		"float4": "number", "float8": "number", "numeric": "number", "money": "string",
		"bool": "boolean", "date": "date", "time": "string", "timetz": "string", "timestamp": "timestamp", "timestamptz": "timestamp",
		"varchar": "string", "char": "string", "text": "string", "citext": "string", "name": "string", "uuid": "string", "bytea": "string",
		"json": "string", "jsonb": "string", "xml": "string", "inet": "string", "cidr": "string", "interval": "string",
	}[y.phys.base]
	if logical == "" {
		return undrop.Type{}, fmt.Errorf("logicalType is missing, and physicalType %s does not decide it", strconv.Quote(y.phys.raw))
	}
	y.logical = logical
	return y.scalar()
}
