package config

import (
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

var (
	plainName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,47}$`)
	slotName  = regexp.MustCompile(`^[a-z0-9_]{1,63}$`)
)

// check finds what is wrong between keys, or missing.
func (r *reader) check(c *Config) {
	if c.Name == "" {
		r.complain("name", "is missing; it names this installation, for example name: bank")
	} else if !plainName.MatchString(c.Name) {
		r.complain("name", "%q must be a lower-case letter, then letters, digits, _ or -, at most 48", c.Name)
	}
	if c.State == "" {
		r.complain("state", "is empty; name a folder")
	}
	if len(c.Sources) == 0 {
		r.complain("sources", "is missing; name at least one source, for example sources: {core: {postgres: \"${CORE_DSN}\"}}")
	}
	slots := map[string]string{}
	for i := range c.Sources {
		r.checkSource(&c.Sources[i], slots)
	}
	r.checkLog(&c.Log)
	r.locationOf("warehouse", c.Warehouse)
	r.locationOf("catalog.vault", c.Catalog.Vault)
	r.address("listen", c.Listen)
	r.address("catalog.listen", c.Catalog.Listen)
	if c.Listen != "" && c.Listen == c.Catalog.Listen && !strings.HasSuffix(c.Listen, ":0") {
		r.complain("catalog.listen", "%q is also what listen says", c.Listen)
	}
	if rest := c.Catalog.REST; rest != nil {
		r.url("catalog.rest.uri", rest.URI, true)
	}
	r.url("s3.endpoint", c.S3.Endpoint, false)
	if c.S3.AccessKey.IsZero() != c.S3.SecretKey.IsZero() {
		r.complain("s3", "access_key and secret_key belong together")
	}
	if view := c.Catalog.View.text; strings.Contains(view, "://") && !isPostgres(view) {
		r.complain("catalog.view", "must be a SQLite file or a postgres:// URL")
	}
	if len(c.Contracts) == 0 {
		r.complain("contracts", "is empty; a table needs a contract")
	}
}

func (r *reader) checkSource(s *Source, slots map[string]string) {
	at := "sources." + s.Name
	if !plainName.MatchString(s.Name) {
		r.complain(at, "a source's name must be a lower-case letter, then letters, digits, _ or -, at most 48")
	}
	switch {
	case s.Postgres.IsZero() && len(s.Topics) == 0:
		r.complain(at, "needs postgres: DSN (or topics: [...] that another capture writes)")
	case !s.Postgres.IsZero() && len(s.Topics) > 0:
		r.complain(at+".topics", "a source is either postgres or topics")
	case !s.Postgres.IsZero():
		r.only(at, "a source with topics", "envelope", "registry")
		if !slotName.MatchString(s.Slot) {
			r.complain(at+".slot", "%q must be 1 to 63 lower-case letters, digits or _", s.Slot)
		}
		if s.Publication == "" || len(s.Publication) > 63 {
			r.complain(at+".publication", "must be 1 to 63 bytes long")
		}
		if other, ok := slots[s.Postgres.text+"\x00"+s.Slot]; ok {
			r.complain(at+".slot", "source %s already reads slot %s of this server; a slot has one reader", other, s.Slot)
		}
		slots[s.Postgres.text+"\x00"+s.Slot] = s.Name
	default:
		r.only(at, "a postgres source", "publication", "slot", "snapshot")
		r.url(at+".registry", s.Registry, false)
	}
}

// only complains about keys that mean something elsewhere only.
func (r *reader) only(at, where string, names ...string) {
	for _, name := range names {
		if _, ok := r.lines[at+"."+name]; ok {
			r.complain(at+"."+name, "belongs to %s", where)
		}
	}
}

func (r *reader) checkLog(l *Log) {
	_, embedded := r.lines["log.embedded"]
	if l.Kafka != nil && embedded {
		r.complain("log.kafka", "the log is either embedded or kafka")
	}
	if l.Registry != "embedded" {
		r.url("log.registry", l.Registry, true)
	}
	if l.Kafka == nil {
		return
	}
	if len(l.Kafka.Brokers) == 0 {
		r.complain("log.kafka.brokers", "is missing; for example brokers: [127.0.0.1:9092]")
	}
	for _, b := range l.Kafka.Brokers {
		if b == "" {
			r.complain("log.kafka.brokers", "an empty address; write host:port")
			continue
		}
		r.address("log.kafka.brokers", b)
	}
	if t := l.Kafka.TLS; t != nil && (t.Cert == "") != (t.Key == "") {
		r.complain("log.kafka.tls", "cert and key belong together")
	}
	if s := l.Kafka.SASL; s != nil {
		if s.Mechanism == "" {
			r.complain("log.kafka.sasl.mechanism", "is missing; use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
		}
		if s.Username == "" || s.Password.IsZero() {
			r.complain("log.kafka.sasl", "username and password are both needed")
		}
	}
}

func (r *reader) locationOf(path, l string) {
	scheme, rest, ok := strings.Cut(l, "://")
	switch {
	case l == "":
		r.complain(path, "is empty; name a folder, a file:// URL or an s3:// URL")
	case !ok:
	case scheme == "file" && !filepath.IsAbs(rest):
		r.complain(path, "%q: a file URL has an absolute path: file:///srv/warehouse", l)
	case scheme == "s3" && (rest == "" || rest[0] == '/'):
		r.complain(path, "%q: an s3 URL names a bucket: s3://bucket/prefix", l)
	case scheme != "file" && scheme != "s3":
		r.complain(path, "%q: unknown scheme %q; use a folder, file:// or s3://", l, scheme)
	}
}

func (r *reader) address(path, a string) {
	if a == "" {
		return
	}
	_, port, err := net.SplitHostPort(a)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		r.complain(path, "%q is not host:port", a)
	}
}

func (r *reader) url(path, s string, needed bool) {
	if s == "" && !needed {
		return
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		// The text may hold a password: it is not repeated.
		r.complain(path, "must be an http:// or https:// URL")
	}
}

// complain is silent where reading already found something wrong: the value that
// it would speak about is not the one in the file.
func (r *reader) complain(path, format string, args ...any) {
	for _, p := range r.list {
		if p.key == path || strings.HasPrefix(p.key, path+".") || strings.HasPrefix(p.key, path+"[") {
			return
		}
	}
	r.add(r.line(path), path, "", format, args...)
}

func isPostgres(s string) bool {
	return strings.HasPrefix(s, "postgres://") || strings.HasPrefix(s, "postgresql://")
}
