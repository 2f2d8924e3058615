//go:build integration

package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localproxy"
	"github.com/telamondb/telamon/internal/localserver"
)

const (
	readHere  = "SELECT v FROM a WHERE id = 1 " + thisMarker
	writeHere = "UPDATE a SET v = v WHERE id = 1 " + thisMarker // changes nothing, and leaves nothing in a binary log
)

// TestR09ReplicasAreNotReadBeforeTheyAreMeasured starts with replicas that do not
// apply.
func TestR09ReplicasAreNotReadBeforeTheyAreMeasured(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		createCaseTables(t, c)
		defer harness.StopApplying(t, c.Replicas...)()
		logs := harness.OpenLogs(t, c)
		cfg := harness.ProxyConfig(c)
		program := suite.Program(t, true)
		for _, address := range []*string{&cfg.Listen, &cfg.Console, &cfg.HTTP} {
			port, err := localserver.ReservePort()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(port.Release)
			*address = port.Addr()
		}
		p, err := localproxy.Start(t.Context(), program, cfg) // returns as soon as a query is answered
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}()
		client := plain(t, p.Addr(), login{})
		harness.Consistently(t, 1500*time.Millisecond, func(context.Context) error {
			_, err := client.ask(readHere)
			return err
		})
		if where := logs.Where(thisMarker); where[0] == 0 || where[1]+where[2] > 0 {
			t.Errorf("reads per server: %v, want them all on the primary", where)
		}
	})
}

// TestR10R14R15ReplicasThatDoNotKeepUpLoseTheirReaders stops replication in both
// ways under sessions that read from both replicas.
func TestR10R14R15ReplicasThatDoNotKeepUpLoseTheirReaders(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		createCaseTables(t, c)
		p := suite.StartProxy(t, harness.ProxyConfig(c))
		logs := harness.OpenLogs(t, c)
		client := plain(t, p.Addr(), login{})
		if err := client.prepare("p", "SELECT CAST(v AS CHAR) FROM a WHERE id = 1 "+thisMarker); err != nil {
			t.Fatal(err)
		}
		read := func() error {
			for range 12 { // more than the sum of the weights
				if _, err := client.ask(readHere); err != nil {
					return err
				}
				if _, err := client.execute("p", 0); err != nil {
					return err
				}
			}
			return nil
		}
		await := func(t *testing.T, what string, ok func(where []int) bool) {
			t.Helper()
			eventually(t, 10*time.Second, what, func() (bool, error) {
				logs.Reset()
				err := read()
				return ok(logs.Where(thisMarker)), err
			})
		}
		await(t, "reads are not on both replicas", func(w []int) bool { return w[0] == 0 && w[1] > 0 && w[2] > 0 })
		first := harness.StopApplying(t, c.Replicas[0])
		defer first()
		await(t, "R10: the replica whose SQL thread has stopped is read", func(w []int) bool { return w[1] == 0 && w[2] > 0 })
		stop, start := "STOP SLAVE", "START SLAVE"
		if c.Primary.Flavour() == localserver.MySQL {
			stop, start = "STOP REPLICA", "START REPLICA"
		}
		if err := c.Replicas[1].Exec(t.Context(), stop+" IO_THREAD"); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := c.Replicas[1].Exec(context.Background(), start+" IO_THREAD"); err != nil {
				t.Error(err)
			}
			harness.AwaitReplication(t, c.Replicas[1])
		}()
		await(t, "R14: the replica whose IO thread has stopped is read", func(w []int) bool { return w[0] > 0 && w[1]+w[2] == 0 })
		first()
		await(t, "R15: the replica that is back is not read", func(w []int) bool { return w[0] == 0 && w[1] > 0 && w[2] == 0 })
	})
}

// twoWritable is a proxy with two servers configured to take writes.
func twoWritable(c *localserver.Cluster) localproxy.Config {
	cfg := harness.ProxyConfig(c)
	cfg.Backends[1].Role, cfg.Backends[1].Weight = "rw", 0
	cfg.Backends = cfg.Backends[:2]
	return cfg
}

