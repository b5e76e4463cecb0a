package lake

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"

	undrop "github.com/undrop/undrop"
)

// Manifests are merged in tiers, like the levels of a log-structured tree: when a
// tier holds tierWidth manifests they become one of the next. So an entry is
// rewritten at most tiers times, a commit that merges reads little, and a list
// has at most tiers*(tierWidth-1) small manifests of a kind.
const (
	tierWidth = 16
	tiers     = 3 // manifests of 16^3 entries and more are left alone
)

// manifestSet collects the manifests of one new snapshot.
type manifestSet struct {
	l     *Lake
	p     *staged
	meta  table.Metadata // with the stage's own updates
	id    uuid.UUID      // in the names of all files
	n     int
	count counters
	list  []iceberg.ManifestFile
}

// group is what one manifest may hold together.
type group struct {
	content iceberg.ManifestContent
	spec    int32
}

func byGroup(a, b group) int {
	return cmp.Or(cmp.Compare(a.content, b.content), cmp.Compare(a.spec, b.spec))
}

// manifests builds the manifests and the manifest list of p's snapshot and its
// summary.
func (l *Lake) manifests(ctx context.Context, p *staged, meta table.Metadata, parent *table.Snapshot) error {
	set := &manifestSet{l: l, p: p, meta: meta, id: uuid.New()}
	if err := set.add(p.stage); err != nil {
		return err
	}
	live, err := l.live(p.stage.Table, parent)
	if err != nil {
		return err
	}
	if p.stage.RemoveAll {
		err = set.removeAll(ctx, live)
	} else {
		err = set.keep(ctx, live)
	}
	if err != nil {
		return err
	}
	var buf bytes.Buffer
	snap := p.snapshot
	if err := iceberg.WriteManifestList(meta.Version(), &buf, snap.SnapshotID, snap.ParentSnapshotID, &snap.SequenceNumber, 0, set.list); err != nil {
		return fmt.Errorf("encode manifest list: %w", err)
	}
	snap.ManifestList = p.path(p.stage.Table, "list", 0, set.id)
	p.files = append(p.files, output{snap.ManifestList, buf.Bytes()})
	p.summary(set.count.operation(), set.count.properties(parent))
	return nil
}

// live lists the manifests of a snapshot that still name a file.
func (l *Lake) live(t *Table, s *table.Snapshot) ([]iceberg.ManifestFile, error) {
	if s == nil {
		return nil, nil
	}
	all, err := s.Manifests(l.wh.FS)
	if err != nil {
		return nil, lost(t, s.ManifestList, err)
	}
	return slices.DeleteFunc(all, func(m iceberg.ManifestFile) bool {
		return m.AddedDataFiles() == 0 && m.ExistingDataFiles() == 0
	}), nil
}

