package postgres

import (
	"fmt"
	"slices"
	"strings"

	undrop "github.com/undrop/undrop"
)

// OutboxOptions says which outbox table to make and what may be put into it.
type OutboxOptions struct {
	Schema    string // empty: public
	Table     string // empty: outbox
	Contracts []OutboxContract
}

// OutboxContract governs the events of one aggregate type. Several versions may
// govern the same events, while producers move from one to the next.
type OutboxContract struct {
	AggregateType string
	Type          string // event type; empty: every type
	ContractID    string
	Version       string
	Checks        []OutboxCheck // of the payload
}

// OutboxCheck is a promise about one value of the payload.
type OutboxCheck struct {
	Path     []string // keys from the top of the payload
	Required bool     // there, and not null
	Types    []string // any of string, number, integer, boolean, object, array; empty: any
	Enum     []string // allowed values, as text
	Min, Max string   // bounds of a number, decimal digits; empty: none
}

// PayloadChecks derives checks from contracted columns of a payload: each is a
// key of the same name whose JSON form holds the type exactly.
func PayloadChecks(fields []undrop.Field) []OutboxCheck {
	var out []OutboxCheck
	for _, f := range fields {
		name := f.Source
		if name == "" {
			name = f.Name
		}
		c := OutboxCheck{Path: []string{name}, Required: f.Required}
		switch f.Type.Kind {
		case undrop.Bool:
			c.Types = []string{"boolean"}
		case undrop.Int32:
			c.Types, c.Min, c.Max = []string{"integer"}, "-2147483648", "2147483647"
		case undrop.Int64: // beyond 2^53 many JSON writers only have a string
			c.Types, c.Min, c.Max = []string{"integer", "string"}, "-9223372036854775808", "9223372036854775807"
		case undrop.Float32, undrop.Float64:
			c.Types = []string{"number"}
		case undrop.Decimal:
			c.Types = []string{"number", "string"}
		case undrop.List:
			c.Types = []string{"array"}
		case undrop.Map, undrop.Struct:
			c.Types = []string{"object"}
		default:
			c.Types = []string{"string"}
		}
		out = append(out, c)
		if f.Type.Kind != undrop.Struct {
			continue
		}
		for _, m := range PayloadChecks(f.Type.Fields) {
			m.Path = append([]string{name}, m.Path...)
			m.Required = m.Required && f.Required // a member of an absent object is not missing
			out = append(out, m)
		}
	}
	return out
}

// OutboxSQL is the DDL of an outbox with Debezium's column names and of a trigger
// that refuses, inside the producer's own transaction, an event whose contract is
// not one of those agreed or whose payload breaks it (SQLSTATE 23514; the
// constraint name is the rule, the column name the path). It can be run again
// when contracts change; the events in the table are not touched.
func OutboxSQL(opts OutboxOptions) string {
	if opts.Schema == "" {
		opts.Schema = "public"
	}
	if opts.Table == "" {
		opts.Table = "outbox"
	}
	table := qualified(opts.Schema, opts.Table)
	function := qualified(opts.Schema, shorten(opts.Table, "_contract"))
	body := outboxBody(opts.Contracts)
	quote := "$undrop$"
	for i := 0; strings.Contains(body, quote); i++ {
		quote = fmt.Sprintf("$undrop%d$", i)
	}
	return fmt.Sprintf(`begin;
create schema if not exists %[1]s;
create table if not exists %[2]s (
	id uuid primary key default gen_random_uuid(),
	aggregatetype text not null,
	aggregateid text not null,
	type text not null,
	payload jsonb,
	contract_id text not null,
	contract_version text not null,
	created_at timestamptz not null default now()
);
create or replace function %[3]s() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as %[4]s
%[5]s%[4]s;
create or replace trigger undrop_contract before insert on %[2]s for each row execute function %[3]s();
commit;
`, ident(opts.Schema), table, function, quote, body)
}

// shorten appends suffix to a name and keeps it within the server's 63 bytes.
func shorten(name, suffix string) string {
	if over := len(name) + len(suffix) - 63; over > 0 {
		name = strings.ToValidUTF8(name[:len(name)-over], "")
	}
	return name + suffix
}

