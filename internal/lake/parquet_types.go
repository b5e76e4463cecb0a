package lake

import (
	"math/big"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/schema"

	undrop "github.com/undrop/undrop"
)

// physical is how Parquet stores a leaf.
type physical uint8

const (
	physBool physical = iota
	phys32
	phys64
	physFloat
	physDouble
	physBytes
	physFixed
)

var physicalTypes = [...]parquet.Type{
	physBool: parquet.Types.Boolean, phys32: parquet.Types.Int32, phys64: parquet.Types.Int64, physFloat: parquet.Types.Float,
	physDouble: parquet.Types.Double, physBytes: parquet.Types.ByteArray, physFixed: parquet.Types.FixedLenByteArray,
}

// store says how the Iceberg specification stores a type in Parquet; a nil logical
// type means that there is no annotation.
func store(t undrop.Type) (p physical, width int, logical schema.LogicalType) {
	switch t.Kind {
	case undrop.Bool:
		return physBool, -1, nil
	case undrop.Int32:
		return phys32, -1, nil
	case undrop.Int64:
		return phys64, -1, nil
	case undrop.Float32:
		return physFloat, -1, nil
	case undrop.Float64:
		return physDouble, -1, nil
	case undrop.Date:
		return phys32, -1, schema.DateLogicalType{}
	case undrop.Time:
		return phys64, -1, schema.NewTimeLogicalType(false, schema.TimeUnitMicros)
	case undrop.Timestamp:
		return phys64, -1, schema.NewTimestampLogicalType(false, schema.TimeUnitMicros)
	case undrop.TimestampTZ:
		return phys64, -1, schema.NewTimestampLogicalType(true, schema.TimeUnitMicros)
	case undrop.String:
		return physBytes, -1, schema.StringLogicalType{}
	case undrop.Binary:
		return physBytes, -1, nil
	case undrop.UUID:
		return physFixed, 16, schema.UUIDLogicalType{}
	}
	logical = schema.NewDecimalLogicalType(int32(t.Precision), int32(t.Scale))
	switch {
	case t.Precision <= 9:
		return phys32, -1, logical
	case t.Precision <= 18:
		return phys64, -1, logical
	}
	return physFixed, decimalWidth(t.Precision), logical
}

// decimalWidth is the fewest bytes of two's complement that hold every number of
// so many digits.
func decimalWidth(precision int) int {
	n := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(precision)), nil)
	return n.Sub(n, big.NewInt(1)).BitLen()/8 + 1
}
