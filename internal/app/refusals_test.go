package app_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/app"
	"github.com/undrop/undrop/internal/postgres/postgrestest"
)

// noSlot requires that a start that was refused left nothing on the server.
func (s *site) noSlot() {
	s.t.Helper()
	require.Equal(s.t, "0", s.query("select count(*) from pg_replication_slots where slot_name = '"+s.slot()+"'"))
	require.Equal(s.t, "0", s.query("select count(*) from pg_publication"))
	require.Empty(s.t, s.marks())
}

func TestContractForATableThatIsNotThere(t *testing.T) {
	s := newSite(t)
	s.exec("alter table cards rename to other")
	refused(t, s.up(), "public.cards")
	s.noSlot()
	s.exec("alter table other rename to cards")
	require.NoError(t, s.up())
	s.same("payments", "cards")
}

func TestRoleWithoutRights(t *testing.T) {
	s := newSite(t)
	role := "weak" + s.source
	s.exec(fmt.Sprintf("create role %s login password 'x'", role))
	t.Cleanup(func() { postgrestest.Exec(t, s.dsn, "drop owned by "+role, "drop role "+role) })
	u, err := url.Parse(s.dsn)
	require.NoError(t, err)
	u.User = url.UserPassword(role, "x")
	s.edit("undrop.yaml", s.dsn, u.String())
	err = s.up()
	refused(t, err, role)
	var e *undrop.Error
	require.ErrorAs(t, err, &e)
	require.Contains(t, e.Hint, "replication", "the SQL that helps")
	s.noSlot()
}

func TestPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	s := newSite(t)
	s.edit("undrop.yaml", "\nlisten: \"\"", "\nlisten: "+l.Addr().String())
	err = s.up()
	require.ErrorContains(t, err, l.Addr().String())
	var e *undrop.Error
	require.ErrorAs(t, err, &e)
	require.Contains(t, e.Hint, "listen")
	s.noSlot()
}

// A warehouse without room stops what writes into it and nothing else: nothing
// half-written is named, and with room it goes on.
func TestFullDisk(t *testing.T) {
	s := newSite(t)
	require.NoError(t, s.up())
	small := filepath.Join(s.dir, "small")
	require.NoError(t, os.MkdirAll(small, 0o755))
	if err := syscall.Mount("undrop", small, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("SKIPPED %s: cannot mount a small disk: %v", t.Name(), err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(small, syscall.MNT_DETACH)) })
	// A second installation whose warehouse is that disk.
	s.edit("undrop.yaml", "./warehouse ", "./small/warehouse ", "state: ./state", "state: ./state2", "slot: "+s.slot(), "slot: "+s.slot()+"b", "publication: "+s.publication(), "publication: "+s.publication()+"b")
	require.NoError(t, s.up())
	s.same("payments", "cards")
	at := s.marks()
	filler := filepath.Join(small, "filler")
	fill, err := os.Create(filler)
	require.NoError(t, err)
	block := make([]byte, 4096)
	for err == nil {
		_, err = fill.Write(block)
	}
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.NoError(t, fill.Close())

	s.exec("insert into payments select g, repeat(md5(g::text), 4) from generate_series(10, 2000) g")
	r := s.start()
	s.until("it says so", func() bool { return strings.Contains(s.story.String(), "no space left on device") })
	require.Equal(t, at, s.marks(), "nothing half-written is named")
	require.NoError(t, os.Remove(filler))
	s.until("it goes on by itself", func() bool { return len(s.rows("payments")) == 1994 })
	require.NoError(t, r.stop())
	s.same("payments", "cards")
}

func TestSourcesSideBySide(t *testing.T) {
	s := newSite(t)
	other := newSite(t, "create table orders(id bigint primary key, note text); insert into orders values (1, 'o')")
	data, err := os.ReadFile(filepath.Join(other.dir, "contracts", "public.orders.odcs.yaml"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "contracts", "public.orders.odcs.yaml"), data, 0o600))
	for table, source := range map[string]string{"payments": s.source, "cards": s.source, "orders": other.source} {
		s.edit("contracts/public."+table+".odcs.yaml", "    customProperties:\n", "    customProperties:\n      - {property: undrop.source, value: "+source+"}\n")
	}
	s.edit("undrop.yaml", "\nlog:", fmt.Sprintf("\n  %s: {postgres: %q, publication: %s, slot: %s}\nlog:", other.source, other.dsn, other.publication(), other.slot()))
	require.NoError(t, s.up())
	require.Equal(t, []string{"1=o"}, s.rows("orders"))
	s.same("payments", "cards")

	// A loss in one leaves the other alone.
	other.exec("select pg_drop_replication_slot('"+other.slot()+"')", "insert into orders values (2, 'lost')")
	s.exec("insert into payments values (4, 'seen')")
	refused(t, s.up(), "public.orders is halted")
	s.same("payments", "cards")
	require.Equal(t, []string{"public.orders"}, s.gap().Tables)
	s.reload("orders")
	require.NoError(t, s.up())
	require.Equal(t, []string{"1=o", "2=lost"}, s.rows("orders"))
	require.Empty(t, s.gaps())
}

func TestRolesApart(t *testing.T) {
	s := newSite(t)
	err := s.up(app.UpOptions{Only: []string{"apply"}, UntilCaughtUp: true})
	var e *undrop.Error
	require.ErrorAs(t, err, &e)
	require.Contains(t, e.Hint, "--only capture", "the log lives with capture")

	c := s.start(app.UpOptions{Only: []string{"capture"}})
	s.until("the log is there", func() bool {
		_, err := os.Stat(filepath.Join(s.dir, "state", "log.json"))
		return err == nil
	})
	require.NoError(t, s.up(app.UpOptions{Only: []string{"apply"}, UntilCaughtUp: true}))
	s.same("payments", "cards")
	s.exec("insert into payments values (4, 'd')")
	require.NoError(t, s.up(app.UpOptions{Only: []string{"apply", "maintain"}, UntilCaughtUp: true}))
	s.same("payments")
	require.NoError(t, c.stop())

	s.exec("insert into payments values (5, 'e')")
	require.NoError(t, s.up(app.UpOptions{Only: []string{"capture", "console"}, UntilCaughtUp: true}))
	require.Len(t, s.rows("payments"), 4, "captured and not applied")
	require.NoError(t, s.up())
	s.same("payments")
}

// A stop drains: what was captured is in the tables when it ends.
func TestAStopDrains(t *testing.T) {
	s := newSite(t)
	r := s.start()
	s.until("the tables are live", func() bool { return len(s.marks()) == 2 })
	for i := range 20 {
		s.exec(fmt.Sprintf("insert into payments values (%d, 'x')", 100+i))
	}
	require.NoError(t, r.stop())
	require.NoError(t, s.up())
	s.same("payments", "cards")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := s.open(func(_ context.Context, a *app.App) error { return a.Up(ctx, app.UpOptions{}) })
	require.True(t, err == nil || errors.Is(err, context.Canceled), "%v", err)
}
