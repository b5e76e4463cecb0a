package app

import (
	"errors"
	"fmt"
	"os"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/contract"
	"github.com/undrop/undrop/internal/postgres"
)

// OutboxSQL is the SQL of an outbox table with a trigger that refuses, inside the
// producer's transaction, events that break these contracts: an event of
// aggregate type X carries a payload as the schema object X describes it, and
// names the contract's id and version. Objects that are themselves an outbox
// describe no payload and are passed over. relation is "schema.table", "" for
// public.outbox.
func OutboxSQL(files []string, relation string) (string, error) {
	opts := postgres.OutboxOptions{}
	if relation != "" {
		name, err := undrop.ParseTableName(relation)
		if err != nil {
			return "", &undrop.Error{Code: undrop.BadInput, Op: "name the outbox", Err: err, Hint: "undrop init --outbox --outbox-table bank.outbox"}
		}
		opts.Schema, opts.Table = name.Namespace, name.Name
	}
	governed := map[string]string{} // aggregate type, contract and version -> file
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return "", &undrop.Error{Code: undrop.BadInput, Op: "read contract", Err: err, Hint: "undrop init --outbox contracts/payments.odcs.yaml"}
		}
		c, problems := contract.Parse(file, data)
		if err := contractError(file, problems); err != nil {
			return "", err
		}
		if c == nil {
			return "", &undrop.Error{Code: undrop.BadInput, Op: "read contract", Err: fmt.Errorf("%s holds no contract", file), Hint: "undrop contract lint " + file}
		}
		for _, o := range c.Objects {
			if o.Outbox {
				continue
			}
			agreement := o.Name + "\x00" + c.ID + "\x00" + c.Version
			if other, taken := governed[agreement]; taken {
				return "", &undrop.Error{Code: undrop.BadInput, Op: "compile the outbox", Hint: "give one file for each version of a contract",
					Err: fmt.Errorf("%s and %s both describe events of %s under %s %s", other, file, o.Name, c.ID, c.Version)}
			}
			governed[agreement] = file
			opts.Contracts = append(opts.Contracts, postgres.OutboxContract{AggregateType: o.Name, ContractID: c.ID, Version: c.Version, Checks: payloadChecks(o.Properties)})
		}
	}
	if len(files) > 0 && len(opts.Contracts) == 0 {
		return "", &undrop.Error{Code: undrop.BadInput, Op: "compile the outbox", Err: errors.New("no schema object describes a payload"),
			Hint: "undrop init --outbox contracts/payments.odcs.yaml"}
	}
	return postgres.OutboxSQL(opts), nil
}

// payloadChecks adds the contract's own rules to what the types say.
func payloadChecks(properties []*contract.Property) []postgres.OutboxCheck {
	fields := make([]undrop.Field, len(properties))
	rules := map[string]*contract.Property{}
	for i, p := range properties {
		fields[i] = p.Field
		fields[i].Source = p.Name // a payload has the contract's names, not those of a table
		rules[p.Name] = p
	}
	checks := postgres.PayloadChecks(fields)
	for i := range checks {
		if len(checks[i].Path) != 1 {
			continue
		}
		p := rules[checks[i].Path[0]]
		checks[i].Enum = validValues(p)
		switch p.Field.Type.Kind {
		case undrop.Int32, undrop.Int64, undrop.Float32, undrop.Float64, undrop.Decimal:
		default:
			continue // the bounds of a date are not numbers
		}
		if p.Minimum != nil && !p.Minimum.Exclusive {
			checks[i].Min = p.Minimum.Value
		}
		if p.Maximum != nil && !p.Maximum.Exclusive {
			checks[i].Max = p.Maximum.Value
		}
	}
	return checks
}

// validValues are the values that every row must have one of; nil: any.
func validValues(p *contract.Property) []string {
	if len(p.Enum) > 0 {
		return p.Enum
	}
	for _, q := range p.Quality {
		if q.PerRow && q.Metric == "invalidValues" && len(q.Arguments["validValues"]) > 0 {
			return q.Arguments["validValues"]
		}
	}
	return nil
}
