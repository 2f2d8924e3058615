//go:build integration

package integration

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localserver"
	"github.com/telamondb/telamon/wire"
)

// The cases in which one client stops another, or itself.

// heavy is a statement that runs until it is stopped and sends no row before.
const heavy = "SELECT COUNT(*) FROM information_schema.columns a, information_schema.columns b, information_schema.columns c"

// awaitRunning waits until a server runs the statement with the marker.
func awaitRunning(t testing.TB, c *localserver.Cluster, marker string) {
	t.Helper()
	harness.Eventually(t, 20*time.Second, func(ctx context.Context) error {
		for _, s := range c.Servers() {
			n, err := s.Value(ctx, "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '%"+marker+"%' AND id <> CONNECTION_ID()")
			if err != nil || n != "0" {
				return err
			}
		}
		return fmt.Errorf("no server runs %s", marker)
	})
}

// awaitStopped waits until no server runs the statement with the marker, and
// returns how long that took.
func awaitStopped(t testing.TB, c *localserver.Cluster, marker string) time.Duration {
	t.Helper()
	begin := time.Now()
	harness.Eventually(t, 20*time.Second, func(ctx context.Context) error {
		for _, s := range c.Servers() {
			n, err := s.Value(ctx, "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '%"+marker+"%' AND id <> CONNECTION_ID()")
			if err != nil || n != "0" {
				return fmt.Errorf("%s still runs %s (%v)", s, marker, err)
			}
		}
		return nil
	})
	return time.Since(begin)
}

// interrupted reads the reply to a statement that is killed, and notes how it
// ends: whether column definitions come before the error is a matter of time.
func (c *rawClient) interrupted() {
	from := len(c.said)
	c.results()
	_, end, _ := strings.Cut(c.said[len(c.said)-1], " ERR ")
	c.said = append(c.said[:from], end)
}

func newMarker(id string) string { return fmt.Sprintf("%s-%d", id, time.Now().UnixNano()) }

func TestCasesKVictims(t *testing.T) { runRaw(t, casesKVictims) }

