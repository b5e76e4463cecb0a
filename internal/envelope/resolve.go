package envelope

import (
	"slices"

	undrop "github.com/undrop/undrop"
)

// action says how one written value becomes one value of a column.
type action uint8

const (
	actSkip action = iota
	actBool
	actInt      // 32 bits on the wire
	actLong     // 64 bits
	actScaled   // 32 or 64 bits, times step.factor
	actFloat    // widened to double
	actDouble   // bits as they are
	actDecimal  // bytes, or step.size bytes
	actText     // checked UTF-8
	actBytes    // any bytes, or step.size bytes
	actUUID     // 36 characters
	actRawUUID  // 16 bytes
	actEnum     // symbol as text
	actList     // kids[0] is the element
	actTextMap  // kids[0] is the value; keys are text
	actEntryMap // array of entries: kids are the steps of an entry
	actStruct   // kids are fields in written order
)

// step is one instruction of a decode plan.
type step struct {
	act     action
	col     int // index among the destination's siblings
	nullAt  int // branch of null in a union of two; -1: not a union
	factor  int64
	size    int // fixed size; 0: length on the wire
	kids    []step
	missing []int // struct: destination fields that are not written
	typ     *avroType
	name    string
}

// resolver matches one writer schema with one table.
type resolver struct{ id int }

// column makes the step from a written type to a contracted one. Only exact
// widenings are made; everything else is Incompatible.
func (r *resolver) column(path string, w *avroType, t undrop.Type) (step, error) {
	s := step{nullAt: -1, typ: w, name: path, factor: 1}
	if w.kind == avroUnion {
		at := slices.IndexFunc(w.branches, func(b *avroType) bool { return b.kind == avroNull })
		switch {
		case len(w.branches) == 1:
			return s, r.refuse(path, w, t, "a union of one type")
		case len(w.branches) > 2 || at < 0:
			return s, r.refuse(path, w, t, "a union of several types")
		}
		s.nullAt = at
		w = w.branches[1-at]
		s.typ = w
	}
	reason, err := r.value(&s, path, w, t)
	if err != nil {
		return s, err
	}
	if reason != "" {
		return s, r.refuse(path, w, t, reason)
	}
	return s, nil
}

func (r *resolver) refuse(path string, w *avroType, t undrop.Type, reason string) error {
	return &Incompatible{SchemaID: r.id, Column: path, Writer: w.String(), Reader: t, Reason: reason}
}

// measures are the semantic names of Debezium and Connect that stand for a unit,
// as the logical type that says the same.
var measures = map[string]string{
	"io.debezium.time.Date":                   "date",
	"io.debezium.time.Time":                   "time-millis",
	"io.debezium.time.MicroTime":              "time-micros",
	"io.debezium.time.NanoTime":               "time-nanos",
	"io.debezium.time.Timestamp":              "local-timestamp-millis",
	"io.debezium.time.MicroTimestamp":         "local-timestamp-micros",
	"io.debezium.time.NanoTimestamp":          "local-timestamp-nanos",
	"io.debezium.time.MicroDuration":          "duration-micros",
	"io.debezium.time.NanoDuration":           "duration-nanos",
	"org.apache.kafka.connect.data.Date":      "date",
	"org.apache.kafka.connect.data.Time":      "time-millis",
	"org.apache.kafka.connect.data.Timestamp": "timestamp-millis",
	"org.apache.kafka.connect.data.Decimal":   "decimal",
	"io.debezium.data.Uuid":                   "uuid",
}

// measure is what a number, text or bytes stand for: a logical type, or "".
func (t *avroType) measure() string {
	if t.logical != "" {
		return t.logical
	}
	return measures[t.semantic]
}

// value fills s for a value that is not null; it returns why it cannot.
func (r *resolver) value(s *step, path string, w *avroType, t undrop.Type) (reason string, err error) {
	switch t.Kind {
	case undrop.List, undrop.Map, undrop.Struct:
		return r.nested(s, path, w, t)
	case undrop.Decimal:
		return s.decimal(w, t), nil
	case undrop.UUID:
		switch {
		case w.measure() != "uuid":
			return "not written as a uuid", nil
		case w.kind == avroString:
			s.act = actUUID
		case w.kind == avroFixed && w.size == 16:
			s.act, s.size = actRawUUID, 16
		default:
			return "not a form that a uuid has", nil
		}
		return "", nil
	case undrop.Date, undrop.Time, undrop.Timestamp, undrop.TimestampTZ:
		return s.temporal(w, t), nil
	}
	if w.measure() != "" {
		return "the written value has a unit or form that the contract drops", nil
	}
	want, other := actSkip, ""
	switch t.Kind {
	case undrop.Bool:
		if w.kind == avroBoolean {
			want = actBool
		}
	case undrop.Int32, undrop.Int64:
		switch {
		case w.kind == avroInt:
			want = actInt
		case w.kind == avroLong && t.Kind == undrop.Int64:
			want = actLong
		case w.kind == avroLong:
			other = "values may not fit"
		}
	case undrop.Float32, undrop.Float64:
		switch {
		case w.kind == avroFloat:
			want = actFloat
		case w.kind == avroDouble && t.Kind == undrop.Float64:
			want = actDouble
		case w.kind == avroDouble:
			other = "values may lose digits"
		}
	case undrop.String:
		switch w.kind {
		case avroString:
			want = actText
		case avroEnum:
			want = actEnum
		}
	case undrop.Binary:
		switch w.kind {
		case avroBytes:
			want = actBytes
		case avroFixed:
			want, s.size = actBytes, w.size
		}
	}
	if want == actSkip && other == "" {
		other = "another kind of value"
	}
	s.act = want
	return other, nil
}

