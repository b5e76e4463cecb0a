package enginetest_test

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/app"
	"github.com/undrop/undrop/internal/enginetest"
	"github.com/undrop/undrop/internal/kafka/kafkatest"
	"github.com/undrop/undrop/internal/postgres"
	"github.com/undrop/undrop/internal/postgres/postgrestest"
)

//go:embed testdata/matrix.sql
var matrixSetup string

//go:embed testdata/matrix_changes.sql
var matrixChanges string

// cell is one combination of settings.
type cell struct {
	name  string
	edits map[string]string // of undrop.yaml
	live  bool              // the changes happen while it is up
}

// settings that undrop.yaml is edited to.
var (
	asJSON     = map[string]string{"format: avro": "format: json"}
	laneLog    = map[string]string{"lane: direct": "lane: log"}
	perTable   = map[string]string{"consistency: source": "consistency: table"}
	onePart    = map[string]string{"partitions: 4": "partitions: 1"}
	slowCommit = map[string]string{"commit_interval: 1s": "commit_interval: 250ms"}
)

func all(edits ...map[string]string) map[string]string {
	sum := map[string]string{}
	for _, e := range edits {
		maps.Copy(sum, e)
	}
	return sum
}

// plain is the cell that every other has to equal; opposite differs from it in
// everything that one process can differ in.
var (
	plain    = cell{name: "plain"}
	opposite = cell{name: "opposite", edits: all(asJSON, laneLog, perTable, onePart, slowCommit), live: true}
)

// TestTheSameRoadEverywhere takes one nasty workload over the road with every
// setting and on every server: the mart's rows, what is quarantined and the
// accounts are the same, and equal the source. UNDROP_LONG=1 runs all of it.
//
// Seen to fail: a history with a key lost the TOASTed value of a row whose key
// changed, in every cell; a bad row that was loaded through the log said that it
// came by the stream.
func TestTheSameRoadEverywhere(t *testing.T) {
	first := &outcome{}
	shared := func(t *testing.T, n int) string { return postgrestest.NewDatabase(t, textual, matrixSetup) }
	cells := []cell{plain, opposite}
	if full() {
		cells = append(cells, cell{"live", nil, true}, cell{"json", asJSON, false}, cell{"log lane", laneLog, false}, cell{"per table", perTable, true},
			cell{"one partition", onePart, false}, cell{"250 ms", slowCommit, true}, cell{"log lane, avro, live", all(laneLog, perTable, slowCommit), true})
	}
	t.Run("shared server", func(t *testing.T) { runCells(t, first, shared, cells) })
	if !full() {
		return
	}
	for _, version := range []string{"14.18.0", "17.5.0", "18.3.0"} {
		t.Run("PostgreSQL "+version, func(t *testing.T) {
			server := startVersion(t, version)
			runCells(t, first, func(t *testing.T, n int) string { return databaseOn(t, server, n) }, []cell{plain, opposite})
		})
	}
	t.Run("Apache Kafka", func(t *testing.T) {
		broker := kafkatest.StartApache(t)
		outside := map[string]string{"  embedded: {max_bytes: 2GiB}": fmt.Sprintf("  kafka: {brokers: [%q], replication_factor: 1}", broker.Config.Brokers[0])}
		runCells(t, first, shared, []cell{{"avro", outside, true}, {"json", all(outside, asJSON), false}, {"opposite", all(outside, opposite.edits), true}})
	})
}

// full says whether all cells run, or the two that differ most.
func full() bool {
	return os.Getenv("UNDROP_LONG") != "" || os.Getenv(enginetest.RequiredEnv) == "required"
}

func runCells(t *testing.T, first *outcome, database func(*testing.T, int) string, cells []cell) {
	for n, c := range cells {
		t.Run(c.name, func(t *testing.T) {
			o := runWorkload(t, c, database(t, n))
			if first.rows == nil {
				*first = *o
			}
			if !t.Failed() {
				o.equal(t, first)
			}
		})
	}
}

// startVersion runs a server of a version that is downloaded once.
func startVersion(t *testing.T, version string) *postgres.Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	server, err := postgres.StartServer(ctx, postgres.ServerConfig{Version: version})
	if err != nil {
		if os.Getenv(enginetest.RequiredEnv) == "required" {
			t.Fatalf("%s needs PostgreSQL %s: %v", t.Name(), version, err)
		}
		t.Skipf("SKIPPED %s: no PostgreSQL %s: %v", t.Name(), version, err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Errorf("stop PostgreSQL: %v", err)
		}
	})
	return server
}