// setReadOnly switches a server.
func setReadOnly(ctx context.Context, s *localserver.Server, on bool) error {
	value := map[bool]string{false: "0", true: "1"}[on]
	if s.Flavour() == localserver.MySQL && !on {
		return s.Exec(ctx, "SET GLOBAL super_read_only = 0", "SET GLOBAL read_only = 0")
	}
	return s.Exec(ctx, "SET GLOBAL read_only = "+value)
}

// restoreRoles makes primary and replicas what the suite takes them for.
func restoreRoles(t *testing.T, c *localserver.Cluster) {
	ctx := context.Background()
	for i, s := range c.Servers() {
		if err := setReadOnly(ctx, s, i > 0); err != nil {
			t.Error(err)
		}
		if i > 0 && s.Flavour() == localserver.MySQL {
			if err := s.Exec(ctx, "SET GLOBAL super_read_only = 1"); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestR11WritesStayOnOneOfTwoWritableServers: both accept writes, before, while and
// after the one in use is away.
func TestR11WritesStayOnOneOfTwoWritableServers(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		createCaseTables(t, c)
		for name, swap := range map[string]bool{"the primary first": false, "its writable replica first": true} {
			t.Run(name, func(t *testing.T) { writesStay(t, c, swap) })
		}
	})
}

func writesStay(t *testing.T, c *localserver.Cluster, swap bool) {
	defer restoreRoles(t, c)
	if err := setReadOnly(t.Context(), c.Replicas[0], false); err != nil {
		t.Fatal(err)
	}
	cfg := twoWritable(c)
	if swap {
		cfg.Backends[0], cfg.Backends[1] = cfg.Backends[1], cfg.Backends[0]
	}
	p := suite.StartProxy(t, cfg)
	logs := harness.OpenLogs(t, c)
	client := plain(t, p.Addr(), login{})
	write := func() error { _, err := client.ask(writeHere); return err }
	for range 20 {
		if err := write(); err != nil {
			t.Fatal(err)
		}
	}
	where := logs.Where(thisMarker)
	if where[0] > 0 && where[1] > 0 {
		t.Fatalf("writes went to both: %v", where)
	}
	inUse, other := c.Primary, c.Replicas[0]
	if where[1] > 0 {
		inUse, other = other, inUse
	}
	if err := inUse.Pause(); err != nil {
		t.Fatal(err)
	}
	resumed := false
	resume := func() {
		if !resumed {
			resumed = true
			if err := inUse.Resume(); err != nil {
				t.Error(err)
			}
		}
	}
	defer resume()
	eventually(t, 15*time.Second, "the other server is not written to", func() (bool, error) {
		next, err := dialPlain(p.Addr(), login{})
		if err != nil {
			return false, nil
		}
		client = next
		return write() == nil, nil
	})
	resume()
	harness.AwaitState(t, p, inUse.Addr(), "up", 15*time.Second)
	logs.Reset()
	harness.Consistently(t, 700*time.Millisecond, func(context.Context) error { return write() })
	for _, s := range logs.Statements(thisMarker) {
		if s.Server != other {
			t.Fatalf("a write went to %s after %s had taken over", s.Server, other)
		}
	}
}

// TestR12R13SessionsOfADemotedPrimary: sessions in every condition find out about
// the demotion by one error at most, and none writes to the old primary again.
func TestR12R13SessionsOfADemotedPrimary(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		createCaseTables(t, c)
		defer restoreRoles(t, c)
		p := suite.StartProxy(t, twoWritable(c))
		logs := harness.OpenLogs(t, c)
		sessions := map[string][]string{
			"idle":                   {"UPDATE a SET v = v WHERE id = 2"},
			"pooled":                 nil,
			"in a transaction":       {"BEGIN", "UPDATE a SET v = 11 WHERE id = 1"},
			"with a user variable":   {"SET @x = 1"},
			"with a temporary table": {"CREATE TEMPORARY TABLE x (v INT)"},
			"with a lock":            {"SELECT GET_LOCK('r13', 0)"},
			"without autocommit":     {"SET autocommit = 0", "SELECT v FROM a WHERE id = 3"},
		}
		clients := map[string]*plainClient{}
		for name, before := range sessions {
			clients[name] = plain(t, p.Addr(), login{})
			for _, sql := range before {
				if _, err := clients[name].ask(sql); err != nil {
					t.Fatalf("%s: %s: %v", name, sql, err)
				}
			}
		}
		if err := setReadOnly(t.Context(), c.Primary, true); err != nil {
			t.Fatal(err)
		}
		// Nobody has told the proxy: the first write is what finds out.
		first := plain(t, p.Addr(), login{})
		if _, err := first.ask("UPDATE a SET v = v WHERE id = 2 /* finds out */"); err == nil {
			t.Error("a write to a read_only server has succeeded")
		}
		if err := setReadOnly(t.Context(), c.Replicas[0], false); err != nil {
			t.Fatal(err)
		}
		eventually(t, 10*time.Second, "nobody takes writes", func() (bool, error) {
			client, err := dialPlain(p.Addr(), login{})
			if err != nil {
				return false, nil
			}
			defer client.nc.Close()
			_, err = client.ask(writeHere)
			return err == nil, nil
		})
		logs.Reset()
		for name, client := range clients {
			failures := 0
			for range 3 {
				if _, err := client.ask(writeHere); err != nil {
					if failures++; failures == 1 && strings.Contains(err.Error(), "EOF") {
						break // closed; an application connects anew
					}
					continue
				}
				break
			}
			if failures > 1 && !closed(client) {
				t.Errorf("a session %s has failed %d times and is still there", name, failures)
			}
		}
		for _, s := range logs.Statements(thisMarker) {
			if s.Server == c.Primary {
				t.Errorf("the old primary ran %q", s.Argument)
			}
		}
		if v, err := c.Primary.Value(t.Context(), "SELECT v FROM app.a WHERE id = 1"); err != nil || v != "10" {
			t.Errorf("the transaction that was open has left %s, %v", v, err)
		}
	})
}

