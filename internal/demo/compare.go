package demo

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/app"
	"github.com/undrop/undrop/internal/batch"
)

// TableAnswer is one table of the comparison.
type TableAnswer struct {
	Name       string         `json:"name"`
	Mode       undrop.Mode    `json:"mode"`
	SnapshotID int64          `json:"snapshot_id"`
	LSN        undrop.LSN     `json:"lsn"`     // that the snapshot names
	Account    undrop.Account `json:"account"` // of all commits
	Balanced   bool           `json:"account_balances"`

	SourceRows      int64    `json:"source_rows"`
	TableRows       int64    `json:"table_rows"`
	EqualRows       int64    `json:"equal_rows"`
	Differing       int64    `json:"differing_rows"`
	QuarantinedKeys []string `json:"quarantined_keys"` // keys that are not equal because their change is in quarantine
	Differences     []string `json:"differences"`      // the first of them, for a person
}

const mostDifferences = 20

// compare reads source and tables at one position and holds them against each
// other. The traffic has ended, so nothing commits between the moment at which
// the source is read and the one that the tables' snapshots name.
func (s *stage) compare(ctx context.Context, a *app.App, answer *Answer) error {
	source, err := readSource(ctx, s.dsn())
	if err != nil {
		return err
	}
	if s.meddle != nil {
		s.meddle(source)
	}
	answer.LSN = source.lsn
	if err := a.CatchUp(ctx); err != nil {
		return err
	}
	parked, err := s.quarantine(ctx, a, answer)
	if err != nil {
		return err
	}
	tables, err := a.Tables(ctx)
	if err != nil {
		return err
	}
	answer.Equal = true
	for _, t := range tables {
		want, known := source.tables[t.Name]
		if !known {
			continue // the quarantine
		}
		delete(source.tables, t.Name)
		r, err := compareTable(ctx, a, t.Name, want, parked[t.Name], source.lsn)
		if err != nil {
			return err
		}
		answer.Tables = append(answer.Tables, *r)
		answer.Equal = answer.Equal && r.Differing == 0 && r.Balanced
	}
	for name := range source.tables {
		return &undrop.Error{Code: undrop.Damaged, Op: "compare source and tables", Err: fmt.Errorf("%s has no mart table", name), Hint: "undrop table ls"}
	}
	return nil
}

// quarantine lists what is open, and says which keys of which table it concerns.
func (s *stage) quarantine(ctx context.Context, a *app.App, answer *Answer) (map[string]map[string]bool, error) {
	open, err := a.Quarantine(ctx, app.QuarantineFilter{Status: "open"})
	if err != nil {
		return nil, err
	}
	parked := map[string]map[string]bool{}
	answer.Quarantine = []Rejection{}
	for _, r := range open.Records {
		key, err := keyText(r.Key)
		if err != nil {
			return nil, fmt.Errorf("read quarantine record %s: %w", r.RecordID, err)
		}
		if parked[r.Table] == nil {
			parked[r.Table] = map[string]bool{}
		}
		parked[r.Table][key] = true
		var why []string
		for _, v := range r.Violations {
			why = append(why, v.String())
		}
		answer.Quarantine = append(answer.Quarantine, Rejection{Table: r.Table, Key: key, LSN: r.LSN, Reason: strings.Join(why, "; ")})
	}
	return parked, nil
}

// keyText is the value of a key of one column.
func keyText(key json.RawMessage) (string, error) {
	var columns map[string]json.RawMessage
	if err := json.Unmarshal(key, &columns); err != nil {
		return "", err
	}
	if len(columns) != 1 {
		return "", fmt.Errorf("key %s: want one column", key)
	}
	for _, v := range columns {
		var text string
		if json.Unmarshal(v, &text) != nil {
			text = string(v)
		}
		return text, nil
	}
	return "", nil
}

// compareTable holds the newest snapshot of a table against the source's rows.
func compareTable(ctx context.Context, a *app.App, name string, want *relation, parked map[string]bool, at undrop.LSN) (*TableAnswer, error) {
	d, err := a.Table(ctx, name, "")
	if err != nil {
		return nil, err
	}
	if d.Source == nil || d.SnapshotID == nil || d.Source.LSN < at {
		return nil, &undrop.Error{Code: undrop.Damaged, Op: "compare " + name, Err: fmt.Errorf("its newest snapshot does not hold position %s", at), Hint: "undrop table show " + name}
	}
	r := &TableAnswer{Name: name, Mode: d.Mode, SnapshotID: *d.SnapshotID, LSN: d.Source.LSN, Account: d.Account.Total, Balanced: d.Account.Total.Check() == nil,
		SourceRows: int64(len(want.rows)), QuarantinedKeys: []string{}, Differences: []string{}}
	if !r.Balanced {
		r.Differences = append(r.Differences, d.Account.Total.Check().Error())
	}
	seen := map[string]bool{}
	var image []byte
	err = a.EachRow(ctx, name, fmt.Sprintf("snapshot:%d", r.SnapshotID), func(b *batch.Batch) error {
		columns, err := want.columnsOf(b)
		if err != nil {
			return err
		}
		for i := range b.Len() {
			image = image[:0]
			for n, c := range columns {
				if n > 0 {
					image = append(image, separator)
				}
				if b.Cols[c].Null[i] {
					image = append(image, null)
				} else {
					image = b.Cols[c].AppendText(image, i)
				}
			}
			key := string(b.Cols[columns[want.key]].AppendText(nil, i))
			r.TableRows++
			if seen[key] {
				r.differ(key, "more than once in the table")
				continue
			}
			seen[key] = true
			row, there := want.rows[key]
			switch {
			case want.broken(string(image)):
				r.differ(key, "breaks the contract and is in the table: %s", show(string(image)))
			case there && row == string(image):
				r.EqualRows++
			case parked[key]:
				r.QuarantinedKeys = append(r.QuarantinedKeys, key)
			case !there:
				r.differ(key, "in the table, not in the source: %s", show(string(image)))
			default:
				r.differ(key, "source has %s, table has %s", show(row), show(string(image)))
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for key, row := range want.rows {
		switch {
		case seen[key]:
		case parked[key]:
			r.QuarantinedKeys = append(r.QuarantinedKeys, key)
		default:
			r.differ(key, "in the source, not in the table: %s", show(row))
		}
	}
	slices.SortFunc(r.QuarantinedKeys, func(x, y string) int { return cmp.Or(len(x)-len(y), strings.Compare(x, y)) }) // numbers in order
	slices.Sort(r.Differences)
	return r, nil
}

func (r *TableAnswer) differ(key, format string, args ...any) {
	r.Differing++
	if len(r.Differences) < mostDifferences {
		r.Differences = append(r.Differences, key+": "+fmt.Sprintf(format, args...))
	}
}

// verdict is the answer in a sentence.
func (a *Answer) verdict() string {
	var differing int64
	unbalanced := 0
	for _, t := range a.Tables {
		differing += t.Differing
		if !t.Balanced {
			unbalanced++
		}
	}
	return fmt.Sprintf("%d rows differ, %d accounts do not balance", differing, unbalanced)
}
