package lake

import (
	"errors"
	"strings"

	"github.com/apache/iceberg-go"

	undrop "github.com/undrop/undrop"
)

// What a WriterConfig that does not say otherwise gets.
const (
	defaultFileSize = 128 << 20
	defaultRowGroup = 262_144
)

// File is a finished data or delete file and its manifest entry.
type File struct {
	Data  iceberg.DataFile
	Path  string // as in Data
	Rows  int64
	Bytes int64
}

// Stamp is what the metadata columns say about all rows of a writer.
type Stamp struct {
	Source string
}

// WriterConfig says what is written, and where.
type WriterConfig struct {
	Warehouse      *Warehouse
	Table          *undrop.Table // the columns of the batches
	Dir            string        // location of the files: <table location>/data
	Schema         *iceberg.Schema
	Spec           iceberg.PartitionSpec
	TargetFileSize int64 // bytes; 0: 128 MiB
	Stamp          Stamp
	RowGroup       int // rows; 0: 262,144, a good half of that where several writers run
	// Delta packs integers and text lengths with the delta encodings of Parquet 2:
	// smaller by a fifth and cheaper to write, but Iceberg's own reader in Spark fails
	// on them in versions that many still run (apache/iceberg#7162). The default is
	// what every reader has: plain and dictionary pages.
	Delta bool
}

func (c *WriterConfig) defaults() error {
	switch {
	case c.Warehouse == nil || c.Warehouse.FS == nil:
		return errors.New("no warehouse")
	case c.Table == nil || c.Schema == nil:
		return errors.New("no table or no schema")
	case c.Dir == "":
		return errors.New("no folder for the files")
	case c.RowGroup < 0 || c.TargetFileSize < 0:
		return errors.New("a size is negative")
	}
	if c.TargetFileSize == 0 {
		c.TargetFileSize = defaultFileSize
	}
	if c.RowGroup == 0 {
		c.RowGroup = defaultRowGroup
	}
	c.Dir = strings.TrimSuffix(c.Dir, "/")
	return nil
}

func (c *WriterConfig) name() string {
	if c.Table == nil {
		return "?"
	}
	return c.Table.String()
}
