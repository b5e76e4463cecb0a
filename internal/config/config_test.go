package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	undrop "github.com/undrop/undrop"
)

// example is the file that the documentation shows.
const example = `
name: bank
state: ./state                       # everything undrop itself keeps on local disk
sources:
  core:
    postgres: ${CORE_DSN}            # environment variables are expanded; secrets are never printed or logged
    publication: undrop_core         # created if missing, when the role may
    slot: undrop_core
    snapshot: {lane: direct, connections: 4, max_rows_per_second: 0}   # direct | log ; 0 = no cap
  # legacy: {topics: ["dbz.bank.*"], envelope: debezium, registry: http://…, password: ${NOT_LOOKED_UP}}
log:
  embedded: {max_bytes: 2GiB}        # single-machine mode; or:
  # kafka: {brokers: [127.0.0.1:9092], tls: {...}, sasl: {mechanism, username, password}, replication_factor: 3}
  format: avro                       # avro | json
  registry: embedded                 # embedded | http://...
warehouse: ./warehouse               # folder, file:// or s3://bucket/prefix
s3: {endpoint: "", region: us-east-1, access_key: ${AK}, secret_key: ${SK}, path_style: true}
catalog:
  listen: 127.0.0.1:8181             # undrop's own Iceberg REST catalog; or use another: rest: {uri, warehouse, token}
  view: ./state/catalog.db           # SQLite file or postgres://…
  vault: ./vault                     # folder or s3://… in another failure domain than the warehouse and the view
  window: 14d                        # how far back every commit stays restorable
contracts: [./contracts/*.odcs.yaml]
apply: {commit_interval: 1s, consistency: source, deletes: position, target_file_size: 128MiB, format_version: 2}
maintain: {compact: auto, expire_after: 14d}
listen: 127.0.0.1:8080               # console, API, /metrics, /healthz, /readyz
`

var env = map[string]string{"CORE_DSN": "postgres://app:s3cret@db/core", "AK": "AKIA", "SK": "a}b: #c", "EMPTY": ""}

func lookup(name string) (string, bool) { v, ok := env[name]; return v, ok }

// folder is a folder with one contract in it.
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "contracts"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "contracts", "payments.odcs.yaml"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestExampleOfTheDocumentation(t *testing.T) {
	dir := folder(t)
	c, err := parse(filepath.Join(dir, "undrop.yaml"), example, lookup)
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		File: filepath.Join(dir, "undrop.yaml"), Dir: dir, Name: "bank", State: filepath.Join(dir, "state"),
		Sources: []Source{{
			Name: "core", Postgres: DSN{"postgres://app:s3cret@db/core"}, Publication: "undrop_core", Slot: "undrop_core",
			Snapshot: Snapshot{Lane: "direct", Connections: 4, RangePages: 4096}, Envelope: "debezium",
		}},
		Log:       Log{Embedded: Embedded{MaxBytes: 2 << 30}, Format: "avro", Registry: "embedded", Partitions: 4},
		Warehouse: filepath.Join(dir, "warehouse"),
		S3:        S3{Region: "us-east-1", AccessKey: Secret{"AKIA"}, SecretKey: Secret{"a}b: #c"}, PathStyle: true},
		Catalog: Catalog{
			Listen: "127.0.0.1:8181", View: DSN{filepath.Join(dir, "state", "catalog.db")},
			Vault: filepath.Join(dir, "vault"), Window: 14 * 24 * time.Hour,
		},
		Contracts: []string{filepath.Join(dir, "contracts", "payments.odcs.yaml")},
		Apply:     Apply{CommitInterval: time.Second, Consistency: "source", Deletes: "position", TargetFileSize: 128 << 20, FormatVersion: 2},
		Maintain:  Maintain{Compact: "auto", ExpireAfter: 14 * 24 * time.Hour},
		Listen:    "127.0.0.1:8080",
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %#v\nwant %#v", c, want)
	}
}

func TestLeastFileHasDefaults(t *testing.T) {
	dir := folder(t)
	c, err := parse(filepath.Join(dir, "undrop.yaml"), "name: b\nsources: {core-eu: {postgres: host=db}}\n", lookup)
	if err != nil {
		t.Fatal(err)
	}
	s := c.Source("core-eu")
	if s == nil || s.Slot != "undrop_core_eu" || s.Publication != "undrop_core_eu" || s.Snapshot.Lane != "direct" {
		t.Errorf("source has no defaults: %+v", s)
	}
	if c.Catalog.View.Reveal() != filepath.Join(dir, "state", "catalog.db") || len(c.Contracts) != 1 || c.Log.Partitions != 4 {
		t.Errorf("no defaults: %+v", c)
	}
}

