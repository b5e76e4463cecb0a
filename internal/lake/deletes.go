package lake

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"
	"github.com/apache/iceberg-go"
	"github.com/google/uuid"

	"github.com/undrop/undrop/internal/batch"
)

// The reserved field ids of a position delete file.
const (
	idDeletedFile = 2147483546
	idDeletedPos  = 2147483545
)

// WriteEqualityDeletes writes the keys of rows of b, all if rows is nil, as delete
// files: committed with a snapshot they remove every row of older snapshots that
// has one of these keys. The files are durable.
func WriteEqualityDeletes(c WriterConfig, b *batch.Batch, rows []int32) ([]File, error) {
	w, err := newEqualityDeletes(c)
	if err != nil {
		return nil, fmt.Errorf("write deletes of table %s: %w", c.name(), err)
	}
	if err := w.Write(b, rows, ""); err != nil {
		w.Abort()
		return nil, err
	}
	return w.Close()
}

func newEqualityDeletes(c WriterConfig) (*Writer, error) {
	if err := c.defaults(); err != nil {
		return nil, err
	}
	if len(c.Table.Key) == 0 {
		return nil, errors.New("the table has no key")
	}
	var ids []int
	for _, k := range c.Table.Key {
		f := c.Table.Fields[k]
		if f.Type.Nested() {
			return nil, fmt.Errorf("key column %s is a %s, which readers cannot compare", f.Name, f.Type)
		}
		// A key is compared, and null equals null there: a null key would delete rows
		// that nobody meant.
		if s, ok := c.Schema.FindFieldByID(f.ID); ok && !s.Required {
			return nil, fmt.Errorf("key column %s is not required in the table", f.Name)
		}
		ids = append(ids, f.ID)
	}
	return newWriter(c, iceberg.EntryContentEqDeletes, ids)
}

// WritePositionDeletes writes a delete file for rows of one data file, given as row
// numbers from 0 in ascending order. It may be committed with the snapshot that
// adds the data file, or later. The file is durable.
//
// Readers find out from the bounds of its path column that it concerns one data
// file only. Without them some refuse the table, and compaction that rewrites only
// some data files brings deleted rows back.
func WritePositionDeletes(c WriterConfig, data File, rows []int64) (File, error) {
	f, err := writePositions(c, data, rows)
	if err != nil {
		return File{}, fmt.Errorf("write deletes of %s: %w", data.Path, err)
	}
	return f, nil
}

func writePositions(c WriterConfig, data File, rows []int64) (File, error) {
	if err := c.defaults(); err != nil {
		return File{}, err
	}
	if err := checkPositions(data, rows); err != nil {
		return File{}, err
	}
	if int(data.Data.SpecID()) != c.Spec.ID() {
		return File{}, fmt.Errorf("it has partition spec %d, not %d", data.Data.SpecID(), c.Spec.ID())
	}
	id, err := uuid.NewV7()
	if err != nil {
		return File{}, err
	}
	path := fmt.Sprintf("%s/%s-deletes.parquet", c.Dir, id)
	dest, err := c.Warehouse.FS.create(path)
	if err != nil {
		return File{}, err
	}
	out, err := encodePositions(dest, data.Data.FilePath(), rows)
	if err != nil {
		dest.Abort()
		return File{}, err
	}
	entry, err := positionsEntry(&c, data.Data, rows, path, out)
	if err != nil {
		dest.Abort()
		return File{}, err
	}
	if err := dest.Close(); err != nil {
		return File{}, err
	}
	return File{Data: entry, Path: path, Rows: int64(len(rows)), Bytes: entry.FileSizeBytes()}, nil
}

func checkPositions(data File, rows []int64) error {
	if data.Data == nil || data.Data.ContentType() != iceberg.EntryContentData {
		return errors.New("not a data file")
	}
	if len(rows) == 0 {
		return errors.New("no rows to delete")
	}
	last := int64(-1)
	for _, r := range rows {
		if r <= last {
			return fmt.Errorf("row %d after row %d: rows must ascend", r, last)
		}
		last = r
	}
	if n := data.Data.Count(); last >= n || rows[0] < 0 {
		return fmt.Errorf("row %d of a file with %d rows", last, n)
	}
	return nil
}

// written is what the entry says about a file.
type written struct {
	size   int64
	splits []int64
	sizes  map[int]int64
}

