package undrop

import "time"

// Cut is a place where every table of a source is a state that the source really
// had: all transactions with a commit LSN up to LSN are in, none above. Capture
// publishes cuts, apply commits only at cuts.
type Cut struct {
	Source      string              `json:"source"`
	System      string              `json:"system"`   // PostgreSQL system identifier
	Timeline    int32               `json:"timeline"` // PostgreSQL timeline
	LSN         LSN                 `json:"lsn"`
	EndLSN      LSN                 `json:"end_lsn"` // where the slot may be acknowledged to, once this cut is durable
	CommittedAt time.Time           `json:"committed_at"`
	Topics      map[string]TopicEnd `json:"topics"` // complete: every topic that the source writes
}

// TopicEnd is the end of one topic at a cut.
type TopicEnd struct {
	ID    string    `json:"id"`    // Kafka topic id (uuid): a topic that was deleted and made again has another
	Table TableName `json:"table"` // the mart table that it feeds
	Next  []int64   `json:"next"`  // per partition, the offset after the last record
}

// Load describes how far the first (or a repeated) load of a table is; it is kept
// in the summary of the snapshots of the branch LoadBranch, so progress moves in
// the same commit as the rows.
type Load struct {
	LSN     LSN         `json:"lsn"`     // the newest exported snapshot's consistent point X: the horizon
	First   LSN         `json:"first"`   // the consistent point of the first attempt
	Xmin    uint32      `json:"xmin"`    // xmin of the first exported snapshot: a row with an older xmin has not changed since
	At      time.Time   `json:"at"`      // when that snapshot was taken, by the source's clock
	Offsets []TopicMark `json:"offsets"` // where apply begins to read; every earlier record is in the first snapshot
	Ranges  []Range     `json:"ranges"`  // done, cumulative
	// Files names the file of each heap that ranges are of, by leaf. A heap that was
	// rewritten has another: its rows are elsewhere, with the same xmin.
	Files    map[string]uint32 `json:"files,omitempty"`
	Rows     int64             `json:"rows"`
	Complete bool              `json:"complete"`
}

// LoadBranch is where a table is while it is loading; main appears at the first
// cut at which the table is exact.
const LoadBranch = "undrop-load"

// Range is a half-open range of heap pages [From, To) of one heap; To 0 means
// open-ended.
type Range struct {
	Leaf string `json:"leaf,omitempty"` // schema-qualified, quoted leaf of a partitioned table
	From uint32 `json:"from"`
	To   uint32 `json:"to"`
}

// The keys of a mart snapshot's summary; each value is one JSON object.
const (
	SummaryOffsets  = "undrop.offsets"
	SummarySource   = "undrop.source"
	SummaryContract = "undrop.contract"
	SummaryAccount  = "undrop.account"
	SummaryLane     = "undrop.lane"
	SummaryLoad     = "undrop.load"
)

// OffsetsMark is the value of undrop.offsets.
type OffsetsMark struct {
	Topics []TopicMark `json:"topics"`
}

// TopicMark says where the next read of one topic begins.
type TopicMark struct {
	Topic string           `json:"topic"`
	ID    string           `json:"topic_id"`
	Next  map[string]int64 `json:"next"` // partition (decimal) -> next offset
}

// SourceMark is the value of undrop.source.
type SourceMark struct {
	Source      string    `json:"source"`
	System      string    `json:"system"`
	Timeline    int32     `json:"timeline"`
	LSN         LSN       `json:"lsn"`
	CommittedAt time.Time `json:"committed_at"`
	Complete    bool      `json:"complete"`
}

// AccountMark is the value of undrop.account.
type AccountMark struct {
	Commit Account `json:"commit"`
	Total  Account `json:"total"`
}

// Gap is a range of positions known to be missing.
type Gap struct {
	ID       string    `json:"id"`
	Source   string    `json:"source"`
	Tables   []string  `json:"tables"` // mart tables that it touches
	Reason   string    `json:"reason"` // stable word: slot_lost, slot_recreated, slot_ahead, topic_recreated, offsets_lost, system_changed
	Detail   string    `json:"detail"`
	From     LSN       `json:"from"` // the last position known to be complete
	To       LSN       `json:"to"`   // the first position known to be complete again; 0: not known yet
	Topic    string    `json:"topic,omitempty"`
	Offsets  []int64   `json:"offsets,omitempty"` // [from, to) when the loss is in the log
	OpenedAt time.Time `json:"opened_at"`
	ClosedAt time.Time `json:"closed_at,omitzero"`
	State    string    `json:"state"` // open, repairing, closed
}