var casesKVictims = []rawCase{
	{id: "K06", title: "a statement that was killed is not run again", talk: func(c *rawClient) {
		marker := newMarker("k06")
		victim := c.another()
		defer victim.nc.Close()
		victim.send(wire.ComQuery, "UPDATE a SET v = v + 1 + SLEEP(20) /* "+marker+" */")
		awaitRunning(c.t, c.rig.c, marker)
		c.query(fmt.Sprintf("KILL QUERY %d", victim.id))
		victim.interrupted()
		victim.query("SELECT v FROM a ORDER BY id FOR UPDATE")
		c.said = append(c.said, victim.said...)
	}},
	{id: "K08", title: "KILL QUERY leaves the transaction open", talk: func(c *rawClient) {
		marker := newMarker("k08")
		victim := c.another()
		defer victim.nc.Close()
		victim.query("BEGIN")
		victim.query("INSERT INTO b VALUES (8)")
		victim.send(wire.ComQuery, heavy+" /* "+marker+" */")
		awaitRunning(c.t, c.rig.c, marker)
		c.query(fmt.Sprintf("KILL QUERY %d", victim.id))
		victim.interrupted()
		victim.query("SELECT COUNT(*) FROM b")
		victim.query("COMMIT")
		c.query("SELECT COUNT(*) FROM b FOR UPDATE")
		c.said = append(c.said, victim.said...)
	}},
	{id: "K08", title: "SLEEP that is killed", talk: func(c *rawClient) {
		marker := newMarker("k08")
		victim := c.another()
		defer victim.nc.Close()
		victim.send(wire.ComQuery, "SELECT SLEEP(20) /* "+marker+" */")
		awaitRunning(c.t, c.rig.c, marker)
		c.query(fmt.Sprintf("KILL QUERY %d", victim.id))
		victim.shapeOf(func() { victim.results() })
		c.said = append(c.said, victim.said...)
	}},
	{id: "K10", title: "a client that is idle for longer than it has asked for", talk: func(c *rawClient) {
		c.query("SET SESSION wait_timeout = 1")
		c.closes()
		// Libraries make different errors of the two ends.
		c.note("reset: %v", errors.Is(c.cause, syscall.ECONNRESET))
	}},
	{id: "K04", title: "KILL of another client's connection", talk: func(c *rawClient) {
		marker := newMarker("k04")
		victim := c.another()
		defer victim.nc.Close()
		victim.query("BEGIN")
		victim.query("INSERT INTO b VALUES (4)")
		victim.send(wire.ComQuery, heavy+" /* "+marker+" */")
		awaitRunning(c.t, c.rig.c, marker)
		c.query(fmt.Sprintf("KILL %d", victim.id))
		victim.closes()
		awaitStopped(c.t, c.rig.c, marker)
		c.query("SELECT COUNT(*) FROM b FOR UPDATE")
		c.said = append(c.said, victim.said...)
	}},
	{id: "K04", title: "KILL of somebody else's connection", talk: func(c *rawClient) {
		victim := dialRaw(c.t, c.nc.RemoteAddr().String(), localserver.DBAUser, c.caps, 0)
		defer victim.nc.Close()
		for _, sql := range []string{"KILL %d", "KILL QUERY %d"} {
			c.send(wire.ComQuery, fmt.Sprintf(sql, victim.id))
			e, err := wire.ParseErr(c.payload())
			if err != nil || !strings.Contains(e.Message, fmt.Sprint(victim.id)) {
				c.t.Errorf("%v, %v", e, err)
				return
			}
			c.note("%d %s", e.Code, strings.ReplaceAll(e.Message, fmt.Sprint(victim.id), "N"))
		}
		victim.query("SELECT 1")
		c.said = append(c.said, victim.said...)
	}},
	{id: "K23", title: "a statement that takes longer than it may", only: "MariaDB", talk: func(c *rawClient) {
		c.send(wire.ComQuery, "SET STATEMENT max_statement_time = 0.3 FOR "+heavy)
		c.interrupted()
		c.query("SET max_statement_time = 0.3")
		c.send(wire.ComQuery, heavy)
		c.interrupted()
		c.send(wire.ComStmtExecute, executeArg(c.prepare(heavy), nil))
		c.interrupted()
		c.query("SET max_statement_time = 0")
		c.query("SELECT 1")
	}},
	{id: "K23", title: "a statement that takes longer than it may", only: "MySQL", talk: func(c *rawClient) {
		c.send(wire.ComQuery, strings.Replace(heavy, "SELECT", "SELECT /*+ MAX_EXECUTION_TIME(300) */", 1))
		c.interrupted()
		c.query("SET max_execution_time = 300")
		c.send(wire.ComQuery, heavy)
		c.interrupted()
		c.send(wire.ComStmtExecute, executeArg(c.prepare(heavy), nil))
		c.interrupted()
		c.query("SET max_execution_time = 0")
		c.query("SELECT 1")
	}},
}

