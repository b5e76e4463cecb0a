package envelope

import (
	"fmt"
	"testing"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// sameRow fails the test unless row i of got is row j of want in every respect.
func sameRow(t *testing.T, got *batch.Batch, i int, want *batch.Batch, j int) {
	t.Helper()
	for c := range want.Cols {
		if !got.Cols[c].EqualFrom(i, &want.Cols[c], j) {
			t.Fatalf("column %q %s of row %d is %s, want %s", want.Table.Fields[c].Name, want.Cols[c].Type, j,
				got.Cols[c].AppendJSON(nil, i), want.Cols[c].AppendJSON(nil, j))
		}
	}
	type facts struct {
		op        undrop.Op
		pos       undrop.Position
		at        int64
		bad       string
		unchanged string
		prev, raw string
	}
	of := func(b *batch.Batch, n int) facts {
		prev, raw := "none", "none"
		if k, ok := b.PrevKey[n]; ok {
			prev = fmt.Sprintf("%x", k)
		}
		if v, ok := b.Raw[n]; ok {
			raw = fmt.Sprintf("%q", v)
		}
		return facts{b.Op[n], b.Position(n), b.At[n], fmt.Sprintf("%q", b.Bad[n]), fmt.Sprint(b.Unchanged[n]), prev, raw}
	}
	if g, w := of(got, i), of(want, j); g != w {
		t.Fatalf("row %d is %+v, want %+v", j, g, w)
	}
}

// sound fails the test if the columns of b do not all have its rows.
func sound(t *testing.T, b *batch.Batch) {
	t.Helper()
	var check func(c *batch.Column, rows int)
	check = func(c *batch.Column, rows int) {
		nulls := 0
		for _, n := range c.Null {
			if n {
				nulls++
			}
		}
		if c.Rows() != rows || c.Nulls != nulls {
			t.Fatalf("%s: %d rows, %d nulls counted as %d; want %d rows", c.Type, c.Rows(), nulls, c.Nulls, rows)
		}
		if c.Elem != nil {
			check(c.Elem, int(c.Off[rows]))
		}
		if c.Key != nil {
			check(c.Key, int(c.Off[rows]))
		}
		if c.Off != nil && c.Elem == nil && len(c.Data) != int(c.Off[rows]) {
			t.Fatalf("%s: %d bytes, want %d", c.Type, len(c.Data), c.Off[rows])
		}
		for i := range c.Fields {
			check(&c.Fields[i], rows)
		}
	}
	for i := range b.Cols {
		check(&b.Cols[i], b.Len())
	}
	for _, m := range []int{len(b.Bad), len(b.Unchanged), len(b.PrevKey), len(b.Raw)} {
		if m > b.Len() {
			t.Fatalf("notes about rows that are not there")
		}
	}
}
