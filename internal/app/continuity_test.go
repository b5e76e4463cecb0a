package app_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/app"
	"github.com/undrop/undrop/internal/postgres/postgrestest"
)

func TestSlotDropped(t *testing.T) {
	s := newSite(t)
	require.NoError(t, s.up())
	s.same("payments", "cards")
	at := s.marks()
	s.exec("select pg_drop_replication_slot('"+s.slot()+"')",
		"insert into payments values (4, 'lost')", "delete from cards where id = 1")
	before := s.lsn()
	refused(t, s.up(), "public.payments is halted", "public.cards is halted", "undrop table reload")
	g := s.gap()
	require.Equal(t, "slot_lost", g.Reason)
	require.Equal(t, []string{"public.cards", "public.payments"}, sorted(g.Tables))
	require.LessOrEqual(t, at["payments"], g.From, "what the table holds is complete")
	require.GreaterOrEqual(t, g.To, before, "what happened without the slot lies inside")
	s.stayed(at, g)
	require.Equal(t, []string{"1=p1", "2=p2", "3=p3"}, s.rows("payments"))

	// One gap, however often it is started; and later changes are kept in the log.
	s.exec("insert into payments values (5, 'kept')")
	refused(t, s.up(), "is halted")
	require.Equal(t, g, s.gap())

	s.reload("payments")
	refused(t, s.up(), "public.cards is halted")
	s.same("payments")
	require.Equal(t, g.ID, s.gap().ID, "cards still lies in it")
	s.heals("cards")
}

func TestSlotRecreatedBySomebody(t *testing.T) {
	s := newSite(t)
	require.NoError(t, s.up())
	s.exec("select pg_drop_replication_slot('"+s.slot()+"')", "insert into payments values (4, 'lost')",
		"select pg_create_logical_replication_slot('"+s.slot()+"', 'pgoutput')", "insert into payments values (5, 'kept')")
	to, err := undrop.ParseLSN(s.query("select confirmed_flush_lsn from pg_replication_slots where slot_name = '" + s.slot() + "'"))
	require.NoError(t, err)
	refused(t, s.up(), "is halted")
	g := s.gap()
	require.Equal(t, "slot_ahead", g.Reason)
	require.Equal(t, to, g.To)
	require.Less(t, g.From, g.To)
	require.Equal(t, []string{"1=p1", "2=p2", "3=p3"}, s.rows("payments"))
	s.heals("payments", "cards")
}

func TestSlotAdvancedBySomebody(t *testing.T) {
	for _, sql := range []string{
		"select pg_replication_slot_advance('SLOT', pg_current_wal_lsn())",
		"select count(*) from pg_logical_slot_get_binary_changes('SLOT', null, null, 'proto_version', '1', 'publication_names', 'SLOT')",
	} {
		t.Run(sql[:25], func(t *testing.T) {
			s := newSite(t)
			require.NoError(t, s.up())
			s.exec("insert into payments values (4, 'taken')", replaced(sql, s.slot()))
			refused(t, s.up(), "is halted")
			g := s.gap()
			require.Equal(t, "slot_ahead", g.Reason)
			require.Less(t, g.From, g.To)
			require.Equal(t, []string{"1=p1", "2=p2", "3=p3"}, s.rows("payments"))
			s.heals("payments", "cards")
		})
	}
}

// A load that is complete, and not yet seen, lies in the gap as well.
func TestSlotDroppedWhileATableIsNotLiveYet(t *testing.T) {
	for _, lane := range []string{"direct", "log"} {
		t.Run(lane, func(t *testing.T) {
			s := newSite(t)
			s.edit("undrop.yaml", "lane: direct", "lane: "+lane)
			r := s.start(app.UpOptions{Only: []string{"capture"}})
			s.until("the loads are complete", func() bool { return strings.Count(s.story.String(), "msg=loaded") == 2 })
			require.NoError(t, r.stop())
			s.exec("select pg_drop_replication_slot('"+s.slot()+"')",
				"insert into payments values (4, 'lost')", "delete from cards where id = 1", "update cards set note = 'x' where id = 2")
			// Either it is made again in time, or it was shown at the last cut before the
			// gap and is halted there. Seen to fail with the log lane: the table appeared
			// behind the gap, with the row that was deleted in it.
			if err := s.up(); err != nil {
				refused(t, err, "is halted")
				require.Len(t, s.gaps(), 1)
				s.heals("payments", "cards")
			}
			s.same("payments", "cards")
			require.Empty(t, s.gaps())
		})
	}
}

