package drill

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/postgres/postgrestest"
)

// checked is what a verification looked at, for the test's output.
type checked struct {
	Tables, Snapshots, Rows, Files, Quarantined, Events int
}

// parkedKey is a key of payments that has rows in quarantine.
type parkedKey struct {
	first undrop.LSN // of the oldest of them
	open  int        // records that nobody has dealt with
}

// verify compares everything that undrop says with what the ledger knows. It uses
// nothing of undrop's but the files and the catalog's pointers:
//
//   - every snapshot in main's history of every table holds exactly the rows that
//     the source had at the position that the snapshot names (I1);
//   - keys in quarantine are excepted, each by name, and each for a row that the
//     ledger knows to be bad;
//   - the account of every commit balances, totals add up, offsets never go back,
//     and what was read is what lies between the offsets (I2);
//   - every file that any snapshot refers to is there;
//   - the newest snapshot holds what the database holds now.
func (r *rig) verify() (c checked) {
	t := r.t
	t.Helper()
	mart := openMart(t, r.dir)
	parked := r.parked(mart, &c)
	doubts := map[undrop.LSN]string{} // what became of a transaction at a doubtful position
	seen := map[string]bool{}
	for _, name := range Tables {
		m := mart[name]
		require.NotNil(t, m, "table %s", name)
		require.NotEmpty(t, m.eras, "%s: main has no snapshot", name)
		for _, e := range m.eras {
			require.NotEmpty(t, e.main, "%s: main is at a load that was not done", name)
			r.accounts(m, e)
		}
		r.snapshots(m, parked, doubts, &c)
		c.Tables++
	}
	for _, m := range mart {
		m.files(t, seen)
	}
	c.Files = len(seen)
	r.newest(mart, parked)
	if q := mart["bank.quarantine"]; q == nil {
		require.Zero(t, c.Quarantined)
	}
	if t.Failed() {
		t.FailNow()
	}
	return c
}

// parked reads the quarantine table and holds it against the ledger.
func (r *rig) parked(mart map[string]*martTable, c *checked) map[string]parkedKey {
	t := r.t
	keys := map[string]parkedKey{}
	q := mart["bank.quarantine"]
	if q == nil {
		return keys
	}
	current := q.tbl.CurrentSnapshot()
	require.NotNil(t, current)
	_, records, err := q.tbl.Scan().ToArrowRecords(context.Background())
	require.NoError(t, err)
	ids := map[string]bool{}
	keyOf, closed := map[string]string{}, map[string]bool{}
	for rec, err := range records {
		require.NoError(t, err)
		text := func(name string, i int) string { return valueText(rec.Column(rec.Schema().FieldIndices(name)[0]), i) }
		for i := range int(rec.NumRows()) {
			id := text("record_id", i)
			if text("status", i) != "open" { // what became of an earlier row
				closed[id] = true
				continue
			}
			if ids[id] {
				t.Errorf("quarantine holds record %s twice", id)
			}
			ids[id] = true
			if got := text("table_name", i); got != "bank.payments" {
				t.Errorf("quarantine holds a row of %s: %s", got, text("violations", i))
				continue
			}
			var key struct{ ID json.Number }
			require.NoError(t, json.Unmarshal([]byte(text("key", i)), &key))
			at, err := strconv.ParseUint(text("_undrop_lsn", i), 10, 64)
			require.NoError(t, err)
			k, known := keys[key.ID.String()]
			if !known || undrop.LSN(at) < k.first {
				k.first = undrop.LSN(at)
			}
			k.open++
			keys[key.ID.String()] = k
			keyOf[id] = key.ID.String()
			since, bad := r.bank.Ledger.Bad[key.ID.String()]
			if !bad || undrop.LSN(at) < since {
				t.Errorf("payment %s is in quarantine at %s (%s); the ledger knows nothing bad of it until %s", key.ID, undrop.LSN(at), text("violations", i), since)
			}
		}
	}
	for id := range closed {
		k, known := keys[keyOf[id]]
		if !known {
			t.Errorf("quarantine record %s is closed and was never opened", id)
			continue
		}
		k.open--
		keys[keyOf[id]] = k
	}
	c.Quarantined = len(keys)
	return keys
}

