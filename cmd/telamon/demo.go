package main

import (
	"errors"

	"github.com/spf13/cobra"
)

// newDemoCommand runs a primary, two replicas and the proxy on this machine.
func newDemoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Run a primary, two replicas and the proxy on this machine",
		Args:  usageArgs(cobra.NoArgs),
		RunE:  func(*cobra.Command, []string) error { return errors.New("demo is not built in") },
	}
}
