package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/config"
	"github.com/undrop/undrop/internal/contract"
	"github.com/undrop/undrop/internal/durable"
	"github.com/undrop/undrop/internal/postgres"
)

// InitOptions say what Init looks at and where it writes.
type InitOptions struct {
	DSN    string
	Tables []string // patterns "schema.table" with *; none: every user table
	Dir    string
	Name   string // of the installation; "": from the folder's name
	Source string // name of the source in undrop.yaml; "": from the database's name
	Quick  bool   // do not look at live values
	Force  bool   // overwrite files that exist
	Log    *slog.Logger
}

// InitAnswer is what "init" answers.
type InitAnswer struct {
	Config    string         `json:"config"`    // the undrop.yaml
	Source    string         `json:"source"`    // its name in undrop.yaml
	Contracts []InitContract `json:"contracts"` // a draft for each table
	LeftOut   []InitLeftOut  `json:"left_out"`  // matched, and not drafted
	Findings  []InitFinding  `json:"findings"`  // what the source needs before "up" can run
}

// InitContract is one drafted contract.
type InitContract struct {
	Relation string      `json:"relation"`
	Table    string      `json:"table"`
	Mode     undrop.Mode `json:"mode"`
	File     string      `json:"file"`
	Notes    []string    `json:"notes"`
}

// InitLeftOut is a relation without a draft, and why.
type InitLeftOut struct {
	Relation string `json:"relation"`
	Reason   string `json:"reason"`
}

// InitFinding is one finding of the source's preflight.
type InitFinding struct {
	Relation string `json:"relation,omitempty"`
	Rule     string `json:"rule"`
	Message  string `json:"message"`
	SQL      string `json:"sql,omitempty"`
	Fatal    bool   `json:"fatal"` // "up" refuses to start
}

