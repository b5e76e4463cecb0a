package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// release is set by the release build: -ldflags "-X github.com/undrop/undrop/internal/cli.release=1.2.3".
var release = ""

type versionAnswer struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Modified bool   `json:"modified,omitempty"` // built from a work tree with uncommitted changes
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func versionCommand(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:     "version",
		Short:   "Say which undrop this is",
		Example: "  undrop version --json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v := buildVersion(debug.ReadBuildInfo())
			if env.JSON {
				return env.printJSON(v)
			}
			text := "undrop " + v.Version
			if v.Commit != "" {
				text += " (" + v.Commit + ")"
			}
			_, err := fmt.Fprintf(env.Stdout, "%s, %s, %s\n", text, v.Go, v.Platform)
			return err
		},
	}
	env.jsonFlag(c)
	return c
}

// Version is what this build calls itself: a release, a module version or "devel".
func Version() string { return buildVersion(debug.ReadBuildInfo()).Version }

func buildVersion(info *debug.BuildInfo, ok bool) versionAnswer {
	v := versionAnswer{Version: release, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if !ok {
		if v.Version == "" {
			v.Version = "devel"
		}
		return v
	}
	if v.Version == "" {
		v.Version = "devel"
		if m := info.Main.Version; m != "" && m != "(devel)" {
			v.Version = m
		}
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}
