package postgres_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/postgres"
	"github.com/undrop/undrop/internal/postgres/postgrestest"
)

var outbox = postgres.OutboxOptions{Schema: "It's", Table: "Out $undrop$ box", Contracts: []postgres.OutboxContract{
	{AggregateType: "payment", Type: "created", ContractID: "bank.payments", Version: "1.2.0", Checks: []postgres.OutboxCheck{
		{Path: []string{"id"}, Required: true, Types: []string{"integer"}, Min: "1"},
		{Path: []string{"status"}, Required: true, Types: []string{"string"}, Enum: []string{"new", `pa\id's`}},
		{Path: []string{"payer", "name"}, Types: []string{"string"}},
		{Path: []string{"amount"}, Types: []string{"number", "string"}},
		{Path: []string{"tags"}, Types: []string{"array"}},
	}},
	{AggregateType: "payment", Type: "created", ContractID: "bank.payments", Version: "2.0.0"},
	{AggregateType: "card", ContractID: "bank.cards", Version: "1.0.0"},
}}

// An event that breaks the agreement fails in the producer's own transaction and
// says which rule at which path; one that keeps it is stored.
func TestOutboxRefusesWhatBreaksTheContract(t *testing.T) {
	dsn := postgrestest.NewDatabase(t, postgres.OutboxSQL(outbox), postgres.OutboxSQL(outbox)) // twice: it may be run again
	c := session(t, dsn)
	for _, e := range []struct {
		name, aggregate, kind, contract, version, payload string
		rule, path                                        string // empty: accepted
	}{
		{"good", "payment", "created", "bank.payments", "1.2.0", `{"id": 1, "status": "new", "payer": {"name": "A"}, "amount": 1.5, "tags": []}`, "", ""},
		{"optional absent", "payment", "created", "bank.payments", "1.2.0", `{"id": 2.0, "status": "pa\\id's", "payer": null, "amount": "1.50", "tags": null}`, "", ""},
		{"extra keys", "payment", "created", "bank.payments", "1.2.0", `{"id": 3, "status": "new", "more": {"x": 1}}`, "", ""},
		{"next version", "payment", "created", "bank.payments", "2.0.0", `{}`, "", ""},
		{"any type", "card", "whatever", "bank.cards", "1.0.0", `{}`, "", ""},
		{"no payload", "card", "deleted", "bank.cards", "1.0.0", ``, "", ""},

		{"missing key", "payment", "created", "bank.payments", "1.2.0", `{"status": "new"}`, "required", "payload.id"},
		{"null key", "payment", "created", "bank.payments", "1.2.0", `{"id": 1, "status": null}`, "required", "payload.status"},
		{"missing payload", "payment", "created", "bank.payments", "1.2.0", ``, "required", "payload.id"},
		{"not an object", "payment", "created", "bank.payments", "1.2.0", `[1, "new"]`, "type", "payload"},
		{"wrong type", "payment", "created", "bank.payments", "1.2.0", `{"id": "1", "status": "new"}`, "type", "payload.id"},
		{"fraction", "payment", "created", "bank.payments", "1.2.0", `{"id": 1.5, "status": "new"}`, "type", "payload.id"},
		{"below", "payment", "created", "bank.payments", "1.2.0", `{"id": 0, "status": "new"}`, "range", "payload.id"},
		{"not in enum", "payment", "created", "bank.payments", "1.2.0", `{"id": 1, "status": "lost"}`, "enum", "payload.status"},
		{"nested type", "payment", "created", "bank.payments", "1.2.0", `{"id": 1, "status": "new", "payer": {"name": 5}}`, "type", "payload.payer.name"},
		{"array type", "payment", "created", "bank.payments", "1.2.0", `{"id": 1, "status": "new", "tags": {}}`, "type", "payload.tags"},
		{"other version", "payment", "created", "bank.payments", "1.1.0", `{"id": 1, "status": "new"}`, "contract", "contract_version"},
		{"other contract", "card", "created", "bank.payments", "1.0.0", `{}`, "contract", "contract_version"},
		{"other type", "payment", "deleted", "bank.payments", "1.2.0", `{}`, "type", "type"},
		{"other aggregate", "account", "created", "bank.payments", "1.2.0", `{}`, "aggregatetype", "aggregatetype"},
	} {
		t.Run(e.name, func(t *testing.T) {
			var payload any
			if e.payload != "" {
				payload = e.payload
			}
			_, err := c.Exec(t.Context(), `insert into "It's"."Out $undrop$ box" (aggregatetype, aggregateid, type, payload, contract_id, contract_version)
				values ($1, '42', $2, $3::text::jsonb, $4, $5)`, e.aggregate, e.kind, payload, e.contract, e.version)
			if e.rule == "" {
				if err != nil {
					t.Errorf("a good event was refused: %v", err)
				}
				return
			}
			var pe *pgconn.PgError
			if !errors.As(err, &pe) {
				t.Fatalf("got %v, want a refusal", err)
			}
			if pe.Code != "23514" || pe.ConstraintName != e.rule || pe.ColumnName != e.path || !strings.Contains(pe.Message, e.path) || !strings.Contains(pe.Detail, "rule: "+e.rule) {
				t.Errorf("got %s %s at %s: %s (%s), want %s at %s", pe.Code, pe.ConstraintName, pe.ColumnName, pe.Message, pe.Detail, e.rule, e.path)
			}
		})
	}
	var n int
	if err := c.QueryRow(t.Context(), `select count(*) from "It's"."Out $undrop$ box"`).Scan(&n); err != nil || n != 6 {
		t.Errorf("%d events stored (%v), want the 6 good ones", n, err)
	}
}

