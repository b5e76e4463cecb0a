package enginetest

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"
)

//go:embed read.py
var readScript string

// Kind says how the text of a cell is compared.
type Kind string

// The kinds of cells.
const (
	Text  Kind = "text"  // as it is
	Float Kind = "float" // as a number: two systems spell the same one differently
	List  Kind = "list"  // a JSON array of texts
)

// Column is a column as the engine describes it.
type Column struct {
	Name string `json:"name"`
	Type string `json:"type"` // the engine's own spelling
	Kind Kind   `json:"kind"`
	Elem Kind   `json:"elem"` // of a List
}

// Rows are the rows of one table. Cells are text in PostgreSQL's spelling where the
// engine's is a matter of taste (bytes in hexadecimal); nil is null.
type Rows struct {
	Name    string      `json:"name"`
	Columns []Column    `json:"columns"`
	Cells   [][]*string `json:"cells"`
	Error   string      `json:"error"`
}

// Table names a table and the metadata file of the state to read.
type Table struct {
	Name     string `json:"name"`
	Metadata string `json:"metadata"`
	Snapshot int64  `json:"snapshot,omitempty"` // 0: the current one
}

// Read reads tables with DuckDB. A table that it cannot read fails the test.
func Read(t testing.TB, tables []Table) map[string]*Rows {
	t.Helper()
	python := DuckDB(t)
	request, err := json.Marshal(tables)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, python, "-c", readScript)
	cmd.Stdin = bytes.NewReader(request)
	var story strings.Builder
	cmd.Stderr = &story
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("read with DuckDB: %v\n%s", err, story.String())
	}
	all := map[string]*Rows{}
	d := json.NewDecoder(bytes.NewReader(out))
	for {
		r := new(Rows)
		if err := d.Decode(r); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatalf("read DuckDB's answer: %v", err)
		}
		if r.Error != "" {
			t.Errorf("DuckDB cannot read %s: %s", r.Name, r.Error)
		}
		all[r.Name] = r
	}
}