// outboxBody is the trigger's code: one branch for each agreed version, and a
// last one that says which part of the agreement is missing.
func outboxBody(contracts []OutboxContract) string {
	var b strings.Builder
	b.WriteString("declare\n\tv jsonb;\nbegin\n")
	branch := "if"
	var aggregates, events, versions []string
	for _, c := range contracts {
		event := "new.aggregatetype = " + literal(c.AggregateType)
		if c.Type != "" {
			event += " and new.type = " + literal(c.Type)
		}
		version := event + " and new.contract_id = " + literal(c.ContractID) + " and new.contract_version = " + literal(c.Version)
		fmt.Fprintf(&b, "\t%s %s then\n", branch, version)
		if len(c.Checks) > 0 {
			refuse(&b, "\t\t", "jsonb_typeof(new.payload) <> 'object'", "type", "payload", literal("must be an object"), "new.payload::text")
		}
		for _, check := range c.Checks {
			check.write(&b)
		}
		b.WriteString("\t\treturn new;\n")
		branch = "elsif"
		aggregates = append(aggregates, literal(c.AggregateType))
		events = append(events, event)
		versions = append(versions, "when "+event+" then "+literal(agreed(contracts, c)))
	}
	if len(contracts) > 0 {
		b.WriteString("\tend if;\n")
		refuse(&b, "\t", "new.aggregatetype not in ("+strings.Join(unique(aggregates), ", ")+")", "aggregatetype", "aggregatetype",
			literal("no contract governs events of this aggregate"), "new.aggregatetype")
		refuse(&b, "\t", "not ("+strings.Join(unique(events), " or ")+")", "type", "type", literal("no contract governs this event type"), "new.type")
		refuse(&b, "\t", "", "contract", "contract_version", "case "+strings.Join(unique(versions), " ")+" end", "concat(new.contract_id, ' ', new.contract_version)")
	} else {
		refuse(&b, "\t", "", "aggregatetype", "aggregatetype", literal("no contract governs events of this aggregate"), "new.aggregatetype")
	}
	b.WriteString("end;\n")
	return b.String()
}

// agreed lists the versions that govern the same events as c.
func agreed(contracts []OutboxContract, c OutboxContract) string {
	var out []string
	for _, o := range contracts {
		if o.AggregateType == c.AggregateType && o.Type == c.Type {
			out = append(out, o.ContractID+" "+o.Version)
		}
	}
	return "agreed is " + strings.Join(unique(out), " or ")
}

func unique(list []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// write adds the code of one check.
func (c OutboxCheck) write(b *strings.Builder) {
	path := "payload." + strings.Join(c.Path, ".")
	keys := make([]string, len(c.Path))
	for i, k := range c.Path {
		keys[i] = literal(k)
	}
	fmt.Fprintf(b, "\t\tv := new.payload #> array[%s]::text[];\n", strings.Join(keys, ", "))
	const absent = "v is null or jsonb_typeof(v) = 'null'"
	text := "v #>> '{}'"
	if c.Required {
		refuse(b, "\t\t", absent, "required", path, literal("must be there and not null"), "v::text")
	}
	refused := func(condition, rule, promise string) {
		refuse(b, "\t\t", "not ("+absent+") and not ("+condition+")", rule, path, literal(promise), "v::text")
	}
	if len(c.Types) > 0 {
		var plain []string
		condition := ""
		for _, t := range c.Types {
			if t == "integer" {
				condition = " or case when jsonb_typeof(v) = 'number' then (" + text + ")::numeric % 1 = 0 else false end"
				continue
			}
			plain = append(plain, literal(t))
		}
		plain = append(plain, "'none'")
		refused("jsonb_typeof(v) in ("+strings.Join(plain, ", ")+")"+condition, "type", "must be "+strings.Join(c.Types, " or "))
	}
	if len(c.Enum) > 0 {
		values := make([]string, len(c.Enum))
		for i, e := range c.Enum {
			values[i] = literal(e)
		}
		refused(text+" in ("+strings.Join(values, ", ")+")", "enum", "must be one of "+strings.Join(c.Enum, "|"))
	}
	if c.Min != "" {
		refused("case when jsonb_typeof(v) = 'number' then ("+text+")::numeric >= "+literal(c.Min)+"::numeric else true end", "range", "must be at least "+c.Min)
	}
	if c.Max != "" {
		refused("case when jsonb_typeof(v) = 'number' then ("+text+")::numeric <= "+literal(c.Max)+"::numeric else true end", "range", "must be at most "+c.Max)
	}
}

// refuse adds the code that rejects the event under a condition (empty: always).
// promise and actual are SQL expressions.
func refuse(b *strings.Builder, indent, condition, rule, path, promise, actual string) {
	if condition != "" {
		fmt.Fprintf(b, "%sif %s then\n", indent, condition)
		defer fmt.Fprintf(b, "%send if;\n", indent)
		indent += "\t"
	}
	fmt.Fprintf(b, "%sraise exception using errcode = '23514', constraint = %s, column = %s, schema = tg_table_schema, table = tg_table_name,\n"+
		"%s\tmessage = concat('outbox event refused: ', %s, ': ', %s),\n"+
		"%s\tdetail = concat('rule: ', %s, '; got ', coalesce(left(%s, 256), 'nothing'), '; event ', new.type, ' of ', new.aggregatetype, ' ', new.aggregateid);\n",
		indent, literal(rule), literal(path), indent, literal(path), promise, indent, literal(rule), actual)
}