func TestKafkaAndTopics(t *testing.T) {
	dir := folder(t)
	c, err := parse(filepath.Join(dir, "undrop.yaml"), `
name: b
sources:
  legacy: {topics: ["dbz.bank.*"], envelope: debezium, registry: http://registry:8081}
log:
  kafka: {brokers: ["a:9092", "b:9092"], tls: {ca: ca.pem}, sasl: {mechanism: SCRAM-SHA-512, username: u, password: ${SK}}}
  registry: https://u:p@registry
  partitions: 12
warehouse: s3://bucket/prefix
catalog: {rest: {uri: http://catalog, warehouse: w, token: ${AK}}, view: "postgres://u:p@db/cat"}
apply: {workers: 3}
`, lookup)
	if err != nil {
		t.Fatal(err)
	}
	k := c.Log.Kafka
	if k == nil || k.ReplicationFactor != 3 || len(k.Brokers) != 2 || k.TLS.CA != filepath.Join(dir, "ca.pem") || k.SASL.Password.Reveal() != env["SK"] {
		t.Errorf("kafka: %+v", k)
	}
	if c.Warehouse != "s3://bucket/prefix" || c.Catalog.REST.Token.Reveal() != "AKIA" || c.Apply.Workers != 3 || c.Log.Partitions != 12 {
		t.Errorf("got %+v", c)
	}
}

