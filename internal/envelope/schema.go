package envelope

import (
	"encoding/json"
	"strconv"

	undrop "github.com/undrop/undrop"
)

// schemaWriter writes the schemas of one table. The text is a function of names
// and types only, so that equal tables register once.
type schemaWriter struct {
	out   []byte
	types map[string]bool // names of record types that are in use
}

// ValueSchema is the Avro schema of t's records: "<source>.<schema>.<relation>.Envelope".
//
// Every column is a union with null, whatever the contract says: a row that
// breaks the contract has to reach its quarantine, and a delete may know no more
// than the key.
func ValueSchema(t *undrop.Table) string {
	w := &schemaWriter{types: map[string]bool{"Envelope": true, "Value": true, "Key": true}}
	ns := namespace(t)
	w.text(`{"type":"record","name":"Envelope","namespace":`).quote(ns)
	w.text(`,"fields":[{"name":"before","type":["null",{"type":"record","name":"Value","fields":`)
	w.fields(t.Fields, "Value", true)
	w.text(`,"connect.name":`).quote(ns + ".Value")
	w.text(`}],"default":null},{"name":"after","type":["null","Value"],"default":null},`)
	w.text(`{"name":"source","type":` + sourceSchema + `},{"name":"op","type":"string"},`)
	w.text(`{"name":"ts_ms","type":["null","long"],"default":null},`)
	w.text(`{"name":"transaction","type":["null",` + transactionSchema + `],"default":null}],"connect.name":`).quote(ns + ".Envelope")
	w.text(`}`)
	return string(w.out)
}

// sourceSchema describes Debezium's source block of a PostgreSQL record, with the
// commit time in microseconds and the place inside the transaction.
const sourceSchema = `{"type":"record","name":"Source","namespace":"io.debezium.connector.postgresql","fields":[` +
	`{"name":"version","type":"string"},{"name":"connector","type":"string"},{"name":"name","type":"string"},` +
	`{"name":"ts_ms","type":"long"},{"name":"snapshot","type":["null","string"],"default":null},{"name":"db","type":"string"},` +
	`{"name":"sequence","type":["null","string"],"default":null},{"name":"ts_us","type":["null","long"],"default":null},` +
	`{"name":"schema","type":"string"},{"name":"table","type":"string"},{"name":"txId","type":["null","long"],"default":null},` +
	`{"name":"lsn","type":["null","long"],"default":null},{"name":"xmin","type":["null","long"],"default":null},` +
	`{"name":"seq","type":["null","long"],"default":null}],"connect.name":"io.debezium.connector.postgresql.Source"}`

const transactionSchema = `{"type":"record","name":"block","namespace":"event","fields":[{"name":"id","type":"string"},` +
	`{"name":"total_order","type":"long"},{"name":"data_collection_order","type":"long"}],"connect.version":1,"connect.name":"event.block"}`

// KeySchema is the Avro schema of t's keys, "<source>.<schema>.<relation>.Key", or
// "" for a table without a key. Its columns are never null: a row whose key is not
// known in full has no key.
func KeySchema(t *undrop.Table) string {
	if len(t.Key) == 0 {
		return ""
	}
	w := &schemaWriter{types: map[string]bool{"Key": true}}
	ns := namespace(t)
	w.text(`{"type":"record","name":"Key","namespace":`).quote(ns).text(`,"fields":`)
	fields := make([]undrop.Field, len(t.Key))
	for i, k := range t.Key {
		fields[i] = t.Fields[k]
	}
	w.fields(fields, "Key", false)
	w.text(`,"connect.name":`).quote(ns + ".Key").text(`}`)
	return string(w.out)
}

func (w *schemaWriter) text(s string) *schemaWriter {
	w.out = append(w.out, s...)
	return w
}

func (w *schemaWriter) quote(s string) *schemaWriter {
	q, err := json.Marshal(s)
	if err != nil { // strings always marshal
		panic(err)
	}
	w.out = append(w.out, q...)
	return w
}

