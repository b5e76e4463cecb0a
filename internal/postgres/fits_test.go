package postgres_test

import (
	"fmt"
	"strings"
	"testing"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/postgres/postgrestest"
)

// A contracted type must hold every value that the live column's type can have,
// but for those that are judged row by row.
func TestPreflightOfTypes(t *testing.T) {
	cases := []struct {
		column, contract string
		fits             bool
	}{
		{"smallint", "int", true}, {"integer", "int", true}, {"bigint", "int", false}, {"bigint", "long", true}, {"oid", "long", true}, {"oid", "int", false},
		{"real", "float", true}, {"real", "double", true}, {"double precision", "float", false}, {"double precision", "double", true},
		{"numeric(12,2)", "decimal(12,2)", true}, {"numeric(12,2)", "decimal(14,2)", true}, {"numeric(14,2)", "decimal(12,2)", false},
		{"numeric(12,3)", "decimal(12,2)", false}, {"numeric(12,2)", "decimal(12,3)", false}, {"numeric", "decimal(12,2)", true},
		{"numeric(12,2)", "double", false}, {"numeric(12,2)", "long", false}, {"numeric(12,2)", "string", true},
		{"boolean", "boolean", true}, {"bit(1)", "boolean", true}, {"bit(8)", "boolean", false}, {"integer", "boolean", false},
		{"text", "string", true}, {"varchar(5)", "string", true}, {"char(3)", "string", true}, {"jsonb", "string", true}, {"inet", "string", true}, {"mood", "string", true},
		{"text", "int", false}, {"bytea", "binary", true}, {"text", "binary", false}, {"uuid", "uuid", true}, {"text", "uuid", false},
		{"date", "date", true}, {"date", "timestamp", false}, {"time", "time", true}, {"timetz", "time", false}, {"timetz", "string", true},
		{"timestamp", "timestamp", true}, {"timestamp(3)", "timestamp", true}, {"timestamptz", "timestamptz", true}, {"timestamp", "timestamptz", false}, {"timestamptz", "timestamp", false},
		{"integer[]", "list:int", true}, {"bigint[]", "list:int", false}, {"integer", "list:int", false}, {"integer[]", "int", false},
		{"numeric(5,2)[]", "list:decimal(5,2)", true}, {"mood[]", "list:string", true}, {"amount", "decimal(12,2)", true}, {"amount", "decimal(10,2)", false},
		{"amount[]", "list:decimal(12,2)", true}, {"tags", "list:string", true}, {"tags", "string", true}, {"pair", "int", false}, {"pair", "string", true},
	}
	var columns, contract []string
	for i, c := range cases {
		columns = append(columns, fmt.Sprintf("c%d %s", i, c.column))
		contract = append(contract, fmt.Sprintf("c%d %s", i, c.contract))
	}
	dsn := postgrestest.NewDatabase(t, "create type mood as enum ('ok'); create domain amount as numeric(12,2); create domain tags as text[]; create type pair as (a int, b text)",
		"create table t (id int primary key, "+strings.Join(columns, ", ")+")")
	found := preflight(t, open(t, dsn), []*undrop.Table{history(contracted("public.t", append([]string{"*id int"}, contract...)...))})
	refused := map[string]string{}
	for _, f := range found {
		if f.Rule != "column_type" {
			t.Errorf("also found: %s", f)
			continue
		}
		var name string
		if _, err := fmt.Sscanf(f.Message, "column %s", &name); err != nil {
			t.Fatalf("%s: %v", f.Message, err)
		}
		refused[name] = f.Message
	}
	for i, c := range cases {
		why, no := refused[fmt.Sprintf("c%d", i)]
		if no == c.fits {
			t.Errorf("%s as %s: fits %v, want %v %s", c.column, c.contract, !no, c.fits, why)
		}
	}
}
