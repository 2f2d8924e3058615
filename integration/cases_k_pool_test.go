//go:build integration

package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localserver"
	"github.com/telamondb/telamon/wire"
)

// The cases about connections that are idle, lost, refused or used up.

func dialApp(t testing.TB, addr string) *rawClient {
	t.Helper()
	return dialRaw(t, addr, localserver.AppUser, rawCapabilities|wire.DeprecateEOF, 0)
}

func TestK10OnlyAnIdleClientIsIdle(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		createCaseSchema(t, c)
		cfg := harness.ProxyConfig(c)
		cfg.Settings["guard"] = "denied_functions = []"
		cfg.Settings["proxy"] = "wait_timeout = \"2s\""
		p := suite.StartProxy(t, cfg)
		idle, slow, chatty, streaming := dialApp(t, p.Addr()), dialApp(t, p.Addr()), dialApp(t, p.Addr()), dialApp(t, p.Addr())
		slow.send(wire.ComQuery, "SELECT 'slow', SLEEP(5)")
		streaming.send(wire.ComQuery, "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i+1 FROM n WHERE i < 900) "+
			"SELECT REPEAT('x', 1000), x.i FROM n x JOIN n y ON y.i <= 100")
		read := streaming.payload() // the rest is read when the others are through
		for end := time.Now().Add(4 * time.Second); time.Now().Before(end); {
			if got := ask(t, chatty, "SELECT 'chatty'"); got != "chatty" {
				t.Fatalf("the chatty client got %q", got)
			}
			<-time.After(100 * time.Millisecond)
		}
		slow.results()
		if all := strings.Join(slow.said, "\n"); slow.over || !strings.Contains(all, "slow") {
			t.Errorf("the slow statement:\n%s", all)
		}
		if n, _ := wire.ReadLenencInt(read); n == 2 {
			streaming.definitions(2)
			streaming.rows()
		}
		if streaming.over {
			t.Errorf("the client that reads slowly: %s", streaming.said[len(streaming.said)-1])
		}
		idle.closes()
	})
}

func TestK11AWriteAfterReadingForLongerThanThePrimaryWaits(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		createCaseSchema(t, c)
		old, err := c.Primary.Value(t.Context(), "SELECT @@GLOBAL.wait_timeout")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Primary.Exec(context.Background(), "SET GLOBAL wait_timeout = "+old) })
		if err := c.Primary.Exec(t.Context(), "SET GLOBAL wait_timeout = 1"); err != nil {
			t.Fatal(err)
		}
		cl := dialApp(t, suite.StartProxy(t, harness.ProxyConfig(c)).Addr())
		defer cl.nc.Close()
		if got := ask(t, cl, "INSERT INTO b VALUES (11)"); got != "ok" {
			t.Fatal(got)
		}
		for end := time.Now().Add(3 * time.Second); time.Now().Before(end); {
			if got := ask(t, cl, "SELECT 'read'"); got != "read" {
				t.Fatal(got)
			}
			<-time.After(100 * time.Millisecond)
		}
		if got := ask(t, cl, "INSERT INTO b VALUES (11)"); got != "ok" {
			t.Errorf("the write: %s", got)
		}
	})
}

// killConnections kills all connections of the application at a server.
func killConnections(t *testing.T, s *localserver.Server) {
	t.Helper()
	const ofApp = "FROM information_schema.processlist WHERE user = '" + localserver.AppUser + "'"
	for {
		id, err := s.Value(t.Context(), "SELECT COALESCE(MIN(id), 0) "+ofApp)
		if err != nil {
			t.Fatal(err)
		}
		if id == "0" {
			return
		}
		_ = s.Exec(t.Context(), "KILL "+id) // it may be gone meanwhile
	}
}

func TestK13ConnectionsThatTheServerClosesWhileNobodyUsesThem(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		rig := newRawRig(t, c)
		resetCaseTables(t, c)
		for _, tc := range []struct {
			name, before, then, want string
		}{
			{"a read", "SELECT 1", "SELECT 'again'", "again"},
			{"a read on the primary", "/*master*/ SELECT 1", "/*master*/ SELECT 'again'", "again"},
			{"a write", "INSERT INTO b VALUES (13)", "INSERT INTO b VALUES (13)", "ok"},
			{"a transaction", "BEGIN", "INSERT INTO b VALUES (99)", "lost connection"},
			{"a lock", "SELECT GET_LOCK('k13', 0)", "/*master*/ SELECT 1", "lost connection"},
		} {
			t.Run(tc.name, func(t *testing.T) {
				cl := dialApp(t, rig.p.Addr())
				defer cl.nc.Close()
				ask(t, cl, tc.before)
				for _, s := range c.Servers() {
					killConnections(t, s)
				}
				if got := ask(t, cl, tc.then); !strings.Contains(strings.ToLower(got), tc.want) {
					t.Errorf("got %q, want %q", got, tc.want)
				}
			})
		}
		if n, err := c.Primary.Value(t.Context(), "SELECT COUNT(*) FROM "+caseSchema+".b WHERE id = 99"); err != nil || n != "0" {
			t.Errorf("%s rows of a transaction that was lost (%v)", n, err)
		}
	})
}

