//go:build integration

package integration

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localproxy"
	"github.com/telamondb/telamon/internal/localserver"
	"github.com/telamondb/telamon/wire"
)

// tale is a case of several clients: each act is done by one of them, who logs in
// when first named.
type tale struct {
	name string
	only string // flavour
	wide bool   // through the proxy without limits instead of the one with single connections
	// open says why the case fails at present. It is reported as skipped then,
	// and as failed once it passes.
	open    string
	clients map[string]login
	acts    []act
}

// act is one step of a tale.
type act struct {
	who string
	// do is SQL, or one of: !quit, !vanish, !reset, !ping, !user NAME [SCHEMA],
	// !multi on|off, !init SCHEMA, !prepare NAME SQL, !execute NAME, !cursor NAME,
	// !kill, by which root ends all of the account's connections to the servers,
	// and !root SQL on the primary.
	do   string
	on   string // as in a step
	conn string // the same name is the same server connection, with a "!" another one
	want string // rendered; "" is not looked at
	// errno is the error expected; lost that the connection ends, with or
	// without an error before.
	errno uint16
	lost  bool
	// again says that the statement may be the one that finds its connection
	// closed (1158); it is then repeated once.
	again bool
	// patient says that it may take a while until all is as it should be.
	patient bool
}

// stage is where tales are played.
type stage struct {
	cluster      *localserver.Cluster
	narrow, wide *localproxy.Proxy
	logs         *harness.Logs
}

// place is a server connection.
type place struct {
	server uint32
	thread uint64
}

// play runs tales one after the other.
func (s *stage) play(t *testing.T, tales []tale) {
	for _, ta := range tales {
		t.Run(ta.name, func(t *testing.T) {
			if ta.only != "" && ta.only != s.cluster.Primary.Flavour().String() {
				return // does not exist there
			}
			err := s.tell(t, &ta)
			if err != nil {
				createCaseTables(t, s.cluster) // who knows what they are like
			}
			switch {
			case ta.open != "" && err != nil:
				t.Skipf("open: %s\n%v", ta.open, err)
			case ta.open != "":
				t.Error("passes now: it is not open any more")
			case err != nil:
				t.Error(err)
			}
		})
	}
}

// tell plays a tale up to the first act that goes wrong.
func (s *stage) tell(t *testing.T, ta *tale) error {
	p := s.narrow
	if ta.wide {
		p = s.wide
	}
	clients, places := map[string]*plainClient{}, map[string]place{}
	defer func() {
		for _, c := range clients {
			c.nc.Close()
		}
	}()
	for i, a := range ta.acts {
		if err := s.caughtUp(t.Context()); err != nil {
			t.Fatalf("before act %d: %v", i, err)
		}
		c := clients[a.who]
		if c == nil && a.who != "" {
			var err error
			if c, err = dialPlain(p.Addr(), ta.clients[a.who]); err != nil {
				return fmt.Errorf("%d: %s logs in: %w", i, a.who, err)
			}
			clients[a.who] = c
		}
		marker := ""
		if a.on != wherever || a.conn != "" {
			marker = " " + thisMarker
			s.logs.Reset()
		}
		got, err := s.do(t.Context(), c, a.do, marker)
		if a.again && errno(err) == 1158 {
			got, err = s.do(t.Context(), c, a.do, marker)
		}
		for end := time.Now().Add(5 * time.Second); a.patient && a.judge(got, err) != nil && time.Now().Before(end); {
			got, err = s.do(t.Context(), c, a.do, marker)
		}
		if a.do == "!quit" || a.do == "!vanish" {
			delete(clients, a.who)
		}
		if err := a.judge(got, err); err != nil {
			return fmt.Errorf("%d: %s: %s: %w", i, a.who, a.do, err)
		}
		if marker != "" {
			if err := s.look(&a, places); err != nil {
				return fmt.Errorf("%d: %s: %s: %w", i, a.who, a.do, err)
			}
		}
	}
	return nil
}

// caughtUp waits for the replicas, but not for one that is broken.
func (s *stage) caughtUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return s.cluster.WaitCaughtUp(ctx)
}

// judge compares what came of an act with what should have.
func (a *act) judge(got string, err error) error {
	switch {
	case a.lost:
		if err == nil {
			return fmt.Errorf("got %q, want the connection to end", got)
		}
		return nil
	case a.errno != 0:
		if errno(err) != a.errno {
			return fmt.Errorf("got %q, %v, want error %d", got, err, a.errno)
		}
		return nil
	case err != nil:
		return err
	case a.want != "" && got != a.want:
		return fmt.Errorf("got %q, want %q", got, a.want)
	}
	return nil
}

func (s *stage) do(ctx context.Context, c *plainClient, what, marker string) (string, error) {
	verb, rest, _ := strings.Cut(what, " ")
	first, second, _ := strings.Cut(rest, " ")
	switch verb {
	case "!quit":
		return "", c.quit()
	case "!vanish":
		return "", c.vanish()
	case "!reset":
		return "", c.command(wire.ComResetConnection, "")
	case "!ping":
		return "", c.command(wire.ComPing, "")
	case "!init":
		return "", c.command(wire.ComInitDB, rest)
	case "!user":
		return "", c.changeUser(first, second)
	case "!multi":
		return "", c.setMulti(first == "on")
	case "!prepare":
		return "", c.prepare(first, second+marker)
	case "!execute":
		return c.execute(first, 0)
	case "!cursor":
		return c.execute(first, cursorReadOnly)
	case "!kill":
		return "", killSessions(ctx, s.cluster)
	case "!root":
		return "", s.cluster.Primary.Exec(ctx, rest)
	}
	return c.ask(what + marker)
}

