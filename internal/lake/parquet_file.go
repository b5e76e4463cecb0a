package lake

import (
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/parquet/file"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

// rowGroupBytes bounds the rows of a row group by their size in memory.
const rowGroupBytes = 64 << 20

// dataFile is a Parquet file that is being written.
type dataFile struct {
	number int
	path   string
	layout *layout
	limit  int // rows of a row group
	dest   *fileWriter
	out    *file.Writer
	rows   int64
	splits []int64
	stats  []leafStats
	sizes  []int64
	plain  []bool // leaves for which a dictionary is hopeless, shared by the files of a writer

	group     file.BufferedRowGroupWriter // nil between row groups
	columns   []file.ColumnChunkWriter
	dicts     []*dictionary // nil for leaves without
	groupRows int
	groupSize int // bytes, estimated
	used      int // when rows were added last, by the writer's count
}

// bare hides everything but Write: the Parquet writer would close the file.
type bare struct{ io.Writer }

func newDataFile(l *layout, dest *fileWriter, path string, limit int, plain []bool) (*dataFile, error) {
	out, err := file.NewParquetWriterWithError(bare{dest}, l.root, file.WithWriterProps(l.props))
	if err != nil {
		return nil, err
	}
	return &dataFile{path: path, layout: l, limit: limit, dest: dest, out: out, plain: plain,
		stats: make([]leafStats, len(l.leaves)), sizes: make([]int64, len(l.leaves)), dicts: make([]*dictionary, len(l.leaves))}, nil
}

// stamp is what the metadata columns say beside the change columns of a batch.
type stamp struct {
	source string
	lane   undrop.Lane
}

// write appends rows, at most chunkRows and at most room().
func (f *dataFile) write(b *batch.Batch, s selection, st stamp, sh *shredder) error {
	if err := f.begin(); err != nil {
		return err
	}
	for i := range f.layout.shapes {
		shape := &f.layout.shapes[i]
		if err := f.writeShape(shape, b, s, st, sh); err != nil {
			return fmt.Errorf("column %s: %w", shape.name, err)
		}
	}
	f.rows += int64(s.n)
	f.groupRows += s.n
	return nil
}

// room is how many more rows the row group takes.
func (f *dataFile) room() int { return f.limit - f.groupRows }

// begin opens a row group if none is open.
func (f *dataFile) begin() error {
	if f.group != nil {
		return nil
	}
	f.splits = append(f.splits, f.out.TotalBytesWritten())
	var err error
	if f.group, err = f.out.AppendBufferedRowGroupChecked(); err != nil {
		return err
	}
	f.columns = f.columns[:0]
	for i := range f.layout.leaves {
		w, err := f.group.Column(i)
		if err != nil {
			return err
		}
		f.columns = append(f.columns, w)
		lf := &f.layout.leaves[i]
		switch {
		case !lf.dict || f.plain[i]:
			if d := f.dicts[i]; d != nil {
				dictionaries.Put(d)
				f.dicts[i] = nil
			}
			w.FallbackToPlain()
		case f.dicts[i] == nil:
			f.dicts[i] = newDictionary(lf)
		default:
			f.dicts[i].reset()
		}
	}
	return nil
}

func (f *dataFile) writeShape(sp *shape, b *batch.Batch, s selection, st stamp, sh *shredder) error {
	if sp.col < 0 {
		return f.writeMeta(sp, b, s, st, sh)
	}
	c := &b.Cols[sp.col]
	if sp.typ.Nested() {
		if err := sh.take(sp, c, s); err != nil {
			return err
		}
		for i := sp.leaf; i < sp.leaf+sp.leaves; i++ {
			if err := f.put(i, &sh.runs[i]); err != nil {
				return err
			}
		}
		return nil
	}
	// Flat columns share one run: only its memory matters from call to call.
	v := &sh.runs[len(sh.leaves)]
	if err := v.take(&f.layout.leaves[sp.leaf], c, s); err != nil {
		return err
	}
	return f.put(sp.leaf, v)
}

// writeMeta writes a metadata column.
func (f *dataFile) writeMeta(sp *shape, b *batch.Batch, s selection, st stamp, sh *shredder) error {
	v := &sh.runs[len(sh.leaves)]
	v.n, v.nulls, v.def, v.rep = s.n, 0, nil, nil
	switch sp.meta {
	case idLSN:
		v.i64Buf = gather(v.i64Buf[:0], b.LSN, s)
		v.i64 = v.i64Buf
	case idSeq:
		v.i64Buf = gather(v.i64Buf[:0], b.Seq, s)
		v.i64 = v.i64Buf
	case idAt:
		v.i64Buf = gather(v.i64Buf[:0], b.At, s)
		v.i64 = v.i64Buf
	case idSource:
		return f.repeat(sp.leaf, st.source, s.n, v)
	case idLane:
		return f.repeat(sp.leaf, string(st.lane), s.n, v)
	case idOp:
		v.dataBuf, v.offBuf = v.dataBuf[:0], append(v.offBuf[:0], 0)
		for i := range s.n {
			row := s.from + i
			if s.rows != nil {
				row = int(s.rows[i])
			}
			v.dataBuf = append(v.dataBuf, opNames[b.Op[row]]...)
			v.offBuf = append(v.offBuf, int32(len(v.dataBuf)))
		}
		v.data, v.off = v.dataBuf, v.offBuf
	}
	return f.put(sp.leaf, v)
}

func gather[T int64 | undrop.LSN](dst []int64, src []T, s selection) []int64 {
	if s.rows == nil {
		for _, x := range src[s.from : s.from+s.n] {
			dst = append(dst, int64(x))
		}
		return dst
	}
	for _, r := range s.rows {
		dst = append(dst, int64(src[r]))
	}
	return dst
}

// repeat writes the same value n times.
func (f *dataFile) repeat(leaf int, value string, n int, v *values) error {
	if d := f.dicts[leaf]; d != nil {
		d.repeat(value, n)
		return nil
	}
	v.dataBuf, v.offBuf = v.dataBuf[:0], append(v.offBuf[:0], 0)
	for range n {
		v.dataBuf = append(v.dataBuf, value...)
		v.offBuf = append(v.offBuf, int32(len(v.dataBuf)))
	}
	v.data, v.off = v.dataBuf, v.offBuf
	return f.put(leaf, v)
}

// put appends a run to a leaf.
func (f *dataFile) put(i int, v *values) error {
	lf := &f.layout.leaves[i]
	d := f.dicts[i]
	if d != nil && d.unlike(v) {
		f.plain[i], f.dicts[i] = true, nil
		f.columns[i].FallbackToPlain()
		dictionaries.Put(d)
		d = nil
	}
	if d == nil {
		f.stats[i].observe(lf, v)
		return v.write(lf, f.columns[i])
	}
	if d.add(v); !d.hopeless() {
		return nil
	}
	f.plain[i] = true
	f.dicts[i] = nil
	f.columns[i].FallbackToPlain()
	d.observe(&f.stats[i])
	defer dictionaries.Put(d)
	return d.plain(f.columns[i], v)
}

// endGroup writes the row group out.
func (f *dataFile) endGroup(v *values) error {
	if f.group == nil {
		return nil
	}
	for i, d := range f.dicts {
		if d == nil {
			continue
		}
		d.observe(&f.stats[i])
		if err := d.flush(f.columns[i], v); err != nil {
			return fmt.Errorf("column %s: %w", f.layout.leaves[i].path, err)
		}
	}
	if err := f.group.Close(); err != nil {
		return fmt.Errorf("write row group: %w", err)
	}
	for i, w := range f.columns {
		f.sizes[i] += w.TotalBytesWritten()
	}
	f.group, f.columns, f.groupRows, f.groupSize = nil, f.columns[:0], 0, 0
	return nil
}

// size is about how large the file is so far.
func (f *dataFile) size() int64 {
	n := f.out.TotalBytesWritten()
	for _, w := range f.columns {
		n += w.TotalCompressedBytes()
	}
	for _, d := range f.dicts {
		if d != nil {
			n += int64(len(d.data) + 8*len(d.ints) + len(d.idx)/2)
		}
	}
	return n
}

// end writes what is left and the footer, and describes the file. It is complete
// but not durable then.
func (f *dataFile) end(v *values, e entrySpec) (File, error) {
	if err := f.endGroup(v); err != nil {
		return File{}, err
	}
	if err := f.out.Close(); err != nil {
		return File{}, fmt.Errorf("write footer: %w", err)
	}
	for i, d := range f.dicts {
		if d != nil {
			dictionaries.Put(d)
			f.dicts[i] = nil
		}
	}
	data, err := f.entry(e, f.out.TotalBytesWritten())
	if err != nil {
		return File{}, err
	}
	return File{Data: data, Path: f.path, Rows: f.rows, Bytes: data.FileSizeBytes()}, nil
}
