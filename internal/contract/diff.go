package contract

import (
	"fmt"
	"slices"
	"strings"

	undrop "github.com/undrop/undrop"
)

// Verdict says how much a change asks of those who live with the contract.
type Verdict string

// The verdicts, from the lightest to the heaviest. No verdict means no change.
const (
	Patch         Verdict = "patch"           // nobody notices
	Minor         Verdict = "minor"           // what was promised is still promised
	MinorWithPlan Verdict = "minor-with-plan" // the table takes it; someone has to be told first
	Major         Verdict = "major"           // a promise is broken: new table or topic, and a time with both
	Forbidden     Verdict = "forbidden"       // existing rows would mean something else, or could not be read
)

var verdicts = []Verdict{"", Patch, Minor, MinorWithPlan, Major, Forbidden}

// AtLeast reports whether v is as heavy as w.
func (v Verdict) AtLeast(w Verdict) bool {
	return slices.Index(verdicts, v) >= slices.Index(verdicts, w)
}

// bump is the version step that v asks for.
func (v Verdict) bump() string {
	switch v {
	case Patch:
		return "patch"
	case Minor, MinorWithPlan:
		return "minor"
	case Major, Forbidden:
		return "major"
	}
	return "none"
}

// Whom a change breaks.
const (
	BreaksNobody    = "none"
	BreaksProducers = "producers" // rows that the old version allows are refused
	BreaksConsumers = "consumers" // what readers relied on no longer holds
	BreaksBoth      = "both"
)

// Change is one difference and what it means.
type Change struct {
	Rule      string  `json:"rule"` // stable id, for example "scale" or "enum-remove"
	Path      string  `json:"path"` // for example "payments.amount"
	From      string  `json:"from"`
	To        string  `json:"to"`
	Verdict   Verdict `json:"verdict"`
	Direction string  `json:"direction"` // whom it breaks
	Why       string  `json:"why"`
	// TableRefuses: the existing Iceberg table cannot take the change, whatever
	// people agree on.
	TableRefuses bool `json:"table_refuses,omitempty"`
}

// String is the line a person reads.
func (c Change) String() string {
	what := c.Path + ": " + c.Rule
	if c.From != "" || c.To != "" {
		what += fmt.Sprintf(" %s -> %s", orNone(c.From), orNone(c.To))
	}
	return string(c.Verdict) + "  " + what + ": " + c.Why
}

func orNone(s string) string {
	if s == "" {
		return "(none)"
	}
	return s
}

// Report is the answer of Diff: the same two contracts always give the same.
type Report struct {
	Old          undrop.ContractRef `json:"old"`
	New          undrop.ContractRef `json:"new"`
	Verdict      Verdict            `json:"verdict"` // the heaviest of the changes
	RequiredBump string             `json:"required_bump"`
	DeclaredBump string             `json:"declared_bump"`
	Changes      []Change           `json:"changes"`
}

// BumpOK reports whether the new version number says as much as the changes do.
func (r Report) BumpOK() bool {
	order := []string{"none", "patch", "minor", "major"}
	return slices.Index(order, r.DeclaredBump) >= slices.Index(order, r.RequiredBump)
}

// Diff compares two versions of a contract by the compatibility table: what the
// wire, the table and the registry would let through in silence (a unit, a scale,
// a zone, a key) is judged as well. A property is the same one if its ODCS id is,
// else if its undrop.fieldId is, else if its name is.
func Diff(old, new *Contract) Report {
	d := &differ{}
	d.contract(old, new)
	r := Report{Old: old.Ref, New: new.Ref, DeclaredBump: bump(old.Version, new.Version), Changes: d.changes}
	slices.SortStableFunc(r.Changes, func(a, b Change) int {
		return slices.Index(verdicts, b.Verdict) - slices.Index(verdicts, a.Verdict)
	})
	for _, c := range r.Changes {
		if c.Verdict.AtLeast(r.Verdict) {
			r.Verdict = c.Verdict
		}
	}
	r.RequiredBump = r.Verdict.bump()
	if r.Changes == nil {
		r.Changes = []Change{}
	}
	return r
}

// Compatible returns nil if a table of the old version can go on under the new
// one. Otherwise the error names every change that stands against it.
func Compatible(old, new *Contract) error {
	r := Diff(old, new)
	var reasons []string
	for _, c := range r.Changes {
		if c.Verdict.AtLeast(Major) || c.TableRefuses {
			reasons = append(reasons, c.String())
		}
	}
	if len(reasons) == 0 && r.Verdict.AtLeast(Minor) && !r.BumpOK() {
		reasons = append(reasons, fmt.Sprintf("the changes need a %s version, but %s follows %s", r.RequiredBump, new.Version, old.Version))
	}
	if len(reasons) == 0 {
		return nil
	}
	return &undrop.Error{
		Code: undrop.Refused,
		Op:   fmt.Sprintf("move %s from version %s to %s", new.ID, old.Version, new.Version),
		Err:  fmt.Errorf("the versions are not compatible:\n  %s", strings.Join(reasons, "\n  ")),
		Hint: fmt.Sprintf("undrop contract diff OLD %s", new.File),
	}
}

type differ struct {
	changes []Change
}

func (d *differ) add(v Verdict, breaks, rule, path, from, to, why string) *Change {
	d.changes = append(d.changes, Change{Rule: rule, Path: path, From: from, To: to, Verdict: v, Direction: breaks, Why: why})
	return &d.changes[len(d.changes)-1]
}

// word reports a change of a plain word.
func (d *differ) word(v Verdict, breaks, rule, path, from, to, why string) {
	if from != to {
		d.add(v, breaks, rule, path, from, to, why)
	}
}

func (d *differ) contract(old, new *Contract) {
	d.word(Major, BreaksBoth, "contract-id", "id", old.ID, new.ID, "another id is another contract")
	d.word(Patch, BreaksNobody, "name", "name", old.Name, new.Name, "a name is for people; the table's name is compared by itself")
	d.word(Patch, BreaksNobody, "status", "status", old.Status, new.Status, "where the contract is in its life")
	d.word(Patch, BreaksNobody, "api-version", "apiVersion", old.APIVersion, new.APIVersion, "the standard's version is not the data's")
	d.word(Patch, BreaksNobody, "doc", "description", old.Description, new.Description, "a description")
	if fmt.Sprint(old.Recovery) != fmt.Sprint(new.Recovery) {
		d.add(Patch, BreaksNobody, "recovery", "undrop.recovery", "", "", "the recovery plan changes, the data does not")
	}
	d.sla(old.SLA, new.SLA)
	gone := map[*Object]bool{}
	for _, n := range new.Objects {
		o := findObject(old.Objects, n, gone)
		if o == nil {
			d.add(Minor, BreaksNobody, "object-add", n.Name, "", n.Table.TableName.String(), "a new table")
			continue
		}
		gone[o] = true
		d.object(o, n)
	}
	for _, o := range old.Objects {
		if !gone[o] {
			d.add(Major, BreaksConsumers, "object-drop", o.Name, o.Table.TableName.String(), "", "the table gets no more rows")
		}
	}
}

func findObject(old []*Object, n *Object, gone map[*Object]bool) *Object {
	for _, same := range []func(o *Object) bool{
		func(o *Object) bool { return o.ID != "" && o.ID == n.ID },
		func(o *Object) bool { return o.Name == n.Name },
		func(o *Object) bool { return o.Table.TableName == n.Table.TableName },
	} {
		for _, o := range old {
			if !gone[o] && same(o) {
				return o
			}
		}
	}
	return nil
}
