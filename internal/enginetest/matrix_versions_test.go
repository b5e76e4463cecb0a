package enginetest_test

import (
	"os"
	"strings"
	"testing"

	"github.com/undrop/undrop/internal/enginetest"
	"github.com/undrop/undrop/internal/postgres/postgrestest"
)

const generated = `create table sums(id int primary key, a int, b int, total int generated always as (a + b) stored);
	insert into sums(id, a, b) values (1, 1, 2), (2, null, 2);`

// withTotal is the draft of sums with the generated column, that the draft leaves out.
func (i *installation) withTotal() *draft {
	i.t.Helper()
	d := i.draft("public.sums")
	at := strings.Index(d.text, "      # left out: total")
	if at < 0 {
		i.t.Fatalf("the draft does not say that total is left out:\n%s", d.text)
	}
	_, rest, _ := strings.Cut(d.text[at:], "\n")
	d.text = d.text[:at] + "      - name: total\n        logicalType: integer\n        logicalTypeOptions: {format: i32}\n        physicalType: integer\n" + rest
	return d
}

// TestGeneratedColumns lands a stored generated column from PostgreSQL 18, which
// sends it when the publication says so; before 18 a contract that wants one is
// refused, since its changes would come without it.
func TestGeneratedColumns(t *testing.T) {
	t.Run("before 18", func(t *testing.T) {
		if !full() {
			inst := newInstallation(t, postgrestest.NewDatabase(t, textual, generated), "sums")
			if n := postgrestest.Query(t, inst.dsn, "show server_version_num")[0][0]; n >= "180000" {
				t.Skip("SKIPPED: the server is " + n)
			}
			inst.generatedIsRefused()
			return
		}
		dsn := startVersion(t, "17.5.0").DSN("postgres")
		postgrestest.Exec(t, dsn, textual, generated)
		newInstallation(t, dsn, "sums").generatedIsRefused()
	})
	t.Run("18", func(t *testing.T) {
		if !full() {
			t.Skip("SKIPPED: set UNDROP_LONG=1 or " + enginetest.RequiredEnv + "=required to test with PostgreSQL 18")
		}
		server := startVersion(t, "18.3.0")
		for n, lane := range []string{"direct", "log"} {
			t.Run(lane, func(t *testing.T) {
				name := "db" + lane
				postgrestest.Exec(t, server.DSN("postgres"), "create database "+name)
				dsn := server.DSN(name)
				postgrestest.Exec(t, dsn, textual, generated)
				inst := newInstallation(t, dsn, "sums"+string(rune('a'+n)))
				inst.edit(inst.file, "lane: direct", "lane: "+lane)
				inst.withTotal().write("0.1.0")
				inst.catchUp()
				inst.compare(nil)
				inst.sql("update sums set a = 10 where id = 1", "insert into sums(id, a, b) values (3, 3, 3)", "update sums set id = 20, b = null where id = 2")
				inst.catchUp()
				inst.compare(nil)
				inst.quarantined(nil)

				// The publication stops to send it: nothing may be landed without it.
				pub := postgrestest.Query(t, dsn, "select pubname from pg_publication")[0][0]
				inst.sql("alter publication "+pub+" set (publish_generated_columns = none)", "update sums set a = 11 where id = 1")
				if _, story := inst.run(3, "up", "--until-caught-up"); !strings.Contains(story, "publish_generated_columns") {
					t.Errorf("the refusal does not say what the publication lacks:\n%s", story)
				}
				inst.sql("alter publication " + pub + " set (publish_generated_columns = stored)")
				code, _, story := undropCommand(t, "up", "--until-caught-up", "-f", inst.file)
				if code != 0 && !strings.Contains(story, "halted") {
					t.Errorf("exit %d:\n%s", code, story)
				}
				if code == 0 {
					inst.compare(nil)
				}
			})
		}
	})
}

func (i *installation) generatedIsRefused() {
	i.t.Helper()
	old := i.draft("public.sums")
	i.withTotal().write("0.1.0")
	if _, story := i.run(3, "up", "--until-caught-up"); !strings.Contains(story, "column total is generated") {
		i.t.Errorf("the refusal does not name the column:\n%s", story)
	}
	if err := os.WriteFile(old.file, []byte(old.text), 0o600); err != nil {
		i.t.Fatal(err)
	}
	i.catchUp()
	i.sql("update sums set a = 10 where id = 1")
	i.catchUp()
	i.compare(nil)
}
