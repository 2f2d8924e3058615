//go:build integration

package integration

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localserver"
	"github.com/telamondb/telamon/wire"
)

// The cases of prepared statements that are about where they run and what they
// leave on the servers.

func TestPS01EveryExecutionIsRoutedAnew(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		rig := newRawRig(t, c)
		resetCaseTables(t, c)
		logs := harness.OpenLogs(t, c)
		cl := dialRaw(t, rig.p.Addr(), localserver.AppUser, rawCapabilities|wire.DeprecateEOF, 0)
		defer cl.nc.Close()
		marker := fmt.Sprintf("ps01-%d", time.Now().UnixNano())
		id := cl.prepare("SELECT v FROM a WHERE id = ? /* " + marker + " */")
		var want []bool // on the primary
		run := func(before string, primary bool) {
			if before != "" {
				cl.query(before)
			}
			cl.execute(id, 1)
			want = append(want, primary)
		}
		run("", false)
		run("BEGIN", true)
		run("", true)
		run("COMMIT", false)
		run("SET autocommit = 0", true)
		run("ROLLBACK", true)
		run("SET autocommit = 1", false)
		run("LOCK TABLES a WRITE", true)
		run("UNLOCK TABLES", false)
		harness.Eventually(t, 10*time.Second, func(context.Context) error {
			var got []bool
			for _, e := range logs.All() {
				if e.Command == "Execute" && strings.Contains(e.Argument, marker) {
					got = append(got, e.Server == c.Primary)
				}
			}
			// Logs are per server: compare how many ran where.
			if len(got) != len(want) || count(got) != count(want) {
				return fmt.Errorf("%d of %d executions on the primary, want %d of %d", count(got), len(got), count(want), len(want))
			}
			return nil
		})
	})
}

func count(all []bool) (n int) {
	for _, b := range all {
		if b {
			n++
		}
	}
	return n
}

// preparedCount is how many prepared statements all servers have together.
func preparedCount(ctx context.Context, c *localserver.Cluster) (sum int, err error) {
	for _, s := range c.Servers() {
		v, err := s.Value(ctx, "SELECT variable_value FROM "+statusTable(s)+" WHERE variable_name = 'Prepared_stmt_count'")
		if err != nil {
			return 0, err
		}
		n, err := strconv.Atoi(v)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// TestPS14ClientsThatDoNotClose prepares and leaves; TELAMON_LONG=1 does so
// 50000 times.
func TestPS14ClientsThatDoNotClose(t *testing.T) {
	clients, each := 60, 20
	if harness.Long() {
		clients = 2500
	}
	const limit = 8
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		createCaseSchema(t, c)
		cfg := harness.ProxyConfig(c)
		cfg.Settings["pool"] = fmt.Sprintf("max_prepared_statements = %d\nmax_idle = 4", limit)
		p := suite.StartProxy(t, cfg)
		before, err := preparedCount(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		most := 0
		for i := range clients {
			cl := dialRaw(t, p.Addr(), localserver.AppUser, rawCapabilities|wire.DeprecateEOF, 0)
			for j := range each {
				where := ""
				if j%2 == 0 {
					where = "/*master*/ "
				}
				id := cl.prepare(fmt.Sprintf("%sSELECT %d FROM a WHERE id = ?", where, j))
				cl.execute(id, 1)
			}
			if i%10 == 0 {
				n, err := preparedCount(t.Context(), c)
				if err != nil {
					t.Fatal(err)
				}
				most = max(most, n-before)
			}
			if i%2 == 0 {
				cl.send(wire.ComQuit, "")
				_ = cl.nc.Close()
			} else {
				cl.crash()
			}
		}
		// One client has a connection to each of three servers; the one before may
		// not have been noticed to be gone yet.
		if bound := 2 * 3 * limit; most > bound {
			t.Errorf("up to %d prepared statements on the servers, want at most %d", most, bound)
		}
		harness.Eventually(t, 20*time.Second, func(ctx context.Context) error {
			n, err := preparedCount(ctx, c)
			if err == nil && n > before {
				err = fmt.Errorf("%d prepared statements are left", n-before)
			}
			return err
		})
		t.Logf("%d statements prepared, at most %d at a time on the servers", clients*each, most)
	})
}

func TestPS28ToPrepareOpensNoTransaction(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		rig := newRawRig(t, c)
		cl := dialRaw(t, rig.p.Addr(), localserver.AppUser, rawCapabilities|wire.DeprecateEOF, 0)
		defer cl.nc.Close()
		cl.query("SET autocommit = 0")
		cl.prepare("INSERT INTO b VALUES (?)")
		cl.prepare("SELECT * FROM a FOR UPDATE")
		harness.Eventually(t, 5*time.Second, func(ctx context.Context) error {
			n, err := c.Primary.Value(ctx, "SELECT COUNT(*) FROM information_schema.innodb_trx")
			if err == nil && n != "0" {
				err = fmt.Errorf("%s transactions are open", n)
			}
			return err
		})
	})
}
