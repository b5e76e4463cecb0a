package config

import "strings"

// Nearest is the name that a person most likely meant by word, "" when none is
// near: at most a third of the letters differ, or word begins exactly one of them.
func Nearest(word string, names []string) string {
	word = strings.ToLower(word)
	best, bestAt, begun := "", len(word)/3+2, []string{}
	for _, name := range names {
		if d := distance(word, strings.ToLower(name)); d < bestAt {
			best, bestAt = name, d
		}
		if word != "" && strings.HasPrefix(name, word) {
			begun = append(begun, name)
		}
	}
	if len(begun) == 1 {
		return begun[0]
	}
	return best
}

// distance is the number of single letters to insert, delete, replace or swap
// with their neighbour that turn a into b.
func distance(a, b string) int {
	var before, above []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, above, row = above, row, make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
