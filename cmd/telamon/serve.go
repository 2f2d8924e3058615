package main

import (
	"errors"

	"github.com/spf13/cobra"
)

// newServeCommand runs the proxy in the foreground.
func newServeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve --config FILE",
		Short: "Run the proxy in the foreground",
		Args:  usageArgs(cobra.NoArgs),
		RunE:  func(*cobra.Command, []string) error { return errors.New("serve is not built in") },
	}
	cmd.Flags().String("config", "", "configuration file")
	cmd.Flags().String("defaults-file", "", "the same, as Atlas called it")
	return cmd
}
