package app

import (
	"testing"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

func TestWhereJudgesRowsByTheColumnsType(t *testing.T) {
	table := &undrop.Table{Fields: []undrop.Field{
		{Name: "id", Type: undrop.Type{Kind: undrop.Int64}},
		{Name: "amount", Type: undrop.Type{Kind: undrop.Decimal, Precision: 12, Scale: 2}},
		{Name: "Note", Type: undrop.Type{Kind: undrop.String}},
		{Name: "at", Type: undrop.Type{Kind: undrop.TimestampTZ}},
	}}
	b := batch.New(table)
	b.Cols[0].AppendInt(9)
	b.Cols[1].AppendInt(-150) // -1.50
	b.Cols[2].AppendString("it's")
	b.Cols[3].AppendInt(1_700_000_000_000_000) // 2023-11-14 22:13:20+00
	b.AddRow(undrop.Read, undrop.Position{}, 0)
	b.Cols[0].AppendInt(10)
	for c := 1; c < 4; c++ {
		b.Cols[c].AppendNull()
	}
	b.AddRow(undrop.Read, undrop.Position{}, 0)

	for _, c := range []struct {
		where string
		want  [2]bool
	}{
		{"id > 9", [2]bool{false, true}}, // as numbers, not as text
		{"amount = -1.5", [2]bool{true, false}},
		{"amount != 7", [2]bool{true, false}}, // a null is not different from 7 either
		{"amount < -1.499", [2]bool{true, false}},
		{"\"Note\" = 'it''s' and id <= 9", [2]bool{true, false}},
		{"at >= '2023-11-14 22:13:20+00' and at < '2023-11-14T22:13:21Z'", [2]bool{true, false}},
	} {
		f, err := parseWhere(c.where, table)
		if err != nil {
			t.Errorf("%s: %v", c.where, err)
			continue
		}
		if got := [2]bool{f.match(b, 0), f.match(b, 1)}; got != c.want {
			t.Errorf("%s: matches %v, want %v", c.where, got, c.want)
		}
	}
	for _, bad := range []string{"id", "id = x", "nothing = 1", "id = 1 or id = 2", "at = 'yesterday'"} {
		if _, err := parseWhere(bad, table); undrop.CodeOf(err) != undrop.BadInput {
			t.Errorf("%s: %v, want a refusal", bad, err)
		}
	}
}