// Each case is a file and what the error must say, word for word.
func TestRefusals(t *testing.T) {
	const head = "name: b\nsources: {core: {postgres: host=db}}\n"
	for name, tc := range map[string]struct{ file, want, hint string }{
		"unknown key":           {head + "apply: {comit_interval: 1s}", "u.yaml:3: apply.comit_interval: unknown key; the nearest valid key is commit_interval", ""},
		"unknown key, far":      {head + "maintain: {zzzzzzzz: 1}", "u.yaml:3: maintain.zzzzzzzz: unknown key; valid keys are compact, expire_after", ""},
		"unknown top key":       {head + "warehose: x", "u.yaml:3: warehose: unknown key; the nearest valid key is warehouse", ""},
		"duplicate key":         {head + "state: a\nlog: {}\nstate: b", "u.yaml:5: state: is already set in line 3", ""},
		"duplicate source":      {"name: b\nsources:\n  core: {postgres: x}\n  core: {postgres: y}", "u.yaml:4: sources.core: is already set in line 3", ""},
		"size with a bad unit":  {head + "log: {embedded: {max_bytes: 2GB}}", `u.yaml:3: log.embedded.max_bytes: "2GB" has the unknown unit "GB"; use one of B, KiB, MiB, GiB, TiB`, ""},
		"size without a unit":   {head + "log: {embedded: {max_bytes: 100}}", `u.yaml:3: log.embedded.max_bytes: "100" has no unit; write for example 100MiB (B, KiB, MiB, GiB, TiB)`, ""},
		"time with a bad unit":  {head + "maintain: {expire_after: 2w}", `u.yaml:3: maintain.expire_after: "2w" has the unknown unit "w"; use ms, s, m, h or d`, ""},
		"time without a unit":   {head + "maintain: {expire_after: 14}", `u.yaml:3: maintain.expire_after: "14" has no unit; write for example 14s (ms, s, m, h, d)`, ""},
		"no time":               {head + "maintain: {expire_after: soon}", `u.yaml:3: maintain.expire_after: "soon" is not a duration; write for example 500ms, 1s or 14d (ms, s, m, h, d)`, ""},
		"time too small":        {head + "apply: {commit_interval: 1ms}", `u.yaml:3: apply.commit_interval: "1ms" is below the least duration, 10ms`, ""},
		"unset variable":        {"name: b\nsources: {core: {postgres: \"${NO_DSN}\"}}", "u.yaml:2: sources.core.postgres: the environment variable NO_DSN is not set", "export NO_DSN=…"},
		"bad variable":          {head + "state: ${a-b}", "u.yaml:3: state: ${a-b} is not a variable; write ${NAME} or ${NAME:-default}, or $${ for the characters themselves", ""},
		"no value":              {head + "state:", "u.yaml:3: state: has no value", ""},
		"wrong word":            {head + "log: {format: xml}", `u.yaml:3: log.format: "xml" is not one of avro, json`, ""},
		"wrong number":          {head + "log: {partitions: 0}", `u.yaml:3: log.partitions: "0" is not a whole number from 1 to 1024`, ""},
		"wrong boolean":         {head + "s3: {path_style: yes}", `u.yaml:3: s3.path_style: "yes" is not true or false`, ""},
		"mapping for a value":   {head + "state: {a: b}", "u.yaml:3: state: must be one value, not a mapping", ""},
		"value for a mapping":   {head + "log: x", "u.yaml:3: log: must be a mapping, not a single value", ""},
		"value for a list":      {head + "contracts: x", "u.yaml:3: contracts: must be a list, not a single value", ""},
		"anchor":                {head + "state: &a x", "u.yaml:3: state: must be one value, not an anchor or alias, which the configuration does not use", ""},
		"two documents":         {head + "---\nname: c", "u.yaml:4: a second YAML document; the configuration is one", ""},
		"empty":                 {"# nothing\n", "u.yaml: is empty", "undrop init --source DSN DIR"},
		"syntax":                {head + "log: [1", "u.yaml:3: sequence end token ']' not found", ""},
		"no name":               {"sources: {core: {postgres: host=db}}", "u.yaml: name: is missing; it names this installation, for example name: bank", ""},
		"bad name":              {"name: My Bank\nsources: {core: {postgres: host=db}}", `u.yaml:1: name: "My Bank" must be a lower-case letter, then letters, digits, _ or -, at most 48`, ""},
		"no source":             {"name: b", `u.yaml: sources: is missing; name at least one source, for example sources: {core: {postgres: "${CORE_DSN}"}}`, ""},
		"empty source":          {"name: b\nsources:\n  core:\n", "u.yaml:3: sources.core: needs postgres: DSN (or topics: [...] that another capture writes)", ""},
		"both kinds":            {"name: b\nsources:\n  core: {postgres: x, topics: [y]}", "u.yaml:3: sources.core.topics: a source is either postgres or topics", ""},
		"slot of topics":        {"name: b\nsources:\n  core: {topics: [y], slot: z}", "u.yaml:3: sources.core.slot: belongs to a postgres source", ""},
		"bad slot":              {"name: b\nsources:\n  core: {postgres: x, slot: A-b}", `u.yaml:3: sources.core.slot: "A-b" must be 1 to 63 lower-case letters, digits or _`, ""},
		"shared slot":           {"name: b\nsources:\n  a: {postgres: x, slot: s}\n  b: {postgres: x, slot: s}", "u.yaml:4: sources.b.slot: source a already reads slot s of this server; a slot has one reader", ""},
		"two logs":              {head + "log: {embedded: {}, kafka: {brokers: [\"a:1\"]}}", "u.yaml:3: log.kafka: the log is either embedded or kafka", ""},
		"no brokers":            {head + "log: {kafka: {}}", "u.yaml:3: log.kafka.brokers: is missing; for example brokers: [127.0.0.1:9092]", ""},
		"bad broker":            {head + "log: {kafka: {brokers: [a]}}", `u.yaml:3: log.kafka.brokers: "a" is not host:port`, ""},
		"half a login":          {head + "log: {kafka: {brokers: [\"a:1\"], sasl: {mechanism: PLAIN, username: u}}}", "u.yaml:3: log.kafka.sasl: username and password are both needed", ""},
		"bad registry":          {head + "log: {registry: registry:8081}", "u.yaml:3: log.registry: must be an http:// or https:// URL", ""},
		"bad address":           {head + "listen: 8080", `u.yaml:3: listen: "8080" is not host:port`, ""},
		"one address twice":     {head + "listen: 127.0.0.1:8181", `u.yaml: catalog.listen: "127.0.0.1:8181" is also what listen says`, ""},
		"bad scheme":            {head + "warehouse: gs://x", `u.yaml:3: warehouse: "gs://x": unknown scheme "gs"; use a folder, file:// or s3://`, ""},
		"relative file URL":     {head + "warehouse: file://x", `u.yaml:3: warehouse: "file://x": a file URL has an absolute path: file:///srv/warehouse`, ""},
		"half an S3 key":        {head + "s3: {access_key: x}", "u.yaml:3: s3: access_key and secret_key belong together", ""},
		"view elsewhere":        {head + "catalog: {view: \"mysql://u:p@h/d\"}", "u.yaml:3: catalog.view: must be a SQLite file or a postgres:// URL", ""},
		"no contracts":          {head + "contracts: []", "u.yaml:3: contracts: is empty; a table needs a contract", ""},
		"private use character": {head + "state: \uE0007\uE001", "u.yaml:3: holds a character from Unicode's private use area", ""},
		"variable as a key":     {head + "${AK}: x", "u.yaml:3: ${AK}: unknown key; valid keys are apply, catalog, contracts, listen, log, maintain, name, s3, sources, state, warehouse", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse("u.yaml", tc.file, lookup)
			var e *undrop.Error
			if !errors.As(err, &e) || e.Code != undrop.BadInput || e.Hint == "" {
				t.Fatalf("got %#v, want a BadInput with a hint", err)
			}
			if got := e.Err.Error(); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
			if tc.hint != "" && e.Hint != tc.hint {
				t.Errorf("hint %q, want %q", e.Hint, tc.hint)
			}
		})
	}
}

