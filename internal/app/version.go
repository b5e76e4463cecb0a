package app

import (
	"runtime"
	"runtime/debug"
)

// release is set by a release build:
// -ldflags "-X github.com/undrop/undrop/internal/app.release=1.2.3".
var release = ""

// Version is what this build calls itself: a release, a module version or "devel".
var Version = Build().Version

// BuildInfo says which undrop this is.
type BuildInfo struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Modified bool   `json:"modified,omitempty"` // built from a work tree with uncommitted changes
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// Build reads what the linker and the go command left in this binary.
func Build() BuildInfo {
	b := BuildInfo{Version: release, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if b.Version == "" {
		b.Version = "devel"
		if ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
			b.Version = info.Main.Version
		}
	}
	if !ok {
		return b
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}
