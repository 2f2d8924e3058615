package localserver

import (
	"fmt"
	"os"
	"strconv"
)

// Flavour is the kind of server.
type Flavour int

const (
	// MariaDB is Debian's MariaDB (10.11 in Debian 12), run from the host's binaries.
	MariaDB Flavour = iota
	// MySQL is Debian unstable's MySQL (9.7), run from a root file system of its own.
	MySQL
)

// String is the product's name.
func (f Flavour) String() string {
	switch f {
	case MariaDB:
		return "MariaDB"
	case MySQL:
		return "MySQL"
	}
	return "Flavour(" + strconv.Itoa(int(f)) + ")"
}

// AccountsTable is where the flavour keeps its accounts with all their plugins.
func (f Flavour) AccountsTable() string {
	if f == MariaDB {
		return "mysql.global_priv"
	}
	return "mysql.user"
}

// Accounts present on every server. Root logs in without a password, through
// the UNIX socket only.
const (
	// AppUser may do everything in the schemas AppSchema, sbtest, test and those
	// whose names start with app_ or test_, and nothing globally.
	AppUser, AppPassword = "app", "app"
	// DBAUser may do everything everywhere. On MariaDB replicas it lacks
	// READ_ONLY ADMIN, so that a write sent there by mistake fails (1290).
	DBAUser, DBAPassword = "dba", "dba"
	// MonitorUser may read the replication status and nothing else.
	MonitorUser, MonitorPassword = "telamon_monitor", "monitor"

	replUser, replPassword = "repl", "repl"

	// AppSchema is created empty on every primary.
	AppSchema = "app"
)

// accountSQL creates the accounts, one statement a line as --init-file wants it.
// user@'%' matches no socket login where an anonymous user@localhost exists,
// hence both hosts.
func accountSQL(f Flavour) string {
	var b []byte
	add := func(format string, args ...any) { b = fmt.Appendf(b, format+";\n", args...) }
	if f == MariaDB {
		add("FLUSH PRIVILEGES") // the bootstrap runs with --skip-grant-tables
	}
	for _, host := range []string{"'%'", "localhost"} {
		for _, a := range [][2]string{{AppUser, AppPassword}, {DBAUser, DBAPassword}, {MonitorUser, MonitorPassword}, {replUser, replPassword}} {
			add("CREATE USER %s@%s IDENTIFIED BY '%s'", a[0], host, a[1])
		}
		for _, schema := range []string{AppSchema, "sbtest", "test", `app\_%`, `test\_%`} {
			add("GRANT ALL ON `%s`.* TO %s@%s", schema, AppUser, host)
		}
		add("GRANT ALL ON *.* TO %s@%s WITH GRANT OPTION", DBAUser, host)
		add("GRANT REPLICATION SLAVE ON *.* TO %s@%s", replUser, host)
		if f == MariaDB {
			// 10.5 took SHOW REPLICA STATUS out of REPLICATION CLIENT, which is BINLOG MONITOR now.
			add("GRANT SLAVE MONITOR, BINLOG MONITOR ON *.* TO %s@%s", MonitorUser, host)
		} else {
			add("GRANT REPLICATION CLIENT ON *.* TO %s@%s", MonitorUser, host)
		}
	}
	return string(b)
}

// arguments are the server's command-line options. Paths are as the server sees
// them: dir is its view of the server's directory.
func arguments(f Flavour, dir string, port int, serverID uint32) []string {
	args := []string{
		"--no-defaults",
		"--datadir=" + dir + "/data",
		"--socket=" + dir + "/" + socketName,
		"--pid-file=" + dir + "/pid",
		"--log-error=" + dir + "/" + errorLogName,
		"--general-log-file=" + dir + "/" + generalLogName,
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--port=%d", port),
		fmt.Sprintf("--server-id=%d", serverID),
		"--report-host=127.0.0.1",
		fmt.Sprintf("--report-port=%d", port),
		"--log-bin=bin",
		"--binlog-format=ROW",
		"--innodb-flush-log-at-trx-commit=2",
		"--sync-binlog=0",
		"--max-binlog-size=64M", // of relay logs, too, which go when they have been applied
		"--innodb-buffer-pool-size=256M",
		"--max-connections=500",
		"--max-allowed-packet=64M",
		"--skip-name-resolve",
		"--character-set-server=utf8mb4",
		"--local-infile=ON",
		"--log-bin-trust-function-creators=ON",
	}
	if os.Geteuid() == 0 {
		args = append(args, "--user=root") // servers refuse to run as root unasked
	}
	if f == MySQL {
		return append(args,
			"--mysqlx=OFF",
			"--secure-file-priv=",
			"--gtid-mode=ON",
			"--enforce-gtid-consistency=ON",
			"--log-replica-updates=ON",
		)
	}
	return append(args,
		"--basedir=/usr",
		// A server that starts deletes the temporary tables it finds in its
		// tmpdir, those of other servers included (measured, 10.11).
		"--tmpdir="+dir,
		"--log-slave-updates=ON",
		"--gtid-strict-mode=ON",
	)
}

// skipReplicationStart keeps a configured replica from replicating at start.
func skipReplicationStart(f Flavour) string {
	if f == MySQL {
		return "--skip-replica-start"
	}
	return "--skip-slave-start"
}

// readOnly refuses writes from the very start of a replica.
func readOnly(f Flavour) string {
	if f == MySQL {
		return "--super-read-only=ON"
	}
	return "--read-only=ON"
}

const (
	socketName     = "mysqld.sock"
	errorLogName   = "error.log"
	generalLogName = "general.log"
)
