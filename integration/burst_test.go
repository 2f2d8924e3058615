//go:build integration

package integration

import (
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localserver"
)

// TestABurstOfClientsIsTakenIn has 500 clients connect in the same moment, each of
// which reads and writes at once, on far fewer connections to the servers.
func TestABurstOfClientsIsTakenIn(t *testing.T) {
	const clients, connections = 500, 50
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		harness.Exec(t, c, "DROP TABLE IF EXISTS app.burst", "CREATE TABLE app.burst (id INT PRIMARY KEY)")
		cfg := harness.ProxyConfig(c)
		for i := range cfg.Backends {
			cfg.Backends[i].MaxConnections = connections
		}
		cfg.Settings["log"] = `level = "warn"`
		cfg.Settings["pool"] = "wait_timeout = \"30s\"" // how long it takes is up to the machine
		p := suite.StartProxyWithoutRace(t, cfg)
		start := make(chan struct{})
		var wg sync.WaitGroup
		for i := range clients {
			wg.Go(func() {
				<-start
				client, err := dialPlain(p.Addr(), login{})
				if err != nil {
					t.Errorf("client %d: %v", i, err)
					return
				}
				defer client.nc.Close()
				if _, err := client.ask(fmt.Sprintf("INSERT INTO burst VALUES (%d)", i)); err != nil {
					t.Errorf("client %d writes: %v", i, err)
				}
				if _, err := client.ask("SELECT COUNT(*) FROM burst"); err != nil {
					t.Errorf("client %d reads: %v", i, err)
				}
			})
		}
		begin := time.Now()
		close(start)
		wg.Wait()
		t.Logf("%d clients were served within %v", clients, time.Since(begin).Round(time.Millisecond))
		if n, err := c.Primary.Value(t.Context(), "SELECT COUNT(*) FROM app.burst"); err != nil || n != strconv.Itoa(clients) {
			t.Errorf("%s rows, %v", n, err)
		}
	})
}

// TestConnectionsAreOpenedAhead: once a client has been there, every server has
// connections for the next ones, also one that comes back.
func TestConnectionsAreOpenedAhead(t *testing.T) {
	const ahead = 4
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		cfg := harness.ProxyConfig(c)
		cfg.Settings["pool"] = fmt.Sprintf("min_idle = %d", ahead)
		cfg.Settings["maintenance"] = "hold = \"2s\"\nslow_start = \"0s\""
		p := suite.StartProxy(t, cfg)
		if _, err := plain(t, p.Addr(), login{}).ask("SELECT 1"); err != nil {
			t.Fatal(err)
		}
		free := func() map[string]int {
			t.Helper()
			rows, err := p.Console(t.Context(), "SHOW POOLS")
			if err != nil {
				t.Fatal(err)
			}
			n := map[string]int{}
			for _, row := range rows {
				if n[row["address"]], err = strconv.Atoi(row["idle"]); err != nil {
					t.Fatalf("%v in %v", err, row)
				}
			}
			return n
		}
		eventually(t, 10*time.Second, "no connections are opened ahead", func() (bool, error) {
			n := free()
			for _, s := range c.Servers() {
				if n[s.Addr()] < ahead {
					return false, nil
				}
			}
			return true, nil
		})
		victim := c.Replicas[0]
		victim.Kill()
		awaitOut(t, p, victim.Addr(), time.Now(), 5*time.Second)
		if err := victim.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		harness.AwaitReplication(t, victim)
		eventually(t, 20*time.Second, "the replica that comes back is not warmed up", func() (bool, error) {
			return free()[victim.Addr()] >= ahead, nil
		})
		if state, err := p.BackendState(t.Context(), victim.Addr()); err != nil || state == "up" {
			t.Logf("it was %q by then (%v)", state, err)
		}
		harness.AwaitState(t, p, victim.Addr(), "up", 20*time.Second)
	})
}
