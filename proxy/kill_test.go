package proxy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/wiretest"
)

const waiting = "SELECT wait FROM t"

// block makes a fake's statement run until it is killed.
func block(c *fakeConn) error {
	select {
	case <-c.killed:
		return c.fail(wire.CodeQueryInterrupted, "Query execution was interrupted")
	case <-time.After(testTimeout):
		return errHangup
	}
}

// busy waits until the only session of a user runs a statement on a server.
func (r *rig) busy(user string) {
	r.t.Helper()
	eventually(r.t, user+" runs a statement", func() bool {
		for _, i := range r.Sessions() {
			if i.User == user && i.Server != "" {
				return len(r.primary.received(waiting))+len(r.replicas[0].received(waiting)) > 0
			}
		}
		return false
	})
}

func TestKill(t *testing.T) {
	start := func(t *testing.T) (*rig, *client, uint32) {
		r := newRig(t)
		r.replicas[0].onQuery(waiting, block)
		c := r.connect()
		return r, c, c.Greeting.ConnectionID
	}
	run := func(c *client) {
		c.t.Helper()
		if err := c.Command(wire.ComQuery, waiting); err != nil {
			c.t.Fatal(err)
		}
	}
	t.Run("QUERY ends the statement and leaves the session", func(t *testing.T) {
		r, c, id := start(t)
		killer := r.connect()
		run(c)
		r.busy("app")
		killer.exec(fmt.Sprintf("KILL QUERY %d", id))
		_, err := c.packet()
		wantErr(t, err, wire.CodeQueryInterrupted)
		if got := c.value(who); got != "A" {
			t.Errorf("read went to %s", got)
		}
		if n := len(r.replicas[0].received(waiting)); n != 1 {
			t.Errorf("the statement was run %d times", n)
		}
	})
	for name, kill := range map[string]func(*client, uint32){
		"KILL":             func(c *client, id uint32) { c.exec(fmt.Sprintf("KILL %d", id)) },
		"KILL CONNECTION":  func(c *client, id uint32) { c.exec(fmt.Sprintf("kill connection %d", id)) },
		"COM_PROCESS_KILL": func(c *client, id uint32) { c.ok(wire.ComProcessKill, idBytes(id)) },
	} {
		t.Run(name+" ends statement and session", func(t *testing.T) {
			r, c, id := start(t)
			killer := r.connect()
			run(c)
			r.busy("app")
			kill(killer, id)
			c.closed() // without a word, as servers do
			eventually(t, "the server was told", func() bool { return len(r.replicas[0].received("KILL QUERY")) == 1 })
		})
		t.Run(name+" ends an idle session", func(t *testing.T) {
			r, c, id := start(t)
			kill(r.connect(), id)
			c.closed()
		})
	}
	t.Run("an unknown id, another user's, and one's own", func(t *testing.T) {
		r, c, id := start(t)
		other := r.login(wiretest.Credentials{User: "other"})
		wantAll(t, c.fails(wire.CodeNoSuchThread, "KILL 123456"), "123456")
		c.fails(wire.CodeNoSuchThread, "KILL 18446744073709551615")
		for _, sql := range []string{"KILL 'x'", "KILL -1", "KILL 5 + 1", "KILL QUERY @id", "KILL USER app", "KILL QUERY ID 5"} {
			wantAll(t, c.fails(wire.CodeNoSuchThread, sql), "as a number")
		}
		c.fails(wire.CodeKillDenied, fmt.Sprintf("KILL QUERY %d", other.Greeting.ConnectionID))
		c.errs(wire.CodeKillDenied, wire.ComProcessKill, idBytes(other.Greeting.ConnectionID))
		c.fails(wire.CodeQueryInterrupted, fmt.Sprintf("KILL QUERY %d", id))
		c.fails(wire.CodeQueryInterrupted, "/* me */ kill soft QUERY connection_id( ) -- end")
		_, err := c.tryExecute(c.prepare(fmt.Sprintf("KILL QUERY %d", id)), false)
		wantErr(t, err, wire.CodeQueryInterrupted)
		c.ok(wire.ComPing, "")
		c.fails(wire.CodeQueryInterrupted, fmt.Sprintf("KILL %d", id))
		c.closed()
		other.ok(wire.ComPing, "")
	})
	t.Run("never reaches a server with the client's id", func(t *testing.T) {
		r, c, id := start(t)
		c.fails(wire.CodeUnknown, fmt.Sprintf("SELECT 1 FROM t; KILL %d", id))
		for _, f := range []*fake{r.primary, r.replicas[0]} {
			if n := len(f.received("KILL")); n != 0 {
				t.Errorf("%s got it", f.name)
			}
		}
	})
	t.Run("from the console", func(t *testing.T) {
		r, c, id := start(t)
		run(c)
		r.busy("app")
		if err := r.Kill(id, true); err != nil {
			t.Fatal(err)
		}
		_, err := c.packet()
		wantErr(t, err, wire.CodeQueryInterrupted)
		if err := r.Kill(id, false); err != nil {
			t.Fatal(err)
		}
		c.closed()
		eventually(t, "the session is gone", func() bool { return errors.Is(r.Kill(id, false), ErrUnknownSession) })
	})
	t.Run("a client that goes kills its statement", func(t *testing.T) {
		r, c, _ := start(t)
		run(c)
		r.busy("app")
		_ = c.nc.Close()
		eventually(t, "the server was told", func() bool { return len(r.replicas[0].received("KILL QUERY")) == 1 })
		eventually(t, "the session is gone", func() bool { return r.Counts().Clients == 0 })
	})
}