// encodePositions writes the two columns: the path as a dictionary of one entry,
// the rows with delta encoding, an eighth of what plain columns take.
func encodePositions(dest *fileWriter, path string, rows []int64) (written, error) {
	root, err := schema.NewGroupNode("table", parquet.Repetitions.Required, schema.FieldList{
		schema.MustPrimitive(schema.NewPrimitiveNodeLogical("file_path", parquet.Repetitions.Required, schema.StringLogicalType{}, parquet.Types.ByteArray, -1, idDeletedFile)),
		schema.NewInt64Node("pos", parquet.Repetitions.Required, idDeletedPos),
	}, -1)
	if err != nil {
		return written{}, err
	}
	out, err := file.NewParquetWriterWithError(bare{dest}, root, file.WithWriterProps(parquet.NewWriterProperties(
		parquet.WithDictionaryDefault(false), parquet.WithDictionaryFor("file_path", true),
		parquet.WithEncodingFor("pos", parquet.Encodings.DeltaBinaryPacked),
		parquet.WithCompression(compress.Codecs.Zstd), parquet.WithCompressionLevel(1),
		parquet.WithBatchSize(chunkRows), parquet.WithMaxStatsSize(math.MaxInt32))))
	if err != nil {
		return written{}, err
	}
	wr := written{sizes: map[int]int64{}, splits: []int64{out.TotalBytesWritten()}}
	group, err := out.AppendBufferedRowGroupChecked()
	if err != nil {
		return written{}, err
	}
	paths, err := group.Column(0)
	if err != nil {
		return written{}, err
	}
	d := newDictionary(&leaf{phys: physBytes, required: true})
	d.repeat(path, len(rows))
	if err := d.always(paths); err != nil {
		return written{}, err
	}
	pos, err := group.Column(1)
	if err != nil {
		return written{}, err
	}
	if _, err := pos.(*file.Int64ColumnChunkWriter).WriteBatch(rows, nil, nil); err != nil {
		return written{}, err
	}
	if err := group.Close(); err != nil {
		return written{}, err
	}
	wr.sizes[idDeletedFile], wr.sizes[idDeletedPos] = paths.TotalBytesWritten(), pos.TotalBytesWritten()
	if err := out.Close(); err != nil {
		return written{}, err
	}
	wr.size = out.TotalBytesWritten()
	return wr, nil
}

func positionsEntry(c *WriterConfig, data iceberg.DataFile, rows []int64, path string, wr written) (iceberg.DataFile, error) {
	part, err := partitionOf(c, data)
	if err != nil {
		return nil, err
	}
	n := int64(len(rows))
	b, err := iceberg.NewDataFileBuilder(c.Spec, iceberg.EntryContentPosDeletes, path, iceberg.ParquetFile, part.values, part.logical, nil, n, wr.size)
	if err != nil {
		return nil, err
	}
	target := []byte(data.FilePath()) // whole: a shortened bound would say "several files"
	first, last := binary.LittleEndian.AppendUint64(nil, uint64(rows[0])), binary.LittleEndian.AppendUint64(nil, uint64(rows[n-1]))
	counts, none := map[int]int64{idDeletedFile: n, idDeletedPos: n}, map[int]int64{idDeletedFile: 0, idDeletedPos: 0}
	return b.LowerBoundValues(map[int][]byte{idDeletedFile: target, idDeletedPos: first}).
		UpperBoundValues(map[int][]byte{idDeletedFile: target, idDeletedPos: last}).
		ColumnSizes(wr.sizes).ValueCounts(counts).NullValueCounts(none).SplitOffsets(wr.splits).
		ReferencedDataFile(data.FilePath()).Build(), nil
}

// partitionOf is the partition of a data file, which its deletes share.
func partitionOf(c *WriterConfig, data iceberg.DataFile) (partition, error) {
	p := partition{values: data.Partition(), logical: map[int]string{}}
	for _, f := range c.Spec.Fields() {
		s, ok := c.Schema.FindFieldByID(f.SourceID())
		if !ok {
			return p, fmt.Errorf("partition field %s: its column is gone", f.Name)
		}
		switch f.Transform.ResultType(s.Type).(type) {
		case iceberg.DateType:
			p.logical[f.FieldID] = "date"
		case iceberg.TimeType:
			p.logical[f.FieldID] = "time-micros"
		case iceberg.TimestampType, iceberg.TimestampTzType:
			p.logical[f.FieldID] = "timestamp-micros"
		case iceberg.DecimalType:
			p.logical[f.FieldID] = "decimal"
		case iceberg.UUIDType:
			p.logical[f.FieldID] = "uuid"
		}
	}
	return p, nil
}
