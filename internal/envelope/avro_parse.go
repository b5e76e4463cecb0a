package envelope

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Limits keep a hostile schema from costing more than its length suggests.
const (
	maxDepth  = 64
	maxWeight = 100_000
)

// parseAvro reads a schema. Recursive types are refused: no table can hold them.
func parseAvro(text string) (*avroType, error) {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	p := &avroParser{named: map[string]*avroType{}}
	return p.parse(v, "", 0)
}

type avroParser struct{ named map[string]*avroType }

func (p *avroParser) parse(v any, ns string, depth int) (*avroType, error) {
	if depth > maxDepth {
		return nil, errors.New("types are nested too deeply")
	}
	switch v := v.(type) {
	case string:
		return p.reference(v, ns)
	case []any:
		return p.union(v, ns, depth)
	case map[string]any:
		return p.object(v, ns, depth)
	default:
		return nil, fmt.Errorf("a type is a name, a union or an object (got %v)", v)
	}
}

func (p *avroParser) reference(name, ns string) (*avroType, error) {
	if k, ok := avroKinds[name]; ok {
		return &avroType{kind: k, weight: 1, empty: k == avroNull}, nil
	}
	t, ok := p.named[fullName(name, ns)]
	if !ok {
		if t, ok = p.named[name]; !ok {
			return nil, fmt.Errorf("type %q is not defined", name)
		}
	}
	if t == nil {
		return nil, fmt.Errorf("type %q contains itself", name)
	}
	return t, nil
}

func (p *avroParser) union(branches []any, ns string, depth int) (*avroType, error) {
	t := &avroType{kind: avroUnion, weight: 1}
	for _, b := range branches {
		c, err := p.parse(b, ns, depth+1)
		if err != nil {
			return nil, err
		}
		if c.kind == avroUnion {
			return nil, errors.New("a union directly inside a union")
		}
		t.branches = append(t.branches, c)
		t.weight += c.weight
	}
	if len(t.branches) == 0 {
		return nil, errors.New("a union without branches")
	}
	return p.weigh(t)
}

func (p *avroParser) weigh(t *avroType) (*avroType, error) {
	if t.weight > maxWeight {
		return nil, errors.New("types refer to each other too often")
	}
	return t, nil
}

func (p *avroParser) object(o map[string]any, ns string, depth int) (*avroType, error) {
	kind, ok := o["type"].(string)
	if !ok { // {"type": {...}} or {"type": [...]} only wraps
		return p.parse(o["type"], ns, depth+1)
	}
	t := &avroType{weight: 1}
	switch kind {
	case "record", "error", "enum", "fixed":
		return p.definition(kind, o, ns, depth)
	case "array", "map":
		t.kind = avroArray
		items := o["items"]
		if kind == "map" {
			t.kind, items = avroMap, o["values"]
		}
		var err error
		if t.items, err = p.parse(items, ns, depth+1); err != nil {
			return nil, err
		}
		t.weight += t.items.weight
		if kind == "array" && t.items.empty {
			return nil, errors.New("an array of values that take no bytes")
		}
	default:
		base, err := p.reference(kind, ns)
		if err != nil || base.name != "" {
			return base, err
		}
		*t = *base
	}
	t.annotate(o)
	return p.weigh(t)
}

// annotate takes over what gives a type its meaning.
func (t *avroType) annotate(o map[string]any) {
	t.logical, _ = o["logicalType"].(string)
	t.semantic, _ = o["connect.name"].(string)
	t.precision = number(o["precision"])
	t.scale = number(o["scale"])
}

// number reads a size; what is not one is -1 so that it fits nothing.
func number(v any) int {
	if v == nil {
		return 0
	}
	n, ok := v.(json.Number)
	if !ok {
		return -1
	}
	i, err := strconv.ParseInt(n.String(), 10, 32)
	if err != nil || i < 0 {
		return -1
	}
	return int(i)
}

func (p *avroParser) definition(kind string, o map[string]any, ns string, depth int) (*avroType, error) {
	t := &avroType{weight: 1}
	name, _ := o["name"].(string)
	if name == "" {
		return nil, fmt.Errorf("a %s without a name", kind)
	}
	if space, ok := o["namespace"].(string); ok && !strings.Contains(name, ".") {
		ns = space
	}
	t.name = fullName(name, ns)
	if i := strings.LastIndexByte(t.name, '.'); i >= 0 {
		ns = t.name[:i]
	}
	if _, ok := p.named[t.name]; ok {
		return nil, fmt.Errorf("type %q is defined twice", t.name)
	}
	p.named[t.name] = nil // a reference from inside is a recursion
	t.annotate(o)
	switch kind {
	case "enum":
		t.kind = avroEnum
		symbols, _ := o["symbols"].([]any)
		for _, s := range symbols {
			symbol, ok := s.(string)
			if !ok {
				return nil, fmt.Errorf("enum %q has a symbol that is no text", t.name)
			}
			t.symbols = append(t.symbols, symbol)
		}
	case "fixed":
		t.kind, t.size = avroFixed, number(o["size"])
		if t.size < 1 {
			return nil, fmt.Errorf("fixed %q has no size", t.name)
		}
	default:
		if err := p.record(t, o, ns, depth); err != nil {
			return nil, err
		}
	}
	p.named[t.name] = t
	return p.weigh(t)
}

func (p *avroParser) record(t *avroType, o map[string]any, ns string, depth int) error {
	t.kind, t.empty = avroRecord, true
	fields, ok := o["fields"].([]any)
	if !ok {
		return fmt.Errorf("record %q has no fields", t.name)
	}
	seen := map[string]bool{}
	for _, v := range fields {
		f, _ := v.(map[string]any)
		name, _ := f["name"].(string)
		if name == "" {
			return fmt.Errorf("record %q has a field without a name", t.name)
		}
		typ, err := p.parse(f["type"], ns, depth+1)
		if err != nil {
			return fmt.Errorf("field %q: %w", name, err)
		}
		if original, ok := f["undrop.name"].(string); ok {
			name = original
		}
		if seen[name] {
			return fmt.Errorf("record %q has two fields %q", t.name, name)
		}
		seen[name] = true
		t.fields = append(t.fields, avroField{name, typ})
		t.weight += typ.weight
		t.empty = t.empty && typ.empty
	}
	return nil
}

func fullName(name, ns string) string {
	if ns == "" || strings.Contains(name, ".") {
		return name
	}
	return ns + "." + name
}