func TestEverythingWrongIsToldAtOnceInOrder(t *testing.T) {
	_, err := parse("u.yaml", "name: b\nsources: {core: {postgres: \"${A_DSN}\", snapshot: {lane: up}}}\nlog: {formt: avro}\n", lookup)
	want := "read the configuration: 3 problems\n" +
		"  u.yaml:2: sources.core.postgres: the environment variable A_DSN is not set\n" +
		"  u.yaml:2: sources.core.snapshot.lane: \"up\" is not one of direct, log\n" +
		"  u.yaml:3: log.formt: unknown key; the nearest valid key is format"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestMissingFile(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "undrop.yaml"))
	if undrop.CodeOf(err) != undrop.BadInput {
		t.Errorf("got %v, want BadInput", err)
	}
}

func TestContractsThatAreNotThere(t *testing.T) {
	_, err := parse(filepath.Join(t.TempDir(), "u.yaml"), "name: b\nsources: {core: {postgres: host=db}}\n", lookup)
	if err == nil || !strings.Contains(err.Error(), "contracts[0]: no contract matches ") {
		t.Errorf("got %v", err)
	}
}

func TestVariables(t *testing.T) {
	for in, want := range map[string]string{
		"${AK}":            "AKIA",
		"a${AK}b${AK}":     "aAKIAbAKIA",
		"${NOPE:-x:y z}":   "x:y z",
		"${NOPE:-}":        "",
		"${EMPTY}":         "",
		"${EMPTY:-d}":      "d",
		"${AK:-d}":         "AKIA",
		"$${AK}":           "${AK}",
		"$$${AK}":          "$${AK}",
		"$AK and $ and {}": "$AK and $ and {}",
	} {
		v := &variables{lookup: lookup}
		hidden := v.hide(in)
		if got, err := v.expand(hidden); err != nil || got != want {
			t.Errorf("%s: got %q, %v; want %q", in, got, err, want)
		}
		if got := v.show(hidden); got != in {
			t.Errorf("%s: shown as %q", in, got)
		}
	}
}

func TestTemplateLoads(t *testing.T) {
	for _, dsn := range []string{
		"postgres://app:s3cret@127.0.0.1:5432/core?sslmode=disable",
		`host=/tmp/x user=app password='it''s "${HOME}" $${x} \\ #:'`,
		"postgres://app:a}b${c}@db/core",
		"postgres:///core?host=/var/run/postgresql&user=a%20b",
	} {
		dir := folder(t)
		file := filepath.Join(dir, "undrop.yaml")
		c, err := parse(file, string(Template("bank", TemplateSource{"core", NewDSN(dsn)}, TemplateSource{"cards-eu", NewDSN("host=db")})), lookupNothing)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Sources[0].Postgres.Reveal(); got != dsn {
			t.Errorf("connection string came back as %s, want %s", got, dsn)
		}
		least, err := parse(file, "name: bank\nsources: {core: {postgres: x}, cards-eu: {postgres: y}}", lookupNothing)
		if err != nil {
			t.Fatal(err)
		}
		least.Sources[0].Postgres, least.Sources[1].Postgres = c.Sources[0].Postgres, c.Sources[1].Postgres
		if !reflect.DeepEqual(c, least) {
			t.Errorf("the template's values are not the defaults:\n%+v\n%+v", c, least)
		}
	}
}

func lookupNothing(string) (string, bool) { return "", false }

func FuzzParse(f *testing.F) {
	f.Add(example)
	f.Add(string(Template("bank", TemplateSource{"core", NewDSN("host=db")})))
	f.Add("a: [${X:-, }]\n? b\n")
	f.Fuzz(func(t *testing.T, text string) {
		_, err := parse("u.yaml", text, lookup)
		if err != nil && undrop.CodeOf(err) != undrop.BadInput {
			t.Errorf("%v is not BadInput", err)
		}
	})
}
