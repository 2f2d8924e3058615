// Command testdeps installs what `make test` needs beside Go: Debian packages and
// a root file system with MySQL. It installs nothing that is there already.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/telamondb/telamon/internal/localserver"
)

var packages = []string{
	"gcc", "libc6-dev", // go test -race
	"mariadb-server", "mariadb-client",
	"haproxy", "sysbench",
	"python3-pymysql", "libdbd-mysql-perl",
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := localserver.InstallPackages(ctx, os.Stderr, packages...); err != nil {
		fmt.Fprintln(os.Stderr, "testdeps:", err)
		os.Exit(1)
	}
	if err := localserver.Install(ctx, localserver.MariaDB, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "testdeps:", err)
		os.Exit(1)
	}
	// Debian unstable changes and is not everywhere: the tests go on without it
	// and list what they skipped.
	if err := localserver.Install(ctx, localserver.MySQL, os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "\n*** MySQL CANNOT BE HAD: everything runs on MariaDB only ***\n%v\n\n", err)
	}
}
