package pipeline

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// Seen to fail with the comparison of whole keys left out of find, and a hash that
// is the same for all.
func TestKeyTableIsAMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var table keyTable
	model := map[string]int{}
	for range 20_000 {
		key := fmt.Sprintf("key %d", rng.IntN(6000))
		if rng.IntN(50) == 0 {
			key = ""
		}
		want, known := model[key]
		if got := table.lookup([]byte(key)); known && got != want || !known && got != -1 {
			t.Fatalf("lookup %q: %d, want %d (known %t)", key, got, want, known)
		}
		got, added := table.find([]byte(key))
		if added == known || known && got != want {
			t.Fatalf("find %q: %d added %t, want %d (known %t)", key, got, added, want, known)
		}
		model[key] = got
	}
	if len(table.hash) != len(model) {
		t.Fatalf("%d keys, want %d", len(table.hash), len(model))
	}
}
