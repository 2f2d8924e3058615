//go:build integration

package integration

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localproxy"
	"github.com/telamondb/telamon/internal/localserver"
)

const clientsTable = "clients"

func createClientsTable(t *testing.T, c *localserver.Cluster) {
	harness.Exec(t, c,
		"DROP TABLE IF EXISTS app.clients",
		"CREATE TABLE app.clients (id INT AUTO_INCREMENT UNIQUE, a INT PRIMARY KEY, b VARCHAR(100), c LONGBLOB)")
}

// clientPrograms are programs that print what they see; they take host, port,
// user, password, schema and table.
var clientPrograms = []struct {
	name    string
	command []string
	check   []string // exits 0 if the driver is installed
	fix     string
}{
	{"the mariadb command line", []string{"bash", "testdata/clients/with_cli.sh"}, []string{"mariadb", "--version"}, "apt-get install mariadb-client"},
	{"the mariadb command line, compressed", commandLine("mariadb --no-defaults --compress"), []string{"mariadb", "--version"}, "apt-get install mariadb-client"},
	{"the mysql command line, zlib", commandLine(mysqlClient + " --compression-algorithms=zlib"), strings.Fields(mysqlClient + " --version"), "see localserver.Install"},
	{"the mysql command line, zstd", commandLine(mysqlClient + " --compression-algorithms=zstd --zstd-compression-level=7"), strings.Fields(mysqlClient + " --version"), "see localserver.Install"},
	{"PyMySQL", []string{"/usr/bin/python3", "testdata/clients/with_pymysql.py"}, []string{"/usr/bin/python3", "-c", "import pymysql"}, "apt-get install python3-pymysql"},
	{"DBD::mysql", []string{"/usr/bin/perl", "testdata/clients/with_dbd_mysql.pl"}, []string{"/usr/bin/perl", "-MDBD::mysql", "-e1"}, "apt-get install libdbd-mysql-perl"},
}

// mysqlClient is the client of MySQL's own root file system.
const mysqlClient = "chroot " + localserver.DefaultRoot + " mysql --no-defaults"

// commandLine is with_cli.sh with another client than mariadb's usual one, and
// one large value less.
func commandLine(client string) []string {
	return []string{"env", "CLIENT=" + client, "SIZES=17825792", "bash", "testdata/clients/with_cli.sh"}
}

func TestClientsSeeTheSameAsDirectly(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		p := suite.StartProxy(t, harness.ProxyConfig(c))
		// A first login puts the password into the server's cache, as it would be
		// there in production: some of these clients cannot do without, unencrypted
		// (caching_sha2_password).
		harness.ConnectDirectly(t, c.Primary)
		for _, client := range clientPrograms {
			t.Run(client.name, func(t *testing.T) {
				if out, err := exec.CommandContext(t.Context(), client.check[0], client.check[1:]...).CombinedOutput(); err != nil {
					t.Skipf("not installed (%s): %v %s", client.fix, err, out)
				}
				createClientsTable(t, c)
				direct, err := runClient(t, client.command, c.Primary.Addr())
				if err != nil {
					t.Fatalf("directly: %v\n%s", err, direct)
				}
				createClientsTable(t, c)
				through, err := runClient(t, client.command, p.Addr())
				if err != nil {
					t.Errorf("through the proxy: %v", err)
				}
				if diff := cmp.Diff(strings.Split(direct, "\n"), strings.Split(through, "\n")); diff != "" {
					t.Errorf("- directly, + through the proxy:\n%s", diff)
				}
			})
		}
		t.Run("go-sql-driver", func(t *testing.T) { testGoDriver(t, c, p) })
	})
}

func runClient(t *testing.T, command []string, address string) (output string, err error) {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	arguments := append(command[1:len(command):len(command)], host, port,
		localserver.AppUser, localserver.AppPassword, localserver.AppSchema, clientsTable)
	out, err := exec.CommandContext(t.Context(), command[0], arguments...).CombinedOutput()
	return string(out), err
}

// testGoDriver does with go-sql-driver what the programs do with theirs.
func testGoDriver(t *testing.T, c *localserver.Cluster, p *localproxy.Proxy) {
	for params, sizes := range map[string][]int{
		"maxAllowedPacket=67108864":               nil,
		"maxAllowedPacket=67108864&compress=true": {17 << 20},
	} {
		createClientsTable(t, c)
		direct := goDriverReport(t, harness.ConnectDirectly(t, c.Primary, params), sizes...)
		createClientsTable(t, c)
		through := goDriverReport(t, harness.Connect(t, p, params), sizes...)
		if diff := cmp.Diff(direct, through); diff != "" {
			t.Errorf("%s: - directly, + through the proxy:\n%s", params, diff)
		}
	}
}

// goDriverReport is what go-sql-driver sees; sizes are those of large values, 17
// and 40 MB if there are none.
func goDriverReport(t *testing.T, conn *sql.Conn, sizes ...int) []string {
	t.Helper()
	var report []string
	say := func(format string, args ...any) { report = append(report, fmt.Sprintf(format, args...)) }
	ctx := t.Context()
	if sizes == nil {
		sizes = []int{17 << 20, 40 << 20}
	}
	for _, size := range sizes {
		blob := make([]byte, size)
		for i := range blob {
			blob[i] = byte(i % 251)
		}
		res, err := conn.ExecContext(ctx, "REPLACE INTO clients (a, c) VALUES (?, ?)", size, blob)
		say("store %d: %v %s", size, err, resultOf(res))
		var length int
		var back []byte
		err = conn.QueryRowContext(ctx, "SELECT LENGTH(c), c FROM clients WHERE a = ? FOR UPDATE", size).Scan(&length, &back)
		say("read %d: %v %d %x", size, err, length, sha256.Sum256(back))
	}
	tx, err := conn.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	say("begin: %v", err)
	if err == nil {
		res, err := tx.ExecContext(ctx, "INSERT INTO clients (a, b) VALUES (?, ?)", 1, "one")
		say("insert: %v %s", err, resultOf(res))
		say("rollback: %v", tx.Rollback())
	}
	var n int
	say("count: %v %d", conn.QueryRowContext(ctx, "SELECT COUNT(*) FROM clients WHERE a = 1 FOR UPDATE").Scan(&n), n)
	say("ping: %v", conn.PingContext(ctx))
	var variable, compression string
	say("compressed: %v %s", conn.QueryRowContext(ctx, "SHOW STATUS LIKE 'Compression'").Scan(&variable, &compression), variable)
	stmt, err := conn.PrepareContext(ctx, "SELECT ? + 1")
	say("prepare: %v", err)
	if err == nil {
		for i := range 3 {
			say("execute: %v %d", stmt.QueryRowContext(ctx, i).Scan(&n), n)
		}
		say("close: %v", stmt.Close())
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	_, err = conn.ExecContext(canceled, "SELECT 1")
	say("cancelled: %v", err)
	return report
}

func resultOf(res sql.Result) string {
	if res == nil {
		return "no result"
	}
	affected, err1 := res.RowsAffected()
	id, err2 := res.LastInsertId()
	return fmt.Sprintf("affected %d (%v), id %d (%v)", affected, err1, id, err2)
}
