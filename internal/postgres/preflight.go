package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	undrop "github.com/undrop/undrop"
)

// Finding is one thing that preflight saw. A fatal one would hurt the
// application or lose data; SQL, where there is any, puts it right.
type Finding struct {
	Table   string // "schema.relation"; empty: the server as a whole
	Rule    string // stable word
	Message string
	SQL     string
	Fatal   bool
}

// String is the line a person reads.
func (f Finding) String() string {
	if f.Table == "" {
		return f.Rule + ": " + f.Message
	}
	return f.Table + ": " + f.Rule + ": " + f.Message
}

// Refusal turns the fatal findings into one error whose hint is their SQL; nil
// if none is fatal.
func Refusal(op string, findings []Finding) error {
	var lines, sql []string
	for _, f := range findings {
		if !f.Fatal {
			continue
		}
		lines = append(lines, f.String())
		if f.SQL != "" {
			sql = append(sql, f.SQL)
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return &undrop.Error{Code: undrop.Refused, Op: op, Err: errors.New(strings.Join(lines, "\n")), Hint: strings.Join(sql, "\n")}
}

// Preflight looks, without changing anything, for what would hurt the
// application or lose data if these tables were captured now. What it reads is
// the state of this moment: it belongs before each start.
func (s *Source) Preflight(ctx context.Context, tables []*undrop.Table) ([]Finding, error) {
	var out []Finding
	err := s.with(ctx, func(c *pgx.Conn) error {
		out = nil
		server, err := s.readServer(ctx, c)
		if err != nil {
			return fmt.Errorf("read server settings: %w", err)
		}
		if server.standby {
			out = []Finding{{Rule: "standby", Fatal: true,
				Message: "this server is a standby: barriers and slots need the primary; point the DSN at the primary (target_session_attrs=read-write chooses it among several hosts)"}}
			return nil
		}
		slot, err := s.readSlot(ctx, c)
		if err != nil {
			return fmt.Errorf("read slot: %w", err)
		}
		pub, err := s.readPublication(ctx, c)
		if err != nil {
			return fmt.Errorf("read publication: %w", err)
		}
		targets, err := s.readTargets(ctx, c, tables)
		if err != nil {
			return fmt.Errorf("read tables: %w", err)
		}
		out = append(out, server.findings(slot)...)
		out = append(out, s.slotFindings(slot, server.database)...)
		out = append(out, s.publicationFindings(pub, targets)...)
		for _, t := range targets {
			out = append(out, t.publishable()...)
			out = append(out, t.loadable(s)...)
		}
		if pub.exists && slot.Exists && !slot.Active && !slot.Lost() && slot.Plugin == "pgoutput" && slot.Database == server.database {
			late, err := s.publicationAfterSlot(ctx, c)
			if err != nil {
				return fmt.Errorf("look into slot: %w", err)
			}
			out = append(out, late...)
		}
		return nil
	})
	if err != nil {
		return nil, wrapHint("check source "+s.cfg.Name, err)
	}
	return out, nil
}

// server is what preflight needs of the whole instance.
type server struct {
	standby         bool
	database, role  string
	encoding        string
	replication     bool // the role may replicate
	walLevel        string
	maxSlots, slots int
	maxSenders      int
	senders         int
	walKeep         int // MB, -1 unlimited
	idleSlot        int // idle_replication_slot_timeout, 0 off or unknown to this version
}

func (s *Source) readServer(ctx context.Context, c *pgx.Conn) (server, error) {
	var v server
	err := c.QueryRow(ctx, `
select pg_is_in_recovery(), current_database()::text, current_user::text, pg_encoding_to_char(d.encoding)::text,
	exists (select from pg_roles where rolname = current_user and (rolsuper or rolreplication))
		or exists (select from pg_roles where rolname = 'rds_replication' and pg_has_role(oid, 'member')),
	current_setting('wal_level'), current_setting('max_replication_slots')::int, (select count(*) from pg_replication_slots)::int,
	current_setting('max_wal_senders')::int, (select count(*) from pg_stat_replication)::int,
	(select setting::int from pg_settings where name = 'max_slot_wal_keep_size'),
	coalesce((select setting::int from pg_settings where name = 'idle_replication_slot_timeout'), 0)
from pg_database d where d.datname = current_database()`).
		Scan(&v.standby, &v.database, &v.role, &v.encoding, &v.replication, &v.walLevel, &v.maxSlots, &v.slots, &v.maxSenders, &v.senders, &v.walKeep, &v.idleSlot)
	return v, err
}

func (v server) findings(slot SlotState) []Finding {
	var out []Finding
	fatal := func(rule, sql, format string, args ...any) {
		out = append(out, Finding{Rule: rule, Fatal: true, SQL: sql, Message: fmt.Sprintf(format, args...)})
	}
	if v.walLevel != "logical" {
		fatal("wal_level", "alter system set wal_level = 'logical'; -- then restart the server", "wal_level is %s: changes cannot be decoded from the log", v.walLevel)
	}
	if !v.replication {
		fatal("replication_right", "alter role "+ident(v.role)+" replication;", "role %s may not replicate", v.role)
	}
	// A first load takes the permanent slot, a resumed one a temporary one beside it.
	if free := v.maxSlots - v.slots; free < 1 {
		out = append(out, Finding{Rule: "replication_slots", Fatal: !slot.Exists,
			SQL:     fmt.Sprintf("alter system set max_replication_slots = %d; -- then restart the server", v.slots+4),
			Message: fmt.Sprintf("all %d replication slots (max_replication_slots) are taken: one more is needed to load tables", v.maxSlots)})
	}
	if free := v.maxSenders - v.senders; free < 2 {
		out = append(out, Finding{Rule: "wal_senders", Fatal: free < 1 || !slot.Exists,
			SQL:     fmt.Sprintf("alter system set max_wal_senders = %d; -- then restart the server", v.senders+4),
			Message: fmt.Sprintf("%d of %d replication connections (max_wal_senders) are taken: two more are needed, for the stream and for the snapshot", v.senders, v.maxSenders)})
	}
	if v.walKeep >= 0 {
		out = append(out, Finding{Rule: "slot_wal_keep_size", SQL: "alter system set max_slot_wal_keep_size = -1; select pg_reload_conf();",
			Message: fmt.Sprintf("max_slot_wal_keep_size is %d MB: when capture is behind by more, the slot is lost and a gap opens", v.walKeep)})
	}
	if v.idleSlot > 0 {
		out = append(out, Finding{Rule: "idle_slot_timeout", SQL: "alter system set idle_replication_slot_timeout = 0; select pg_reload_conf();",
			Message: "idle_replication_slot_timeout is set: when capture is stopped for longer, the slot is lost and a gap opens"})
	}
	if v.encoding == "SQL_ASCII" {
		out = append(out, Finding{Rule: "encoding", Message: "the database has no encoding (SQL_ASCII): rows with text that is not UTF-8 will be quarantined"})
	}
	return out
}

func (s *Source) slotFindings(st SlotState, database string) []Finding {
	if !st.Exists {
		return nil
	}
	drop := "select pg_drop_replication_slot(" + literal(s.cfg.Slot) + ");"
	var out []Finding
	add := func(rule, sql, format string, args ...any) {
		out = append(out, Finding{Rule: rule, Fatal: rule != "slot_lost", SQL: sql, Message: "slot " + s.cfg.Slot + " " + fmt.Sprintf(format, args...)})
	}
	switch {
	case st.Plugin == "":
		add("slot_plugin", drop, "is a physical slot: it belongs to a standby or a backup, choose another name or drop it")
	case st.Plugin != "pgoutput":
		add("slot_plugin", drop, "uses the output plugin %s, not pgoutput: it belongs to another reader, choose another name or drop it", st.Plugin)
	case st.Database != database:
		add("slot_database", drop, "belongs to database %s, not %s: choose another name or drop it there", st.Database, database)
	}
	if st.Active {
		add("slot_active", fmt.Sprintf("select pg_terminate_backend(%d);", st.ActivePID), "is in use by the connection with pid %d: two readers of one slot each lose what the other reads", st.ActivePID)
	}
	if st.Lost() {
		add("slot_lost", drop, "is lost (%s): changes after %s that it had not delivered must be taken from the tables again", st.Reason, st.ConfirmedFlush)
	}
	return out
}
