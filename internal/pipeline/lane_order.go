package pipeline

import (
	"slices"

	undrop "github.com/undrop/undrop"
)

// A capture that is killed may leave records behind its newest cut. Its successor
// publishes them again, after them, and its first cuts may name a position that
// lies in the middle of what is there twice:
//
//	offset    0  1  2 | 3  4  5  6 | 3' 4' |
//	position 10 20 30 | 40 50 60 70| 40 50 |   a cut at 50 ends here
//
// Up to the end of that cut the partition holds changes of 60 and 70 too. A
// commit there would show a state that the source never had, so such a cut is
// passed over: the one that reaches 70 comes as soon as the successor has caught
// up with its predecessor.

// newestBefore is the newest position among the records before an offset: every
// change up to there is in what a commit at that offset holds.
func (l *lane) newestBefore(offset int64) undrop.LSN {
	for _, c := range slices.Backward(l.chunks) {
		if n, _ := slices.BinarySearch(c.offsets, offset); n > 0 {
			return c.newest[n-1]
		}
	}
	return l.folded
}
