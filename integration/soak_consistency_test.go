//go:build integration

package integration

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localproxy"
	"github.com/telamondb/telamon/internal/localserver"
)

const (
	pairClients = 8
	soakPairs   = 100_000 // per level, in the long form
	pairTime    = 2 * time.Second
	replicaLate = 2 * time.Second
	loadRate    = 500 // writes a second
)

// TestSoakReadYourWrites has one replica that applies everything two seconds late
// and is nevertheless in use. A read after a write sees it: on the same connection
// with consistency "session", on any with "global".
func TestSoakReadYourWrites(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		harness.Exec(t, c, "DROP TABLE IF EXISTS app.pair", "CREATE TABLE app.pair (id INT PRIMARY KEY, v INT)",
			"INSERT INTO app.pair VALUES (0,0),(1,0),(2,0),(3,0),(4,0),(5,0),(6,0),(7,0)")
		defer harness.Delay(t, c.Replicas[0], replicaLate)()
		for _, level := range []string{"session", "global"} {
			t.Run(level, func(t *testing.T) {
				p := suite.StartProxy(t, laggingConfig(c, level))
				before := served(t, p)
				begin := time.Now()
				pairs, stale, err := writeAndRead(t, p, level == "global")
				if err != nil {
					t.Error(err)
				}
				if stale > 0 {
					t.Errorf("%d of %d reads were stale", stale, pairs)
				}
				after := served(t, p)
				late, other := after[1]-before[1], after[2]-before[2]
				t.Logf("%d pairs in %v, %d stale; reads on primary %d, late replica %d, other replica %d",
					pairs, time.Since(begin).Round(time.Second), stale, pairs-late-other, late, other)
				if pairs < 100 {
					t.Error("hardly anything was tested")
				}
				if other == 0 {
					t.Error("the replica that keeps up has served nothing")
				}
			})
		}
	})
}

// writeAndRead has clients write and read a number that grows, and counts the
// reads that return another one than was written last.
func writeAndRead(t *testing.T, p *localproxy.Proxy, elsewhere bool) (pairs, stale int64, err error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var done, wrong atomic.Int64
	errs := make(chan error, pairClients)
	end := time.Now().Add(pairTime)
	var wg sync.WaitGroup
	for id := range pairClients {
		writer := plain(t, p.Addr(), login{})
		reader := writer
		if elsewhere {
			reader = plain(t, p.Addr(), login{})
		}
		wg.Go(func() {
			v, err := strconv.Atoi(must(writer.ask(fmt.Sprintf("/*master*/ SELECT v FROM pair WHERE id = %d", id))))
			for err == nil && ctx.Err() == nil {
				if harness.Long() && done.Load() >= soakPairs || !harness.Long() && time.Now().After(end) {
					return
				}
				v++
				if _, err = writer.ask(fmt.Sprintf("UPDATE pair SET v = %d WHERE id = %d", v, id)); err != nil {
					break
				}
				var got string
				if got, err = reader.ask(fmt.Sprintf("SELECT v FROM pair WHERE id = %d", id)); err == nil && got != strconv.Itoa(v) {
					wrong.Add(1)
				}
				done.Add(1)
			}
			if err != nil {
				errs <- err
				cancel()
			}
		})
	}
	wg.Wait()
	select {
	case err = <-errs:
	default:
	}
	return done.Load(), wrong.Load(), err
}

// must drops an error that shows in the value.
func must(value string, _ error) string { return value }

