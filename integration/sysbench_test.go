//go:build integration

package integration

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localproxy"
	"github.com/telamondb/telamon/internal/localserver"
)

const sysbenchSchema = "sbtest"

// seconds a sysbench run takes.
func sysbenchSeconds() int {
	if harness.Long() {
		return 60
	}
	return 4
}

// withoutSnapshotErrors keeps transactions from failing for rows that have
// changed since they began (1020), which MariaDB from 11.6 on has them do.
func withoutSnapshotErrors(t *testing.T, c *localserver.Cluster) {
	t.Helper()
	if on, _ := c.Primary.Value(t.Context(), "SELECT @@GLOBAL.innodb_snapshot_isolation"); on != "1" {
		return
	}
	harness.Exec(t, c, "SET GLOBAL innodb_snapshot_isolation = 0")
	t.Cleanup(func() {
		if err := c.Primary.Exec(context.Background(), "SET GLOBAL innodb_snapshot_isolation = 1"); err != nil {
			t.Error(err)
		}
	})
}

func TestSysbenchReadWrite(t *testing.T) {
	if _, err := exec.LookPath("sysbench"); err != nil {
		t.Skip("sysbench is not installed: apt-get install sysbench")
	}
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		cfg := harness.ProxyConfig(c)
		for i := range cfg.Backends {
			// Replicas of a machine that runs everything on the same cores fall
			// behind under this load; that is not what is tested here.
			cfg.Backends[i].MaxLag = "1h"
		}
		withoutSnapshotErrors(t, c)
		p := suite.StartProxyWithoutRace(t, cfg)
		harness.Exec(t, c, "DROP DATABASE IF EXISTS "+sysbenchSchema, "CREATE DATABASE "+sysbenchSchema)
		sysbench(t, p, "prepare")
		t.Cleanup(func() {
			if err := c.Primary.Exec(context.Background(), "DROP DATABASE "+sysbenchSchema); err != nil {
				t.Error(err)
			}
		})
		for _, v := range []struct {
			name    string
			options []string
			share   bool // the reads are in no transaction, so the replicas get them
		}{
			// Without transactions, two threads may delete one row and both insert it
			// again: 1062 from any server, hence no deletes there.
			{"text protocol in transactions", []string{"--db-ps-mode=disable"}, false},
			{"prepared statements in transactions", []string{"--db-ps-mode=auto"}, false},
			{"text protocol without transactions", []string{"--db-ps-mode=disable", "--skip_trx=on", "--delete_inserts=0"}, true},
			{"prepared statements without transactions", []string{"--db-ps-mode=auto", "--skip_trx=on", "--delete_inserts=0"}, true},
		} {
			t.Run(v.name, func(t *testing.T) {
				if err := c.WaitCaughtUp(t.Context()); err != nil {
					t.Fatal(err)
				}
				logs := harness.OpenLogs(t, c)
				before, deadlocksBefore := selects(t, c), deadlocks(t, c.Primary)
				out := sysbench(t, p, append(v.options, fmt.Sprintf("--time=%d", sysbenchSeconds()), "run")...)
				after := selects(t, c)
				for i := range after {
					after[i] -= before[i]
				}
				t.Logf("SELECTs on primary, weight 1, weight 5: %v; %s", after, strings.Join(sysbenchFigures.FindAllString(out, -1), "; "))
				wantNoErrors(t, out, deadlocks(t, c.Primary)-deadlocksBefore)
				if v.share {
					reads := float64(after[1] + after[2])
					wantShares(t, after[1:], []float64{reads / 6, reads * 5 / 6}, 0.05)
					if after[0] > int(reads/20) {
						t.Errorf("the primary ran %d reads although the replicas could", after[0])
					}
				} else if reads := after[1] + after[2]; reads > after[0]/20 {
					t.Errorf("the replicas ran %d reads of transactions", reads)
				}
				wantNoWritesOnReplicas(t, c, logs)
				wantEqualTables(t, c)
			})
		}
	})
}

// sysbench runs oltp_read_write through the proxy and returns what it printed.
func sysbench(t *testing.T, p *localproxy.Proxy, arguments ...string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	all := append([]string{
		"oltp_read_write", "--mysql-host=" + host, "--mysql-port=" + port,
		"--mysql-user=" + localserver.AppUser, "--mysql-password=" + localserver.AppPassword, "--mysql-db=" + sysbenchSchema,
		"--tables=4", "--table-size=10000", "--threads=16", "--rand-type=uniform",
	}, arguments...)
	out, err := exec.CommandContext(t.Context(), "sysbench", all...).CombinedOutput()
	if err != nil {
		t.Fatalf("sysbench %s: %v\n%s", strings.Join(all, " "), err, out)
	}
	return string(out)
}

var sysbenchErrors = regexp.MustCompile(`(?m)^ *(ignored errors|reconnects): +(\d+)`)

var sysbenchFigures = regexp.MustCompile(`(transactions|queries|ignored errors|reconnects): .*`)

// wantNoErrors checks sysbench's own counts. It goes on after deadlocks, which
// come without a proxy as well: there must be no more errors than the primary has
// counted deadlocks.
func wantNoErrors(t *testing.T, out string, deadlocks int64) {
	t.Helper()
	allowed := map[string]int64{"ignored errors": deadlocks, "reconnects": 0}
	found := sysbenchErrors.FindAllStringSubmatch(out, -1)
	if len(found) != len(allowed) {
		t.Errorf("no error counts in sysbench's output")
	}
	for _, f := range found {
		n, err := strconv.ParseInt(f[2], 10, 64)
		if err != nil || n > allowed[f[1]] {
			t.Errorf("sysbench counts %s %s, want at most %d", f[2], f[1], allowed[f[1]])
		}
	}
}

// deadlocks is how many the server has found since its start.
func deadlocks(t *testing.T, s *localserver.Server) int64 {
	t.Helper()
	text, err := s.Value(t.Context(), "SELECT count FROM information_schema.innodb_metrics WHERE name = 'lock_deadlocks'")
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// selects is Com_select by server.
func selects(t *testing.T, c *localserver.Cluster) []int {
	t.Helper()
	var counts []int
	for _, s := range c.Servers() {
		status, err := s.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		counts = append(counts, int(status["Com_select"]))
	}
	return counts
}

// harmless matches what the proxy may send to a replica for a reader. DO 0 is how
// it clears the warnings of its own statements.
var harmless = regexp.MustCompile(`(?is)^\s*((SELECT|SET|SHOW|USE)\b|DO 0$)`)

// wantNoWritesOnReplicas looks at every statement of the replicas' general logs
// that did not come from replication.
func wantNoWritesOnReplicas(t *testing.T, c *localserver.Cluster, logs *harness.Logs) {
	t.Helper()
	looked := 0
	for _, s := range logs.Statements("") {
		if s.Server == c.Primary {
			continue
		}
		looked++
		if !harmless.MatchString(s.Argument) {
			t.Fatalf("%s ran for %s: %s", s.Server, s.User, s.Argument)
		}
	}
	t.Logf("%d statements of clients in the replicas' logs, none of them a write", looked)
}

// wantEqualTables compares the checksums of all tables on all servers.
func wantEqualTables(t *testing.T, c *localserver.Cluster) {
	t.Helper()
	if err := c.WaitCaughtUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	const query = "CHECKSUM TABLE sbtest.sbtest1, sbtest.sbtest2, sbtest.sbtest3, sbtest.sbtest4"
	want, err := c.Primary.Query(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range c.Replicas {
		got, err := r.Query(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s has %v, the primary %v", r, got, want)
		}
	}
}
