package contract

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	undrop "github.com/undrop/undrop"
)

var transformForm = regexp.MustCompile(`^\s*(?:([a-zA-Z]+)\s*\(\s*(?:(\d+)\s*,\s*)?("[^"]+"|[^,()"]+?)\s*\)|("[^"]+"|[^,()"]+?))\s*$`)

// partition reads undrop.partition: "bucket(16, id), day(created_at)", or a list
// of such transforms.
func (k *compiler) partition(o *Object, v *node, path string) {
	if v == nil {
		return
	}
	var parts []string
	switch {
	case v.kind == stringNode:
		parts = splitTransforms(v.text)
	case v.kind == seqNode:
		for _, item := range v.items {
			parts = append(parts, item.text)
		}
	default:
		k.errorf(v, "undrop.value", path, "undrop.partition is transforms such as \"bucket(16, id), day(created_at)\"")
		return
	}
	o.PartitionBy = strings.Join(parts, ", ")
	seen := map[undrop.Transform]bool{}
	for _, part := range parts {
		t, err := o.transform(part)
		if err == nil && seen[t] {
			err = fmt.Errorf("%s is given twice", strings.TrimSpace(part))
		}
		if err != nil {
			k.errorf(v, "undrop.value", path, "undrop.partition: %v", err)
			continue
		}
		seen[t] = true
		o.Table.Partition = append(o.Table.Partition, t)
	}
}

// splitTransforms splits at commas outside of parentheses.
func splitTransforms(s string) []string {
	var out []string
	depth, from := 0, 0
	for i := range len(s) {
		switch s[i] {
		case '(':
			depth++
		case ')':
			depth--
		case ',':
			if depth == 0 {
				out = append(out, strings.TrimSpace(s[from:i]))
				from = i + 1
			}
		}
	}
	return append(out, strings.TrimSpace(s[from:]))
}

// transformKinds says which types a transform takes, as Iceberg has it.
var transformKinds = map[string][]undrop.Kind{
	"bucket":   {undrop.Int32, undrop.Int64, undrop.Decimal, undrop.Date, undrop.Time, undrop.Timestamp, undrop.TimestampTZ, undrop.String, undrop.UUID, undrop.Binary},
	"truncate": {undrop.Int32, undrop.Int64, undrop.Decimal, undrop.String, undrop.Binary},
	"year":     {undrop.Date, undrop.Timestamp, undrop.TimestampTZ},
	"month":    {undrop.Date, undrop.Timestamp, undrop.TimestampTZ},
	"day":      {undrop.Date, undrop.Timestamp, undrop.TimestampTZ},
	"hour":     {undrop.Timestamp, undrop.TimestampTZ},
	"identity": {undrop.Bool, undrop.Int32, undrop.Int64, undrop.Decimal, undrop.Date, undrop.Time, undrop.Timestamp, undrop.TimestampTZ, undrop.String, undrop.UUID, undrop.Binary},
}

func (o *Object) transform(s string) (undrop.Transform, error) {
	m := transformForm.FindStringSubmatch(s)
	if m == nil {
		return undrop.Transform{}, fmt.Errorf("cannot read %q; want for example bucket(16, id), truncate(4, name), day(created_at) or a column", s)
	}
	name, column := strings.ToLower(m[1]), strings.Trim(m[3], `"`)
	if name == "" {
		name, column = "identity", strings.Trim(m[4], `"`)
	}
	kinds, ok := transformKinds[name]
	if !ok {
		words := []string{"bucket", "truncate", "year", "month", "day", "hour", "identity"}
		return undrop.Transform{}, fmt.Errorf("transform %q is one of %s%s", name, strings.Join(words, ", "), didYouMean(name, words))
	}
	t := undrop.Transform{Name: name, Field: -1}
	if m[2] != "" {
		n, err := strconv.Atoi(m[2])
		if err != nil || n < 1 || n > 1<<30 {
			return t, fmt.Errorf("%s: %s is not a usable number", name, m[2])
		}
		t.Param = n
	}
	if needs := name == "bucket" || name == "truncate"; needs != (t.Param > 0) {
		return t, fmt.Errorf("%s: want bucket(N, column), truncate(W, column), and no number for other transforms", s)
	}
	var names []string
	for i, p := range o.Properties {
		names = append(names, p.Field.Name)
		if p.Field.Name == column {
			t.Field = i
		}
	}
	if t.Field < 0 {
		return t, fmt.Errorf("there is no column %q%s", column, didYouMean(column, names))
	}
	if typ := o.Properties[t.Field].Field.Type; typ.Kind != undrop.Invalid && !slices.Contains(kinds, typ.Kind) {
		return t, fmt.Errorf("%s does not take a %s (%s)", name, typ, column)
	}
	return t, nil
}
