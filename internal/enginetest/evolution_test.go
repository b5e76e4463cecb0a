package enginetest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/undrop/undrop/internal/app"
	"github.com/undrop/undrop/internal/cli"
	"github.com/undrop/undrop/internal/enginetest"
	"github.com/undrop/undrop/internal/postgres/postgrestest"
)

const evolving = `
create type mood as enum ('happy', 'sad');
create table people(id int primary key, name text, born date, amount int, feels mood, doc text);
alter table people alter doc set storage external;
insert into people select i, 'p' || i, '2000-01-01'::date + i, i, 'happy', repeat('d', 5000) from generate_series(1, 20) i;
create table calm(id int primary key, v int, later text);
insert into calm values (1, 1), (2, 2);
create table diary(a int, b text);
alter table diary replica identity full;
insert into diary values (1, 'x');`

// TestAContractEvolves moves contracts of a running installation forward, and a
// source ahead of its contract. Seen to fail: without addedColumns, born and doc
// were null in rows that were there before; with the schema committed when apply
// starts, states that readers saw had them null; with a table halted only when no
// cut is left to reach, calm waited for people for ever.
func TestAContractEvolves(t *testing.T) {
	for _, lane := range lanes("log") {
		t.Run(lane, func(t *testing.T) {
			inst := newInstallation(t, postgrestest.NewDatabase(t, textual, evolving), "core")
			inst.edit(inst.file, "lane: direct", "lane: "+lane)
			people, calm := inst.draft("public.people"), inst.draft("public.calm")
			people.without("born").without("doc").write("0.1.0")
			calm.without("later").write("0.1.0")
			inst.catchUp()
			inst.compare(nil)
			before := inst.position("public.calm", "1")

			// A column for which the source has values: rows that are there already get
			// them too. One that is null everywhere costs no load.
			inst.sql(`update people set amount = amount + 1 where id < 5; update people set doc = 'short' where id = 1`)
			people.write("0.2.0")
			calm.write("0.2.0")
			if story := inst.catchUp(); !strings.Contains(story, `table=public.people columns="born doc"`) || strings.Contains(story, "table=public.calm columns") {
				t.Errorf("want people loaded again, and calm not:\n%s", story)
			}
			inst.compare(nil)
			inst.neverNull("public.people", "born")
			if now := inst.position("public.calm", "1"); now != before {
				t.Errorf("calm was loaded again: %s, was %s", now, before)
			}

			// An incompatible version is refused before any data moves.
			inst.sql(`insert into people(id, name) values (100, 'waits')`)
			at := inst.list()["public.people"].MetadataLocation
			people.replace("      - name: amount\n        logicalType: integer\n        logicalTypeOptions: {format: i32}", "      - name: amount\n        logicalType: string").write("0.3.0")
			if _, story := inst.run(3, "up", "--until-caught-up"); !strings.Contains(story, "people.amount") {
				t.Errorf("the refusal does not name the column:\n%s", story)
			}
			if now := inst.list()["public.people"].MetadataLocation; now != at {
				t.Error("the table changed under a contract that was refused")
			}
			people.write("0.2.0")

			stop := inst.start()
			defer stop()
			// The source gets a column: the contract does not want it, nothing happens.
			inst.sql(`alter table calm add column extra text default 'e'`, `insert into calm(id, v) values (3, 3)`)
			inst.waitRows("public.calm", "id = 3", 1)
			// The source's type outgrows the contract: that table halts, the others go on.
			inst.sql(`alter table people alter amount type bigint`, `insert into people(id, name, amount) values (101, 'big', 3000000000)`,
				`update people set name = 'after' where id = 1`, `delete from people where id = 2`, `insert into calm(id, v) values (4, 4)`)
			inst.waitRows("public.calm", "id = 4", 1)
			inst.waitState("public.people", "halted")
			if info := inst.list()["public.people"]; !strings.Contains(info.Reason, "amount") {
				t.Errorf("the reason does not name the column: %q", info.Reason)
			}
			inst.waitState("public.calm", "live")
			stop()

			// A contract that fits what the source has now: nothing was lost.
			wide := people.replace("      - name: amount\n        logicalType: integer\n        logicalTypeOptions: {format: i32}\n        physicalType: integer",
				"      - name: amount\n        logicalType: integer\n        logicalTypeOptions: {format: i64}\n        physicalType: bigint").write("0.4.0")
			inst.catchUp()
			inst.compare(nil)

			// A label that the contract does not have.
			inst.sql(`alter type mood add value 'busy'`, `insert into people(id, feels) values (200, 'busy'), (201, 'sad')`, `update people set feels = 'busy' where id = 3`)
			inst.catchUp()
			inst.compare(map[string][]string{"public.people": {"200", "3"}})
			inst.quarantined([]string{`public.people {"id":200} feels enum`, `public.people {"id":3} feels enum`})
			wide.replace("          - {value: \"sad\"}\n", "          - {value: \"sad\"}\n          - {value: \"busy\"}\n").write("0.5.0")
			inst.catchUp()
			inst.replay("public.people", 2)
			inst.compare(nil)
			inst.quarantined(nil)
			inst.accounts()
		})
	}
}