// snapshots compares every snapshot of main with the ledger.
func (r *rig) snapshots(m *martTable, parked map[string]parkedKey, doubts map[undrop.LSN]string, c *checked) {
	t := r.t
	cursor := r.bank.Ledger.Cursor(m.name)
	var before undrop.LSN
	for _, s := range m.mains() {
		at := mark[undrop.SourceMark](t, s, undrop.SummarySource)
		if !at.Complete || at.Source != "core" {
			t.Errorf("%s snapshot %d: %+v", m.name, s.SnapshotID, at)
		}
		if at.LSN < before {
			t.Errorf("%s snapshot %d is at %s, the one before it at %s", m.name, s.SnapshotID, at.LSN, before)
			return
		}
		before = at.LSN
		got := m.scan(t, s.SnapshotID)
		c.Snapshots++
		c.Rows += len(got)
		for key, row := range got {
			if row.lsn > at.LSN {
				t.Errorf("%s snapshot %d at %s: row %s is of %s", m.name, s.SnapshotID, at.LSN, key, row.lsn)
			}
			if want := "stream snapshot"; !strings.Contains(want, row.lane) {
				t.Errorf("%s snapshot %d: row %s came by lane %q", m.name, s.SnapshotID, key, row.lane)
			}
		}
		want, doubtful := cursor.To(at.LSN)
		diff := r.differences(m.name, at.LSN, got, want, parked)
		if doubtful != nil {
			with := r.differences(m.name, at.LSN, got, doubtful.With(m.name, want), parked)
			verdict := ""
			switch {
			case len(diff) > 0 && len(with) == 0:
				verdict, diff = "in", nil
			case len(diff) == 0 && len(with) > 0:
				verdict = "out"
			}
			// All tables at one position must agree.
			if other := doubts[at.LSN]; other != "" && verdict != "" && other != verdict {
				t.Errorf("%s snapshot %d at %s: the transaction is %s, in another table %s", m.name, s.SnapshotID, at.LSN, verdict, other)
			}
			if verdict != "" {
				doubts[at.LSN] = verdict
			}
		}
		if len(diff) > 0 {
			t.Errorf("%s snapshot %d at %s differs from the source in %d rows (ledger has %d, table %d):\n  %s", m.name, s.SnapshotID, at.LSN,
				len(diff), len(want), len(got), strings.Join(diff[:min(5, len(diff))], "\n  "))
			return
		}
	}
}

// differences names what a table's rows have that they should not, and the other
// way round. A key in quarantine may be missing or have an image from before the
// first change that was put aside.
func (r *rig) differences(name string, at undrop.LSN, got map[string]martRow, want map[string]string, parked map[string]parkedKey) []string {
	var diff []string
	for key, image := range want {
		row, there := got[key]
		if there && row.image == image && !strings.Contains(image, Separator+"lost"+Separator) {
			continue
		}
		if p, ok := parked[key]; ok && name == "bank.payments" && p.first <= at {
			if there && !r.hadImage(key, row.image, p.first) {
				diff = append(diff, fmt.Sprintf("%s: in quarantine since %s, and the table has %q, which the key never was before", key, p.first, row.image))
			}
			continue
		}
		if !there {
			diff = append(diff, fmt.Sprintf("%s: missing, should be %q", key, image))
		} else {
			diff = append(diff, fmt.Sprintf("%s: is %q of %s, should be %q", key, row.image, row.lsn, image))
		}
	}
	for key, row := range got {
		if _, ok := want[key]; ok {
			continue
		}
		if p, ok := parked[key]; ok && name == "bank.payments" && p.first <= at && r.hadImage(key, row.image, p.first) {
			continue
		}
		diff = append(diff, fmt.Sprintf("%s: should not be there, is %q of %s", key, row.image, row.lsn))
	}
	slices.Sort(diff)
	return diff
}

// hadImage says whether a payment ever looked like this before lsn.
func (r *rig) hadImage(key, image string, lsn undrop.LSN) bool {
	l := &r.bank.Ledger
	if l.Base["bank.payments"][key] == image {
		return true
	}
	for _, e := range l.Entries {
		if e.Before > lsn {
			return false
		}
		for _, ch := range e.Changes {
			if ch.Table == "bank.payments" && ch.Key == key && ch.Row == image {
				return true
			}
		}
	}
	return false
}

