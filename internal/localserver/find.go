package localserver

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// MariaDBRootEnv names a folder with a root file system that has another MariaDB
// than the host's in it.
const MariaDBRootEnv = "TELAMON_MARIADB_ROOT"

// RootEnv names the folder with MySQL's root file system in place of DefaultRoot.
const RootEnv = "TELAMON_MYSQL_ROOT"

// DefaultRoot is where Install puts MySQL's root file system.
const DefaultRoot = "/var/cache/telamon-mysql"

// MissingError says which program is not there and what to install.
type MissingError struct {
	Flavour Flavour
	Program string
	Fix     string // a command for a root shell, or what else to do
}

// Error names the program and the fix.
func (e *MissingError) Error() string {
	return fmt.Sprintf("%s: %s not found; to install it: %s", e.Flavour, e.Program, e.Fix)
}

// Available is nil when servers of this flavour can be started, otherwise a
// *MissingError.
func Available(f Flavour) error {
	_, err := find(f)
	return err
}

// binaries are the programs of one flavour.
type binaries struct {
	server     string // as seen from root, if there is one
	installDB  string // MariaDB only; as server
	root       string // the root file system; empty for the host's
	pluginEd25 bool   // MariaDB's auth_ed25519 is installed
}

func find(f Flavour) (binaries, error) {
	if f == MySQL {
		return findMySQL()
	}
	if root := os.Getenv(MariaDBRootEnv); root != "" {
		return findMariaDBIn(root)
	}
	const fix = "apt-get install mariadb-server"
	server, err := lookPath("mariadbd")
	if err != nil {
		return binaries{}, &MissingError{f, "mariadbd", fix}
	}
	installDB, err := lookPath("mariadb-install-db")
	if err != nil {
		return binaries{}, &MissingError{f, "mariadb-install-db", fix}
	}
	plugins, _ := filepath.Glob("/usr/lib*/mysql/plugin/auth_ed25519.so")
	return binaries{server: server, installDB: installDB, pluginEd25: len(plugins) > 0}, nil
}

func findMariaDBIn(root string) (binaries, error) {
	b := binaries{server: "/usr/sbin/mariadbd", installDB: "/usr/bin/mariadb-install-db", root: root}
	for _, program := range []string{b.server, b.installDB} {
		if _, err := os.Stat(filepath.Join(root, program)); err != nil {
			return binaries{}, &MissingError{MariaDB, root + program, "go run ./internal/testdeps"}
		}
	}
	plugins, _ := filepath.Glob(filepath.Join(root, "/usr/lib*/mysql/plugin/auth_ed25519.so"))
	b.pluginEd25 = len(plugins) > 0
	return b, nil
}

func findMySQL() (binaries, error) {
	root := mysqlRoot()
	if _, err := os.Stat(filepath.Join(root, "usr/sbin/mysqld")); err != nil {
		return binaries{}, &MissingError{MySQL, root + "/usr/sbin/mysqld", debootstrapCommand(debootstrapMySQL, root)}
	}
	if os.Geteuid() != 0 {
		return binaries{}, &MissingError{MySQL, "the right to mount and chroot", "run as root"}
	}
	return binaries{server: "/usr/sbin/mysqld", root: root}, nil
}

func mysqlRoot() string {
	if root := os.Getenv(RootEnv); root != "" {
		return root
	}
	return DefaultRoot
}

// lookPath also looks where server programs live, which is not in every user's PATH.
func lookPath(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"} {
		if path, dirErr := exec.LookPath(filepath.Join(dir, name)); dirErr == nil {
			return path, nil
		}
	}
	return "", err
}
