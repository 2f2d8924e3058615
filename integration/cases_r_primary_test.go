//go:build integration

package integration

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localserver"
)

const countRows = "SELECT COUNT(*) FROM w"

// TestR03NothingOldIsReadWhileThePrimaryIsAway: the primary has taken a write with
// it. Reads that have to see it fail, the others go on.
func TestR03NothingOldIsReadWhileThePrimaryIsAway(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		for _, noPrimary := range []string{"error", "replica"} {
			t.Run("no_primary="+noPrimary, func(t *testing.T) {
				createWritesTable(t, c)
				cfg := laggingConfig(c, "session")
				cfg.Settings["consistency"] = fmt.Sprintf("no_primary = %q", noPrimary)
				p := suite.StartProxy(t, cfg)
				writer, reader := plain(t, p.Addr(), login{}), plain(t, p.Addr(), login{})
				defer harness.StopApplying(t, c.Replicas...)()
				if _, err := writer.ask("INSERT INTO w VALUES (1)"); err != nil {
					t.Fatal(err)
				}
				if err := c.Primary.Pause(); err != nil {
					t.Fatal(err)
				}
				defer func() {
					if err := c.Primary.Resume(); err != nil {
						t.Error(err)
					}
					harness.AwaitState(t, p, c.Primary.Addr(), "up", 10*time.Second)
					if got, err := writer.ask(countRows); err != nil || got != "1" {
						t.Errorf("with the primary back: %q, %v, want 1", got, err)
					}
				}()
				awaitOut(t, p, c.Primary.Addr(), time.Now(), 10*time.Second)
				for _, q := range []struct {
					name   string
					client *plainClient
					sql    string
					want   string // "" is an error
				}{
					{"one that must see the write", writer, countRows, ""},
					{"one in a transaction that must see it", writer, "START TRANSACTION READ ONLY", ""},
					{"one that asks for nothing", writer, "/*consistency=off*/ " + countRows, "0"},
					{"one of a session that has written nothing", reader, countRows, "0"},
					{"one that must see everything", reader, "/*consistency=global*/ " + countRows, ""},
				} {
					begin := time.Now()
					got, err := q.client.ask(q.sql)
					if _, err := q.client.ask("COMMIT"); err != nil && errno(err) != 1429 {
						t.Errorf("COMMIT behind %s: %v", q.name, err)
					}
					switch took := time.Since(begin); {
					case q.want == "" && noPrimary == "error" && errno(err) != 1429:
						t.Errorf("%s: got %q, %v, want error 1429", q.name, got, err)
					case (q.want != "" || noPrimary == "replica") && err != nil:
						t.Errorf("%s: %v", q.name, err)
					case q.want != "" && got != q.want:
						t.Errorf("%s: got %q, want %q", q.name, got, q.want)
					case took > 3*time.Second:
						t.Errorf("%s took %v", q.name, took)
					}
				}
			})
		}
	})
}

// TestR01AnOldPrimaryThatIsReadOnlyIsReadOn: in the middle of a switchover the
// server that has taken the writes takes no more. It has them all.
func TestR01AnOldPrimaryThatIsReadOnlyIsReadOn(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		createWritesTable(t, c)
		defer restoreRoles(t, c)
		cfg := laggingConfig(c, "global")
		cfg.Backends = cfg.Backends[:1]
		p := suite.StartProxy(t, cfg)
		client := plain(t, p.Addr(), login{})
		if _, err := client.ask("INSERT INTO w VALUES (1)"); err != nil {
			t.Fatal(err)
		}
		if err := setReadOnly(t.Context(), c.Primary, true); err != nil {
			t.Fatal(err)
		}
		eventually(t, 5*time.Second, "it still counts as the primary", func() (bool, error) {
			_, err := client.ask("DELETE FROM w WHERE id = 2")
			return errno(err) == 1429, nil
		})
		if got, err := client.ask(countRows); err != nil || got != "1" {
			t.Errorf("read %q, %v, want 1", got, err)
		}
	})
}