func TestSlotInvalidated(t *testing.T) {
	server := postgrestest.Start(t, "max_slot_wal_keep_size=1MB", "min_wal_size=32MB", "max_wal_size=32MB", "wal_keep_size=0")
	dsn := server.DSN("postgres")
	postgrestest.Exec(t, dsn, twoTables)
	s := siteOf(t, dsn)
	s.exec("create table bulk(n int)")
	require.NoError(t, s.up())
	s.exec("insert into payments values (4, 'lost')")
	s.until("the server gives the slot up", func() bool {
		s.exec("insert into bulk select generate_series(1, 200000)", "select pg_switch_wal()", "checkpoint")
		return s.query("select wal_status from pg_replication_slots") == "lost"
	})
	before := s.lsn()
	refused(t, s.up(), "is halted")
	g := s.gap()
	require.Equal(t, "slot_invalidated", g.Reason)
	require.GreaterOrEqual(t, g.To, before)
	require.Equal(t, []string{"1=p1", "2=p2", "3=p3"}, s.rows("payments"))
	s.heals("payments", "cards")
}

func TestLogDeleted(t *testing.T) {
	s := newSite(t)
	require.NoError(t, s.up())
	at := s.marks()
	require.NoError(t, os.RemoveAll(filepath.Join(s.dir, "state", "log")))
	s.exec("insert into payments values (4, 'later')")
	refused(t, s.up(), "the log is empty")
	g := s.gap()
	require.Equal(t, "log_lost", g.Reason)
	require.Equal(t, min(at["payments"], at["cards"]), g.From)
	require.Equal(t, at, s.marks())

	// Half of it is not enough: the other table would go on in silence.
	s.reload("payments")
	refused(t, s.up(), "the log is empty", "public.cards")
	s.heals("cards")
}

func TestOlderCopyOfTheLog(t *testing.T) {
	s := newSite(t)
	require.NoError(t, s.up())
	log := filepath.Join(s.dir, "state", "log")
	copied := filepath.Join(t.TempDir(), "log")
	require.NoError(t, os.CopyFS(copied, os.DirFS(log)))
	s.exec("insert into payments values (4, 'seen')")
	require.NoError(t, s.up())
	s.same("payments")
	at := s.marks()
	require.NoError(t, os.RemoveAll(log))
	require.NoError(t, os.CopyFS(log, os.DirFS(copied)))
	s.exec("insert into payments values (5, 'later')")
	refused(t, s.up())
	require.Equal(t, at["payments"], s.marks()["payments"])
	require.Equal(t, []string{"1=p1", "2=p2", "3=p3", "4=seen"}, s.rows("payments"))
	reasons := map[string]bool{}
	for _, g := range s.gaps() {
		reasons[g.Reason] = true
	}
	require.True(t, reasons["slot_ahead"], "%v", s.gaps())
	s.heals("payments", "cards")
}

func TestWholeStateDeleted(t *testing.T) {
	s := newSite(t)
	require.NoError(t, s.up())
	require.NoError(t, os.RemoveAll(filepath.Join(s.dir, "state")))
	s.exec("insert into payments values (4, 'later')", "delete from cards where id = 1")
	require.NoError(t, s.up(), "no table says that anything was there: everything is loaded")
	s.same("payments", "cards")
}

func TestTopicDeletedAndMadeAgain(t *testing.T) {
	s := newSite(t)
	require.NoError(t, s.up())
	at := s.marks()
	s.exec("insert into payments values (4, 'in the log only')")
	require.NoError(t, s.up(app.UpOptions{UntilCaughtUp: true, Only: []string{"capture"}}))
	s.broker(func(ctx context.Context, admin *kadm.Client) {
		_, err := admin.DeleteTopics(ctx, s.source+".public.payments")
		require.NoError(t, err)
		_, err = admin.CreateTopic(ctx, 4, 1, nil, s.source+".public.payments")
		require.NoError(t, err)
	})
	refused(t, s.up(), "public.payments is halted")
	g := s.gap()
	require.Equal(t, "topic_recreated", g.Reason)
	require.Equal(t, s.source+".public.payments", g.Topic)
	require.Equal(t, []string{"public.payments"}, g.Tables)
	require.Equal(t, at["payments"], g.From)
	require.Less(t, g.From, g.To)
	s.stayed(at, g)
	s.heals("payments")
}

func TestTopicDeleted(t *testing.T) {
	s := newSite(t)
	require.NoError(t, s.up())
	at := s.marks()
	s.broker(func(ctx context.Context, admin *kadm.Client) {
		_, err := admin.DeleteTopics(ctx, s.source+".public.payments")
		require.NoError(t, err)
	})
	refused(t, s.up(), "public.payments is halted")
	require.Equal(t, "topic_recreated", s.gap().Reason)
	s.stayed(at, s.gap())
	s.heals("payments")
}
