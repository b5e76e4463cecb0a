package config

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// TemplateSource is a source as undrop init knows it.
type TemplateSource struct {
	Name string // lower-case letter, then letters, digits, _ or -
	DSN  DSN
}

// plainDSN is a connection string that may stand inside ${VAR:-…} and unquoted
// in YAML.
var plainDSN = regexp.MustCompile(`^[A-Za-z0-9@:/?&=%._~+-]+$`)

// Template is an undrop.yaml that Load accepts, with a comment on what one may
// want to change. It holds the connection strings, passwords included: write it
// so that only its owner can read it.
func Template(name string, sources ...TemplateSource) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `# undrop.yaml: what "undrop up -f undrop.yaml" runs. Relative paths are relative to
# this file's folder. ${VAR} and ${VAR:-default} are taken from the environment.
name: %s
state: ./state                  # what undrop itself keeps on local disk
sources:
`, name)
	for _, s := range sources {
		own := defaultSource(s.Name)
		fmt.Fprintf(&b, "  %s:\n    postgres: %s\n", s.Name, yamlDSN(s))
		fmt.Fprintf(&b, "    publication: %-15s # made if it is missing, when the role may\n", own.Publication)
		fmt.Fprintf(&b, "    slot: %s\n", own.Slot)
		b.WriteString("    snapshot: {lane: direct, connections: 4, max_rows_per_second: 0}   # 0: no cap\n")
	}
	b.WriteString(`log:
  embedded: {max_bytes: 2GiB}   # one machine only; for a cluster, instead:
  # kafka: {brokers: ["127.0.0.1:9092"], replication_factor: 3}
  format: avro                  # avro | json
  registry: embedded            # embedded | http://...
  partitions: 4                 # of every topic that undrop makes
warehouse: ./warehouse          # the Iceberg tables
catalog: {listen: "127.0.0.1:8181", vault: ./vault, window: 14d}
contracts: [./contracts/*.odcs.yaml]
apply: {commit_interval: 1s, consistency: source}
listen: 127.0.0.1:8080          # API, /metrics, /healthz, /readyz
`)
	return []byte(b.String())
}

// yamlDSN lets the environment override a connection string wherever its text
// allows that. JSON strings are YAML strings.
func yamlDSN(s TemplateSource) string {
	text := s.DSN.Reveal()
	if plainDSN.MatchString(text) {
		return "${" + Variable(s.Name) + ":-" + text + "}"
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(strings.ReplaceAll(text, "${", "$${")); err != nil { // strings always encode
		panic(err)
	}
	return strings.TrimSpace(b.String())
}

// Variable is the environment variable that Template lets override the
// connection string of a source.
func Variable(source string) string {
	return strings.ToUpper(strings.ReplaceAll(source, "-", "_")) + "_DSN"
}
