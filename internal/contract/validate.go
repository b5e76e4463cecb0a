package contract

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// validate judges root by the JSON Schema of the version that it declares and
// adds one problem per mistake, at its place.
func validate(r *report, root *node) {
	std := standardFor(root)
	err := std.schema.Validate(root.plain())
	if err == nil {
		return
	}
	var verr *jsonschema.ValidationError
	if !errors.As(err, &verr) {
		r.errorf(root, "odcs.schema", "", "%v", err)
		return
	}
	v := &validation{report: r, std: std, root: root, seen: map[string]bool{}}
	before := len(r.lint)
	v.walk(verr)
	v.unknownKeys()
	for _, h := range v.held {
		if !slices.ContainsFunc(r.lint[before:], func(p Problem) bool { return strings.HasPrefix(p.Path, h.path) }) {
			v.once(h.n, "odcs.choice", h.path, h.msg)
		}
	}
	if !HasErrors(r.lint[before:]) && !v.excused { // what was held back was all there is
		for _, e := range v.unevaluated {
			n, path := v.at(e.InstanceLocation)
			r.errorf(n, "odcs.unknown-key", path, "%s is not allowed here", lastOf(e.InstanceLocation))
		}
	}
}

type validation struct {
	*report
	std         *standard
	root        *node
	unevaluated []*jsonschema.ValidationError
	held        []held
	excused     bool // the schema failed where the text does not
	seen        map[string]bool
}

// held is a message that is only worth saying when nothing clearer was said about
// the same place.
type held struct {
	n         *node
	path, msg string
}

// walk reports the leaves of e. A failed choice is one mistake, not one per branch.
func (v *validation) walk(e *jsonschema.ValidationError) {
	n, path := v.at(e.InstanceLocation)
	switch k := e.ErrorKind.(type) {
	case *kind.FalseSchema:
		v.unevaluated = append(v.unevaluated, e)
	case *kind.Required:
		for _, key := range k.Missing {
			if v.excuse(e.InstanceLocation, n, key) {
				continue
			}
			msg := fmt.Sprintf("%s is missing", key)
			if key == "map" {
				msg = "a property of logicalType map needs a map block with key and value"
			}
			v.once(n, "odcs.required", join(path, key), msg)
		}
	case *kind.AdditionalProperties:
		pointer := strings.TrimSuffix(fragment(e.SchemaURL), "/additionalProperties")
		for _, key := range k.Properties {
			v.unknown(n, path, key, v.std.keysAt(pointer))
		}
	case *kind.OneOf:
		v.choice(e, k, n, path)
	case *kind.Not:
		not, _ := v.std.resolve(strings.TrimSuffix(fragment(e.SchemaURL), "/not") + "/not").(map[string]any)
		keys, _ := not["required"].([]any)
		for _, key := range keys {
			v.once(n.or(fmt.Sprint(key)), "odcs.not-here", path, fmt.Sprintf("%v does not belong here: at this level it is implied", key))
		}
		if len(keys) == 0 {
			v.leaf(e, n, path)
		}
	case *kind.AnyOf:
		v.once(n, "odcs.type", path, v.valueHere(n)+" is not a value that "+lastOf(e.InstanceLocation)+" can have")
	default:
		if len(e.Causes) == 0 {
			v.leaf(e, n, path)
		}
		for _, c := range e.Causes {
			v.walk(c)
		}
	}
}

// excuse reports a key that the schema asks for only because its conditions do
// not ask whether logicalType is there. The text asks for map where logicalType
// is map, and the text is what counts.
func (v *validation) excuse(loc []string, n *node, key string) bool {
	if key == "dimensions" && len(loc) > 0 {
		n, _ = v.at(loc[:len(loc)-1])
	} else if key != "map" {
		return false
	}
	if n.str("logicalType") != "" {
		return false
	}
	v.excused = true
	return true
}

func (v *validation) leaf(e *jsonschema.ValidationError, n *node, path string) {
	where := lastOf(e.InstanceLocation)
	switch k := e.ErrorKind.(type) {
	case *kind.Enum:
		want := make([]string, len(k.Want))
		for i, w := range k.Want {
			want[i] = fmt.Sprint(w)
		}
		got := fmt.Sprint(k.Got)
		v.once(n, "odcs.enum", path, fmt.Sprintf("%s is one of %s (got %q)%s", where, strings.Join(want, ", "), got, didYouMean(got, want)))
	case *kind.Type:
		if path == "version" || strings.HasSuffix(path, ".version") {
			v.once(n, "odcs.version-string", path, fmt.Sprintf("quote the version: YAML reads %s as a %s, and 1.10 would become 1.1", n.text, nodeKinds[n.kind]))
			return
		}
		v.once(n, "odcs.type", path, fmt.Sprintf("%s is a %s, not %s", where, strings.Join(k.Want, " or "), v.valueHere(n)))
	case *kind.UniqueItems:
		if len(n.items) > max(k.Duplicates[0], k.Duplicates[1]) {
			n = n.items[max(k.Duplicates[0], k.Duplicates[1])]
		}
		v.once(n, "odcs.unique", path, fmt.Sprintf("entries %d and %d of %s are equal", k.Duplicates[0]+1, k.Duplicates[1]+1, where))
	case *kind.MinItems:
		v.once(n, "odcs.items", path, fmt.Sprintf("%s needs at least %d entries (got %d)", where, k.Want, k.Got))
	case *kind.MaxItems:
		v.once(n, "odcs.items", path, fmt.Sprintf("%s has at most %d entries (got %d)", where, k.Want, k.Got))
	default:
		rule := "odcs.schema"
		if kp := e.ErrorKind.KeywordPath(); len(kp) > 0 {
			rule = "odcs." + strings.ToLower(kp[len(kp)-1])
		}
		v.once(n, rule, path, where+": "+e.ErrorKind.LocalizedString(message.NewPrinter(language.English)))
	}
}

// choice explains a failed oneOf by the branch that comes nearest.
func (v *validation) choice(e *jsonschema.ValidationError, k *kind.OneOf, n *node, path string) {
	where := lastOf(e.InstanceLocation)
	if len(k.Subschemas) > 1 {
		if strings.HasSuffix(fragment(e.SchemaURL), "DataQualityOperators") {
			v.once(n, "odcs.operator", path, "a quality check has exactly one operator; this one has "+strings.Join(operatorsOf(n), " and "))
			return
		}
		v.held = append(v.held, held{n, path, where + " matches more than one of the forms that the standard allows"})
		return
	}
	missing := []string{}
	for _, c := range e.Causes {
		if r, ok := c.ErrorKind.(*kind.Required); ok {
			missing = append(missing, r.Missing...)
		}
	}
	if len(missing) == len(e.Causes) {
		v.once(n, "odcs.required", path, "one of "+strings.Join(missing, ", ")+" is missing")
		return
	}
	var best *jsonschema.ValidationError
	for _, c := range e.Causes { // a branch that wants another type says less than one that fits and lacks something
		if _, ok := leafOf(c).ErrorKind.(*kind.Type); ok && best != nil {
			continue
		}
		if best == nil || isType(leafOf(best)) || depth(c) > depth(best) {
			best = c
		}
	}
	if best == nil {
		v.once(n, "odcs.choice", path, where+" has none of the forms that the standard allows")
		return
	}
	v.walk(best)
}

func (v *validation) once(n *node, rule, path, msg string) {
	id := strconv.Itoa(n.line) + ":" + strconv.Itoa(n.col) + rule + msg
	if !v.seen[id] {
		v.seen[id] = true
		v.errorf(n, rule, path, "%s", msg)
	}
}
