package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestSecretsAreNeverSeen(t *testing.T) {
	c := Config{
		Sources: []Source{{Name: "core", Postgres: DSN{"postgres://app:hunter2@db/core"}}},
		S3:      S3{SecretKey: Secret{"hunter2"}},
		Log:     Log{Kafka: &Kafka{SASL: &SASL{Password: Secret{"hunter2"}}}},
	}
	var seen bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		fmt.Fprintf(&seen, verb, c)
		fmt.Fprintf(&seen, verb, c.S3.SecretKey)
		fmt.Fprintf(&seen, verb, &c.S3)
		fmt.Fprintf(&seen, verb, c.Sources)
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&seen, nil), slog.NewJSONHandler(&seen, nil)} {
		slog.New(h).Info("x", "config", c, "s3", c.S3, "key", c.S3.SecretKey, "dsn", c.Sources[0].Postgres)
	}
	out, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	seen.Write(out)
	if strings.Contains(seen.String(), "hunter2") {
		t.Errorf("a secret is printed: %s", seen.String())
	}
	if !strings.Contains(seen.String(), "postgres://app:***@db/core") {
		t.Error("a DSN must still say where")
	}
}

func TestRedaction(t *testing.T) {
	for in, want := range map[string]string{
		"postgres://app:p@db:5432/core?sslmode=disable":       "postgres://app:***@db:5432/core?sslmode=disable",
		"postgres://app:p@ss:w/rd@db/core":                    "postgres://app:***@db/core",
		"postgres://app@db/core":                              "postgres://app@db/core",
		"postgres://db/core?user=a&password=p&sslmode=x":      "postgres://db/core?user=a&password=***&sslmode=x",
		"postgres://db/core?pass%77ord=p":                     "postgres://db/core?password=***",
		"postgres://app:p?x@db/core":                          "postgres://***",
		"host=db user=app password=p dbname=core":             "host=db user=app password=*** dbname=core",
		`host=db password='a b\' c' user=app`:                 `host=db password=*** user=app`,
		`host=db password = 'open user=app`:                   `host=db password = ***`,
		`host=db PASSWORD=p\ q sslpassword=r`:                 `host=db PASSWORD=*** sslpassword=***`,
		"/srv/state/catalog.db":                               "/srv/state/catalog.db",
		"":                                                    "",
		"host=db passfile=/home/me/.pgpass sslkey=/etc/a.key": "host=db passfile=/home/me/.pgpass sslkey=/etc/a.key",
	} {
		if got := NewDSN(in).String(); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", in, got, want)
		}
	}
}