// add makes the manifests of the stage's own files. Sequence numbers stay empty:
// readers take them from the manifest list.
func (set *manifestSet) add(s *Stage) error {
	groups := map[group][]iceberg.DataFile{}
	for _, f := range slices.Concat(s.Data, s.Deletes) {
		g := group{iceberg.ManifestContentData, f.Data.SpecID()}
		if f.Data.ContentType() != iceberg.EntryContentData {
			g.content = iceberg.ManifestContentDeletes
		}
		groups[g] = append(groups[g], f.Data)
		set.count.add(f.Data)
	}
	id := set.p.snapshot.SnapshotID
	for _, g := range slices.SortedFunc(maps.Keys(groups), byGroup) {
		err := set.write(g, func(w *iceberg.ManifestWriter) error {
			for _, f := range groups[g] {
				if err := w.Add(iceberg.NewManifestEntry(iceberg.EntryStatusADDED, &id, nil, nil, f)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// keep takes over the parent's manifests and merges tiers that are full.
func (set *manifestSet) keep(ctx context.Context, live []iceberg.ManifestFile) error {
	type slot struct {
		group
		tier int
	}
	full := map[slot][]iceberg.ManifestFile{}
	for _, m := range live {
		s := slot{group{m.ManifestContent(), m.PartitionSpecID()}, tierOf(m)}
		if s.tier < tiers {
			full[s] = append(full[s], m)
		}
	}
	merged := map[string]bool{}
	slots := slices.SortedFunc(maps.Keys(full), func(a, b slot) int { return cmp.Or(byGroup(a.group, b.group), cmp.Compare(a.tier, b.tier)) })
	for _, s := range slots {
		if len(full[s]) < tierWidth {
			continue
		}
		err := set.rewrite(ctx, s.group, full[s], func(w *iceberg.ManifestWriter, e iceberg.ManifestEntry) error { return w.Existing(e) })
		if err != nil {
			return err
		}
		for _, m := range full[s] {
			merged[m.FilePath()] = true
		}
	}
	for _, m := range live {
		if !merged[m.FilePath()] {
			set.list = append(set.list, m)
		}
	}
	return nil
}

// tierOf is floor(log16(files)).
func tierOf(m iceberg.ManifestFile) int {
	tier := 0
	for n := int(m.AddedDataFiles()) + int(m.ExistingDataFiles()); n >= tierWidth; n /= tierWidth {
		tier++
	}
	return tier
}

// removeAll writes every live file as deleted by this snapshot.
func (set *manifestSet) removeAll(ctx context.Context, live []iceberg.ManifestFile) error {
	groups := map[group][]iceberg.ManifestFile{}
	for _, m := range live {
		g := group{m.ManifestContent(), m.PartitionSpecID()}
		groups[g] = append(groups[g], m)
	}
	for _, g := range slices.SortedFunc(maps.Keys(groups), byGroup) {
		err := set.rewrite(ctx, g, groups[g], func(w *iceberg.ManifestWriter, e iceberg.ManifestEntry) error {
			set.count.remove(e.DataFile())
			return w.Delete(e)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// rewrite puts the live entries of several manifests into one new manifest. The
// entries keep the snapshot and the sequence numbers that they have, since those
// say which deletes apply to them.
func (set *manifestSet) rewrite(ctx context.Context, g group, from []iceberg.ManifestFile, put func(*iceberg.ManifestWriter, iceberg.ManifestEntry) error) error {
	return set.write(g, func(w *iceberg.ManifestWriter) error {
		for _, m := range from {
			if err := ctx.Err(); err != nil {
				return err
			}
			for e, err := range m.Entries(set.l.wh.FS, true) {
				if err != nil {
					return lost(set.p.stage.Table, m.FilePath(), err)
				}
				if err := put(w, e); err != nil {
					return fmt.Errorf("rewrite manifest %s: %w", m.FilePath(), err)
				}
			}
		}
		return nil
	})
}

// write encodes one manifest.
func (set *manifestSet) write(g group, fill func(*iceberg.ManifestWriter) error) error {
	spec := set.meta.PartitionSpecByID(int(g.spec))
	if spec == nil {
		return fmt.Errorf("the table has no partition spec %d", g.spec)
	}
	var buf bytes.Buffer
	w, err := iceberg.NewManifestWriter(set.meta.Version(), &buf, *spec, set.meta.CurrentSchema(), set.p.snapshot.SnapshotID,
		iceberg.WithManifestWriterContent(g.content))
	if err != nil {
		return fmt.Errorf("encode manifest: %w", err)
	}
	if err := fill(w); err != nil {
		return errors.Join(err, w.Close())
	}
	if err := w.Close(); err != nil { // the length is known only now
		return fmt.Errorf("encode manifest: %w", err)
	}
	path := set.p.path(set.p.stage.Table, "manifest", set.n, set.id)
	set.n++
	m, err := w.ToManifestFile(path, int64(buf.Len()), iceberg.WithManifestFileContent(g.content))
	if err != nil {
		return fmt.Errorf("encode manifest: %w", err)
	}
	set.list = append(set.list, m)
	set.p.files = append(set.p.files, output{path, buf.Bytes()})
	return nil
}

// lost is the error for a metadata file that a snapshot names and that cannot be
// read.
func lost(t *Table, path string, err error) error {
	return &undrop.Error{
		Code: undrop.Damaged,
		Op:   fmt.Sprintf("read %s of table %s", path, t.Name),
		Err:  err,
		Hint: "the file is part of the table's metadata: bring it back from a backup of the warehouse, or read an older state: undrop table show " + t.Name.String(),
	}
}
