package lake

import (
	"testing"

	"github.com/apache/iceberg-go"
	"github.com/stretchr/testify/require"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/batch"
)

func TestOneRow(t *testing.T) {
	wh, err := OpenWarehouse(t.TempDir())
	require.NoError(t, err)
	def := payments(undrop.Mirror)
	sc := IcebergSchema(def)
	c := WriterConfig{Warehouse: wh, Table: def, Dir: wh.Location + "/bank/payments/data", Schema: sc, Spec: *iceberg.UnpartitionedSpec, Stamp: Stamp{"core"}}
	w, err := NewWriter(c)
	require.NoError(t, err)
	b := batch.New(def)
	b.Cols[0].AppendInt(7)
	b.Cols[1].AppendString("x")
	b.Cols[2].Elem.AppendString("a")
	b.Cols[2].EndList()
	b.AddRow(undrop.Create, undrop.Position{CommitLSN: 9, Seq: 1}, 1)
	require.NoError(t, w.Write(b, nil, undrop.LaneStream))
	files, err := w.Close()
	require.NoError(t, err)
	require.Len(t, files, 1)
	require.EqualValues(t, 1, files[0].Rows)
}
