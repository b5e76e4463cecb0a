package undrop

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// LSN is a PostgreSQL log sequence number: a byte position in the write-ahead
// log. The zero LSN means "no position yet".
type LSN uint64

// String prints an LSN the way PostgreSQL does, for example "0/16B3748".
func (l LSN) String() string { return fmt.Sprintf("%X/%X", uint32(l>>32), uint32(l)) }

// ParseLSN reads the form that String writes.
func ParseLSN(s string) (LSN, error) {
	hi, lo, ok := strings.Cut(s, "/")
	if !ok {
		return 0, fmt.Errorf("parse LSN %q: want the form 0/16B3748", s)
	}
	h, err := strconv.ParseUint(hi, 16, 32)
	if err != nil {
		return 0, fmt.Errorf("parse LSN %q: want the form 0/16B3748", s)
	}
	l, err := strconv.ParseUint(lo, 16, 32)
	if err != nil {
		return 0, fmt.Errorf("parse LSN %q: want the form 0/16B3748", s)
	}
	return LSN(h<<32 | l), nil
}

// MarshalText makes an LSN readable in JSON and YAML.
func (l LSN) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (l *LSN) UnmarshalText(b []byte) error {
	v, err := ParseLSN(string(b))
	if err != nil {
		return err
	}
	*l = v
	return nil
}

// Position orders the changes of one source. An LSN alone does not: all rows of
// a transaction may share one, and the next transaction may start at the LSN
// where the last one ended (facts: debezium#7531). CommitLSN is where the commit
// record of the change's transaction begins, Seq counts from 1 inside the
// transaction. A snapshot row taken at consistent point X has CommitLSN X-1 and
// Seq 0: it is newer than every transaction in the snapshot, older than every
// transaction after it.
type Position struct {
	CommitLSN LSN
	Seq       int64
}

// Compare orders positions: -1, 0 or +1.
func (p Position) Compare(q Position) int {
	return cmp.Or(cmp.Compare(p.CommitLSN, q.CommitLSN), cmp.Compare(p.Seq, q.Seq))
}

// String prints "0/16B3748#3".
func (p Position) String() string { return fmt.Sprintf("%s#%d", p.CommitLSN, p.Seq) }
