package bench

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// selfCPU is the CPU time of this process, seconds.
func selfCPU() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return seconds(u.Utime) + seconds(u.Stime)
}

func seconds(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }

// peakRSS is the most memory that this process has had, bytes.
func peakRSS() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return u.Maxrss * 1024
}

// treeCPU is the CPU time of a process, its living children and those that it has
// reaped, seconds. Linux only: 0 elsewhere.
func treeCPU(pid int) float64 {
	total := 0.0
	if own, ok := readStat(pid); ok {
		total += own.cpu + own.reaped
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return total
	}
	for _, e := range entries {
		if child, err := strconv.Atoi(e.Name()); err == nil {
			if s, ok := readStat(child); ok && s.parent == pid {
				total += s.cpu + s.reaped
			}
		}
	}
	return total
}

type stat struct {
	parent      int
	cpu, reaped float64
}

// readStat reads /proc/PID/stat; clock ticks are 10 ms on every Linux that Go
// runs on.
func readStat(pid int) (stat, bool) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return stat{}, false
	}
	// The name in parentheses may hold spaces: fields are counted after it.
	_, rest, ok := strings.Cut(string(data), ") ")
	f := strings.Fields(rest)
	if !ok || len(f) < 15 {
		return stat{}, false
	}
	n := func(i int) float64 { v, _ := strconv.ParseFloat(f[i], 64); return v / 100 }
	parent, _ := strconv.Atoi(f[1])
	return stat{parent: parent, cpu: n(11) + n(12), reaped: n(13) + n(14)}, true
}

// folderBytes is the size of all files below dir.
func folderBytes(dir string) (n int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if info, err := d.Info(); err == nil {
				n += info.Size()
			}
		}
		return nil
	})
	return n
}
