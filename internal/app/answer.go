package app

import (
	"encoding/json"
	"time"

	undrop "github.com/undrop/undrop"
)

// The answers of the commands and of the API. The JSON keys are stable; what is
// not known is null, never a zero that looks like an answer.

// TablesAnswer is what "table ls" and GET /api/v1/tables answer.
type TablesAnswer struct {
	Tables []TableInfo `json:"tables"`
}

// TableInfo is a mart table in one line.
type TableInfo struct {
	Name             string       `json:"name"` // namespace.table
	Mode             undrop.Mode  `json:"mode"`
	State            string       `json:"state"`            // waiting, loading, live, halted
	Reason           string       `json:"reason,omitempty"` // why it is halted
	MetadataLocation string       `json:"metadata_location"`
	SnapshotID       *int64       `json:"snapshot_id"`     // null: nothing is visible yet
	Source           *SourceInfo  `json:"source"`          // null: nothing is visible yet
	Rows             *int64       `json:"rows"`            // rows that a reader sees; null: not counted
	LagSeconds       *float64     `json:"lag_seconds"`     // now minus the commit time that the table has reached
	LagRecords       *int64       `json:"lag_records"`     // records in the log that the table does not hold yet; null: the log is not reachable
	Quarantined      int64        `json:"quarantined"`     // open records in quarantine
	TrustedThrough   *TrustedInfo `json:"trusted_through"` // null: nothing has been proven yet
}

// SourceInfo is the state of the source that a table holds.
type SourceInfo struct {
	Name        string     `json:"name"`
	System      string     `json:"system"`
	Timeline    int32      `json:"timeline"`
	LSN         undrop.LSN `json:"lsn"` // every transaction with a commit LSN up to it is in, none above
	CommittedAt time.Time  `json:"committed_at"`
	Complete    bool       `json:"complete"` // false: snapshots of this source are not at cuts
}

// TrustedInfo is the position up to which a table has been proven complete.
type TrustedInfo struct {
	LSN undrop.LSN `json:"lsn"`
	At  time.Time  `json:"at"`
}

// TableDetail is a mart table with everything that "table show" answers.
type TableDetail struct {
	TableInfo
	Contract  undrop.ContractRef `json:"contract"`
	Topic     string             `json:"topic"`
	Location  string             `json:"location"`
	Key       []string           `json:"key"`
	Partition []string           `json:"partition"` // for example "bucket(16, id)"
	Schema    []ColumnInfo       `json:"schema"`
	Files     FilesInfo          `json:"files"`
	Snapshots []SnapshotInfo     `json:"snapshots"` // newest first
	Account   undrop.AccountMark `json:"account"`
}

// ColumnInfo is one column of the Iceberg table.
type ColumnInfo struct {
	ID       int    `json:"id"`
	Name     string `json:"name"`
	Type     string `json:"type"` // Iceberg spelling
	Required bool   `json:"required"`
	Doc      string `json:"doc,omitempty"`
}

// FilesInfo counts the live files of a snapshot.
type FilesInfo struct {
	Data        int64 `json:"data"`
	Deletes     int64 `json:"deletes"` // delete files
	Bytes       int64 `json:"bytes"`   // of both
	DataRecords int64 `json:"data_records"`
}

// SnapshotInfo is one snapshot of a table.
type SnapshotInfo struct {
	ID        int64           `json:"snapshot_id"`
	Parent    *int64          `json:"parent_id"`
	At        time.Time       `json:"at"`
	Operation string          `json:"operation"`
	Lane      undrop.Lane     `json:"lane"`
	Source    *SourceInfo     `json:"source"`
	Commit    *undrop.Account `json:"account"` // of this commit alone
}

// RowsAnswer is what "table rows" answers.
type RowsAnswer struct {
	Table      string            `json:"table"`
	SnapshotID *int64            `json:"snapshot_id"` // null: nothing is visible yet
	Source     *SourceInfo       `json:"source"`
	Columns    []string          `json:"columns"`
	Rows       []json.RawMessage `json:"rows"`      // objects with the keys of Columns, in that order
	Truncated  bool              `json:"truncated"` // there are more rows than the limit
}

// StatusAnswer is what "status" and GET /api/v1/status answer.
type StatusAnswer struct {
	Name    string         `json:"name"`
	Version string         `json:"version"`
	Running bool           `json:"running"` // a process of this installation is up
	Sources []SourceStatus `json:"sources"`
	Tables  []TableInfo    `json:"tables"`
	Gaps    []undrop.Gap   `json:"gaps"` // that are not closed
}

// SourceStatus says how a source is doing. The slot's numbers are null when the
// source was not asked or did not answer, and Problem says why.
type SourceStatus struct {
	Name         string      `json:"name"`
	System       string      `json:"system,omitempty"`
	Timeline     int32       `json:"timeline,omitempty"`
	CutLSN       undrop.LSN  `json:"cut_lsn"`       // the newest cut in the log
	SlotLSN      *undrop.LSN `json:"slot_lsn"`      // acknowledged to the source
	SlotBehind   *int64      `json:"slot_behind"`   // bytes of write-ahead log that the slot keeps
	Changes      int64       `json:"changes"`       // captured since the process started
	LoadRows     int64       `json:"load_rows"`     // snapshot rows read
	LoadEstimate int64       `json:"load_estimate"` // the planner's guess of all of them
	Problem      string      `json:"problem,omitempty"`
}

// GapsAnswer is what "gap ls" and GET /api/v1/gaps answer.
type GapsAnswer struct {
	Gaps []undrop.Gap `json:"gaps"`
}