func TestK01TheIdOfAClientIsNotThatOfAServerConnection(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		rig := newRawRig(t, c)
		dial := func() *rawClient {
			return dialRaw(t, rig.p.Addr(), localserver.AppUser, rawCapabilities|wire.DeprecateEOF, 0)
		}
		// b has, at the primary, the connection whose id a client a gets from Telamon.
		b := dial()
		defer b.nc.Close()
		b.query("BEGIN")
		var server uint32
		if _, err := fmt.Sscan(ask(t, b, "SELECT CONNECTION_ID() + 0"), &server); err != nil {
			t.Fatal(err)
		}
		a := dial()
		for a.id < server {
			a.nc.Close()
			a = dial()
		}
		defer a.nc.Close()
		if a.id != server {
			t.Fatalf("the ids are %d and %d already", a.id, server)
		}
		ofA, ofB := newMarker("k01-a"), newMarker("k01-b")
		b.send(wire.ComQuery, "SELECT 'b', SLEEP(3) /* "+ofB+" */")
		a.send(wire.ComQuery, heavy+" /* "+ofA+" */")
		awaitRunning(t, c, ofA)
		awaitRunning(t, c, ofB)
		killer := dial()
		defer killer.nc.Close()
		if got := ask(t, killer, fmt.Sprintf("KILL QUERY %d", server)); got != "ok" {
			t.Fatal(got)
		}
		a.results()
		if last := a.said[len(a.said)-1]; !strings.Contains(last, "interrupted") {
			t.Errorf("the statement of a: %s", last)
		}
		b.results()
		if all := strings.Join(b.said, "\n"); strings.Contains(all, "interrupted") || !strings.Contains(all, `first row "\x01b\x010"`) {
			t.Errorf("the statement of b:\n%s", all)
		}
	})
}

func TestK02AKillThatComesLateHitsNobody(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		p := startSingle(t, c, nil)
		dial := func() *rawClient {
			return dialRaw(t, p.Addr(), localserver.AppUser, rawCapabilities|wire.DeprecateEOF, 0)
		}
		victim, bystander, killer := dial(), dial(), dial()
		over := time.Now().Add(3 * time.Second)
		var wg sync.WaitGroup
		hits, served, kills := 0, 0, 0
		wg.Go(func() {
			for time.Now().Before(over) {
				victim.said = nil
				victim.query("/*master*/ SELECT 'of the victim', SLEEP(0.001)")
				if victim.over {
					t.Errorf("the victim: %q", victim.said)
					return
				}
				if strings.Contains(strings.Join(victim.said, ""), "interrupted") {
					hits++
				}
			}
		})
		wg.Go(func() {
			for time.Now().Before(over) {
				if got := ask(t, bystander, "/*master*/ SELECT 'of the bystander', SLEEP(0.001)"); got != "of the bystander" {
					t.Errorf("the bystander got %q", got)
					return
				}
				served++
			}
		})
		wg.Go(func() {
			for time.Now().Before(over) {
				if got := ask(t, killer, fmt.Sprintf("KILL QUERY %d", victim.id)); got != "ok" {
					t.Errorf("the killer got %q", got)
					return
				}
				kills++
			}
		})
		wg.Wait()
		t.Logf("%d kills, %d hits, %d statements of the bystander", kills, hits, served)
		if kills == 0 || served == 0 {
			t.Error("nothing was tried")
		}
	})
}

func TestK09AClientThatDiesFreesItsLocks(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		rig := newRawRig(t, c)
		resetCaseTables(t, c)
		for name, leave := range map[string]func(*rawClient){
			"by a reset":   (*rawClient).crash,
			"by a hang-up": func(cl *rawClient) { _ = cl.nc.Close() },
		} {
			t.Run(name, func(t *testing.T) {
				marker := newMarker("k09")
				cl := dialRaw(t, rig.p.Addr(), localserver.AppUser, rawCapabilities|wire.DeprecateEOF, 0)
				cl.query("BEGIN")
				cl.query("UPDATE a SET v = v + 1 WHERE id = 1")
				cl.send(wire.ComQuery, "UPDATE a SET v = v + SLEEP(60) WHERE id = 2 /* "+marker+" */")
				awaitRunning(t, c, marker)
				leave(cl)
				took := awaitStopped(t, c, marker)
				t.Logf("stopped after %v", took)
				next := dialRaw(t, rig.p.Addr(), localserver.AppUser, rawCapabilities|wire.DeprecateEOF, 0)
				defer next.nc.Close()
				if got := ask(t, next, "SELECT v FROM a WHERE id = 1 FOR UPDATE"); got != "10" {
					t.Errorf("the row has %s", got)
				}
			})
		}
	})
}
