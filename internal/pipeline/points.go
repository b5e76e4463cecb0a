package pipeline

import "github.com/undrop/undrop/internal/crash"

// The durable steps of apply. After the files of a commit nothing refers to them
// yet; around the commit the tables, their offsets and the quarantine move as one.
func init() {
	crash.Register("apply.files.after", "apply.commit.before", "apply.commit.after")
}
