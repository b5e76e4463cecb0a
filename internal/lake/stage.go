package lake

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/catalog"
	"github.com/undrop/undrop/internal/crash"
)

const (
	crashManifests = "lake.manifests.written" // manifests and lists are durable, no metadata names them
	crashDone      = "lake.commit.done"       // the catalog answered, the caller does not know yet
)

func init() { crash.Register(crashManifests, crashDone) }

// Stage is one new snapshot of one table, prepared and not yet committed. What it
// is checked against is the table as it was loaded: the heads of Branch and
// ParentOf and the schema must be unchanged.
type Stage struct {
	Table  *Table
	Branch string // that moves to the new snapshot; "" is main
	// ParentOf is the branch whose head is the parent; a branch that does not exist
	// yet gives no parent. "" is no parent: the new snapshot replaces the content.
	ParentOf string
	// Publish moves main to the new snapshot, whose parent is the head of
	// undrop.LoadBranch, and drops that branch.
	Publish bool
	// RemoveAll takes away every file of the parent. Data and Deletes are added
	// after that.
	RemoveAll bool
	Data      []File
	Deletes   []File            // equality deletes reach only older data, position deletes also Data
	Summary   map[string]string // undrop.* keys; the counters are added
	Updates   []table.Update    // further changes of the table in the same commit
}

// staged is a stage whose manifests are ready.
type staged struct {
	stage    *Stage
	snapshot *table.Snapshot
	commit   catalog.Commit
	files    []output
}

// output is a file that must be durable before the commit.
type output struct {
	path string
	data []byte
}

