package app

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/catalog"
	"github.com/undrop/undrop/internal/lake"
	"github.com/undrop/undrop/internal/pipeline"
)

// Tables answers for every mart table: those of the contracts, in order, then
// what else the catalog has.
func (a *App) Tables(ctx context.Context) ([]TableInfo, error) {
	open, err := a.openRecords(ctx)
	if err != nil {
		return nil, err
	}
	infos := []TableInfo{}
	seen := map[undrop.TableName]bool{}
	for _, p := range a.allProducts() {
		info, err := a.tableInfo(ctx, p.Table.TableName, p.Table.Mode)
		if err != nil {
			return nil, err
		}
		info.Quarantined = open[info.Name]
		seen[p.Table.TableName] = true
		infos = append(infos, *info)
	}
	names, err := a.lake.List(ctx, "")
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		if seen[n] {
			continue
		}
		info, err := a.tableInfo(ctx, n, "")
		if err != nil {
			return nil, err
		}
		infos = append(infos, *info)
	}
	a.ask(ctx, infos)
	return infos, nil
}

// ask lets a process that is up say what the files cannot: that a table is halted
// and why, and what is on its way to it.
func (a *App) ask(ctx context.Context, infos []TableInfo) {
	if len(a.runs()) > 0 {
		return
	}
	s := a.askRunning(ctx)
	if s == nil {
		return
	}
	for i := range infos {
		for _, t := range s.Tables {
			if t.Name == infos[i].Name {
				infos[i].State, infos[i].Reason, infos[i].LagRecords = t.State, t.Reason, t.LagRecords
			}
		}
	}
}

func (a *App) allProducts() []*pipeline.Product {
	var all []*pipeline.Product
	for _, s := range a.cfg.Sources {
		all = append(all, a.products[s.Name]...)
	}
	return all
}

// openRecords counts what waits in quarantine, by table.
func (a *App) openRecords(ctx context.Context) (map[string]int64, error) {
	open := map[string]int64{}
	seen := map[string]bool{}
	for _, p := range a.allProducts() {
		if seen[p.Table.Namespace] {
			continue
		}
		seen[p.Table.Namespace] = true
		records, err := pipeline.ReadQuarantine(ctx, a.lake, p.Table.Namespace)
		if err != nil {
			return nil, err
		}
		for _, r := range records {
			if r.Status == pipeline.StatusOpen {
				open[r.Table]++
			}
		}
	}
	return open, nil
}

// tableInfo describes one table from its files, and from the running pipeline
// where this process has one.
func (a *App) tableInfo(ctx context.Context, name undrop.TableName, mode undrop.Mode) (*TableInfo, error) {
	info := &TableInfo{Name: name.String(), Mode: mode, State: "waiting"}
	if s, ok := a.running1(name); ok {
		info.State, info.Reason = s.State, s.Reason
		waiting := s.Waiting
		info.LagRecords = &waiting
	}
	t, err := a.lake.Load(ctx, name)
	if errors.Is(err, catalog.ErrNoTable) {
		return info, nil
	}
	if err != nil {
		return nil, err
	}
	info.MetadataLocation = t.Entry.Location
	if info.Mode == "" {
		info.Mode = undrop.Mode(t.Entry.Metadata.Properties()[lake.PropertyMode])
	}
	head := t.Head(lake.Main)
	if head == nil {
		if t.Head(undrop.LoadBranch) != nil {
			info.State = "loading"
		}
		return info, nil
	}
	if info.State == "waiting" {
		info.State = "live"
		halts, err := a.halts()
		if err != nil {
			return nil, err
		}
		if reason, ok := halts[info.Name]; ok {
			info.State, info.Reason = "halted", reason
		}
	}
	info.SnapshotID = &head.ID
	if info.Source, err = newestSource(t); err != nil {
		return nil, err
	}
	if info.Source != nil {
		lag := time.Since(info.Source.CommittedAt).Seconds()
		if through, ok := a.through(info.Source.Name); ok && through.After(info.Source.CommittedAt) {
			lag = time.Since(through).Seconds() // nothing of this table happened since
		}
		lag = max(0, lag)
		info.LagSeconds = &lag
	}
	rows, err := a.rows(ctx, t, head)
	if err != nil {
		return nil, err
	}
	info.Rows = &rows
	return info, nil
}

// rows counts what a reader sees. Without delete files the summary knows.
func (a *App) rows(ctx context.Context, t *lake.Table, s *lake.Snapshot) (int64, error) {
	if s.Summary["total-delete-files"] == "0" {
		if n, err := strconv.ParseInt(s.Summary["total-records"], 10, 64); err == nil {
			return n, nil
		}
	}
	return a.lake.CountRows(ctx, t, s.ID)
}