// position is where the row of a key came from.
func (i *installation) position(table, key string) string {
	i.t.Helper()
	m := i.marts()[table]
	lsn, _ := column(m, "_undrop_lsn")
	for _, row := range m.Cells {
		if *row[0] == key {
			return *row[lsn]
		}
	}
	i.t.Fatalf("%s has no row %s", table, key)
	return ""
}

// neverNull wants no state of the table that readers ever saw to have the column
// without the values that it has now: every metadata file was one.
func (i *installation) neverNull(table, name string) {
	i.t.Helper()
	at := strings.TrimPrefix(i.list()[table].MetadataLocation, "file://")
	files, err := filepath.Glob(filepath.Join(filepath.Dir(at), "*.metadata.json"))
	if err != nil || len(files) < 3 {
		i.t.Fatalf("metadata files beside %s: %d, %v", at, len(files), err)
	}
	var ask []enginetest.Table
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			i.t.Fatal(err)
		}
		var m struct {
			Current *int64 `json:"current-snapshot-id"`
		}
		decode(i.t, string(data), &m)
		if m.Current != nil && *m.Current > 0 {
			ask = append(ask, enginetest.Table{Name: filepath.Base(f), Metadata: f})
		}
	}
	had := 0
	for file, m := range enginetest.Read(i.t, ask) {
		col, has := column(m, name)
		if !has {
			continue
		}
		had++
		for _, row := range m.Cells {
			if row[col] == nil {
				i.t.Errorf("%s: row %s has no %s", file, *row[0], name)
				break
			}
		}
	}
	if had == 0 {
		i.t.Errorf("no state of %s has column %s", table, name)
	}
}

// start runs up until stop is called, which wants a clean end.
func (i *installation) start() (stop func()) {
	i.t.Helper()
	ctx, cancel := context.WithCancel(i.t.Context())
	done := make(chan int, 1)
	var out, story bytes.Buffer
	go func() { done <- cli.Run(ctx, []string{"up", "-f", i.file}, strings.NewReader(""), &out, &story) }()
	stopped := false
	i.t.Cleanup(func() {
		if i.t.Failed() {
			i.t.Logf("what up said:\n%s", story.String()) // stop has run
		}
	})
	return func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if code := <-done; code != 0 && code != 130 {
			i.t.Errorf("up: exit %d\n%s", code, story.String())
		}
	}
}

// waitRows waits until the table has n rows that match.
func (i *installation) waitRows(table, where string, n int) {
	i.t.Helper()
	i.wait(table+" has rows with "+where, func() bool { return len(i.rows(table, where)) == n })
}

func (i *installation) waitState(table, state string) {
	i.t.Helper()
	i.wait(table+" is "+state, func() bool { return i.list()[table].State == state })
}

func (i *installation) wait(what string, ok func() bool) {
	i.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			i.t.Fatalf("waited too long until %s", what)
		}
		<-tick.C
	}
}

// rows are what "table rows" answers.
func (i *installation) rows(table, where string) []json.RawMessage {
	i.t.Helper()
	answer, _ := i.run(0, "table", "rows", table, "--where", where, "--json")
	var r app.RowsAnswer
	decode(i.t, answer, &r)
	return r.Rows
}

// replay replays what is quarantined of a table and wants n rows to come of it;
// the plan, which is shown first, changes nothing.
func (i *installation) replay(table string, n int) {
	i.t.Helper()
	at := i.list()[table].MetadataLocation
	for _, args := range [][]string{nil, {"--yes"}} {
		if i.list()[table].MetadataLocation != at {
			i.t.Error("the plan of a replay changed the table")
		}
		answer, _ := i.run(0, append([]string{"quarantine", "replay", "--table", table, "--json"}, args...)...)
		var r app.ReplayAnswer
		decode(i.t, answer, &r)
		if len(r.Tables) != 1 || r.Tables[0].Replayed != n || r.Tables[0].Still != 0 {
			i.t.Errorf("replay answers %s, want %d replayed", answer, n)
		}
	}
}

// accounts wants read = applied + superseded + quarantined + filtered in every
// snapshot of every table, and the totals to be the sums of the commits.
func (i *installation) accounts() {
	i.t.Helper()
	for name := range i.list() {
		answer, _ := i.run(0, "table", "show", name, "--json")
		var d app.TableDetail
		decode(i.t, answer, &d)
		if err := d.Account.Total.Check(); err != nil {
			i.t.Errorf("%s: total: %v", name, err)
		}
		for _, s := range d.Snapshots {
			if s.Commit != nil {
				if err := s.Commit.Check(); err != nil {
					i.t.Errorf("%s at %s: %v", name, s.At, err)
				}
			}
		}
	}
}