// look finds out where the act's statement ran.
func (s *stage) look(a *act, places map[string]place) error {
	seen := s.logs.Statements(thisMarker)
	primary, replicas := 0, 0
	var at place
	for _, e := range seen {
		if at = (place{e.Server.ServerID(), e.Thread}); e.Server == s.cluster.Primary {
			primary++
		} else {
			replicas++
		}
	}
	want := map[string][2]int{onPrimary: {1, 0}, onReplica: {0, 1}, onNobody: {0, 0}, wherever: {primary, replicas}}[a.on]
	if got := [2]int{primary, replicas}; got != want {
		return fmt.Errorf("ran %d times on the primary and %d times on replicas, want it on the %s once", primary, replicas, a.on)
	}
	if a.conn == "" {
		return nil
	}
	if len(seen) != 1 {
		return fmt.Errorf("ran %d times", len(seen))
	}
	name, other := strings.CutPrefix(a.conn, "!")
	before, known := places[name]
	switch {
	case !known && !other:
		places[name] = at
	case !known:
		return fmt.Errorf("no connection is called %s", name)
	case other == (before == at):
		return fmt.Errorf("ran on connection %d of server %d; %s is %d of server %d", at.thread, at.server, a.conn, before.thread, before.server)
	}
	return nil
}

// killSessions ends all connections of the applications' accounts to the servers,
// as a wait_timeout or an administrator would.
func killSessions(ctx context.Context, c *localserver.Cluster) error {
	for _, s := range c.Servers() {
		rows, err := s.Query(ctx, "SHOW PROCESSLIST")
		if err != nil {
			return err
		}
		for _, row := range rows {
			if row["User"] != localserver.AppUser && row["User"] != localserver.DBAUser {
				continue
			}
			if err := s.Exec(ctx, "KILL "+row["Id"]); err != nil && !strings.Contains(err.Error(), "Unknown thread") {
				return err
			}
		}
	}
	return nil
}

// narrowConfig is a proxy with one connection per server: whatever a client
// leaves behind, the next one gets.
func narrowConfig(c *localserver.Cluster) localproxy.Config {
	cfg := harness.ProxyConfig(c)
	for i := range cfg.Backends {
		cfg.Backends[i].MaxConnections = 1
	}
	cfg.Settings["pool"] = `wait_timeout = "500ms"`
	return cfg
}

// eachStage runs f with the tables of the cases, both proxies and general logs.
func eachStage(t *testing.T, f func(t *testing.T, s *stage)) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		createCaseTables(t, c)
		s := &stage{cluster: c, narrow: suite.StartProxy(t, narrowConfig(c)), wide: suite.StartProxy(t, harness.ProxyConfig(c))}
		s.logs = harness.OpenLogs(t, c)
		f(t, s)
	})
}

// createCaseTables makes what MINEFIELD's rig has, in two schemas that are the
// application's and in one that is not. All of it is made anew.
func createCaseTables(t *testing.T, c *localserver.Cluster) {
	t.Helper()
	statements := []string{
		"DROP DATABASE IF EXISTS app_two", "DROP DATABASE IF EXISTS sec", "DROP ROLE IF EXISTS case_role",
		"CREATE DATABASE app_two", "CREATE DATABASE sec",
		"CREATE TABLE sec.x (v INT)", "INSERT INTO sec.x VALUES (1)",
		"CREATE ROLE case_role", "GRANT SELECT ON sec.* TO case_role", "GRANT case_role TO app@'%'",
		"USE app",
		"DROP TABLE IF EXISTS a, b, t, pets, renamed, x, y",
		"DROP FUNCTION IF EXISTS f1", "DROP FUNCTION IF EXISTS setzone", "DROP PROCEDURE IF EXISTS p1",
		"CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, v INT)", "INSERT INTO a VALUES (1, 10), (2, 20), (3, 30)",
		"CREATE TABLE b (id INT)",
		"CREATE TABLE t (s VARCHAR(20) CHARACTER SET utf8mb4)",
		"CREATE TABLE app_two.a (id INT PRIMARY KEY, v INT)", "INSERT INTO app_two.a VALUES (1, 1000)",
		"CREATE FUNCTION f1() RETURNS INT MODIFIES SQL DATA BEGIN INSERT INTO app.b VALUES (1); RETURN 1; END",
		"CREATE FUNCTION setzone() RETURNS INT BEGIN SET time_zone = '+09:00'; RETURN 1; END",
		"CREATE PROCEDURE p1(OUT o INT) BEGIN SELECT 1; SELECT 2; INSERT INTO app.b VALUES (2); SET o = 3; END",
	}
	harness.Exec(t, c, statements...)
}

// eventually is Eventually with a plain condition.
func eventually(t testing.TB, within time.Duration, what string, f func() (bool, error)) {
	t.Helper()
	harness.Eventually(t, within, func(context.Context) error {
		ok, err := f()
		if err == nil && !ok {
			err = errors.New(what)
		}
		return err
	})
}