// newestSource is the state of the source that main holds; snapshots of other
// engines do not say.
func newestSource(t *lake.Table) (*SourceInfo, error) {
	for _, s := range t.Snapshots(lake.Main) {
		info, err := sourceInfo(&s)
		if err != nil || info != nil {
			return info, err
		}
	}
	return nil, nil
}

func sourceInfo(s *lake.Snapshot) (*SourceInfo, error) {
	m, err := s.Source()
	if err != nil || m == nil {
		return nil, err
	}
	return &SourceInfo{Name: m.Source, System: m.System, Timeline: m.Timeline, LSN: m.LSN, CommittedAt: m.CommittedAt, Complete: m.Complete}, nil
}

// running1 is what a running apply of this process says of a table.
func (a *App) running1(name undrop.TableName) (pipeline.TableState, bool) {
	for _, run := range a.runs() {
		a.mu.Lock()
		apply := run.apply
		a.mu.Unlock()
		if apply == nil {
			continue
		}
		for _, s := range apply.States() {
			if s.Name == name {
				return s, true
			}
		}
	}
	return pipeline.TableState{}, false
}

func (a *App) through(source string) (time.Time, bool) {
	for _, run := range a.runs() {
		a.mu.Lock()
		apply := run.apply
		a.mu.Unlock()
		if run.name == source && apply != nil {
			return apply.Through()
		}
	}
	return time.Time{}, false
}

// Table answers everything about one table, at a snapshot: see lake.Table.Find.
func (a *App) Table(ctx context.Context, name, at string) (*TableDetail, error) {
	t, err := a.load(ctx, name)
	if err != nil {
		return nil, err
	}
	info, err := a.tableInfo(ctx, t.Name, "")
	if err != nil {
		return nil, err
	}
	d := &TableDetail{TableInfo: *info, Location: t.Entry.Metadata.Location(), Key: []string{}, Partition: []string{}, Schema: []ColumnInfo{}, Snapshots: []SnapshotInfo{}}
	open, err := a.openRecords(ctx)
	if err != nil {
		return nil, err
	}
	d.Quarantined = open[d.Name]
	for _, p := range a.allProducts() {
		if p.Table.TableName == t.Name {
			d.Topic = p.Table.Topic
		}
	}
	if d.Contract, err = t.Contract(); err != nil {
		return nil, err
	}
	m := t.Entry.Metadata
	schema := m.CurrentSchema()
	for _, f := range schema.Fields() {
		d.Schema = append(d.Schema, ColumnInfo{ID: f.ID, Name: f.Name, Type: f.Type.String(), Required: f.Required, Doc: f.Doc})
		for _, k := range schema.IdentifierFieldIDs {
			if k == f.ID {
				d.Key = append(d.Key, f.Name)
			}
		}
	}
	spec := m.PartitionSpec()
	for _, f := range spec.Fields() {
		col, _ := schema.FindColumnName(f.SourceID())
		d.Partition = append(d.Partition, fmt.Sprintf("%s(%s)", f.Transform, col))
	}
	for _, s := range t.Snapshots(lake.Main) {
		si, err := snapshotInfo(&s)
		if err != nil {
			return nil, err
		}
		d.Snapshots = append(d.Snapshots, *si)
	}
	s := t.Head(lake.Main)
	if at != "" {
		if s, err = t.Find(at); err != nil {
			return nil, err
		}
	}
	if s != nil {
		n := func(key string) int64 { v, _ := strconv.ParseInt(s.Summary[key], 10, 64); return v }
		d.Files = FilesInfo{Data: n("total-data-files"), Deletes: n("total-delete-files"), Bytes: n("total-files-size"), DataRecords: n("total-records")}
		if _, err := readSummary(s, undrop.SummaryAccount, &d.Account); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (a *App) load(ctx context.Context, name string) (*lake.Table, error) {
	n, err := undrop.ParseTableName(name)
	if err != nil {
		return nil, &undrop.Error{Code: undrop.BadInput, Op: "read table name", Err: err, Hint: "undrop table ls"}
	}
	t, err := a.lake.Load(ctx, n)
	if errors.Is(err, catalog.ErrNoTable) {
		return nil, &undrop.Error{Code: undrop.BadInput, Op: "open table " + name, Err: errors.New("there is no such table"), Hint: "undrop table ls"}
	}
	return t, err
}

func snapshotInfo(s *lake.Snapshot) (*SnapshotInfo, error) {
	si := &SnapshotInfo{ID: s.ID, Parent: s.Parent, At: s.Time, Operation: s.Summary["operation"]}
	var err error
	if si.Source, err = sourceInfo(s); err != nil {
		return nil, err
	}
	var acc undrop.AccountMark
	ok, err := readSummary(s, undrop.SummaryAccount, &acc)
	if err != nil {
		return nil, err
	}
	if ok {
		si.Commit = &acc.Commit
	}
	_, err = readSummary(s, undrop.SummaryLane, &si.Lane)
	return si, err
}
