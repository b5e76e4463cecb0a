package envelope

import (
	"strconv"

	undrop "github.com/undrop/undrop"
)

// avroName makes s a valid Avro name. Two names may become one: see uniqueNames.
func avroName(s string) string {
	out := make([]byte, 0, len(s)+1)
	for i, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r == '_':
			out = append(out, byte(r))
		case r >= '0' && r <= '9':
			if i == 0 {
				out = append(out, '_')
			}
			out = append(out, byte(r))
		default:
			out = append(out, '_')
		}
	}
	if len(out) == 0 {
		return "_"
	}
	return string(out)
}

// uniqueNames gives each field its Avro name. A name that is valid stays as it
// is; one that is not gets a suffix if another field already has its form.
func uniqueNames(fields []undrop.Field) []string {
	names := make([]string, len(fields))
	taken := map[string]bool{}
	for i, f := range fields {
		if avroName(f.Name) == f.Name {
			names[i] = f.Name
			taken[f.Name] = true
		}
	}
	for i, f := range fields {
		if names[i] == "" {
			names[i] = free(avroName(f.Name), taken)
		}
	}
	return names
}

// free is name, or name with the first number that makes it free; it is taken then.
func free(name string, taken map[string]bool) string {
	out := name
	for n := 2; taken[out]; n++ {
		out = name + "_" + strconv.Itoa(n)
	}
	taken[out] = true
	return out
}

// namespace of a table's record types: "<source>.<schema>.<relation>".
func namespace(t *undrop.Table) string {
	out := ""
	for _, part := range []string{t.Source, t.Schema, t.Relation} {
		if part == "" {
			continue
		}
		if out != "" {
			out += "."
		}
		out += avroName(part)
	}
	if out == "" {
		return avroName(t.Name)
	}
	return out
}
