package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/undrop/undrop/internal/contract"
)

// contractAnswer is a compiled contract as show answers it.
type contractAnswer struct {
	ID       string             `json:"id"`
	Name     string             `json:"name,omitempty"`
	Version  string             `json:"version"`
	Status   string             `json:"status,omitempty"`
	Standard string             `json:"api_version"`
	Hash     string             `json:"hash"`
	Runnable bool               `json:"runnable"`
	Problems []contract.Problem `json:"problems"` // what keeps it from being run
	Objects  []objectAnswer     `json:"objects"`
	SLA      []slaAnswer        `json:"sla"`
	Recovery map[string]string  `json:"recovery,omitempty"`
}

type objectAnswer struct {
	Name      string         `json:"name"`
	Table     string         `json:"table"`
	Mode      string         `json:"mode"`
	Source    string         `json:"source,omitempty"`
	Relation  string         `json:"relation"`
	Topic     string         `json:"topic,omitempty"`
	Key       []string       `json:"key"`
	Partition string         `json:"partition,omitempty"`
	Outbox    bool           `json:"outbox"`
	Columns   []columnAnswer `json:"columns"`
}

type columnAnswer struct {
	ID       int      `json:"field_id"`
	Name     string   `json:"name"`
	Source   string   `json:"source"`
	Type     string   `json:"type"`
	Required bool     `json:"required"`
	Unit     string   `json:"unit,omitempty"`
	Rules    []string `json:"rules"`
}

type slaAnswer struct {
	Property string `json:"property"`
	Value    string `json:"value"`
	Unit     string `json:"unit,omitempty"`
	Element  string `json:"element,omitempty"`
}

func contractShowCommand(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:     "show FILE",
		Short:   "Show what a contract compiles to: tables, columns, keys and rules",
		Example: "  undrop contract show contracts/payments.odcs.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := loadContract(env, args[0], false)
			if err != nil {
				return err
			}
			a := describeContract(c)
			if env.JSON {
				return env.printJSON(a)
			}
			return printContract(env, a)
		},
	}
	env.jsonFlag(c)
	return c
}

func describeContract(c *contract.Contract) contractAnswer {
	a := contractAnswer{ID: c.ID, Name: c.Name, Version: c.Version, Status: c.Status, Standard: c.APIVersion, Hash: c.Ref.Hash,
		Runnable: len(c.Runnable()) == 0, Problems: append([]contract.Problem{}, c.Runnable()...), Recovery: c.Recovery,
		Objects: []objectAnswer{}, SLA: []slaAnswer{}}
	for _, s := range c.SLA {
		a.SLA = append(a.SLA, slaAnswer{s.Property, s.Value, s.Unit, s.Element})
	}
	for _, o := range c.Objects {
		t := o.Table
		oa := objectAnswer{Name: o.Name, Table: t.TableName.String(), Mode: string(t.Mode), Source: t.Source, Relation: t.SourceRelation(),
			Topic: t.Topic, Key: []string{}, Partition: o.PartitionBy, Outbox: o.Outbox, Columns: []columnAnswer{}}
		for _, k := range t.Key {
			oa.Key = append(oa.Key, t.Fields[k].Name)
		}
		for i, p := range o.Properties {
			f := t.Fields[i]
			oa.Columns = append(oa.Columns, columnAnswer{f.ID, f.Name, f.Source, f.Type.String(), f.Required, p.Unit, append([]string{}, p.Promises()...)})
		}
		a.Objects = append(a.Objects, oa)
	}
	return a
}

func printContract(env *Env, a contractAnswer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", a.ID, a.Version)
	if a.Status != "" {
		fmt.Fprintf(&b, " (%s)", a.Status)
	}
	fmt.Fprintf(&b, ", ODCS %s\n", a.Standard)
	for _, s := range a.SLA {
		fmt.Fprintf(&b, "sla %s\n", strings.TrimSpace(strings.Join([]string{s.Property, s.Value + s.Unit, s.Element}, " ")))
	}
	for _, p := range a.Problems {
		fmt.Fprintln(&b, p)
	}
	if err := printText(env, b.String()); err != nil {
		return err
	}
	for _, o := range a.Objects {
		key := strings.Join(o.Key, ", ")
		if key == "" {
			key = "none"
		}
		text := fmt.Sprintf("\n%s  %s of %s, key %s", o.Table, o.Mode, o.Relation, key)
		if o.Partition != "" {
			text += ", partitioned by " + o.Partition
		}
		if err := printText(env, text+"\n"); err != nil {
			return err
		}
		var rows []string
		for _, c := range o.Columns {
			required := ""
			if c.Required {
				required = "required"
			}
			rules := strings.Join(c.Rules, "; ")
			if c.Unit != "" {
				rules = strings.TrimSuffix("in "+c.Unit+"; "+rules, "; ")
			}
			rows = append(rows, strings.TrimRight(fmt.Sprintf("%d\t%s\t%s\t%s\t%s", c.ID, c.Name, c.Type, required, rules), "\t"))
		}
		if err := columns(env, rows); err != nil {
			return err
		}
	}
	return nil
}
