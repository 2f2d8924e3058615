package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version and commit are set when a release is linked:
//
//	go build -ldflags "-X main.version=1.2.3 -X main.commit=abcdef0"
//
// What is empty comes from the build information that the go command embeds.
var version, commit string

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print version, commit and Go version",
		Args:  usageArgs(cobra.NoArgs),

		DisableFlagsInUseLine: true,

		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), versionLine())
			return err
		},
	}
}

// versionLine is the one line that names this build, the same everywhere it
// is shown.
func versionLine() string {
	info, _ := debug.ReadBuildInfo()
	v, c := buildVersion(version, commit, info)
	return fmt.Sprintf("telamon %s (commit %s, %s %s/%s)", v, c, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// buildVersion prefers what was linked in to what the go command recorded.
// info may be nil.
func buildVersion(linkedVersion, linkedCommit string, info *debug.BuildInfo) (v, c string) {
	v, c = "devel", "unknown"
	if info != nil {
		if m := info.Main.Version; m != "" && m != "(devel)" {
			v = m
		}
		c = vcsRevision(info, c)
	}
	if linkedVersion != "" {
		v = linkedVersion
	}
	if linkedCommit != "" {
		c = linkedCommit
	}
	return v, c
}

// vcsRevision returns the commit the go command built, marked if the working
// tree had changes, or other if it recorded none.
func vcsRevision(info *debug.BuildInfo, other string) string {
	revision, modified := other, false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			revision = s.Value[:min(len(s.Value), 12)]
		case "vcs.modified":
			modified = s.Value == "true"
		}
	}
	if modified {
		revision += "+changes"
	}
	return revision
}

// programVersion is the version alone.
func programVersion() string {
	info, _ := debug.ReadBuildInfo()
	v, _ := buildVersion(version, commit, info)
	return v
}
