package enginetest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/app"
	"github.com/undrop/undrop/internal/cli"
	"github.com/undrop/undrop/internal/contract"
	"github.com/undrop/undrop/internal/postgres/postgrestest"
)

// installation is a folder that "undrop init" wrote, used as a person would: by
// command lines.
type installation struct {
	t    *testing.T
	dsn  string
	file string // undrop.yaml
	init app.InitAnswer
}

// undrop runs one command line and returns its exit code, answer and story.
func undropCommand(t *testing.T, args ...string) (code int, answer, story string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	var out, log bytes.Buffer
	code = cli.Run(ctx, args, strings.NewReader(""), &out, &log)
	return code, out.String(), log.String()
}

// newInstallation runs init, then the SQL that init says the source needs.
func newInstallation(t *testing.T, dsn, source string, args ...string) *installation {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "inst")
	i := &installation{t: t, dsn: dsn, file: filepath.Join(dir, "undrop.yaml")}
	code, answer, story := undropCommand(t, append([]string{"init", "--json", "--source", dsn, "--source-name", source, dir}, args...)...)
	if code != 0 {
		t.Fatalf("init: exit %d\n%s", code, story)
	}
	decode(t, answer, &i.init)
	for _, f := range i.init.Findings {
		if f.SQL != "" {
			postgrestest.Exec(t, dsn, f.SQL)
		}
	}
	i.edit(i.file, "listen: 127.0.0.1:8080", "listen: "+freePort(t))
	return i
}

// freePort is an address that nothing listens on. Other commands find a running
// one by it, so it cannot be ":0".
func freePort(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func decode(t *testing.T, answer string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(answer), v); err != nil {
		t.Fatalf("%v\n%s", err, answer)
	}
}

// edit replaces a part of a file that has to be there.
func (i *installation) edit(file, old, with string) {
	i.t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		i.t.Fatal(err)
	}
	if !bytes.Contains(data, []byte(old)) {
		i.t.Fatalf("%s has no %q:\n%s", file, old, data)
	}
	if err := os.WriteFile(file, bytes.Replace(data, []byte(old), []byte(with), 1), 0o600); err != nil {
		i.t.Fatal(err)
	}
}

// run runs a command on the installation and wants an exit code.
func (i *installation) run(want int, args ...string) (answer, story string) {
	i.t.Helper()
	code, answer, story := undropCommand(i.t, append(args, "-f", i.file)...)
	if code != want {
		i.t.Fatalf("undrop %s: exit %d, want %d\n%s\n%s", strings.Join(args, " "), code, want, answer, story)
	}
	return answer, story
}

func (i *installation) catchUp() string {
	i.t.Helper()
	_, story := i.run(0, "up", "--until-caught-up")
	return story
}

// tables are the contracted tables, as the contracts say now.
func (i *installation) tables() []*undrop.Table {
	i.t.Helper()
	var all []*undrop.Table
	for _, c := range i.init.Contracts {
		p, err := os.ReadFile(c.File)
		if err != nil {
			i.t.Fatal(err)
		}
		parsed, problems := contract.Parse(c.File, p)
		if parsed == nil {
			i.t.Fatal(problems)
		}
		for _, o := range parsed.Objects {
			o.Bind(i.init.Source)
			all = append(all, o.Table)
		}
	}
	return all
}

// contractFile is the contract of a mart table.
func (i *installation) contractFile(table string) string {
	i.t.Helper()
	at := slices.IndexFunc(i.init.Contracts, func(c app.InitContract) bool { return c.Table == table })
	if at < 0 {
		i.t.Fatalf("init drafted no table %s", table)
	}
	return i.init.Contracts[at].File
}

func (i *installation) list() map[string]app.TableInfo {
	i.t.Helper()
	answer, _ := i.run(0, "table", "ls", "--json")
	var ls app.TablesAnswer
	decode(i.t, answer, &ls)
	byName := map[string]app.TableInfo{}
	for _, info := range ls.Tables {
		byName[info.Name] = info
	}
	return byName
}

// quarantine are the open records.
func (i *installation) quarantine(args ...string) app.QuarantineAnswer {
	i.t.Helper()
	answer, _ := i.run(0, append([]string{"quarantine", "ls", "--json"}, args...)...)
	var q app.QuarantineAnswer
	decode(i.t, answer, &q)
	return q
}

// sql runs statements on the source.
func (i *installation) sql(statements ...string) {
	i.t.Helper()
	postgrestest.Exec(i.t, i.dsn, statements...)
}