// With one connection to the server, a KILL QUERY that comes late would hit
// the next client's statement.
func TestKillNeverHitsTheNextUserOfTheConnection(t *testing.T) {
	r := newRig(t, func(s *setup) { s.replica.MaxConnections, s.limits.WaitTimeout = 1, testTimeout })
	r.replicas[0].intercept(func(c *fakeConn, cmd wire.Command, arg []byte) (bool, error) {
		if cmd != wire.ComQuery || !strings.HasPrefix(string(arg), "SELECT 'of") {
			return false, nil
		}
		takes := 100 * time.Microsecond
		if strings.Contains(string(arg), "victim") {
			takes = time.Millisecond // some kills come in time, others late
		}
		select {
		case <-c.killed:
			return true, c.fail(wire.CodeQueryInterrupted, "Query execution was interrupted")
		case <-time.After(takes):
			return false, nil
		}
	})
	victim, bystander, killer := r.connect(), r.connect(), r.connect()
	const length = 1500 * time.Millisecond
	over := time.Now().Add(length)
	hits, kills, served := 0, 0, 0
	var wg sync.WaitGroup
	wg.Go(func() {
		for time.Now().Before(over) {
			_, err := victim.Query("SELECT 'of victim' FROM t")
			var e *wire.Err
			if errors.As(err, &e) && e.Code == wire.CodeQueryInterrupted {
				hits++
			} else if err != nil {
				t.Errorf("victim: %v", err)
				return
			}
		}
	})
	wg.Go(func() {
		for time.Now().Before(over) {
			if _, err := bystander.Query("SELECT 'of bystander' FROM t"); err != nil {
				t.Errorf("bystander: %v", err)
				return
			}
			served++
		}
	})
	wg.Go(func() {
		for time.Now().Before(over) {
			if _, err := killer.Query(fmt.Sprintf("KILL QUERY %d", victim.Greeting.ConnectionID)); err != nil {
				t.Errorf("killer: %v", err)
				return
			}
			kills++
		}
	})
	wg.Wait()
	t.Logf("%d kills, %d hits, %d statements of the bystander", kills, hits, served)
	if hits == 0 || served == 0 {
		t.Error("nothing was tried")
	}
}

