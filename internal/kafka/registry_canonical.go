package kafka

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/twmb/avro"
)

// canonical writes JSON without what has no meaning in it: space, the order of
// keys, the way characters are escaped. Two schema texts with the same canonical
// form are the same schema and share an id.
func canonical(schema string) (string, error) {
	d := json.NewDecoder(bytes.NewReader([]byte(schema)))
	d.UseNumber() // 1 and 1.0 may mean different defaults
	var v any
	if err := d.Decode(&v); err != nil {
		return "", fmt.Errorf("parse schema as JSON: %w", err)
	}
	if d.More() {
		return "", fmt.Errorf("parse schema as JSON: more than one value")
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", fmt.Errorf("write schema as JSON: %w", err)
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte{'\n'})), nil
}

// level is how much a new schema version must have in common with older ones.
type level string

// The levels of the Schema Registry API.
const (
	none               level = "NONE"
	backward           level = "BACKWARD"
	backwardTransitive level = "BACKWARD_TRANSITIVE"
	forward            level = "FORWARD"
	forwardTransitive  level = "FORWARD_TRANSITIVE"
	full               level = "FULL"
	fullTransitive     level = "FULL_TRANSITIVE"
)

func (l level) valid() bool {
	switch l {
	case none, backward, backwardTransitive, forward, forwardTransitive, full, fullTransitive:
		return true
	}
	return false
}

// compare says what stands against schema after older versions, oldest first.
func (l level) compare(schema string, older []string) ([]string, error) {
	if l == none || len(older) == 0 {
		return nil, nil
	}
	next, err := avro.Parse(schema)
	if err != nil {
		return nil, fmt.Errorf("parse schema: %w", err)
	}
	if l == backward || l == forward || l == full {
		older = older[len(older)-1:]
	}
	var against []string
	for _, text := range older {
		prev, err := avro.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("parse an older version: %w", err)
		}
		if l != forward && l != forwardTransitive {
			if err := avro.CheckCompatibility(prev, next); err != nil {
				against = append(against, "the new schema cannot read what the older one wrote: "+err.Error())
			}
		}
		if l != backward && l != backwardTransitive {
			if err := avro.CheckCompatibility(next, prev); err != nil {
				against = append(against, "the older schema cannot read what the new one writes: "+err.Error())
			}
		}
	}
	return against, nil
}
