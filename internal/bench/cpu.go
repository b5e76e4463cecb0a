package bench

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
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

// forgetPeak gives back memory that is not used any more and starts peakRSS
// again, so that what came before a measurement is not in it.
func forgetPeak() {
	debug.FreeOSMemory()
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // where that cannot be done the peak is of the whole run, which is more
}

// peakRSS is the most memory that this process has had since forgetPeak, bytes.
func peakRSS() int64 {
	if data, err := os.ReadFile("/proc/self/status"); err == nil {
		for line := range strings.Lines(string(data)) {
			if f := strings.Fields(line); len(f) == 3 && f[0] == "VmHWM:" {
				kib, err := strconv.ParseInt(f[1], 10, 64)
				if err == nil {
					return kib << 10
				}
			}
		}
	}
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return u.Maxrss * 1024
}

// treeCPU is the CPU time of a process, its living children and those that it has
// reaped, seconds. A child that ends while we look moves its time to the parent:
// then we look again. Linux only: 0 elsewhere.
func treeCPU(pid int) float64 {
	for {
		before, ok := readStat(pid)
		if !ok {
			return 0
		}
		total := before.cpu + before.reaped
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
		if after, ok := readStat(pid); !ok || after.reaped == before.reaped {
			return total
		}
	}
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
