package pipeline

import (
	"github.com/cespare/xxhash/v2"
)

// keyTable finds the entry of a key: open addressing over 64-bit hashes, keys
// compared in full.
type keyTable struct {
	slots []int32 // entry index + 1
	hash  []uint64
	off   []uint32 // key i is arena[off[i]:off[i+1]]
	arena []byte
}

// find returns the index of key, adding it when it is new.
func (t *keyTable) find(key []byte) (i int, added bool) {
	if 4*(len(t.hash)+1) > 3*len(t.slots) {
		t.grow()
	}
	h := xxhash.Sum64(key)
	mask := uint64(len(t.slots) - 1)
	for s := h & mask; ; s = (s + 1) & mask {
		e := t.slots[s]
		if e == 0 {
			t.slots[s] = int32(len(t.hash) + 1)
			t.hash = append(t.hash, h)
			t.arena = append(t.arena, key...)
			t.off = append(t.off, uint32(len(t.arena)))
			return len(t.hash) - 1, true
		}
		if t.hash[e-1] == h && string(t.key(int(e-1))) == string(key) {
			return int(e - 1), false
		}
	}
}

// lookup is find without adding; -1 when the key is not there.
func (t *keyTable) lookup(key []byte) int {
	if len(t.slots) == 0 {
		return -1
	}
	h := xxhash.Sum64(key)
	mask := uint64(len(t.slots) - 1)
	for s := h & mask; ; s = (s + 1) & mask {
		e := t.slots[s]
		if e == 0 {
			return -1
		}
		if t.hash[e-1] == h && string(t.key(int(e-1))) == string(key) {
			return int(e - 1)
		}
	}
}

func (t *keyTable) key(i int) []byte {
	start := uint32(0)
	if i > 0 {
		start = t.off[i-1]
	}
	return t.arena[start:t.off[i]]
}

func (t *keyTable) grow() {
	n := max(1024, 2*len(t.slots))
	t.slots = make([]int32, n)
	mask := uint64(n - 1)
	for i, h := range t.hash {
		s := h & mask
		for t.slots[s] != 0 {
			s = (s + 1) & mask
		}
		t.slots[s] = int32(i + 1)
	}
}