func TestK21AServerThatRefusesMoreConnections(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		rig := newRawRig(t, c)
		limit := func(n int) {
			t.Helper()
			err := c.Primary.Exec(context.Background(), "SET sql_log_bin = 0", // for this connection
				fmt.Sprintf("ALTER USER %s@'%%' WITH MAX_USER_CONNECTIONS %d", localserver.AppUser, n))
			if err != nil {
				t.Error(err)
			}
		}
		first, third := dialApp(t, rig.p.Addr()), dialApp(t, rig.p.Addr())
		defer first.nc.Close()
		defer third.nc.Close()
		killConnections(t, c.Primary)
		limit(1)
		defer limit(0)
		if got := ask(t, first, "BEGIN"); got != "ok" {
			t.Fatal(got)
		}
		if got := ask(t, first, "INSERT INTO b VALUES (21)"); got != "ok" {
			t.Fatal(got)
		}
		second := dialRaw(t, rig.p.Addr(), localserver.DBAUser, rawCapabilities|wire.DeprecateEOF, 0)
		defer second.nc.Close()
		if got := ask(t, second, "/*master*/ SELECT 'another account'"); got != "another account" {
			t.Errorf("another account got %q", got)
		}
		if got := ask(t, third, "INSERT INTO b VALUES (21)"); !strings.Contains(got, "1226") {
			t.Errorf("above the account's limit: %q", got)
		}
		harness.AwaitState(t, rig.p, c.Primary.Addr(), "up", time.Second)
		if got := ask(t, first, "COMMIT"); got != "ok" {
			t.Error(got)
		}
		// A refusal is believed for a moment, and a parked connection is first
		// kept for its session.
		harness.Eventually(t, 10*time.Second, func(context.Context) error {
			if got := ask(t, third, "INSERT INTO b VALUES (21)"); got != "ok" {
				return fmt.Errorf("the connection is free, but: %s", got)
			}
			return nil
		})
	})
}

func TestK22AllConnectionsInUseAreNoDeadlock(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		createCaseSchema(t, c)
		cfg := harness.ProxyConfig(c)
		for i := range cfg.Backends {
			cfg.Backends[i].MaxConnections = 2
		}
		cfg.Settings["guard"] = "denied_functions = []"
		cfg.Settings["pool"] = "wait_timeout = \"1s\""
		p := suite.StartProxy(t, cfg)
		holders := []*rawClient{dialApp(t, p.Addr()), dialApp(t, p.Addr())}
		waiting, killer := dialApp(t, p.Addr()), dialApp(t, p.Addr())
		marker := newMarker("k22")
		for i, h := range holders {
			defer h.nc.Close()
			if got := ask(t, h, "BEGIN"); got != "ok" {
				t.Fatal(got)
			}
			if got := ask(t, h, fmt.Sprintf("INSERT INTO b VALUES (%d)", i)); got != "ok" {
				t.Fatal(got)
			}
		}
		holders[0].send(wire.ComQuery, "SELECT SLEEP(60), 1 /* "+marker+" */ FROM b")
		awaitRunning(t, c, marker)
		begin := time.Now()
		if got := ask(t, waiting, "INSERT INTO b VALUES (22)"); !strings.Contains(got, "1040") || !strings.Contains(got, "all 2 are in use") {
			t.Errorf("with all connections in use: %q", got)
		}
		if took := time.Since(begin); took > 20*time.Second {
			t.Errorf("after %v", took)
		}
		// KILL has a connection of its own.
		if got := ask(t, killer, fmt.Sprintf("KILL %d", holders[0].id)); got != "ok" {
			t.Errorf("KILL with all connections in use: %q", got)
		}
		holders[0].closes()
		if got := ask(t, waiting, "INSERT INTO b VALUES (22)"); got != "ok" {
			t.Errorf("after the KILL: %q", got)
		}
	})
}
