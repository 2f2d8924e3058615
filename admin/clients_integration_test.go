//go:build integration

package admin

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// The clients of other people against the console. What is not installed is
// skipped, and says so.

// mysqlClients are command line clients by how a shell calls them.
var mysqlClients = []struct{ name, root, program string }{
	{"mariadb", "", "mariadb"},
	{"mysql 9.7", mysqlRoot(), "mysql"},
}

// mysqlRoot is a root file system with MySQL's own client, which Debian's
// stable release does not have.
func mysqlRoot() string {
	if dir := os.Getenv("TELAMON_MYSQL_ROOT"); dir != "" {
		return dir
	}
	return "/var/cache/telamon-mysql"
}

// clientPath returns a PATH on which "mysql" is the client, so that scripts
// run as they are.
func clientPath(t *testing.T, root, program string) string {
	t.Helper()
	line := fmt.Sprintf("exec %s \"$@\"", program)
	if root == "" {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("NOT RUN: the client %s is not installed", program)
		}
	} else {
		if _, err := os.Stat(filepath.Join(root, "usr/bin", program)); err != nil || os.Getuid() != 0 {
			t.Skipf("NOT RUN: no %s below %s, or not root to use it", program, root)
		}
		line = fmt.Sprintf("exec chroot %s %s \"$@\"", root, program)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mysql"), []byte("#!/bin/sh\n"+line+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir + ":" + os.Getenv("PATH")
}

// shell runs a script and returns its output and exit status.
func shell(t *testing.T, r *rig, path, script string) (out string, status int) {
	t.Helper()
	script = strings.ReplaceAll(script, "-P2345", "-P"+strconv.Itoa(r.addr.Port))
	cmd := exec.Command("sh", "-c", script)
	cmd.Env = append(os.Environ(), "PATH="+path, "LC_ALL=C")
	b, err := cmd.Output()
	if err != nil {
		t.Logf("%s: %v", script, err)
	}
	return string(b), cmd.ProcessState.ExitCode()
}

// TestScriptsOfTheFoundingCase runs the lines that keepalived's and cron's
// scripts of the founding case have for Atlas's console, word for word but for
// the port and the variable's value.
func TestScriptsOfTheFoundingCase(t *testing.T) {
	const (
		list   = `mysql -N -h127.0.0.1 -P2345 -uuser -ppwd -e "select * from backends;" | wc -l`
		remove = `mysql -h127.0.0.1 -P2345 -uuser -ppwd -e "REMOVE BACKEND 2;"`
		add    = `mysql -h127.0.0.1 -P2345 -uuser -ppwd -e "add slave ${slaveIP}:3306;"`
	)
	steps := []struct {
		name, script, out string
		status            int
	}{
		{"two backends at first", "count=`" + list + "`; echo $count", "2\n", 0},
		{"the slave is removed", remove, "", 0},
		{"one is left", list, "1\n", 0},
		{"removing it again fails", remove, "", 1},
		{"the slave is added", "slaveIP=192.168.1.100; " + add, "", 0},
		{"two again", list, "2\n", 0},
		{"the table is Atlas's", `mysql -h127.0.0.1 -P2345 -uuser -ppwd -e "select * from backends;"`,
			"backend_ndx\taddress\tstate\ttype\n1\t192.168.1.150:3306\tup\trw\n2\t192.168.1.100:3306\tunknown\tro\n", 0},
		{"a wrong password fails", `mysql -h127.0.0.1 -P2345 -uuser -pwrong -e "select version;"`, "", 1},
		{"statements on standard input", `echo "set offline 1; set online 1; select version" | mysql -N -h127.0.0.1 -P2345 -uuser -ppwd`,
			"1\t192.168.1.150:3306\toffline\trw\n1\t192.168.1.150:3306\tunknown\trw\n1.2.3\n", 0},
		{"the version of the greeting", `mysql -N -h127.0.0.1 -P2345 -uuser -ppwd -e "select version()"`, "5.0.99-agent-admin\n", 0},
	}
	for _, c := range mysqlClients {
		t.Run(c.name, func(t *testing.T) {
			path := clientPath(t, c.root, c.program)
			r := newRig(t)
			for _, s := range steps {
				out, status := shell(t, r, path, s.script)
				if out != s.out || status != s.status {
					t.Errorf("%s: %q, status %d; want %q, status %d", s.name, out, status, s.out, s.status)
				}
			}
		})
	}
}

const pymysqlScript = `
import sys, pymysql
c = pymysql.connect(host='127.0.0.1', port=int(sys.argv[1]), user='user', password='pwd')
cur = c.cursor()
cur.execute('select * from backends;')
print([d[0] for d in cur.description], cur.fetchall())
try:
    cur.execute('set offline 9')
except pymysql.Error as e:
    print(e.args)
c.begin(); c.commit(); c.ping(); c.autocommit(True); c.select_db('x'); c.close()
`

const pymysqlOutput = `['backend_ndx', 'address', 'state', 'type'] ((1, '192.168.1.150:3306', 'up', 'rw'), (2, '192.168.1.101:3306', 'up', 'ro'))
(1105, 'backend id is not exsit')
`

const perlScript = `
use DBI;
my $d = DBI->connect("DBI:mysql:host=127.0.0.1;port=$ARGV[0]", "user", "pwd", {RaiseError => 1, PrintError => 0, AutoCommit => 0});
print join(",", @$_), "\n" for @{$d->selectall_arrayref("select * from backends where type = ?", undef, "ro")};
eval { $d->do("remove backend 44") };
print $d->err, " ", $d->state, " ", $d->errstr, "\n";
$d->commit; print $d->ping, "\n"; $d->disconnect;
`

const perlOutput = `2,192.168.1.101:3306,up,ro
1105 07000 invalid backend_id
1
`

func TestDriversOfOtherLanguages(t *testing.T) {
	tests := []struct {
		name, need string
		probe, run []string
		want       string
	}{
		{"PyMySQL", "python3-pymysql", []string{"/usr/bin/python3", "-c", "import pymysql"},
			[]string{"/usr/bin/python3", "-c", pymysqlScript}, pymysqlOutput},
		{"DBD::mysql", "libdbd-mysql-perl", []string{"perl", "-MDBD::mysql", "-e", "1"},
			[]string{"perl", "-e", perlScript}, perlOutput},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := exec.Command(tt.probe[0], tt.probe[1:]...).Run(); err != nil {
				t.Skipf("NOT RUN: %s is not installed", tt.need)
			}
			r := newRig(t)
			args := append(tt.run[1:len(tt.run):len(tt.run)], strconv.Itoa(r.addr.Port))
			out, err := exec.Command(tt.run[0], args...).CombinedOutput()
			if err != nil || string(out) != tt.want {
				t.Errorf("%v:\n%s\nwant:\n%s", err, out, tt.want)
			}
		})
	}
}
