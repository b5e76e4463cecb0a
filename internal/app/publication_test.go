package app_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTableTakenOutOfThePublicationWhileDown(t *testing.T) {
	s := newSite(t)
	require.NoError(t, s.up())
	at := s.marks()
	s.exec("alter publication "+s.publication()+" drop table only payments", "insert into payments values (4, 'lost')")
	for _, back := range []bool{false, true} {
		t.Run(fmt.Sprintf("put back %t", back), func(t *testing.T) {
			if back {
				s.exec("alter publication "+s.publication()+" drop table only payments", "insert into payments values (6, 'lost')",
					"alter publication "+s.publication()+" add table only payments")
			}
			s.exec("insert into cards values (" + map[bool]string{false: "4", true: "5"}[back] + ", 'seen')")
			before := s.lsn()
			refused(t, s.up(), "public.payments is halted")
			g := s.gap()
			require.Equal(t, "publication_changed", g.Reason)
			require.Equal(t, []string{"public.payments"}, g.Tables)
			require.LessOrEqual(t, at["payments"], g.From)
			require.GreaterOrEqual(t, g.To, before)
			s.stayed(at, g)
			s.same("cards")
			s.heals("payments")
			at = s.marks()
		})
	}
}

func TestPublicationDroppedWhileDown(t *testing.T) {
	s := newSite(t)
	require.NoError(t, s.up())
	at := s.marks()
	s.exec("drop publication "+s.publication(), "insert into payments values (4, 'lost')")
	refused(t, s.up(), "is halted")
	g := s.gap()
	require.Equal(t, "publication_changed", g.Reason)
	require.Len(t, g.Tables, 2)
	s.stayed(at, g)
	s.heals("payments", "cards")
}

// While it runs the loss must be noticed before anything later is shown. Seen to
// fail without the comparison before each cut, and with one at each heartbeat only:
// the table had been shown past the loss.
func TestTableTakenOutOfThePublicationWhileUp(t *testing.T) {
	s := newSite(t)
	require.NoError(t, s.up())
	r := s.start()
	s.exec("insert into payments values (4, 'seen')")
	s.until("the change is seen", func() bool { return len(s.rows("payments")) == 4 })
	from := s.lsn()
	s.exec("alter publication "+s.publication()+" drop table only payments", "insert into payments values (5, 'lost')",
		"insert into cards values (4, 'seen')")
	s.until("a gap is open", func() bool { return len(s.gaps()) == 1 })
	s.until("others go on", func() bool { return len(s.rows("cards")) == 4 })
	g := s.gap()
	require.Equal(t, "publication_changed", g.Reason)
	require.LessOrEqual(t, g.From, from)
	require.LessOrEqual(t, s.marks()["payments"], g.From, "what the table holds is complete")
	require.Equal(t, []string{"1=p1", "2=p2", "3=p3", "4=seen"}, s.rows("payments"))
	require.NoError(t, r.stop())
	s.heals("payments")
}

// The same table name may be another table.
func TestTableMadeAgain(t *testing.T) {
	s := newSite(t)
	require.NoError(t, s.up())
	s.exec("drop table payments", "create table payments(id bigint primary key, note text)", "insert into payments values (9, 'other')",
		"alter publication "+s.publication()+" add table only payments", "insert into payments values (10, 'later')")
	refused(t, s.up(), "public.payments is halted")
	require.Equal(t, "publication_changed", s.gap().Reason)
	require.Equal(t, []string{"1=p1", "2=p2", "3=p3"}, s.rows("payments"))
	s.heals("payments")
}
