//go:build integration

package integration

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localproxy"
	"github.com/telamondb/telamon/internal/localserver"
)

// shell runs a script as a DBA of Atlas would, with `mysql` leading to this
// test's proxy and servers, and returns its standard output.
func shell(t *testing.T, c *localserver.Cluster, p *localproxy.Proxy, script string) string {
	t.Helper()
	if _, err := exec.LookPath("mariadb"); err != nil {
		t.Skip("the mariadb client is not installed: apt-get install mariadb-client")
	}
	bin, err := filepath.Abs("testdata/atlas")
	if err != nil {
		t.Fatal(err)
	}
	_, console, err := net.SplitHostPort(p.Config().Console)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-o", "pipefail", "-c", script)
	cmd.Dir = bin
	cmd.Env = append(os.Environ(),
		"PATH="+bin+":"+os.Getenv("PATH"),
		"CONSOLE_PORT="+console,
		fmt.Sprintf("SERVER1_PORT=%d", c.Primary.Port()),
		fmt.Sprintf("SERVER2_PORT=%d", c.Replicas[0].Port()),
	)
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("%s: %v\n%s%s", script, err, out, exit.Stderr)
		}
		t.Fatalf("%s: %v", script, err)
	}
	return string(out)
}

func TestScriptsForAtlasRunUnchanged(t *testing.T) {
	c := suite.Cluster(t, localserver.MariaDB)
	cfg := harness.ProxyConfig(c)
	cfg.Backends = cfg.Backends[:2]
	p := suite.StartProxy(t, cfg)
	const count = `mysql -N -h127.0.0.1 -P2345 -uuser -ppwd -e "select * from backends;" | wc -l`
	wantCount := func(n string) {
		t.Helper()
		if got := strings.TrimSpace(shell(t, c, p, count)); got != n {
			t.Errorf("%s says %q, want %s", count, got, n)
		}
	}
	replica := c.Replicas[0].Addr()

	wantCount("2")
	table := shell(t, c, p, `mysql -h127.0.0.1 -P2345 -uuser -ppwd -e "SELECT * FROM backends"`)
	want := fmt.Sprintf("backend_ndx\taddress\tstate\ttype\n1\t%s\tup\trw\n2\t%s\tup\tro\n", c.Primary.Addr(), replica)
	if table != want {
		t.Errorf("the backends are\n%s\nwant\n%s", table, want)
	}
	if out := shell(t, c, p, `mysql -h127.0.0.1 -P2345 -uuser -ppwd -e "REMOVE BACKEND 2;"`); out != "" {
		t.Errorf("REMOVE BACKEND prints %q", out)
	}
	wantCount("1")

	// The loop that puts the replica back, as published: it finds that server2
	// replicates and has caught up.
	shell(t, c, p, "./auto_maintain_atlas.sh")
	wantCount("2")
	shell(t, c, p, "./auto_maintain_atlas.sh") // and nothing to do now
	wantCount("2")
	if state, err := p.BackendState(t.Context(), "192.168.1.101:3306"); err != nil || state == "" {
		t.Errorf("the replica that was added is %q, %v", state, err)
	}

	shell(t, c, p, `mysql -h127.0.0.1 -P2345 -uuser -ppwd -e "REMOVE BACKEND 2;"`)
	shell(t, c, p, fmt.Sprintf(`mysql -h127.0.0.1 -P2345 -uuser -ppwd -e "add slave %s;"`, replica))
	harness.AwaitState(t, p, replica, "up", 15*time.Second)
	logs := harness.OpenLogs(t, c)
	createSplitTables(t, c)
	runStep(t, c, logs, harness.Connect(t, p), step{sql: "SELECT v FROM split WHERE id = 1", on: onReplica, want: "10"})
}

func TestConsole(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		createSplitTables(t, c)
		p := suite.StartProxy(t, harness.ProxyConfig(c))

		t.Run("SET OFFLINE keeps reads away and SET ONLINE brings them back", func(t *testing.T) {
			logs := harness.OpenLogs(t, c)
			conn := harness.Connect(t, p)
			read := func(ctx context.Context) []int {
				logs.Reset()
				for range 12 {
					if _, err := firstColumn(ctx, conn, "SELECT v FROM split "+thisMarker, nil); err != nil {
						t.Fatal(err)
					}
				}
				return logs.Where(thisMarker)
			}
			rows, err := p.Console(t.Context(), "SET OFFLINE 3")
			if err != nil {
				t.Fatal(err)
			}
			if len(rows) != 1 || rows[0]["state"] != "offline" || rows[0]["address"] != c.Replicas[1].Addr() {
				t.Errorf("SET OFFLINE answers %v", rows)
			}
			if where := read(t.Context()); where[2] != 0 || where[1] != 12 {
				t.Errorf("with backend 3 offline 12 reads went to %v", where)
			}
			if _, err := p.Console(t.Context(), "SET ONLINE 3"); err != nil {
				t.Fatal(err)
			}
			harness.AwaitState(t, p, c.Replicas[1].Addr(), "up", 15*time.Second)
			harness.Eventually(t, 5*time.Second, func(ctx context.Context) error {
				if where := read(ctx); where[2] != 10 {
					return fmt.Errorf("12 reads went to %v", where)
				}
				return nil
			})
		})

		t.Run("errors are Atlas's", func(t *testing.T) {
			for command, text := range map[string]string{
				"SET OFFLINE 9":    "backend id is not exsit",
				"REMOVE BACKEND 9": "invalid backend_id",
				"DROP DATABASE x":  "use 'SELECT * FROM help' to see the supported commands",
			} {
				_, err := p.Console(t.Context(), command)
				var refusal *mysql.MySQLError
				if !errors.As(err, &refusal) || refusal.Number != 1105 || !strings.Contains(refusal.Message, text) {
					t.Errorf("%s: %v, want 1105 with %q", command, err, text)
				}
			}
		})

		t.Run("EXPLAIN ROUTE says where and why", func(t *testing.T) {
			for statement, target := range map[string]string{
				"SELECT v FROM split":            "replica",
				"SELECT v FROM split FOR UPDATE": "primary",
				"INSERT INTO split VALUES (1,1)": "primary",
			} {
				rows, err := p.Console(t.Context(), "EXPLAIN ROUTE "+statement)
				if err != nil {
					t.Fatal(err)
				}
				if len(rows) != 1 || rows[0]["target"] != target || rows[0]["kind"] == "" || rows[0]["reason"] == "" {
					t.Errorf("%s: %v", statement, rows)
				}
			}
		})

		t.Run("a wrong password is refused", func(t *testing.T) {
			db := harness.Open(t, fmt.Sprintf("user:wrong@tcp(%s)/", p.Config().Console))
			var refusal *mysql.MySQLError
			if err := db.PingContext(t.Context()); !errors.As(err, &refusal) || refusal.Number != 1045 {
				t.Errorf("got %v", err)
			}
		})
	})
}
