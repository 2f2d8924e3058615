package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/telamondb/telamon/conf"
)

func newCheckConfigCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check-config FILE",
		Short: "Check a configuration file and print every problem in it",
		Long: `check-config reads the file as serve would, TELAMON_ variables of the
environment included, and prints every problem with its line and key.
It exits 0 if the file can be used and 2 if not; warnings alone exit 0.`,
		Args: usageArgs(cobra.ExactArgs(1)),

		DisableFlagsInUseLine: true,

		RunE: func(cmd *cobra.Command, args []string) error {
			if _, _, err := loadConfig(args[0], cmd.OutOrStdout()); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: ok\n", args[0])
			return nil
		},
	}
}

// loadConfig loads the file with the environment of this process and prints
// all its problems, one per line, to out; warnings are returned as well. The
// error, if one of them is fatal, carries the exit code and has nothing more to
// print.
func loadConfig(path string, out io.Writer) (*conf.Config, []conf.Problem, error) {
	cfg, problems := conf.Load(path, os.LookupEnv)
	for _, p := range problems {
		fmt.Fprintln(out, p)
	}
	if conf.Fatal(problems) {
		return nil, nil, &exitCode{code: exitUsage}
	}
	return cfg, problems, nil
}
