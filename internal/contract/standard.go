package contract

import (
	"bytes"
	"embed"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

//go:embed schema/*.json
var schemaFiles embed.FS

// standard is one version of ODCS: the raw schema, for names and suggestions,
// and the compiled one.
type standard struct {
	version string
	raw     map[string]any
	schema  *jsonschema.Schema
}

// apiVersions says which schema judges which declared version. ODCS 3.0 and 2.2
// have no file here: 3.1 accepts their contracts, as the standard says it does.
var apiVersions = map[string]string{
	"v3.2.0": "v3.2.0", "v3.1.0": "v3.1.0",
	"v3.0.2": "v3.1.0", "v3.0.1": "v3.1.0", "v3.0.0": "v3.1.0",
	"v2.2.2": "v3.1.0", "v2.2.1": "v3.1.0", "v2.2.0": "v3.1.0",
}

// Compiling a schema costs about 50 ms, so each is compiled when first asked for.
var standards = map[string]func() *standard{
	"v3.1.0": sync.OnceValue(func() *standard { return loadStandard("v3.1.0") }),
	"v3.2.0": sync.OnceValue(func() *standard { return loadStandard("v3.2.0") }),
}

// loadStandard panics on a broken embedded schema: a build that has one is useless.
func loadStandard(version string) *standard {
	name := "odcs-" + version + ".json"
	data, err := schemaFiles.ReadFile("schema/" + name)
	if err != nil {
		panic(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		panic(fmt.Sprintf("read %s: %v", name, err))
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(name, doc); err != nil {
		panic(fmt.Sprintf("add %s: %v", name, err))
	}
	schema, err := c.Compile(name)
	if err != nil {
		panic(fmt.Sprintf("compile %s: %v", name, err))
	}
	return &standard{version, doc.(map[string]any), schema}
}

// standardFor picks the schema by the declared apiVersion. An unknown version is
// judged by the newest schema, which will say so.
func standardFor(root *node) *standard {
	version, ok := apiVersions[root.str("apiVersion")]
	if !ok {
		version = "v3.2.0"
	}
	return standards[version]()
}

// keysAt collects the property names that the subschema at pointer allows,
// through $ref, allOf, anyOf, oneOf, if, then and else.
func (s *standard) keysAt(pointer string) []string {
	seen := map[string]bool{}
	names := map[string]bool{}
	var walk func(v any)
	visit := func(ptr string) {
		if !seen[ptr] {
			seen[ptr] = true
			walk(s.resolve(ptr))
		}
	}
	walk = func(v any) {
		m, ok := v.(map[string]any)
		if !ok {
			return
		}
		if ref, ok := m["$ref"].(string); ok {
			visit(strings.TrimPrefix(ref, "#"))
		}
		if props, ok := m["properties"].(map[string]any); ok {
			for name := range props {
				names[name] = true
			}
		}
		for _, k := range []string{"allOf", "anyOf", "oneOf"} {
			if list, ok := m[k].([]any); ok {
				for _, e := range list {
					walk(e)
				}
			}
		}
		for _, k := range []string{"then", "else"} {
			walk(m[k])
		}
	}
	visit(pointer)
	out := make([]string, 0, len(names))
	for n := range names {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

// resolve follows a JSON pointer into the raw schema; nil when it leads nowhere.
func (s *standard) resolve(pointer string) any {
	var v any = s.raw
	for _, part := range strings.Split(strings.Trim(pointer, "/"), "/") {
		if part == "" {
			continue
		}
		part = strings.ReplaceAll(strings.ReplaceAll(part, "~1", "/"), "~0", "~")
		switch at := v.(type) {
		case map[string]any:
			v = at[part]
		case []any:
			i := -1
			if _, err := fmt.Sscanf(part, "%d", &i); err != nil || i < 0 || i >= len(at) {
				return nil
			}
			v = at[i]
		default:
			return nil
		}
	}
	return v
}