// TestSoakPriceOfConsistency measures what each level costs reads while others
// write and the replicas are healthy.
func TestSoakPriceOfConsistency(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		harness.Exec(t, c, "DROP TABLE IF EXISTS app.pair, app.load_w", "CREATE TABLE app.pair (id INT PRIMARY KEY, v INT)",
			"INSERT INTO app.pair VALUES (0,0),(1,0),(2,0),(3,0),(4,0),(5,0),(6,0),(7,0)",
			"CREATE TABLE app.load_w (id BIGINT AUTO_INCREMENT PRIMARY KEY, v INT)")
		p := suite.StartProxyWithoutRace(t, laggingConfig(c, "off"))
		cfg := laggingConfig(c, "off")
		cfg.Settings["consistency"] = "monotonic = true"
		monotonic := suite.StartProxyWithoutRace(t, cfg) // past which most is written
		during := 1500 * time.Millisecond
		if harness.Long() {
			during = 20 * time.Second
		}
		stopWriting, written := startWriting(t, p)
		defer stopWriting()
		for _, m := range []struct {
			name, level string
			proxy       *localproxy.Proxy
		}{
			{"off", "off", p}, {"session", "session", p}, {"global", "global", p},
			{"session, monotonic", "session", monotonic}, {"global, monotonic", "global", monotonic},
		} {
			level := m.level
			from, at := written.Load(), time.Now()
			latencies, where := readFor(t, m.proxy, level, during)
			rate := float64(written.Load()-from) / time.Since(at).Seconds()
			slices.Sort(latencies)
			var sum time.Duration
			for _, l := range latencies {
				sum += l
			}
			n := len(latencies)
			if n == 0 {
				t.Fatal("nothing was read")
			}
			total := where[0] + where[1] + where[2]
			t.Logf("consistency %-18s with %3.0f writes/s: %5.0f reads/s, %5.1f %% on replicas, latency mean %v, median %v, 99 %% %v", m.name, rate,
				float64(n)/during.Seconds(), 100*float64(total-where[0])/float64(total),
				(sum / time.Duration(n)).Round(time.Microsecond), latencies[n/2].Round(time.Microsecond), latencies[n*99/100].Round(time.Microsecond))
			// How many they serve at the other levels is up to the machine, too: on
			// a busy one replicas are late.
			if level == "off" && where[1]+where[2] == 0 {
				t.Errorf("replicas have served none of %v reads", where)
			}
		}
	})
}

// startWriting writes at loadRate, or as often as this machine can.
func startWriting(t *testing.T, p *localproxy.Proxy) (stop func(), written *atomic.Int64) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	written = &atomic.Int64{}
	ticks := make(chan struct{}, 8)
	var wg sync.WaitGroup
	wg.Go(func() {
		ticker := time.NewTicker(time.Second / loadRate)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				close(ticks)
				return
			case <-ticker.C:
				select {
				case ticks <- struct{}{}:
				default: // writers are behind
				}
			}
		}
	})
	for range 4 {
		client := plain(t, p.Addr(), login{})
		wg.Go(func() {
			for range ticks {
				if _, err := client.ask("INSERT INTO load_w (v) VALUES (1)"); err != nil {
					t.Error("write: ", err)
					return
				}
				written.Add(1)
			}
		})
	}
	return sync.OnceFunc(func() { cancel(); wg.Wait() }), written
}

// readFor has clients write now and then, and read, and returns how long the reads
// took and how many each server has served.
func readFor(t *testing.T, p *localproxy.Proxy, level string, during time.Duration) (all []time.Duration, where [3]int64) {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	end := time.Now().Add(during)
	before := served(t, p)
	for id := range 4 {
		client := plain(t, p.Addr(), login{})
		wg.Go(func() {
			var own []time.Duration
			for i := 0; time.Now().Before(end); i++ {
				if i%10 == 0 { // every tenth statement of a client is a write
					if _, err := client.ask(fmt.Sprintf("UPDATE pair SET v = v + 1 WHERE id = %d", id)); err != nil {
						t.Error(err)
						return
					}
				}
				begin := time.Now()
				if _, err := client.ask(fmt.Sprintf("/*consistency=%s*/ SELECT v FROM pair WHERE id = %d", level, id)); err != nil {
					t.Error(err)
					return
				}
				own = append(own, time.Since(begin))
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, own...)
		})
	}
	wg.Wait()
	after := served(t, p)
	replicas := after[1] + after[2] - before[1] - before[2]
	return all, [3]int64{int64(len(all)) - replicas, after[1] - before[1], after[2] - before[2]}
}

// served are the statements each server has run for clients; a replica's are reads.
func served(t *testing.T, p *localproxy.Proxy) (counts [3]int64) {
	t.Helper()
	rows, err := p.Console(t.Context(), "SELECT * FROM backends_ext")
	if err != nil {
		t.Fatal(err)
	}
	for i, row := range rows {
		if counts[i], err = strconv.ParseInt(row["statements"], 10, 64); err != nil {
			t.Fatalf("%v in %v", err, row)
		}
	}
	return counts
}