// Relations describes the tables of a source database that match patterns.
func Relations(ctx context.Context, dsn string, patterns []string, look bool) ([]undrop.Relation, error) {
	s, err := postgres.Open(ctx, postgres.Config{Name: "source", DSN: dsn, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return s.Relations(ctx, patterns, look)
}

// Init writes an undrop.yaml and a draft contract for every table of a database.
// It changes nothing in the database, and writes nothing unless it can write all.
func Init(ctx context.Context, o InitOptions) (*InitAnswer, error) {
	if o.DSN == "" || o.Dir == "" {
		return nil, &undrop.Error{Code: undrop.BadInput, Op: "init", Err: errors.New("a source and a folder are needed"), Hint: `undrop init --source "$CORE_DSN" ./bank`}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", o.Dir, err)
	}
	d := &drafts{InitAnswer: InitAnswer{Config: filepath.Join(dir, "undrop.yaml"), Contracts: []InitContract{}, LeftOut: []InitLeftOut{}, Findings: []InitFinding{}},
		dir: filepath.Join(dir, "contracts"), taken: map[undrop.TableName]bool{}}
	if err := free(d.Config, o.Force); err != nil { // before the database is asked for minutes
		return nil, err
	}
	if o.Name == "" {
		o.Name = plain(filepath.Base(dir), "undrop")
	}
	src, err := postgres.Open(ctx, postgres.Config{Name: "source", DSN: o.DSN, Logger: o.Log})
	if err != nil {
		return nil, err
	}
	defer src.Close()
	if o.Source == "" {
		id, err := src.Identity(ctx)
		if err != nil {
			return nil, err
		}
		o.Source = plain(id.Database, "core")
	}
	relations, err := src.Relations(ctx, o.Tables, !o.Quick)
	if err != nil {
		return nil, err
	}
	d.Source = o.Source
	for _, r := range relations {
		if err := d.add(r, o.Source); err != nil {
			return nil, err
		}
	}
	if len(d.files) == 0 {
		return nil, nothingToDraft(o.Tables, d.LeftOut)
	}
	if d.Findings, err = preflight(ctx, o, d.tables); err != nil {
		return nil, err
	}
	// Last: it is what makes the folder an installation.
	d.files = append(d.files, file{d.Config, config.Template(o.Name, config.TemplateSource{Name: o.Source, DSN: config.NewDSN(o.DSN)}), true})
	if err := write(d.files, o.Force); err != nil {
		return nil, err
	}
	return &d.InitAnswer, nil
}

// file is one file to write; a private one holds a password.
type file struct {
	path    string
	data    []byte
	private bool
}

// drafts are the contracts of one database.
type drafts struct {
	InitAnswer
	dir    string
	taken  map[undrop.TableName]bool
	files  []file
	tables []*undrop.Table
}

func (d *drafts) add(r undrop.Relation, source string) error {
	name := contract.RelationName(r.Schema, r.Name)
	if why := notCaptured(r); why != "" {
		d.LeftOut = append(d.LeftOut, InitLeftOut{name, why})
		return nil
	}
	// Names that differ only in case, or in characters that a table name cannot
	// have, meet in one mart table: the later ones get a number.
	var opts contract.DraftOptions
	table := opts.TableName(r)
	base, renamed := table.Name, false
	for i := 2; d.taken[table]; i++ {
		opts.Name = fmt.Sprintf("%s_%d", base, i)
		table, renamed = opts.TableName(r), true
	}
	d.taken[table] = true
	data, notes := contract.Draft(r, opts)
	path := filepath.Join(d.dir, table.String()+".odcs.yaml")
	c, problems := contract.Parse(path, data)
	if c != nil {
		problems = append(problems, c.Runnable()...)
	}
	if err := contractError(path, problems); err != nil {
		return &undrop.Error{Code: undrop.Failed, Op: "draft a contract for " + name, Err: err, Hint: "undrop init --table with patterns that leave it out"}
	}
	if renamed {
		notes = append(notes, fmt.Sprintf("%s: table %s is taken, so this one is %s", name, base, table.Name))
	}
	c.Objects[0].Bind(source)
	d.tables = append(d.tables, c.Objects[0].Table)
	d.files = append(d.files, file{path: path, data: data})
	d.Contracts = append(d.Contracts, InitContract{Relation: name, Table: table.String(), Mode: c.Objects[0].Table.Mode, File: path, Notes: append([]string{}, notes...)})
	return nil
}

// notCaptured says why logical replication cannot carry a relation; "" when it can.
func notCaptured(r undrop.Relation) string {
	switch {
	case r.Unlogged:
		return "an unlogged table is not in the write-ahead log: alter table " + quoted(r.Schema) + "." + quoted(r.Name) + " set logged;"
	case (r.Kind == "table" || r.Kind == "partitioned") && !slices.ContainsFunc(r.Columns, func(c undrop.RelationColumn) bool { return !c.Generated }):
		return "a table without columns that the source sends has nothing to land"
	case r.Kind == "table" || r.Kind == "partitioned":
		return ""
	case r.Kind == "foreign":
		return "the rows of a foreign table are in another database: capture them there"
	case r.Kind == "matview":
		return "a materialized view has no changes of its own: capture the tables that it is made from"
	default:
		return "a " + r.Kind + " has no rows of its own: capture the tables that it is made from"
	}
}

func nothingToDraft(patterns []string, left []InitLeftOut) error {
	what := "the database has no tables"
	if len(patterns) > 0 {
		what = "no table matches " + strings.Join(patterns, ", ")
	}
	for _, l := range left {
		what += "\n  " + l.Relation + ": " + l.Reason
	}
	return &undrop.Error{Code: undrop.BadInput, Op: "init", Err: errors.New(what), Hint: "undrop init --source DSN --table 'public.*' DIR"}
}

// preflight asks the source what it needs, with the names that up will use.
func preflight(ctx context.Context, o InitOptions, tables []*undrop.Table) ([]InitFinding, error) {
	own := "undrop_" + strings.ReplaceAll(o.Source, "-", "_")
	src, err := postgres.Open(ctx, postgres.Config{Name: o.Source, DSN: o.DSN, Publication: own, Slot: own, Logger: o.Log})
	if err != nil {
		return nil, err
	}
	defer src.Close()
	found, err := src.Preflight(ctx, tables)
	if err != nil {
		return nil, err
	}
	findings := []InitFinding{}
	for _, f := range found {
		findings = append(findings, InitFinding{Relation: f.Table, Rule: f.Rule, Message: f.Message, SQL: f.SQL, Fatal: f.Fatal})
	}
	return findings, nil
}

// free refuses to replace a file that exists, unless forced to.
func free(path string, force bool) error {
	_, err := os.Lstat(path)
	switch {
	case err == nil && !force:
		return &undrop.Error{Code: undrop.Refused, Op: "init", Err: fmt.Errorf("%s exists", path), Hint: "choose another folder, or add --force to overwrite"}
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return &undrop.Error{Code: undrop.BadInput, Op: "init", Err: err, Hint: "choose another folder"}
	}
	return nil
}

// write writes all files, or, when one of them exists and may not be replaced, none.
func write(files []file, force bool) error {
	for _, f := range files {
		if err := free(f.path, force); err != nil {
			return err
		}
	}
	for _, f := range files {
		if err := os.MkdirAll(filepath.Dir(f.path), 0o755); err != nil {
			return &undrop.Error{Code: undrop.Failed, Op: "init", Err: err, Hint: "choose another folder"}
		}
		put := durable.WriteFile
		if f.private {
			put = durable.WritePrivate
		}
		if err := put(f.path, f.data); err != nil {
			return &undrop.Error{Code: undrop.Failed, Op: "init", Err: err, Hint: "choose another folder"}
		}
	}
	return nil
}

// quoted is a name as SQL takes it, whatever characters it has.
func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

var notPlain = regexp.MustCompile(`[^a-z0-9_-]+`)

// plain makes a name that undrop.yaml accepts.
func plain(s, fallback string) string {
	s = notPlain.ReplaceAllString(strings.ToLower(s), "_")
	s = strings.TrimLeft(s, "0123456789_-")
	if len(s) > 48 {
		s = s[:48]
	}
	if s == "" {
		return fallback
	}
	return s
}
