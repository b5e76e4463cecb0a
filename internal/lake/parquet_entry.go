package lake

import (
	"fmt"

	"github.com/apache/iceberg-go"
)

// entrySpec is what a manifest entry says beside the contents.
type entrySpec struct {
	spec      iceberg.PartitionSpec
	content   iceberg.ManifestEntryContent
	partition partition
	equality  []int // field ids of an equality delete file
}

// entry makes the manifest entry of the finished file.
func (f *dataFile) entry(e entrySpec, size int64) (iceberg.DataFile, error) {
	b, err := iceberg.NewDataFileBuilder(e.spec, e.content, f.path, iceberg.ParquetFile, e.partition.values, e.partition.logical, nil, f.rows, size)
	if err != nil {
		return nil, fmt.Errorf("describe %s: %w", f.path, err)
	}
	n := len(f.layout.leaves)
	sizes, counts, nulls, nans := make(map[int]int64, n), make(map[int]int64, n), make(map[int]int64, n), map[int]int64{}
	lower, upper := make(map[int][]byte, n), make(map[int][]byte, n)
	for i := range f.layout.leaves {
		lf, st := &f.layout.leaves[i], &f.stats[i]
		sizes[lf.id] = f.sizes[i]
		if lf.maxRep > 0 {
			continue
		}
		counts[lf.id], nulls[lf.id] = st.count, st.nulls
		if lf.phys == physFloat || lf.phys == physDouble {
			nans[lf.id] = st.nans
		}
		lo, hi := st.bounds(lf)
		if lo != nil {
			lower[lf.id] = lo
		}
		if hi != nil {
			upper[lf.id] = hi
		}
	}
	b.ColumnSizes(sizes).ValueCounts(counts).NullValueCounts(nulls).NaNValueCounts(nans).
		LowerBoundValues(lower).UpperBoundValues(upper).SplitOffsets(f.splits)
	if len(e.equality) > 0 {
		b.EqualityFieldIDs(e.equality)
	}
	return b.Build(), nil
}