func (s *step) decimal(w *avroType, t undrop.Type) (reason string) {
	switch {
	case w.measure() != "decimal" || w.kind != avroBytes && w.kind != avroFixed:
		return "not written as a decimal"
	case w.scale != t.Scale:
		return "another scale"
	case w.precision < 1:
		return "the precision is not written"
	case w.precision > t.Precision:
		return "values may have more digits"
	}
	s.act, s.size = actDecimal, w.size
	return ""
}

func (s *step) temporal(w *avroType, t undrop.Type) (reason string) {
	const long, short = avroLong, avroInt
	forms := map[undrop.Kind][]struct {
		measure string
		kind    avroKind
		factor  int64
	}{
		undrop.Date:        {{"date", short, 1}},
		undrop.Time:        {{"time-micros", long, 1}, {"time-millis", short, 1000}},
		undrop.Timestamp:   {{"local-timestamp-micros", long, 1}, {"local-timestamp-millis", long, 1000}},
		undrop.TimestampTZ: {{"timestamp-micros", long, 1}, {"timestamp-millis", long, 1000}},
	}
	for _, f := range forms[t.Kind] {
		if w.measure() != f.measure || w.kind != f.kind {
			continue
		}
		s.act, s.factor = actLong, f.factor
		switch {
		case f.factor != 1:
			s.act = actScaled
		case f.kind == short:
			s.act = actInt
		}
		return ""
	}
	return "another unit, zone or kind of time"
}

func (r *resolver) nested(s *step, path string, w *avroType, t undrop.Type) (reason string, err error) {
	switch {
	case t.Kind == undrop.Struct && w.kind == avroRecord:
		s.act = actStruct
		s.kids, s.missing, err = r.record(path, w, t.Fields)
		return "", err
	case t.Kind == undrop.List && w.kind == avroArray && w.logical == "":
		s.act = actList
		elem, err := r.column(path+"[]", w.items, *t.Elem)
		s.kids = []step{elem}
		return "", err
	case t.Kind == undrop.Map && w.kind == avroMap && t.Key.Kind == undrop.String:
		s.act = actTextMap
		elem, err := r.column(path+"{}", w.items, *t.Elem)
		s.kids = []step{elem}
		return "", err
	case t.Kind == undrop.Map && w.kind == avroArray && w.logical == "map" && w.items.kind == avroRecord:
		s.act = actEntryMap
		entry := []undrop.Field{{Name: "key", Type: *t.Key}, {Name: "value", Type: *t.Elem}}
		s.kids, s.missing, err = r.record(path+"{}", w.items, entry)
		if err == nil && len(s.missing) > 0 {
			return "entries without a key or a value", nil
		}
		for _, k := range s.kids {
			if k.col == 0 && k.act != actSkip && k.nullAt >= 0 {
				return "entries whose key may be null", nil
			}
		}
		return "", err
	}
	return "another kind of value", nil
}

// record matches written fields with columns by name. A field without a column is
// skipped, a column without a field is missing and will be null.
func (r *resolver) record(path string, w *avroType, fields []undrop.Field) (steps []step, missing []int, err error) {
	found := make([]bool, len(fields))
	for _, f := range w.fields {
		c := slices.IndexFunc(fields, func(t undrop.Field) bool { return t.Name == f.name })
		if c < 0 {
			steps = append(steps, step{act: actSkip, col: -1, nullAt: -1, typ: f.typ, name: f.name})
			continue
		}
		at := f.name
		if path != "" {
			at = path + "." + f.name
		}
		s, err := r.column(at, f.typ, fields[c].Type)
		if err != nil {
			return nil, nil, err
		}
		s.col, found[c] = c, true
		steps = append(steps, s)
	}
	for c, ok := range found {
		if !ok {
			missing = append(missing, c)
		}
	}
	return steps, missing, nil
}
