package app_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	undrop "github.com/undrop/undrop"
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
	require.Equal(t, at, s.marks(), "tables stay at their last exact state")
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
