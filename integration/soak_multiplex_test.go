//go:build integration

package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localserver"
)

// TestSoakMultiplexing has 2000 clients, most of them idle at any moment, on 20
// connections per server. None of them gets an error.
func TestSoakMultiplexing(t *testing.T) {
	const clients, connections, active = 2000, 20, 40
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		harness.Exec(t, c, "DROP TABLE IF EXISTS app.many",
			"CREATE TABLE app.many (id INT AUTO_INCREMENT PRIMARY KEY, client INT, v INT, UNIQUE (client))")
		cfg := harness.ProxyConfig(c)
		for i := range cfg.Backends {
			cfg.Backends[i].MaxConnections = connections
		}
		cfg.Settings["log"] = `level = "warn"`
		p := suite.StartProxyWithoutRace(t, cfg)
		during := 3 * time.Second
		if harness.Long() {
			during = 5 * time.Minute
		}
		all := make([]*plainClient, clients)
		var failed atomic.Int64
		fail := func(format string, args ...any) {
			if failed.Add(1) <= 5 {
				t.Errorf(format, args...)
			}
		}
		each(active, func(worker int) {
			for i := worker; i < clients && failed.Load() == 0; i += active {
				var err error
				if all[i], err = dialPlain(p.Addr(), login{}); err != nil {
					fail("client %d logs in: %v", i, err)
					return
				}
			}
		})
		defer func() {
			for _, client := range all {
				if client != nil {
					client.nc.Close()
				}
			}
		}()
		if failed.Load() > 0 {
			return
		}
		most := watchConnections(t, c)
		var statements atomic.Int64
		end := time.Now().Add(during)
		each(active, func(worker int) {
			rng := rand.New(rand.NewPCG(uint64(worker), 2))
			for time.Now().Before(end) && failed.Load() == 0 {
				// Only this worker uses the clients that are its number modulo active.
				i := worker + active*rng.IntN(clients/active)
				n, err := all[i].work(i, rng)
				if err != nil {
					fail("client %d: %v", i, err)
				}
				statements.Add(int64(n))
			}
		})
		t.Logf("%d statements of %d clients in %v; at most %v connections at once on primary and replicas",
			statements.Load(), clients, during, most())
		for i, n := range most() {
			if n > connections {
				t.Errorf("%d connections to server %d, allowed are %d", n, i+1, connections)
			}
		}
	})
}

// each runs f(0) to f(n-1) at once.
func each(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

// work is what a client does before it is idle again.
func (c *plainClient) work(id int, rng *rand.Rand) (statements int, err error) {
	pairs := [][2]string{{fmt.Sprintf("SELECT %d FROM many LIMIT 1", id), ""}}
	switch rng.IntN(6) {
	case 0:
		pairs = [][2]string{{fmt.Sprintf("INSERT INTO many (client, v) VALUES (%d, 1) ON DUPLICATE KEY UPDATE v = v + 1", id), "ok"}}
	case 1:
		pairs = [][2]string{{"BEGIN", "ok"}, {fmt.Sprintf("UPDATE many SET v = v + 1 WHERE client = %d", id), "ok"}, {"COMMIT", "ok"}}
	case 2:
		zone := fmt.Sprintf("+0%d:00", rng.IntN(10))
		pairs = [][2]string{{"SET time_zone = '" + zone + "'", "ok"}, {"/*slave*/ SELECT @@time_zone", zone}, {"SELECT @@time_zone", zone}}
	}
	for _, p := range pairs {
		got, err := c.ask(p[0])
		if err != nil || p[1] != "" && got != p[1] {
			return statements, fmt.Errorf("%s: got %q, %w, want %q", p[0], got, err, p[1])
		}
		statements++
	}
	return statements, nil
}

// watchConnections looks at how many connections of the application each server
// has; most ends that and returns the highest numbers seen.
func watchConnections(t *testing.T, c *localserver.Cluster) (most func() []int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	highest := make([]int, len(c.Servers()))
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			for i, s := range c.Servers() {
				text, err := s.Value(ctx, "SELECT COUNT(*) FROM information_schema.processlist WHERE user = ?", localserver.AppUser)
				if err != nil {
					continue // the end, most likely
				}
				if n, err := strconv.Atoi(text); err == nil {
					highest[i] = max(highest[i], n)
				}
			}
			select {
			case <-ctx.Done():
			case <-time.After(200 * time.Millisecond):
			}
		}
	})
	return func() []int {
		cancel()
		wg.Wait()
		return highest
	}
}
