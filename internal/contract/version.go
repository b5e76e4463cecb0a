package contract

import (
	"strconv"
	"strings"
)

// version is major.minor.patch; what follows a - or + does not count.
type version [3]int

func parseVersion(s string) (version, bool) {
	s = strings.TrimPrefix(s, "v")
	if i := strings.IndexAny(s, "-+"); i >= 0 {
		s = s[:i]
	}
	parts := strings.Split(s, ".")
	var v version
	if len(parts) != 3 {
		return v, false
	}
	for i, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil || n < 0 || p[0] == '+' {
			return v, false
		}
		v[i] = n
	}
	return v, true
}

// bump names the step from one version to another: none, patch, minor, major, or
// back for a lower one.
func bump(from, to string) string {
	a, ok1 := parseVersion(from)
	b, ok2 := parseVersion(to)
	if !ok1 || !ok2 {
		if from == to {
			return "none"
		}
		return "unknown"
	}
	for i, name := range []string{"major", "minor", "patch"} {
		if b[i] > a[i] {
			return name
		}
		if b[i] < a[i] {
			return "back"
		}
	}
	return "none"
}