func databaseOn(t *testing.T, server *postgres.Server, n int) string {
	name := fmt.Sprintf("cell%d", n)
	postgrestest.Exec(t, server.DSN("postgres"), "create database "+name)
	dsn := server.DSN(name)
	postgrestest.Exec(t, dsn, textual, matrixSetup)
	return dsn
}

// sourceName is a name that no other source of the same server and log has.
func sourceName(t *testing.T, dsn string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return "s" + postgrestest.Query(t, dsn, "select oid from pg_database where datname = current_database()")[0][0] + "_" + u.Port()
}

// runWorkload takes the workload over the road and compares the mart with the
// source at every rest.
func runWorkload(t *testing.T, c cell, dsn string) *outcome {
	inst := newInstallation(t, dsn, sourceName(t, dsn))
	for old, with := range c.edits {
		inst.edit(inst.file, old, with)
	}
	strict := matrixContracts(inst)
	loaded := map[string]int64{}
	for _, table := range inst.tables() {
		if c.edits["lane: direct"] != "" {
			loaded[table.TableName.String()] = int64(len(postgrestest.Query(t, dsn, "select 1 from "+table.SourceRelation())))
		}
	}
	if c.live {
		stop := inst.start()
		for _, table := range inst.tables() {
			inst.waitState(table.TableName.String(), "live")
		}
		for _, s := range statements(matrixChanges) {
			inst.sql(s)
		}
		stop()
	} else {
		inst.catchUp()
		inst.compare(map[string][]string{"public.strict": {"3"}})
		inst.stamped()
		for _, s := range statements(matrixChanges) {
			inst.sql(s)
		}
	}
	inst.catchUp()
	inst.partitioned("public.items", "public.entries", "public.moved")
	inst.compare(map[string][]string{"public.strict": parkedKeys})
	o := &outcome{parked: inst.parked(), live: c.live, loaded: loaded}

	strict.write("0.2.0")
	inst.catchUp()
	inst.replay("public.strict", len(o.parked))
	inst.sql("update strict set amount = 13 where id = 13")
	inst.catchUp()
	inst.compare(nil)
	inst.quarantined(nil)
	inst.accounts()
	o.rows = inst.fingerprint()
	o.accounts, o.commits = inst.totals()
	return o
}

// parkedKeys are the keys of strict with a change in quarantine.
var parkedKeys = []string{"3", "4", "10", "11", "12", "13", "140"}

// matrixContracts puts into the drafts what the workload needs, and returns the
// contract under which nothing is bad.
func matrixContracts(i *installation) (good *draft) {
	on := func(table, property, value string) {
		line := "      - {property: undrop.table, value: " + table + "}"
		d := i.draft(table)
		d.replace(line, line+"\n      - {property: "+property+", value: "+value+"}").write("0.1.0")
	}
	on("public.items", "undrop.partition", `"bucket(4, id)"`)
	on("public.moved", "undrop.partition", `"truncate(3, a)"`)
	on("public.entries", "undrop.partition", `"day(created_at)"`)
	i.draft("public.entries").replace("undrop.mode, value: mirror", "undrop.mode, value: history").write("0.1.0")
	on("public.wiped", "undrop.onTruncate", "apply")
	good = i.draft("public.strict")
	good.replace("      - name: status\n        logicalType: string\n        physicalType: text\n",
		"      - name: status\n        logicalType: string\n        physicalType: text\n        enum: [{value: new}, {value: paid}]\n").write("0.1.0")
	return good.replace("customProperties: [{property: undrop.fieldId, value: 3}]", "customProperties: [{property: undrop.fieldId, value: 3}, {property: undrop.onNaN, value: \"null\"}]")
}

// partitioned wants tables to be partitioned.
func (i *installation) partitioned(tables ...string) {
	i.t.Helper()
	for _, table := range tables {
		if d := i.show(table); len(d.Partition) != 1 {
			i.t.Errorf("%s is partitioned by %v, want one transform", table, d.Partition)
		}
	}
}

func (i *installation) show(table string) (d app.TableDetail) {
	i.t.Helper()
	answer, _ := i.run(0, "table", "show", table, "--json")
	decode(i.t, answer, &d)
	return d
}

// parked are the open records, each as its table, its key, what the source did
// and the rules that it broke.
func (i *installation) parked() (all []string) {
	i.t.Helper()
	for _, r := range i.quarantine().Records {
		var key bytes.Buffer
		key.Write(r.Key)
		line := r.Table + " " + r.Op + " " + key.String()
		for _, v := range r.Violations {
			line += " " + v.Path + ":" + v.Rule
		}
		all = append(all, line)
	}
	slices.Sort(all)
	return all
}

