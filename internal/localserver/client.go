package localserver

import (
	"os/exec"
	"path/filepath"
)

// ClientFiles is where MySQLClient sees its folder of files.
const ClientFiles = chrootMount

// MySQLClient is MySQL's command line with args, run in MySQL's root file
// system. It sees files, a folder of the host, as ClientFiles.
func MySQLClient(files string, args ...string) (*exec.Cmd, error) {
	bin, err := findMySQL()
	if err != nil {
		return nil, err
	}
	if files, err = filepath.Abs(files); err != nil {
		return nil, err
	}
	return bin.command(files, "/usr/bin/mysql", args), nil
}
