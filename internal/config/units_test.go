package config

import (
	"testing"
	"time"
)

func TestUnits(t *testing.T) {
	for in, want := range map[string]int64{
		"2GiB": 2 << 30, "128MiB": 128 << 20, "1.5KiB": 1536, "7B": 7, "64 KiB": 64 << 10, "0B": 0,
	} {
		if got, err := parseSize(in); err != nil || got != want {
			t.Errorf("%s: got %d, %v", in, got, err)
		}
	}
	for in, want := range map[string]time.Duration{
		"500ms": 500 * time.Millisecond, "1s": time.Second, "90m": 90 * time.Minute, "14d": 336 * time.Hour,
		"1h30m": 90 * time.Minute, "1.5s": 1500 * time.Millisecond, "0": 0, "0s": 0,
	} {
		if got, err := parseDuration(in); err != nil || got != want {
			t.Errorf("%s: got %s, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "B", "1", "1.1B", "1e3B", "-1B", ".5KiB", "1.KiB", "1..5KiB", "9999999TiB", "1 MB"} {
		if got, err := parseSize(in); err == nil {
			t.Errorf("size %q is taken as %d", in, got)
		}
	}
	for _, in := range []string{"", "s", "1", "1s2", "-1s", "1 s", "1S", "0.0000000001s", "300000y", "200000d", "106751d24h"} {
		if got, err := parseDuration(in); err == nil {
			t.Errorf("duration %q is taken as %s", in, got)
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"commit_interval", "consistency", "deletes", "format_version", "workers"}
	for word, want := range map[string]string{
		"comit_interval": "commit_interval", "worker": "workers", "del": "deletes", "co": "", "zzz": "", "Consistency": "consistency",
		"ocnsistency": "consistency", "": "",
	} {
		if got := Nearest(word, names); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
}