// An outbox without contracts takes nothing, and a producer with a strange
// search path is judged by the same rules.
func TestOutboxIsClosedByDefault(t *testing.T) {
	dsn := postgrestest.NewDatabase(t, postgres.OutboxSQL(postgres.OutboxOptions{}))
	c, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	do(t, c, "set search_path = ''")
	_, err = c.Exec(t.Context(), "insert into public.outbox (aggregatetype, aggregateid, type, contract_id, contract_version) values ('a', 'b', 'c', 'd', 'e')")
	var pe *pgconn.PgError
	if !errors.As(err, &pe) || pe.ConstraintName != "aggregatetype" {
		t.Errorf("got %v, want a refusal", err)
	}
}

// The checks of a payload follow from contracted types.
func TestPayloadChecks(t *testing.T) {
	sub := undrop.Type{Kind: undrop.Struct, Fields: []undrop.Field{{Name: "city", Type: undrop.Type{Kind: undrop.String}, Required: true}}}
	fields := []undrop.Field{
		{Name: "id", Type: undrop.Type{Kind: undrop.Int32}, Required: true},
		{Name: "address", Type: sub},
		{Name: "on", Type: undrop.Type{Kind: undrop.Bool}},
	}
	dsn := postgrestest.NewDatabase(t, postgres.OutboxSQL(postgres.OutboxOptions{Contracts: []postgres.OutboxContract{
		{AggregateType: "a", ContractID: "c", Version: "1", Checks: postgres.PayloadChecks(fields)}}}))
	c := session(t, dsn)
	for payload, ok := range map[string]bool{
		`{"id": 1}`:                               true,
		`{"id": 2147483648}`:                      false,
		`{"id": 1, "address": {"city": "X"}}`:     true,
		`{"id": 1, "address": {"city": 1}}`:       false,
		`{"id": 1, "address": "X"}`:               false,
		`{"id": 1, "on": "true"}`:                 false,
		`{"id": 1, "on": false, "address": null}`: true,
	} {
		_, err := c.Exec(t.Context(), `insert into outbox (aggregatetype, aggregateid, type, payload, contract_id, contract_version) values ('a', '1', 't', $1::text::jsonb, 'c', '1')`, payload)
		if (err == nil) != ok {
			t.Errorf("%s: %v, want accepted %v", payload, err, ok)
		}
	}
}