// accounts holds every commit's account against its offsets.
func (r *rig) accounts(m *martTable, e era) {
	t := r.t
	var total undrop.Account
	next := map[string][]int64{}
	ids := map[string]string{}
	start := func(topics []undrop.TopicMark) {
		for _, topic := range topics {
			if next[topic.Topic] == nil {
				next[topic.Topic], ids[topic.Topic] = offsetsOf(t, topic), topic.ID
			}
		}
	}
	for i, s := range append(slices.Clone(e.load), e.main...) {
		p := props(s)
		a := mark[undrop.AccountMark](t, s, undrop.SummaryAccount)
		if err := a.Commit.Check(); err != nil {
			t.Errorf("%s snapshot %d: %v", m.name, s.SnapshotID, err)
		}
		first := i == 0 && len(e.load) == 0
		if first { // what was read and put aside before is the load's: its states are gone
			total = a.Total
			if err := total.Check(); err != nil || total.Read < a.Commit.Read {
				t.Errorf("%s snapshot %d: total %+v, commit %+v: %v", m.name, s.SnapshotID, a.Total, a.Commit, err)
			}
		} else {
			total = total.Add(a.Commit)
		}
		if total != a.Total {
			t.Errorf("%s snapshot %d: total is %+v, the commits add up to %+v", m.name, s.SnapshotID, a.Total, total)
			return
		}
		if _, ok := p[undrop.SummaryOffsets]; !ok {
			start(mark[undrop.Load](t, s, undrop.SummaryLoad).Offsets)
			continue
		}
		read := int64(0)
		for _, topic := range mark[undrop.OffsetsMark](t, s, undrop.SummaryOffsets).Topics {
			was, now := next[topic.Topic], offsetsOf(t, topic)
			if was == nil && first {
				was = now
			}
			if was == nil { // a new aggregate type's topic is read from its beginning
				was, ids[topic.Topic] = make([]int64, len(now)), topic.ID
			}
			if first {
				ids[topic.Topic] = topic.ID
			}
			if ids[topic.Topic] != topic.ID {
				t.Errorf("%s snapshot %d: topic %s has another id", m.name, s.SnapshotID, topic.Topic)
			}
			for i := range now {
				if now[i] < was[i] {
					t.Errorf("%s snapshot %d: topic %s partition %d goes back from %d to %d", m.name, s.SnapshotID, topic.Topic, i, was[i], now[i])
				}
				read += now[i] - was[i]
			}
			next[topic.Topic] = now
		}
		if read != a.Commit.Read && !first {
			t.Errorf("%s snapshot %d: says that %d changes were read, between its offsets and those before it are %d", m.name, s.SnapshotID, a.Commit.Read, read)
		}
	}
}

func offsetsOf(t *testing.T, m undrop.TopicMark) []int64 {
	t.Helper()
	next := make([]int64, len(m.Next))
	for p := range next {
		n, ok := m.Next[strconv.Itoa(p)]
		require.True(t, ok, "topic %s has no partition %d", m.Topic, p)
		next[p] = n
	}
	return next
}

// newest compares the newest snapshot of each table with the database: nothing
// that was committed is missing at the end.
func (r *rig) newest(mart map[string]*martTable, parked map[string]parkedKey) {
	t := r.t
	now, err := r.bank.Rows(context.Background())
	require.NoError(t, err)
	parked = maps.Clone(parked)
	maps.DeleteFunc(parked, func(_ string, k parkedKey) bool { return k.open == 0 })
	for name, want := range now {
		m := mart[name]
		s := m.newest()
		at := mark[undrop.SourceMark](t, s, undrop.SummarySource)
		if diff := r.differences(name, at.LSN, m.scan(t, s.SnapshotID), want, parked); len(diff) > 0 {
			t.Errorf("%s at the end differs from the database in %d rows:\n  %s", name, len(diff), strings.Join(diff[:min(5, len(diff))], "\n  "))
		}
	}
	for key := range maps.Keys(r.bank.Ledger.Bad) {
		if _, named := parked[key]; !named && now["bank.payments"][key] != "" && strings.Contains(now["bank.payments"][key], Separator+"lost"+Separator) {
			t.Errorf("payment %s breaks the contract and is not in quarantine", key)
		}
	}
}

// slot is where the source's slot was acknowledged to, zero while there is none.
func (r *rig) slot() undrop.LSN {
	rows := postgrestest.Query(r.t, r.dsn, "select confirmed_flush_lsn from pg_replication_slots where slot_name = 'undrop_core'")
	if len(rows) == 0 {
		return 0
	}
	lsn, err := undrop.ParseLSN(rows[0][0])
	require.NoError(r.t, err)
	return lsn
}