func TestDrain(t *testing.T) {
	t.Run("idle sessions end at once and are told why", func(t *testing.T) {
		r := newRig(t)
		c := r.connect()
		c.value(who)
		if err := r.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.Seq = 0
		_, err := c.packet()
		wantErr(t, err, wire.CodeServerShutdown)
		if r.Ready() == nil {
			t.Error("ready while draining")
		}
		nc := r.dial()
		if _, err := nc.Read(make([]byte, 1)); err == nil {
			t.Error("a new client was greeted")
		}
	})
	t.Run("a transaction finishes", func(t *testing.T) {
		r := newRig(t)
		c := r.connect()
		c.exec("BEGIN")
		done := make(chan error)
		go func() { done <- r.Drain(t.Context()) }()
		eventually(t, "draining", r.isDraining)
		c.exec("INSERT INTO t VALUES (1)")
		c.exec("INSERT INTO t VALUES (2)")
		select {
		case <-done:
			t.Fatal("drained in the middle of a transaction")
		default:
		}
		c.exec("COMMIT")
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		c.Seq = 0
		_, err := c.packet()
		wantErr(t, err, wire.CodeServerShutdown)
	})
	t.Run("a statement finishes", func(t *testing.T) {
		r := newRig(t)
		release := make(chan struct{})
		r.replicas[0].onQuery(waiting, func(c *fakeConn) error {
			<-release
			return c.SendResult([]wire.ColumnDef{wire.TextColumn("a")}, [][]wire.Value{{{Text: "done"}}})
		})
		c := r.connect()
		if err := c.Command(wire.ComQuery, waiting); err != nil {
			t.Fatal(err)
		}
		r.busy("app")
		done := make(chan error)
		go func() { done <- r.Drain(t.Context()) }()
		eventually(t, "draining", r.isDraining)
		close(release)
		if row, err := c.next(); err != nil || row[0] != "done" {
			t.Errorf("%q, %v", row, err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
	t.Run("a reset ends the transaction it waits for", func(t *testing.T) {
		r := newRig(t)
		c := r.connect()
		c.exec("BEGIN")
		c.ok(wire.ComResetConnection, "")
		if err := r.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestADrainThatTakesTooLongEndsEverything(t *testing.T) {
	r := newRig(t)
	r.replicas[0].onQuery(waiting, func(c *fakeConn) error {
		_, err := c.Read() // until the proxy closes
		return err
	})
	trx, running := r.connect(), r.connect()
	trx.exec("BEGIN")
	if err := running.Command(wire.ComQuery, waiting); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it runs", func() bool { return len(r.replicas[0].received(waiting)) > 0 })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err := r.Drain(ctx)
	if err == nil || !strings.Contains(err.Error(), "2 sessions") {
		t.Errorf("got %v", err)
	}
	if n := r.Counts().Clients; n != 0 {
		t.Errorf("%d clients left", n)
	}
}

func TestTheClientsOwnWaitTimeoutEndsItsConnection(t *testing.T) {
	r := newRig(t)
	c, other := r.connect(), r.connect()
	c.exec("SET wait_timeout=1")
	other.exec("SET wait_timeout=1")
	other.ok(wire.ComResetConnection, "")
	c.Seq = 0
	_, err := c.packet()
	wantErr(t, err, wire.CodeClientInteraction)
	other.exec("SET time_zone='SYSTEM'")
}

func TestIdleClientsAreDisconnectedAndTold(t *testing.T) {
	r := newRig(t, func(s *setup) { s.config.WaitTimeout = 10 * time.Millisecond })
	r.replicas[0].onQuery(waiting, block)
	idle, busy := r.connect(), r.connect()
	if err := busy.Command(wire.ComQuery, waiting); err != nil {
		t.Fatal(err)
	}
	idle.Seq = 0
	_, err := idle.packet()
	wantErr(t, err, wire.CodeClientInteraction)
	idle.closed1()
	eventually(t, "the busy one is left", func() bool { return r.Counts().Clients == 1 })
	if err := r.Kill(busy.Greeting.ConnectionID, true); err != nil {
		t.Fatal(err)
	}
	_, err = busy.packet()
	wantErr(t, err, wire.CodeQueryInterrupted)
}

// closed1 checks for the end of the connection behind another packet.
func (c *client) closed1() {
	c.t.Helper()
	if b, err := c.Read(); err == nil || !wiretest.IsClosed(err) {
		c.t.Fatalf("got %q, %v, want the end of the connection", b, err)
	}
}

func TestALimitOfServerConnectionsIsNamed(t *testing.T) {
	r := newRig(t, func(s *setup) { s.primary.MaxConnections, s.limits.WaitTimeout = 1, 20*time.Millisecond })
	a, b := r.connect(), r.connect()
	a.exec("BEGIN")
	wantAll(t, b.fails(wire.CodeConCount, "INSERT INTO t VALUES (1)"), r.primary.Addr(), "max_connections")
	a.exec("COMMIT")
	b.exec("INSERT INTO t VALUES (1)")
}

func TestAStatementOfOneClientMayTakeParkedConnectionsOfOthers(t *testing.T) {
	r := newRig(t, func(s *setup) { s.primary.MaxConnections, s.replica.MaxConnections = 1, 1 })
	clients := []*client{r.connect(), r.connect(), r.connect()}
	for i := range 30 {
		c := clients[i%3]
		nonce := fmt.Sprint("n", i)
		c.exec("UPDATE t SET a=1")
		if got := c.value("SELECT '" + nonce + "' FROM t"); got != nonce {
			t.Fatalf("got %q, want %q", got, nonce)
		}
	}
}

func TestKillEndsASessionWhoseClientDoesNotRead(t *testing.T) {
	for name, end := range map[string]func(*rig, *client){
		"by KILL": func(r *rig, c *client) { r.connect().exec(fmt.Sprintf("KILL %d", c.Greeting.ConnectionID)) },
		"by KILL when the server takes no further connection": func(r *rig, c *client) {
			r.replicas[0].intercept(hangupOn("session_track"))
			r.connect().exec(fmt.Sprintf("KILL %d", c.Greeting.ConnectionID))
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			row := wire.AppendLenencString(nil, strings.Repeat("x", 60_000))
			r.replicas[0].onQuery(waiting, func(c *fakeConn) error {
				def := wire.TextColumn("a")
				if err := c.Send([]byte{1}, def.Append(nil, c.Capabilities)); err != nil {
					return err
				}
				for {
					if err := c.Send(row); err != nil {
						return err
					}
				}
			})
			c := r.connect()
			if err := c.Command(wire.ComQuery, waiting); err != nil {
				t.Fatal(err)
			}
			if _, err := c.packet(); err != nil {
				t.Fatal(err)
			}
			end(r, c)
			eventually(t, "only the killer is left", func() bool { return r.Counts().Clients == 1 })
		})
	}
}
