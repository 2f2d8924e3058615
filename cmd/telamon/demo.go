package main

import (
	"context"
	"errors"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/telamondb/telamon/internal/demo"
	"github.com/telamondb/telamon/router"
)

// newDemoCommand runs a primary, two replicas and the proxy on this machine.
func newDemoCommand() *cobra.Command {
	opts := demo.Options{Explain: explainReason}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a primary, two replicas and the proxy on this machine",
		Long: `demo starts a MariaDB primary with two replicas as child processes in a
temporary directory and the proxy in front of them, sends a dozen statements
through it and prints which server answered each, and why. It installs
MariaDB from Debian when it is not there (as root). Then it stays up until
Ctrl-C, which stops everything and removes the data.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			binary, err := os.Executable()
			if err != nil {
				return err
			}
			opts.Binary = binary
			opts.Out = cmd.OutOrStdout()
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
			err = demo.Run(ctx, opts)
			if op := (*net.OpError)(nil); errors.As(err, &op) && op.Op == "listen" {
				return &exitCode{exitListen, err}
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&opts.Once, "once", false, "end after the table")
	cmd.Flags().StringVar(&opts.Listen, "listen", "127.0.0.1:1234", "address for applications")
	cmd.Flags().StringVar(&opts.Console, "console", "127.0.0.1:2345", "address of the SQL console")
	cmd.Flags().StringVar(&opts.HTTP, "http", "127.0.0.1:8888", "address of the status page")
	return cmd
}

// explainReason puts the name of a routing reason into a sentence.
func explainReason(name string) string {
	for r := range router.NumReasons {
		if r.String() == name {
			return r.Explain()
		}
	}
	return ""
}
