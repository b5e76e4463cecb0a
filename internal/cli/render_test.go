package cli

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/app"
)

func ptr[T any](v T) *T { return &v }

func TestRenderTables(t *testing.T) {
	var out bytes.Buffer
	err := renderTables(&out, []app.TableInfo{
		{Name: "bank.payments", Mode: undrop.Mirror, State: "live", SnapshotID: ptr(int64(7)), Rows: ptr(int64(200123)), LagSeconds: ptr(0.84), LagRecords: ptr(int64(0)),
			Quarantined: 1234, Source: &app.SourceInfo{LSN: 0x16B3748, Complete: true}, TrustedThrough: &app.TrustedInfo{LSN: 0x16B0000}},
		{Name: "bank.outbox", Mode: undrop.Events, State: "halted", Reason: "a column\nis gone", Source: &app.SourceInfo{LSN: 0x16B3748}},
		{Name: "bank.cards", Mode: undrop.Mirror, State: "waiting"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `TABLE          MODE    STATE       ROWS  LAG S  BEHIND  QUARANTINED  SOURCE LSN             TRUSTED THROUGH
bank.payments  mirror  live     200,123    0.8       0        1,234  0/16B3748              0/16B0000
bank.outbox    events  halted         -      -       -            0  0/16B3748 (not a cut)  -
bank.cards     mirror  waiting        -      -       -            0  -                      -

bank.outbox is halted: a column\nis gone
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

func TestRenderRowsShowsNullAndControlCharacters(t *testing.T) {
	var out bytes.Buffer
	err := renderRows(&out, &app.RowsAnswer{Columns: []string{"id", "note", "tags"}, Rows: []json.RawMessage{
		json.RawMessage(`{"id":1,"note":null,"tags":["a","b"]}`),
		json.RawMessage(`{"id":"9007199254740993","note":"\u001b[2Jgone","tags":[]}`),
		json.RawMessage(`{"id":3,"note":"","tags":null}`),
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := `              id  note         tags
               1  null         ["a","b"]
9007199254740993  \x1b[2Jgone  []
               3               null
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

func TestRenderGap(t *testing.T) {
	opened := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	gap := undrop.Gap{ID: "g1", State: "open", Source: "core", Reason: "slot_lost", Detail: "the slot is gone", Tables: []string{"a.b", "a.c"},
		From: 0x10, To: 0x20, Topic: "core.a.b", Offsets: []int64{5, 9}, OpenedAt: opened}
	var out bytes.Buffer
	if err := renderGaps(&out, []undrop.Gap{gap}); err != nil {
		t.Fatal(err)
	}
	if err := renderGap(&out, gap); err != nil {
		t.Fatal(err)
	}
	want := `GAP  STATE  SOURCE  REASON     FROM  TO    TABLES   OPENED
g1   open   core    slot_lost  0/10  0/20  a.b,a.c  2026-01-31T12:00:00Z
gap                g1
state              open
source             core
reason             slot_lost
detail             the slot is gone
complete up to     0/10
complete again at  0/20
topic              core.a.b
missing            offsets 5 up to, not including, 9
tables             a.b, a.c
opened             2026-01-31T12:00:00Z
closed             -
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

func TestCountsAndBytes(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567", 123456: "123,456"} {
		if got := count(n); got != want {
			t.Errorf("%d: got %s", n, got)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 3 << 30: "3.0 GiB"} {
		if got := bytesText(n); got != want {
			t.Errorf("%d: got %s", n, got)
		}
	}
}
