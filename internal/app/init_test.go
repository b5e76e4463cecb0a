package app_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/app"
	"github.com/undrop/undrop/internal/config"
	"github.com/undrop/undrop/internal/contract"
	"github.com/undrop/undrop/internal/postgres/postgrestest"
)

// strange is a database that nobody made for undrop.
func strange() string {
	wide := make([]string, 200)
	for i := range wide {
		wide[i] = fmt.Sprintf("c%d numeric", i)
	}
	return `
create table payments(id bigint primary key, amount numeric(12,2), status text not null);
create table "Payments"(id bigint primary key, "Select" int, "from" text);
create table wide(id int primary key, ` + strings.Join(wide, ", ") + `);
create table nokey(a int, b text);
create table nothing();
create table computed(twice int generated always as (2) stored);
create table floats(x float8 primary key);
create table composite_key(a text, b uuid, c date, primary key (b, a));
create unlogged table "Volatile"(id int primary key);
create view seen as select 1 as one;
create materialized view kept as select 1 as one;
create table part(id int, at date, primary key (id, at)) partition by range (at);
create table part_2026 partition of part for values from ('2026-01-01') to ('2027-01-01');`
}

func TestInitDraftsEveryTableAndNamesWhatItLeavesOut(t *testing.T) {
	dsn := postgrestest.NewDatabase(t, strange())
	dir := filepath.Join(t.TempDir(), "My Bank")
	answer, err := app.Init(t.Context(), app.InitOptions{DSN: dsn, Dir: dir, Source: "core"})
	if err != nil {
		t.Fatal(err)
	}
	var drafted, left []string
	modes := map[string]undrop.Mode{}
	for _, c := range answer.Contracts {
		drafted = append(drafted, c.Relation+">"+c.Table)
		modes[c.Relation] = c.Mode
	}
	for _, l := range answer.LeftOut {
		left = append(left, l.Relation)
	}
	slices.Sort(drafted)
	slices.Sort(left)
	want := []string{"public.Payments>public.payments", "public.composite_key>public.composite_key", "public.floats>public.floats", "public.nokey>public.nokey",
		"public.part>public.part", "public.payments>public.payments_2", "public.wide>public.wide"}
	if !slices.Equal(drafted, want) {
		t.Errorf("drafted %q, want %q", drafted, want)
	}
	if want := []string{"public.Volatile", "public.computed", "public.kept", "public.nothing", "public.seen"}; !slices.Equal(left, want) {
		t.Errorf("left out %q, want %q", left, want)
	}
	for relation, want := range map[string]undrop.Mode{"public.payments": undrop.Mirror, "public.nokey": undrop.History, "public.floats": undrop.History, "public.composite_key": undrop.Mirror} {
		if modes[relation] != want {
			t.Errorf("%s is %s, want %s", relation, modes[relation], want)
		}
	}
	if !slices.ContainsFunc(answer.Findings, func(f app.InitFinding) bool {
		return f.Fatal && f.Relation == "public.nokey" && strings.Contains(f.SQL, "replica identity full")
	}) {
		t.Errorf("findings do not name the table whose updates would fail: %+v", answer.Findings)
	}
	cfg, err := config.Load(answer.Config)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Name != "my_bank" || cfg.Sources[0].Name != "core" || cfg.Sources[0].Postgres.Reveal() != dsn || len(cfg.Contracts) != len(answer.Contracts) {
		t.Errorf("the configuration is %+v", cfg)
	}
	for _, file := range cfg.Contracts {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c, problems := contract.Parse(file, data)
		if c == nil || len(c.Runnable()) > 0 {
			t.Errorf("%s cannot be run: %v", file, problems)
		}
	}
	info, err := os.Stat(answer.Config)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("others can read the connection string: %s", info.Mode())
	}
}

func TestInitWritesAllOrNothing(t *testing.T) {
	dsn := postgrestest.NewDatabase(t, `create table a(id int primary key); create table b(id int primary key)`)
	dir := t.TempDir()
	mine := filepath.Join(dir, "contracts", "public.b.odcs.yaml")
	if err := os.Mkdir(filepath.Dir(mine), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(mine, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := app.Init(t.Context(), app.InitOptions{DSN: dsn, Dir: dir})
	if undrop.CodeOf(err) != undrop.Refused {
		t.Fatalf("got %v, want a refusal", err)
	}
	var files []string
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(files, []string{mine}) {
		t.Errorf("half of it is written: %q", files)
	}
	if _, err := app.Init(t.Context(), app.InitOptions{DSN: dsn, Dir: dir, Force: true}); err != nil {
		t.Errorf("with Force: %v", err)
	}
}

func TestInitThatFindsNothingSaysWhy(t *testing.T) {
	dsn := postgrestest.NewDatabase(t, `create view v as select 1 as one`)
	_, err := app.Init(t.Context(), app.InitOptions{DSN: dsn, Dir: t.TempDir()})
	if undrop.CodeOf(err) != undrop.BadInput || !strings.Contains(err.Error(), "public.v: a view has no rows of its own") {
		t.Errorf("got %v", err)
	}
}

func TestOutboxTriggerRefusesInTheProducersTransaction(t *testing.T) {
	dsn := postgrestest.NewDatabase(t, `create table payments(id bigint primary key)`)
	file := filepath.Join(t.TempDir(), "payment.odcs.yaml")
	if err := os.WriteFile(file, []byte(`apiVersion: v3.1.0
kind: DataContract
id: bank.payment
domain: bank
version: 1.0.0
status: active
schema:
  - name: payment
    logicalType: object
    properties:
      - {name: id, logicalType: integer, logicalTypeOptions: {format: i64}, primaryKey: true, primaryKeyPosition: 1, required: true}
      - {name: status, logicalType: string, required: true, quality: [{metric: invalidValues, mustBe: 0, arguments: {validValues: [new, paid]}}]}
`), 0o644); err != nil {
		t.Fatal(err)
	}
	sql, err := app.OutboxSQL([]string{file}, "bank.outbox")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if _, err := conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ aggregate, payload, version, column string }{
		{"payment", `{"id": 1, "status": "new"}`, "1.0.0", ""},
		{"payment", `{"id": 1, "status": "lost"}`, "1.0.0", "payload.status"},
		{"payment", `{"id": 1}`, "1.0.0", "payload.status"},
		{"payment", `{"id": 1, "status": "new"}`, "1.1.0", "contract_version"},
		{"refund", `{"id": 1, "status": "new"}`, "1.0.0", "aggregatetype"},
	} {
		_, err := conn.Exec(t.Context(), `insert into bank.outbox(aggregatetype, aggregateid, type, payload, contract_id, contract_version)
			values ($1, '1', 'Created', $2::jsonb, 'bank.payment', $3)`, tc.aggregate, tc.payload, tc.version)
		var refused *pgconn.PgError
		switch {
		case tc.column == "" && err != nil:
			t.Errorf("%v: refused: %v", tc, err)
		case tc.column != "" && (!errors.As(err, &refused) || refused.Code != "23514" || refused.ColumnName != tc.column):
			t.Errorf("%v: got %v", tc, err)
		}
	}
}
