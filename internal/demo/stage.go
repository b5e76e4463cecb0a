package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/app"
	"github.com/undrop/undrop/internal/config"
	"github.com/undrop/undrop/internal/drill"
	"github.com/undrop/undrop/internal/postgres"
)

// stage is what the demo plays on: a source with a bank in it, and an
// installation that will land it.
type stage struct {
	Options
	dir      string // of the installation
	server   *postgres.Server
	bank     *drill.Bank
	cfg      *config.Config
	tables   int
	existing int64 // rows before anybody watches
}

// open starts the source, fills it and writes the installation.
func open(ctx context.Context, o Options) (_ *stage, err error) {
	s := &stage{Options: o}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	server := postgres.ServerConfig{Settings: map[string]string{"synchronous_commit": "off", "max_wal_size": "4GB"}}
	if o.Keep == "" {
		if s.dir, err = os.MkdirTemp("", "undrop-demo-"); err != nil {
			return s, fmt.Errorf("make a folder for the demo: %w", err)
		}
	} else {
		dir, err := freshFolder(o.Keep)
		if err != nil {
			return s, err
		}
		s.dir, s.Keep, server.Dir = dir, dir, filepath.Join(dir, "postgres")
	}
	o.Say("starting PostgreSQL")
	if s.server, err = postgres.StartServer(ctx, server); err != nil {
		return s, err
	}
	if s.bank, err = drill.OpenBank(ctx, s.dsn(), o.Seed); err != nil {
		return s, err
	}
	s.bank.Forgetful = true // the comparison asks the database
	o.Say("three services write to it: payments with an outbox, accounts, cards; %d existing payments", o.Rows)
	if err := s.bank.Create(ctx, o.Rows); err != nil {
		return s, err
	}
	if err := s.count(ctx); err != nil {
		return s, err
	}
	return s, s.install(ctx)
}

func (s *stage) dsn() string { return s.server.DSN("postgres") }

// freshFolder refuses a folder that holds something.
func freshFolder(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find %s: %w", dir, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", &undrop.Error{Code: undrop.BadInput, Op: "demo", Err: err, Hint: "choose another folder for --keep"}
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("%s is not empty", dir)
	}
	if err != nil {
		return "", &undrop.Error{Code: undrop.Refused, Op: "demo", Err: err, Hint: "choose another folder for --keep"}
	}
	return dir, nil
}

// count puts a few rows that break the contract among those that exist, and
// counts them all.
func (s *stage) count(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.dsn())
	if err != nil {
		return fmt.Errorf("connect to the source: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, "update bank.payments set status = 'lost' where id % 50021 = 7"); err != nil {
		return fmt.Errorf("break the contract: %w", err)
	}
	for _, table := range drill.Tables {
		var n int64
		if err := conn.QueryRow(ctx, "select count(*) from "+table).Scan(&n); err != nil {
			return fmt.Errorf("count rows of %s: %w", table, err)
		}
		s.existing += n
	}
	return nil
}

// statusRule is what an owner of payments would add to the draft: nobody can read
// from a table which values it may never hold.
const (
	statusDraft = "      - name: status\n        logicalType: string\n"
	statusRule  = "        description: where the payment stands; anything else is a mistake of its producer\n" +
		"        enum: [{value: new}, {value: paid}, {value: settled}]\n"
)

// install drafts configuration and contracts, then does what an owner would.
func (s *stage) install(ctx context.Context) error {
	drafted, err := app.Init(ctx, app.InitOptions{DSN: s.dsn(), Tables: []string{"bank.*"}, Dir: s.dir, Name: "demo", Source: "core", Log: s.Log})
	if err != nil {
		return err
	}
	s.tables = len(drafted.Contracts)
	for _, c := range drafted.Contracts {
		if c.Relation != "bank.payments" {
			continue
		}
		if err := replace(c.File, statusDraft, statusDraft+statusRule); err != nil {
			return err
		}
	}
	// The usual ports may be taken, by another undrop for example.
	for _, usual := range []string{"127.0.0.1:8080", "127.0.0.1:8181"} {
		free, err := freeAddress()
		if err != nil {
			return err
		}
		if err := replace(drafted.Config, usual, free); err != nil {
			return err
		}
	}
	s.cfg, err = config.Load(drafted.Config)
	return err
}

// replace replaces a text of a file that must be there.
func replace(file, from, to string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("edit the draft: %w", err)
	}
	text := string(data)
	if !strings.Contains(text, from) {
		return fmt.Errorf("edit the draft %s: it has no %q", file, from)
	}
	info, err := os.Stat(file)
	if err == nil {
		err = os.WriteFile(file, []byte(strings.Replace(text, from, to, 1)), info.Mode())
	}
	if err != nil {
		return fmt.Errorf("edit the draft: %w", err)
	}
	return nil
}

func freeAddress() (string, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String(), nil
}

// close stops what open started and removes what is not kept.
func (s *stage) close() error {
	var err error
	if s.bank != nil {
		err = s.bank.Close(context.Background())
	}
	if s.server != nil {
		err = errors.Join(err, s.server.Stop())
	}
	if s.Keep == "" && s.dir != "" {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return err
}