// fingerprint is every mart row but for what names a position of one server.
func (i *installation) fingerprint() map[string]map[string]int {
	i.t.Helper()
	tables := map[string]map[string]int{}
	for name, mart := range i.marts() {
		if strings.HasSuffix(name, ".quarantine") {
			continue // names offsets and times: see parked
		}
		rows := map[string]int{}
		for _, cells := range mart.Cells {
			var row []any
			for n, c := range mart.Columns {
				switch c.Name {
				case "_undrop_lsn", "_undrop_committed_at", "_undrop_source":
				default:
					row = append(row, cells[n])
				}
			}
			rows[rowText(row)]++
		}
		tables[name] = rows
	}
	return tables
}

// totals are the accounts but for how applied and superseded share what was
// accepted: that depends on which changes met in one commit.
func (i *installation) totals() (sums map[string]undrop.Account, commits map[string]string) {
	i.t.Helper()
	sums, commits = map[string]undrop.Account{}, map[string]string{}
	for name := range i.list() {
		d := i.show(name)
		a := d.Account.Total
		a.Applied, a.Superseded = a.Applied+a.Superseded, 0
		sums[name] = a
		for _, s := range d.Snapshots {
			if s.Commit != nil {
				commits[name] += fmt.Sprintf("%s %+v\n", s.Lane, *s.Commit)
			}
		}
	}
	return sums, commits
}

// outcome is what a cell ended with.
type outcome struct {
	rows     map[string]map[string]int
	accounts map[string]undrop.Account
	live     bool
	loaded   map[string]int64  // rows that came through the log
	commits  map[string]string // the accounts of each commit, for a test that fails
	parked   []string
}

func (o *outcome) equal(t *testing.T, first *outcome) {
	t.Helper()
	for name, rows := range first.rows {
		diff(t, name+" as the first cell has it", rows, o.rows[name])
	}
	for name, a := range first.accounts {
		// Some is read once more, and superseded: what was loaded through the log, in
		// the second pass, and what a capture that was stopped under way had published
		// behind its last cut.
		b := o.accounts[name]
		again := o.loaded[name]
		if o.live {
			again = max(b.Read-a.Read, again)
		}
		b.Read, b.Applied = b.Read-again, b.Applied-again
		if b != a {
			t.Errorf("%s accounts for %+v\nthe first cell for %+v\nby commit:\n%s\nthe first cell:\n%s", name, o.accounts[name], a, o.commits[name], first.commits[name])
		}
	}
	if !slices.Equal(o.parked, first.parked) {
		t.Errorf("in quarantine are\n%s\nthe first cell's\n%s", strings.Join(o.parked, "\n"), strings.Join(first.parked, "\n"))
	}
}

// latest are the rows that a history with a key says the source has: the newest
// change of each key, unless it is a delete.
func (i *installation) latest(table *undrop.Table, mart *enginetest.Rows) map[string]int {
	i.t.Helper()
	at := func(name string) int {
		n, ok := column(mart, name)
		if !ok {
			i.t.Fatalf("%s has no column %s", table.TableName, name)
		}
		return n
	}
	lsn, seq, op := at("_undrop_lsn"), at("_undrop_seq"), at("_undrop_op")
	position := func(cells []*string) [2]uint64 {
		l, err := strconv.ParseUint(*cells[lsn], 10, 64)
		if err != nil {
			i.t.Fatal(err)
		}
		s, err := strconv.ParseUint(*cells[seq], 10, 64)
		if err != nil {
			i.t.Fatal(err)
		}
		return [2]uint64{l, s}
	}
	newest := map[string][]*string{}
	for _, cells := range mart.Cells {
		var key []any
		for _, k := range table.Key {
			key = append(key, cells[at(table.Fields[k].Name)])
		}
		text := rowText(key)
		have, ok := newest[text]
		if p := position(cells); ok {
			if h := position(have); p[0] < h[0] || p[0] == h[0] && p[1] < h[1] {
				continue
			}
		}
		newest[text] = cells
	}
	rows := map[string]int{}
	for _, cells := range newest {
		if *cells[op] == "d" {
			continue
		}
		var row []any
		for _, f := range table.Fields {
			n := at(f.Name)
			row = append(row, canonical(i.t, mart.Columns[n], cells[n]))
		}
		rows[rowText(row)]++
	}
	return rows
}
