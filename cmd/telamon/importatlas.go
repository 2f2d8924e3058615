package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/telamondb/telamon/conf"
)

func newImportAtlasCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "import-atlas FILE",
		Short: "Translate the configuration of Atlas to Telamon's",
		Long: `import-atlas reads the .cnf file of a Qihoo 360 Atlas and writes the same
configuration in Telamon's form to standard output. What has no counterpart,
or means something else, is noted on standard error.`,
		Example: `  telamon import-atlas /usr/local/mysql-proxy/conf/test.cnf > telamon.toml`,
		Args:    usageArgs(cobra.ExactArgs(1)),

		DisableFlagsInUseLine: true,

		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := os.ReadFile(args[0])
			if err != nil {
				return &exitCode{exitUsage, err}
			}
			toml, notes, err := conf.ImportAtlas(text)
			for _, note := range notes {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s\n", args[0], note)
			}
			if err != nil {
				return &exitCode{exitUsage, fmt.Errorf("%s: %w", args[0], err)}
			}
			_, err = cmd.OutOrStdout().Write(toml)
			return err
		},
	}
}