// Commit makes one snapshot per stage, all in one atomic step, and returns them
// in order. ErrConflict: a table is not what a stage was prepared on, nothing was
// committed; load it again. ErrUnknown: it could not be learned what happened;
// the files of the stages must stay. After any error but ErrUnknown nothing was
// committed and the files of the stages may be used again or given to Discard.
func (l *Lake) Commit(ctx context.Context, stages []*Stage) ([]Snapshot, error) {
	prepared := make([]*staged, len(stages))
	commits := make([]catalog.Commit, len(stages))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for i, s := range stages {
		g.Go(func() (err error) {
			if prepared[i], err = l.prepare(gctx, s); err != nil {
				return fmt.Errorf("stage table %s: %w", s.Table.Name, err)
			}
			commits[i] = prepared[i].commit
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if err := l.write(ctx, prepared); err != nil {
		l.remove(prepared)
		return nil, err
	}
	crash.Point(crashManifests)
	_, err := l.cat.Commit(ctx, commits)
	if errors.Is(err, ErrUnknown) {
		err = l.settle(ctx, prepared, err)
	}
	switch {
	case errors.Is(err, ErrUnknown):
		return nil, err
	case err != nil:
		l.remove(prepared)
		return nil, err
	}
	crash.Point(crashDone)
	out := make([]Snapshot, len(prepared))
	for i, p := range prepared {
		out[i] = *fromIceberg(p.snapshot)
	}
	return out, nil
}

// Discard deletes the data and delete files of stages that were definitely not
// committed.
func (l *Lake) Discard(stages []*Stage) {
	for _, s := range stages {
		for _, f := range slices.Concat(s.Data, s.Deletes) {
			_ = l.wh.FS.Remove(f.Path) // an orphan harms nothing
		}
	}
}

// settle finds out whether a commit happened by looking for its snapshots. The
// catalog promises that no attempt is still under way when it answers ErrUnknown.
func (l *Lake) settle(ctx context.Context, prepared []*staged, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	found := 0
	for _, p := range prepared {
		t, err := l.Load(ctx, p.stage.Table.Name)
		if err != nil {
			return errors.Join(cause, fmt.Errorf("settle: %w", err))
		}
		if t.Snapshot(p.snapshot.SnapshotID) != nil {
			found++
		}
	}
	switch found {
	case len(prepared):
		return nil
	case 0:
		// The outcome is known now: the error must not be ErrUnknown any more.
		return fmt.Errorf("%w: the tables were read and do not have it (%v)", ErrConflict, cause) //nolint:errorlint // see above
	}
	return fmt.Errorf("settle: %d of %d tables have the commit: %w", found, len(prepared), cause)
}

// prepare builds everything that the commit of s needs, in memory.
func (l *Lake) prepare(ctx context.Context, s *Stage) (*staged, error) {
	m := s.Table.Entry.Metadata
	branch, err := s.target()
	if err != nil {
		return nil, err
	}
	updated := m
	if len(s.Updates) > 0 {
		if updated, err = table.UpdateTableMetadata(m, s.Updates, ""); err != nil {
			return nil, err
		}
	}
	var parent *table.Snapshot
	if s.ParentOf != "" {
		parent = m.SnapshotByName(s.ParentOf)
	}
	schemaID := updated.CurrentSchema().ID
	snap := &table.Snapshot{
		SnapshotID:     newSnapshotID(m),
		SequenceNumber: m.LastSequenceNumber() + 1,
		// Later than everything before, whatever the clock does: time travel needs it.
		TimestampMs: max(l.now().UnixMilli(), m.LastUpdatedMillis()+1),
		SchemaID:    &schemaID,
	}
	if parent != nil && !s.Publish {
		snap.ParentSnapshotID = &parent.SnapshotID
	}
	p := &staged{stage: s, snapshot: snap}
	if err := l.manifests(ctx, p, updated, parent); err != nil {
		return nil, err
	}
	p.commit = catalog.Commit{Name: s.Table.Name, Updates: slices.Clone(s.Updates)}
	p.commit.Requirements = []table.Requirement{
		table.AssertTableUUID(m.TableUUID()),
		table.AssertCurrentSchemaID(m.CurrentSchema().ID),
		table.AssertRefSnapshotID(branch, headID(m, branch)),
	}
	if s.ParentOf != "" && s.ParentOf != branch {
		p.commit.Requirements = append(p.commit.Requirements, table.AssertRefSnapshotID(s.ParentOf, headID(m, s.ParentOf)))
	}
	p.commit.Updates = append(p.commit.Updates, table.NewAddSnapshotUpdate(snap), setRef(m, branch, snap.SnapshotID))
	if s.Publish {
		p.commit.Updates = append(p.commit.Updates, table.NewRemoveSnapshotRefUpdate(undrop.LoadBranch))
	}
	if ids := s.unfinished(branch); len(ids) > 0 {
		p.commit.Updates = append(p.commit.Updates, table.NewRemoveSnapshotsUpdate(ids, false))
	}
	return p, nil
}

// unfinished lists the snapshots of a load that this stage publishes or begins
// anew. None of them is a state that the source ever had: they leave the table's
// history with it, their files stay where the new snapshot uses them.
func (s *Stage) unfinished(branch string) (ids []int64) {
	if !s.Publish && (branch != undrop.LoadBranch || s.ParentOf != "") {
		return nil
	}
	kept := map[int64]bool{}
	for main := range s.Table.Lineage(Main) {
		kept[main.ID] = true
	}
	for load := range s.Table.Lineage(undrop.LoadBranch) {
		if !kept[load.ID] {
			ids = append(ids, load.ID)
		}
	}
	return ids
}

// target names the branch that moves and refuses a stage that contradicts itself.
func (s *Stage) target() (string, error) {
	branch := s.Branch
	if branch == "" {
		branch = Main
	}
	if s.Publish {
		if s.ParentOf != undrop.LoadBranch || branch != Main {
			return "", fmt.Errorf("publish: the parent must be of %s and the branch main, not %q and %q", undrop.LoadBranch, s.ParentOf, branch)
		}
		if s.Table.Head(undrop.LoadBranch) == nil {
			return "", fmt.Errorf("publish: %w: there is no branch %s", ErrConflict, undrop.LoadBranch)
		}
	}
	for _, f := range s.Data {
		if f.Data.ContentType() != iceberg.EntryContentData {
			return "", fmt.Errorf("%s is not a data file", f.Path)
		}
	}
	for _, f := range s.Deletes {
		if f.Data.ContentType() == iceberg.EntryContentData {
			return "", fmt.Errorf("%s is not a delete file", f.Path)
		}
	}
	return branch, nil
}

// write makes the files of all stages durable; they wait for the disk together.
func (l *Lake) write(ctx context.Context, prepared []*staged) error {
	g, _ := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for _, p := range prepared {
		for _, f := range p.files {
			g.Go(func() error {
				if err := l.wh.FS.WriteFile(f.path, f.data); err != nil {
					return fmt.Errorf("write %s: %w", f.path, err)
				}
				return nil
			})
		}
	}
	return g.Wait()
}

// remove deletes manifests that no metadata ever named.
func (l *Lake) remove(prepared []*staged) {
	for _, p := range prepared {
		for _, f := range p.files {
			_ = l.wh.FS.Remove(f.path)
		}
	}
}

func headID(m table.Metadata, branch string) *int64 {
	if s := m.SnapshotByName(branch); s != nil {
		return &s.SnapshotID
	}
	return nil
}

// setRef moves a branch and keeps the retention that somebody gave it.
func setRef(m table.Metadata, branch string, id int64) table.Update {
	var refAge, snapAge int64
	var keep int
	for name, ref := range m.Refs() {
		if name != branch {
			continue
		}
		if ref.MaxRefAgeMs != nil {
			refAge = *ref.MaxRefAgeMs
		}
		if ref.MaxSnapshotAgeMs != nil {
			snapAge = *ref.MaxSnapshotAgeMs
		}
		if ref.MinSnapshotsToKeep != nil {
			keep = *ref.MinSnapshotsToKeep
		}
	}
	return table.NewSetSnapshotRefUpdate(branch, id, table.BranchRef, refAge, snapAge, keep)
}

// newSnapshotID draws a positive id that the table does not have.
func newSnapshotID(m table.Metadata) int64 {
	for {
		var b [8]byte
		_, _ = rand.Read(b[:]) // never fails
		if id := int64(binary.LittleEndian.Uint64(b[:]) >> 1); id > 0 && m.SnapshotByID(id) == nil {
			return id
		}
	}
}

func (p *staged) path(t *Table, kind string, n int, id uuid.UUID) string {
	if kind == "list" {
		return fmt.Sprintf("%s/snap-%d-1-%s.avro", t.metadataDir(), p.snapshot.SnapshotID, id)
	}
	return fmt.Sprintf("%s/%s-m%d.avro", t.metadataDir(), id, n)
}

func (p *staged) summary(op table.Operation, counters map[string]string) {
	props := iceberg.Properties{}
	maps.Copy(props, p.stage.Summary)
	maps.Copy(props, counters)
	p.snapshot.Summary = &table.Summary{Operation: op, Properties: props}
}