// TestR01ReadsOfASessionAreMonotonic: what somebody else has written, past the
// proxy, is on one replica and not on the other. A session that has seen it does
// not lose it again.
func TestR01ReadsOfASessionAreMonotonic(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		createWritesTable(t, c)
		cfg := laggingConfig(c, "session")
		cfg.Settings["consistency"] = "monotonic = true"
		cfg.Backends[1].Weight, cfg.Backends[2].Weight = 1, 1
		p := suite.StartProxy(t, cfg)
		defer harness.StopApplying(t, c.Replicas[1])()
		if err := c.Primary.Exec(t.Context(), "INSERT INTO app.w VALUES (1)"); err != nil {
			t.Fatal(err)
		}
		eventually(t, 5*time.Second, "the first replica does not catch up", func() (bool, error) {
			n, err := c.Replicas[0].Value(t.Context(), "SELECT COUNT(*) FROM app.w")
			return n == "1", err
		})
		seen := map[string]int{}
		var clients []*plainClient
		for range 24 {
			client := plain(t, p.Addr(), login{})
			first, err := client.ask(countRows)
			if err != nil {
				t.Fatal(err)
			}
			seen[first]++
			for i := range 10 {
				again, err := client.ask(countRows)
				if err != nil || first == "1" && again != "1" {
					t.Fatalf("read %s, and %q, %v after %d more", first, again, err, i+1)
				}
			}
			clients = append(clients, client)
		}
		if seen["0"] == 0 || seen["1"] == 0 {
			t.Errorf("what the sessions have seen first: %v, so not both replicas were read", seen)
		}
		t.Run("after a read on the primary", func(t *testing.T) {
			for _, client := range clients {
				if got, err := client.ask("/*master*/ " + countRows); err != nil || got != "1" {
					t.Fatalf("%q, %v", got, err)
				}
				for range 4 {
					if got, err := client.ask(countRows); err != nil || got != "1" {
						t.Fatalf("read %q, %v behind the primary, want 1", got, err)
					}
				}
			}
		})
		t.Run("when its replica is taken away", func(t *testing.T) {
			if _, err := p.Console(t.Context(), "SET OFFLINE "+c.Replicas[0].Addr()); err != nil {
				t.Fatal(err)
			}
			for _, client := range clients {
				if got, err := client.ask(countRows); err != nil || got != "1" {
					t.Fatalf("read %q, %v on another server, want 1", got, err)
				}
			}
		})
	})
}

// TestK24AReplicaIsShutDownUnderReads: it says so to those who ask it (1053), and
// hangs up on the others. No client hears of it.
func TestK24AReplicaIsShutDownUnderReads(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		createFaultsTable(t, c)
		victim := c.Replicas[1] // the one with the most reads
		p := suite.StartProxyWithoutRace(t, harness.ProxyConfig(c))
		r, stop := startReaders(t, p)
		r.take()
		if err := victim.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := victim.Start(context.Background()); err != nil {
				t.Error(err)
			}
			harness.AwaitReplication(t, victim)
		}()
		r.awaitProgress(t, 1000)
		stop()
		// A read is repeated as long as nothing of its answer has been passed on:
		// what is left are those the server broke off behind the definitions.
		failures, slowest := r.take()
		t.Logf("%d reads failed, the slowest took %v", len(failures), slowest)
		if len(failures) > readerCount {
			t.Errorf("%d reads failed, at most %d were in flight", len(failures), readerCount)
		}
		for _, f := range failures {
			var e *mysql.MySQLError
			if !errors.As(f.err, &e) || e.Number != 1053 || !f.begun { // ER_SERVER_SHUTDOWN
				t.Errorf("failed: %v (behind the columns: %v)", f.err, f.begun)
			}
		}
	})
}

// TestR17TheAddressOfThePrimaryMoves to another server, which is writable. No
// statement fails, nor is one run there before the monitor has looked at it; and
// once a connection has found the new server, the old one gets no statement more.
func TestR17TheAddressOfThePrimaryMoves(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		for name, move := range map[string]func(*harness.Switch, string){
			"connections are broken":      (*harness.Switch).To,
			"connections are left behind": (*harness.Switch).ToNew,
		} {
			t.Run(name, func(t *testing.T) {
				createCaseTables(t, c)
				defer restoreRoles(t, c)
				address := harness.StartSwitch(t, c.Primary.Addr())
				cfg := harness.ProxyConfig(c)
				cfg.Backends = cfg.Backends[:1]
				cfg.Backends[0].Address = address.Addr()
				p := suite.StartProxy(t, cfg)
				old := plain(t, p.Addr(), login{})
				if _, err := old.ask(writeHere); err != nil {
					t.Fatal(err)
				}
				if err := setReadOnly(t.Context(), c.Replicas[0], false); err != nil {
					t.Fatal(err)
				}
				logs := harness.OpenLogs(t, c)
				move(address, c.Replicas[0].Addr())
				// The session has a connection; another session, in the same
				// moment, needs one.
				if _, err := old.ask("BEGIN"); err != nil {
					t.Error("BEGIN: ", err)
				}
				for _, sql := range []string{readHere, writeHere, writeHere} {
					if _, err := plain(t, p.Addr(), login{}).ask(sql); err != nil {
						t.Errorf("%s: %v", sql, err)
					}
				}
				if _, err := old.ask(writeHere); err == nil && name == "connections are left behind" {
					t.Error("a transaction has gone on, on the server before")
				}
				if log, err := p.LogSince(0); err != nil || !strings.Contains(log, "another server answers") {
					t.Errorf("nothing in the log (%v)", err)
				}
				if where := logs.Where(thisMarker); where[0] != 0 || where[1] < 3 {
					t.Errorf("statements per server: %v, want them on the second", where)
				}
			})
		}
	})
}
