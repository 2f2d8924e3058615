package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// newRootCommand assembles the command line. It is built anew for every run,
// so that nothing is left over from the one before.
func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "telamon --config FILE",
		Short: "MySQL and MariaDB proxy that splits reads from writes",
		Long: `Telamon is one MySQL server to the application: writes go to the primary,
reads are spread over the replicas that are alive and caught up.

"telamon --config FILE" is short for "telamon serve --config FILE".`,
		Example: `  telamon check-config /etc/telamon/telamon.toml
  telamon --config /etc/telamon/telamon.toml`,
		Args:          usageArgs(cobra.NoArgs),
		SilenceErrors: true,
		SilenceUsage:  true,

		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError(cmd, err)
	})
	root.AddCommand(
		newServeCommand(),
		newCheckConfigCommand(),
		newImportAtlasCommand(),
		newDemoCommand(),
		newVersionCommand(),
	)
	return root
}

// withServe puts "serve" in front of a command line that starts with a flag,
// which is how Atlas and systemd units call the program.
func withServe(args []string) []string {
	if len(args) == 0 || !strings.HasPrefix(args[0], "-") || args[0] == "-h" || args[0] == "--help" {
		return args
	}
	if args[0] == "--version" || args[0] == "-V" {
		return append([]string{"version"}, args[1:]...)
	}
	return slices.Concat([]string{"serve"}, args)
}

// usageArgs makes a complaint about arguments end with the exit code of bad
// usage.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError(cmd, err)
		}
		return nil
	}
}

func usageError(cmd *cobra.Command, err error) error {
	return &exitCode{exitUsage, fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
}
