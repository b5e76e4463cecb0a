// Package crash kills the own process at named points, so that a test can show
// that every durable step survives a stop before and after it. It does nothing
// unless the environment asks for it, and it knows nothing about what it kills.
//
// UNDROP_CRASH=apply.commit.after kills at the first call of that point,
// UNDROP_CRASH=apply.commit.after:3 at the third. The kill is the operating
// system's: no deferred call, no flush and no lock release happens.
package crash

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// Env is the variable that arms one point.
const Env = "UNDROP_CRASH"

var (
	mu    sync.Mutex
	names = map[string]bool{}
	armed atomic.Pointer[plan]
)

// plan is the armed point and how many of its calls still pass.
type plan struct {
	name string
	left atomic.Int64
	once sync.Once
}

func init() {
	p, err := parse(os.Getenv(Env))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	armed.Store(p)
}

// parse reads "name" or "name:n"; nothing armed for an empty text.
func parse(s string) (*plan, error) {
	if s == "" {
		return nil, nil
	}
	name, count, found := strings.Cut(s, ":")
	n := int64(1)
	if found {
		var err error
		if n, err = strconv.ParseInt(count, 10, 64); err != nil || n < 1 {
			return nil, fmt.Errorf("%s=%s: want NAME or NAME:N with N at least 1", Env, s)
		}
	}
	p := &plan{name: name}
	p.left.Store(n)
	return p, nil
}

// Register makes points known. Call it from init, with every point of the
// package, so that a test can loop over Names and miss none.
func Register(points ...string) {
	mu.Lock()
	defer mu.Unlock()
	for _, p := range points {
		names[p] = true
	}
}

// Names lists the registered points of this binary, sorted.
func Names() []string {
	mu.Lock()
	defer mu.Unlock()
	list := make([]string, 0, len(names))
	for n := range names {
		list = append(list, n)
	}
	slices.Sort(list)
	return list
}

// Point is a place where the process may die. It costs one atomic load when
// nothing is armed.
func Point(name string) {
	if p := armed.Load(); p != nil {
		p.at(name)
	}
}

func (p *plan) at(name string) {
	// A misspelt name would make a crash test pass without a crash. All
	// registration happens in init, so by the first call the list is complete.
	p.once.Do(func() {
		mu.Lock()
		known := names[p.name]
		mu.Unlock()
		if !known {
			fmt.Fprintf(os.Stderr, "%s=%s: no such crash point; there are %s\n", Env, p.name, strings.Join(Names(), ", "))
			os.Exit(2)
		}
	})
	if name == p.name && p.left.Add(-1) == 0 {
		die()
	}
}

// die does not return: the signal may take a moment to arrive, and nothing may
// happen in that moment.
func die() {
	if self, err := os.FindProcess(os.Getpid()); err == nil {
		_ = self.Kill()
	}
	select {}
}
