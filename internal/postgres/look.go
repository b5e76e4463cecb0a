package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	undrop "github.com/undrop/undrop"
)

// lookTimeout bounds the scan of one table, in the server's own notation.
const lookTimeout = "60s"

// look scans the rows of r once for values that have no place in an Iceberg
// type. Where the scan takes too long, or rows may not be read, the columns stay
// unlooked at: unknown, not clean.
func (s *Source) look(ctx context.Context, r *undrop.Relation) error {
	if r.Kind != "table" && r.Kind != "partitioned" {
		return nil
	}
	var ask []string
	var note []*bool
	var asked []*bool // Looked of the columns that the query settles
	for i := range r.Columns {
		c := &r.Columns[i]
		terms, known := lookTerms(c)
		if !known {
			continue
		}
		if len(terms) == 0 {
			c.Looked = true
			continue
		}
		for _, t := range terms {
			ask = append(ask, "coalesce(bool_or("+t.sql+"), false)")
			note = append(note, t.note)
		}
		asked = append(asked, &c.Looked)
	}
	if len(ask) == 0 {
		return nil
	}
	c, err := s.Connect(ctx, false)
	if err != nil {
		return err
	}
	defer closeConn(c)
	// A select list takes 1,664 expressions; a table has at most 1,600 columns with
	// up to four each, so wide tables take more than one scan.
	const atOnce = 1600
	found := make([]bool, 0, len(ask))
	for from := 0; from < len(ask); from += atOnce {
		part := ask[from:min(from+atOnce, len(ask))]
		only := "only "
		if r.Kind == "partitioned" {
			only = ""
		}
		results, err := c.Exec(ctx, "set statement_timeout = '"+lookTimeout+"'; select "+strings.Join(part, ", ")+" from "+only+qualified(r.Schema, r.Name)).ReadAll()
		if err != nil {
			var pe *pgconn.PgError
			if ctx.Err() == nil && errors.As(err, &pe) {
				s.log.Info("rows were not looked at", "table", r.Schema+"."+r.Name, "reason", pe.Message)
				return nil
			}
			return fmt.Errorf("scan: %w", err)
		}
		for _, v := range results[len(results)-1].Rows[0] {
			found = append(found, string(v) == "t")
		}
	}
	for i, yes := range found {
		*note[i] = *note[i] || yes
	}
	for _, l := range asked {
		*l = true
	}
	return nil
}

// lookTerm is a condition that marks a row, and where to note it.
type lookTerm struct {
	sql  string
	note *bool
}

// lookTerms says what to look for in a column; known is false for a type whose
// parts we cannot see into.
func lookTerms(c *undrop.RelationColumn) (terms []lookTerm, known bool) {
	name := ident(c.Name)
	array := c.Class == "array" || c.Class == "domain" && strings.HasSuffix(c.Base, "[]")
	if array {
		terms = append(terms, lookTerm{"array_ndims(" + name + ") > 1 or array_lower(" + name + ", 1) <> 1", &c.Nested})
	}
	if len(c.Members) > 0 {
		return nil, false
	}
	if !array {
		return append(terms, scalarTerms(c.Base, name, c)...), true
	}
	for _, t := range scalarTerms(strings.TrimSuffix(c.Base, "[]"), "v", c) {
		t.sql = "exists (select from unnest(" + name + ") u(v) where " + t.sql + ")"
		terms = append(terms, t)
	}
	return terms, true
}

// scalarTerms are the conditions on one value v of a base type.
func scalarTerms(base, v string, c *undrop.RelationColumn) []lookTerm {
	plain, _, _ := strings.Cut(base, "(") // numeric(12,2), timestamp(3) without time zone
	_, zone, _ := strings.Cut(base, ")")
	switch strings.TrimSpace(plain + zone) {
	case "numeric", "real", "double precision":
		return []lookTerm{
			{v + " = 'NaN'", &c.HasNaN},
			{v + " in ('Infinity', '-Infinity')", &c.HasInfinity},
		}
	case "date", "timestamp without time zone", "timestamp with time zone":
		return []lookTerm{
			{v + " in ('infinity', '-infinity')", &c.HasInfinity},
			{v + " not in ('infinity', '-infinity') and (" + v + " < '0001-01-01' or " + v + " >= '10000-01-01')", &c.OutOfRange},
		}
	case "time without time zone":
		return []lookTerm{{v + " = '24:00:00'", &c.OutOfRange}}
	default:
		return nil
	}
}