// closed reports whether the proxy has closed the connection.
func closed(c *plainClient) bool {
	_, err := c.ask("SELECT 1")
	return err != nil && errno(err) == 0
}

// TestR17AnotherServerBehindTheSameAddress: connections of the server before are not
// used any more, and what it had applied says nothing about the new one.
func TestR17AnotherServerBehindTheSameAddress(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		createWritesTable(t, c)
		move := harness.StartSwitch(t, c.Replicas[0].Addr())
		cfg := laggingConfig(c, "global")
		cfg.Backends[1].Address = move.Addr()
		cfg.Backends = cfg.Backends[:2]
		p := suite.StartProxy(t, cfg)
		client := plain(t, p.Addr(), login{})
		behind := harness.StopApplying(t, c.Replicas[1])
		defer behind()
		if _, err := client.ask("INSERT INTO w VALUES (1)"); err != nil {
			t.Fatal(err)
		}
		eventually(t, 10*time.Second, "the replica does not serve", func() (bool, error) {
			got, err := client.ask("SELECT COUNT(*) FROM w /* has it */")
			if err == nil && got != "1" {
				err = fmt.Errorf("read %s, want 1", got)
			}
			id, err2 := client.ask("/*slave*/ SELECT @@server_id")
			return id == "2", firstError(err, err2)
		})
		move.To(c.Replicas[1].Addr()) // which lacks the row
		stale := 0
		eventually(t, 10*time.Second, "the new server is not used", func() (bool, error) {
			for range 20 {
				got, err := client.ask("SELECT COUNT(*) FROM w")
				if err == nil && got != "1" {
					stale++
				}
				if err != nil || got != "1" {
					return false, err
				}
			}
			id, err := client.ask("/*slave*/ /*consistency=off*/ SELECT @@server_id")
			return id == "3", err
		})
		harness.Consistently(t, time.Second, func(context.Context) error {
			got, err := client.ask("SELECT COUNT(*) FROM w")
			if err == nil && got != "1" {
				err = fmt.Errorf("read %s, want 1", got)
			}
			return err
		})
		if stale > 0 {
			t.Errorf("%d stale reads before the monitor had noticed", stale)
		}
	})
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
