package catalog

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"

	undrop "github.com/undrop/undrop"
)

// Names of metadata files are "<version>-<uuid>.metadata.json"; other writers may
// put a codec before ".metadata.json".
var metadataName = regexp.MustCompile(`^v?(\d+)(-[0-9A-Za-z-]+)?(\.\w+)?\.metadata\.json$`)

// nextLocation names the metadata file that follows the one at location. A name
// is never used twice, so a file that lost its race is not mistaken for another.
func nextLocation(m table.Metadata, location string) string {
	version := 0
	if parts := metadataName.FindStringSubmatch(path.Base(location)); parts != nil {
		if v, err := strconv.Atoi(parts[1]); err == nil {
			version = v + 1
		}
	}
	dir := m.Properties()[table.WriteMetadataPathKey]
	if dir == "" {
		dir = strings.TrimSuffix(m.Location(), "/") + "/metadata"
	}
	return fmt.Sprintf("%s/%05d-%s.metadata.json", strings.TrimSuffix(dir, "/"), version, uuid.New())
}

// newMetadata makes the metadata of an empty table. The library's NewMetadata is
// not used since it gives every field a new id.
func newMetadata(schema *iceberg.Schema, spec iceberg.PartitionSpec, location string, props iceberg.Properties) (table.Metadata, error) {
	version := table.DefaultFormatVersion
	own := iceberg.Properties{}
	for k, v := range props {
		if k != table.PropertyFormatVersion {
			own[k] = v
			continue
		}
		var err error
		if version, err = strconv.Atoi(v); err != nil {
			return nil, fmt.Errorf("read table property %s: %w", table.PropertyFormatVersion, err)
		}
	}
	b, err := table.NewMetadataBuilder(version)
	if err != nil {
		return nil, err
	}
	steps := []func() error{
		func() error { return b.SetUUID(uuid.New()) },
		func() error { return b.SetLoc(location) },
		func() error { return b.AddSchema(schema) },
		func() error { return b.SetCurrentSchemaID(-1) },
		func() error { return b.AddPartitionSpec(&spec, true) },
		func() error { return b.SetDefaultSpecID(-1) },
		func() error { return b.AddSortOrder(&table.UnsortedSortOrder) },
		func() error { return b.SetDefaultSortOrderID(table.UnsortedSortOrder.OrderID()) },
		func() error { return b.SetProperties(own) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return b.Build()
}

// apply checks the requirements of c against base and makes the new metadata. An
// error that wraps ErrConflict means that base is not what the caller saw.
func apply(base *Entry, c Commit) (table.Metadata, error) {
	for _, r := range c.Requirements {
		if err := r.Validate(base.Metadata); err != nil {
			return nil, fmt.Errorf("%w: table %s: %w", ErrConflict, c.Name, err)
		}
	}
	for _, u := range c.Updates {
		// The sequence number orders rows and deletes. A snapshot that was made on
		// an older base would take one that another branch has used since; the
		// library lets that pass when the snapshot has no parent.
		if seq, ok := sequenceOf(u); ok && seq <= base.Metadata.LastSequenceNumber() && base.Metadata.Version() > 1 {
			return nil, fmt.Errorf("%w: table %s: sequence number %d is taken, the last one is %d",
				ErrConflict, c.Name, seq, base.Metadata.LastSequenceNumber())
		}
	}
	next, err := table.UpdateTableMetadata(base.Metadata, c.Updates, base.Location)
	if err != nil {
		return nil, fmt.Errorf("apply updates to table %s: %w", c.Name, err)
	}
	return next, nil
}

// sequenceOf finds the sequence number of an add-snapshot update. The type is not
// exported, its JSON form is the public one.
func sequenceOf(u table.Update) (int64, bool) {
	if u.Action() != table.UpdateAddSnapshot {
		return 0, false
	}
	raw, err := json.Marshal(u)
	if err != nil {
		return 0, false
	}
	var probe struct {
		Snapshot struct {
			Sequence int64 `json:"sequence-number"`
		} `json:"snapshot"`
	}
	if err := json.Unmarshal(raw, &probe); err != nil {
		return 0, false
	}
	return probe.Snapshot.Sequence, true
}

// read gets the metadata at location, from memory when it is there: a metadata
// file never changes.
func (c *sqlite) read(name undrop.TableName, location string) (table.Metadata, error) {
	c.mu.Lock()
	e := c.cache[name]
	c.mu.Unlock()
	if e != nil && e.Location == location {
		return e.Metadata, nil
	}
	raw, err := readFile(c.fs, location)
	if err != nil {
		return nil, damaged(name, location, err)
	}
	m, err := table.ParseMetadataBytes(raw)
	if err != nil {
		return nil, damaged(name, location, err)
	}
	return m, nil
}

func readFile(f FS, location string) ([]byte, error) {
	file, err := f.Open(location)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(file)
	return raw, errors.Join(err, file.Close())
}

// trim deletes metadata files that fell out of the table's metadata log, when its
// properties ask for that. Their snapshots are all in the newer files. A file
// that cannot be deleted is an orphan and harms nothing.
func trim(f FS, base *Entry, next table.Metadata) {
	if next.Properties()[table.MetadataDeleteAfterCommitEnabledKey] != "true" {
		return
	}
	kept := map[string]bool{}
	for e := range next.PreviousFiles() {
		kept[e.MetadataFile] = true
	}
	for e := range base.Metadata.PreviousFiles() {
		if !kept[e.MetadataFile] {
			_ = f.Remove(e.MetadataFile)
		}
	}
}

// freeLocation finds a folder for a new table below the warehouse: the plain name
// if nothing is there, else the name with a suffix, since files of an earlier
// table of that name must not be taken for this one's.
func (c *sqlite) freeLocation(name undrop.TableName) string {
	ns, nsSame := folder(name.Namespace)
	tb, tbSame := folder(name.Name)
	base := c.warehouse + "/" + ns + "/" + tb
	if nsSame && tbSame && !c.exists(base) {
		return base
	}
	return base + "-" + uuid.NewString()[:8]
}

func (c *sqlite) exists(location string) bool {
	f, err := c.fs.Open(location)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	_ = f.Close()
	return true
}

// folder turns a name into a path element that every reader's URI parser leaves
// alone, and says whether it is still the name.
func folder(s string) (string, bool) {
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' || r == '.' {
			return r
		}
		return '_'
	}, s)
	if strings.Trim(clean, ".") == "" {
		clean = "_"
	}
	return clean, clean == s
}