func (w *schemaWriter) fields(fields []undrop.Field, path string, optional bool) {
	w.text(`[`)
	for i, name := range uniqueNames(fields) {
		if i > 0 {
			w.text(`,`)
		}
		w.text(`{"name":`).quote(name).text(`,"type":`)
		if optional {
			w.optional(fields[i].Type, path+"_"+name)
			w.text(`,"default":null`)
		} else {
			w.kind(fields[i].Type, path+"_"+name)
		}
		if name != fields[i].Name {
			w.text(`,"undrop.name":`).quote(fields[i].Name)
		}
		w.text(`}`)
	}
	w.text(`]`)
}

func (w *schemaWriter) optional(t undrop.Type, path string) {
	w.text(`["null",`)
	w.kind(t, path)
	w.text(`]`)
}

// kind writes a type with the semantic name that Debezium or Kafka Connect gives
// to values that are counted in the same unit. There is none for a timestamp with
// time zone as a number (Debezium writes text), so it only has its logical type.
func (w *schemaWriter) kind(t undrop.Type, path string) {
	switch t.Kind {
	case undrop.Bool:
		w.text(`"boolean"`)
	case undrop.Int32:
		w.text(`"int"`)
	case undrop.Int64:
		w.text(`"long"`)
	case undrop.Float32:
		w.text(`"float"`)
	case undrop.Float64:
		w.text(`"double"`)
	case undrop.Decimal:
		p, s := strconv.Itoa(t.Precision), strconv.Itoa(t.Scale)
		w.text(`{"type":"bytes","logicalType":"decimal","precision":` + p + `,"scale":` + s +
			`,"connect.version":1,"connect.parameters":{"scale":"` + s + `","connect.decimal.precision":"` + p +
			`"},"connect.name":"org.apache.kafka.connect.data.Decimal"}`)
	case undrop.String:
		w.text(`"string"`)
	case undrop.Binary:
		w.text(`"bytes"`)
	case undrop.UUID:
		w.text(`{"type":"string","logicalType":"uuid","connect.version":1,"connect.name":"io.debezium.data.Uuid"}`)
	case undrop.Date:
		w.text(`{"type":"int","logicalType":"date","connect.version":1,"connect.name":"io.debezium.time.Date"}`)
	case undrop.Time:
		w.text(`{"type":"long","logicalType":"time-micros","connect.version":1,"connect.name":"io.debezium.time.MicroTime"}`)
	case undrop.Timestamp:
		w.text(`{"type":"long","logicalType":"local-timestamp-micros","connect.version":1,"connect.name":"io.debezium.time.MicroTimestamp"}`)
	case undrop.TimestampTZ:
		w.text(`{"type":"long","logicalType":"timestamp-micros"}`)
	case undrop.List:
		w.text(`{"type":"array","items":`)
		w.optional(*t.Elem, path+"_element")
		w.text(`}`)
	case undrop.Map:
		w.mapping(t, path)
	case undrop.Struct:
		w.text(`{"type":"record","name":`).quote(free(path, w.types)).text(`,"fields":`)
		w.fields(t.Fields, path, true)
		w.text(`}`)
	default:
		panic("envelope: a table with a column of type " + t.String())
	}
}

// mapping writes a map. Avro's own has text keys only; any other is an array of
// entries, as Iceberg writes it.
func (w *schemaWriter) mapping(t undrop.Type, path string) {
	if t.Key.Kind == undrop.String {
		w.text(`{"type":"map","values":`)
		w.optional(*t.Elem, path+"_value")
		w.text(`}`)
		return
	}
	w.text(`{"type":"array","logicalType":"map","items":{"type":"record","name":`).quote(free(path+"_entry", w.types))
	w.text(`,"fields":[{"name":"key","type":`)
	w.kind(*t.Key, path+"_key")
	w.text(`},{"name":"value","type":`)
	w.optional(*t.Elem, path+"_value")
	w.text(`,"default":null}]}}`)
}
