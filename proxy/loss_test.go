package proxy

import (
	"bytes"
	"testing"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/router"
	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/wiretest"
)

// hangupOn closes the connection on a statement that contains part.
func hangupOn(part string) func(*fakeConn, wire.Command, []byte) (bool, error) {
	return func(_ *fakeConn, _ wire.Command, arg []byte) (bool, error) {
		if bytes.Contains(arg, []byte(part)) {
			return true, errHangup
		}
		return false, nil
	}
}

func TestAReadLostBeforeItsFirstByteIsRepeatedElsewhere(t *testing.T) {
	r := newRig(t, func(s *setup) { s.replicas = 2 })
	c := r.connect()
	r.replicas[0].intercept(hangupOn("precious"))
	for range 6 {
		if got := c.value("SELECT server FROM precious"); got != "B" {
			t.Fatalf("answered by %s", got)
		}
	}
	if n := r.Counts().Retries; n == 0 {
		t.Error("no retry counted")
	}
	if len(r.reports()) == 0 {
		t.Error("the monitor was not told")
	}
}

func TestAReadLostOnTheOnlyReplicaGoesToThePrimary(t *testing.T) {
	r := newRig(t)
	c := r.connect()
	r.replicas[0].intercept(hangupOn("precious"))
	if got := c.value("SELECT server FROM precious"); got != "P" {
		t.Errorf("answered by %s", got)
	}
}

func TestAReadLostAfterItsFirstByteIsNeverRepeated(t *testing.T) {
	for name, send := range map[string]func(c *fakeConn) error{
		"after the column count": func(c *fakeConn) error { return c.Send([]byte{1}) },
		"after a row": func(c *fakeConn) error {
			def := wire.TextColumn("a")
			return c.Send([]byte{1}, def.Append(nil, c.Capabilities), []byte{1, 'x'})
		},
		"in the middle of a row": func(c *fakeConn) error {
			def := wire.TextColumn("a")
			if err := c.Send([]byte{1}, def.Append(nil, c.Capabilities)); err != nil {
				return err
			}
			_, err := c.Write([]byte{100, 0, 0, 3, 99, 'x'})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(s *setup) { s.replicas = 2 })
			c := r.connect()
			die := func(c *fakeConn) error {
				if err := send(c); err != nil {
					return err
				}
				return errHangup
			}
			for _, f := range r.replicas {
				f.onQuery("SELECT a FROM precious", die)
			}
			_, err := c.Query("SELECT a FROM precious")
			if err == nil {
				t.Fatal("a broken result passed for a whole one")
			}
			if !wiretest.IsClosed(err) {
				wantErr(t, err, 1158)
				if got := c.value("SELECT 'again' FROM t"); got != "again" {
					t.Errorf("got %q", got)
				}
			}
			total := 0
			for _, f := range append(r.replicas, r.primary) {
				total += len(f.received("precious"))
			}
			if total != 1 {
				t.Errorf("sent %d times", total)
			}
		})
	}
}

func TestAWriteLostInFlightIsNeverSentTwiceAndTheSessionGoesOn(t *testing.T) {
	r := newRig(t)
	c := r.connect()
	c.exec("SET time_zone='+02:00'")
	r.primary.intercept(hangupOn("UPDATE"))
	msg := c.fails(1158, "UPDATE t SET v=v+1")
	wantAll(t, msg, r.primary.Addr(), "unknown")
	if n := len(r.primary.received("UPDATE")); n != 1 {
		t.Fatalf("sent %d times", n)
	}
	r.primary.intercept(nil)
	c.exec("INSERT INTO t VALUES (2)")
	if got := c.value("SELECT @@time_zone"); got != "+02:00" {
		t.Errorf("time_zone is %q on the new connection", got)
	}
}

func TestATransactionLostEndsTheSession(t *testing.T) {
	for name, last := range map[string]string{
		"at a write": "INSERT INTO t VALUES (2)",
		"at a read":  "SELECT v FROM t",
		"at COMMIT":  "COMMIT",
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			c := r.connect()
			c.exec("BEGIN")
			c.exec("INSERT INTO t VALUES (1)")
			r.primary.intercept(hangupOn(last))
			wantAll(t, c.fails(1158, last), "unknown")
			c.closed()
			if n := len(r.primary.received(last)); n != 1 {
				t.Errorf("sent %d times", n)
			}
		})
	}
}

func TestStateOfAConnectionThatMayNotBeUsedAnyMoreIsNotSilentlyLost(t *testing.T) {
	lose := func(r *rig) {
		r.setHealth(r.primary, backend.Down, backend.CauseRefused, "gone")
		r.setHealth(r.primary, backend.Up, backend.CauseNone, "")
	}
	for name, prepare := range map[string]func(*client){
		"an open transaction": func(c *client) {
			c.exec("BEGIN")
			c.exec("INSERT INTO t VALUES (1)")
		},
		"autocommit off": func(c *client) {
			c.exec("SET autocommit=0")
			c.exec("INSERT INTO t VALUES (1)")
		},
		"a temporary table": func(c *client) { c.exec("CREATE TEMPORARY TABLE tmp (a INT)") },
		"a user variable":   func(c *client) { c.exec("SET @a=@b") },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			c := r.connect()
			prepare(c)
			lose(r)
			before := len(r.primary.received("after"))
			wantAll(t, c.fails(1158, "INSERT INTO t VALUES ('after')"), "was not executed")
			c.closed()
			if n := len(r.primary.received("after")); n != before {
				t.Error("the statement was run without the state it relies on")
			}
		})
	}
	t.Run("an insert id, when it is asked for", func(t *testing.T) {
		r := newRig(t)
		c := r.connect()
		c.exec("INSERT INTO t VALUES (1) /*auto*/")
		lose(r)
		c.exec("UPDATE t SET v=1 WHERE id=1") // does not depend on it
		c.fails(1158, "SELECT LAST_INSERT_ID()")
		c.closed()
	})
	t.Run("a read in between does not hide the loss", func(t *testing.T) {
		r := newRig(t, func(s *setup) { s.replicas, s.primary.Weight = 1, 1 })
		c := r.connect()
		c.exec("SET @a=@b")
		lose(r)
		for range 4 { // some on the replica, some would be on the primary
			if _, err := c.Query(who); err != nil {
				wantErr(t, err, 1158)
				c.closed()
				return
			}
		}
		t.Error("the session went on")
	})
	t.Run("nor does closing a statement", func(t *testing.T) {
		r := newRig(t)
		c := r.connect()
		id := c.prepare("INSERT INTO t VALUES (?)").id
		c.exec("BEGIN")
		lose(r)
		c.closeStmt(id)
		wantAll(t, c.fails(1158, "INSERT INTO t VALUES ('after')"), "was not executed")
		c.closed()
		if len(r.primary.received("after")) > 0 {
			t.Error("executed outside of its transaction")
		}
	})
}

func TestAWriteIsNeverSentToAReplicaAfterThePinnedPrimaryIsGone(t *testing.T) {
	r := newRig(t, func(s *setup) { s.primary.Weight = 1 })
	c := r.connect()
	c.exec("INSERT INTO t VALUES (1) /*auto*/")
	r.primary.Close()
	r.setHealth(r.primary, backend.Down, backend.CauseRefused, "gone")
	r.setHealth(r.primary, backend.Up, backend.CauseNone, "")
	for range 4 {
		if _, err := c.Query(who); err != nil {
			break
		}
	}
	_, _ = c.Query("INSERT INTO t VALUES (2)")
	if len(r.replicas[0].received("INSERT")) > 0 {
		t.Error("a replica got a write")
	}
}

func TestAnOfflinePrimaryFinishesTheOpenTransaction(t *testing.T) {
	r := newRig(t)
	c := r.connect()
	c.exec("BEGIN")
	c.exec("INSERT INTO t VALUES (1)")
	if _, err := r.store.SetOffline(r.primary.Addr()); err != nil {
		t.Fatal(err)
	}
	c.exec("INSERT INTO t VALUES (2)")
	c.exec("COMMIT")
	c.fails(1429, "INSERT INTO t VALUES (3)")
}

// idleWithPool waits until the sessions' connections are back in the pools,
// where their life is looked at before they are used.
func (r *rig) idleWithPool(n int) {
	r.t.Helper()
	eventually(r.t, "connections are back in the pool", func() bool {
		idle := 0
		for _, s := range r.pools.Stats() {
			idle += s.Idle
		}
		return idle == n
	})
}

func TestAnIdleConnectionClosedByTheServerIsReplaced(t *testing.T) {
	for name, end := range map[string]func(*fake){
		"closed": func(f *fake) { f.Kick() },
		"closed after telling why": func(f *fake) {
			f.mu.Lock()
			conns := make([]*fakeConn, 0, len(f.conns))
			for _, c := range f.conns {
				conns = append(conns, c)
			}
			f.mu.Unlock()
			e := wire.NewErr(wire.CodeClientInteraction, "The client was disconnected by the server because of inactivity.")
			for _, c := range conns {
				p, _ := wire.AppendPacket(nil, 0, e.Append(nil))
				_, _ = c.NetConn().Write(p)
			}
			f.Kick()
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			c := r.connect()
			c.exec("INSERT INTO t VALUES (1)")
			c.value(who)
			r.idleWithPool(2)
			end(r.primary)
			end(r.replicas[0])
			eventually(t, "closed", func() bool { return r.primary.Open()+r.replicas[0].Open() == 0 })
			c.exec("INSERT INTO t VALUES (2)")
			if got := c.value(who); got != "A" {
				t.Errorf("read went to %s", got)
			}
			if n := r.Counts().Retries; n != 0 {
				t.Errorf("%d retries", n)
			}
		})
		t.Run(name+" just after use, a read", func(t *testing.T) {
			r := newRig(t, func(s *setup) { s.withoutRun = true; s.config.Rules.NoReplica = router.NoReplicaError })
			c := r.connect()
			c.value(who)
			end(r.replicas[0])
			eventually(t, "closed", func() bool { return r.replicas[0].Open() == 0 })
			if got := c.value(who); got != "A" {
				t.Errorf("read went to %s", got)
			}
		})
		t.Run(name+" in a transaction", func(t *testing.T) {
			r := newRig(t)
			c := r.connect()
			c.exec("BEGIN")
			end(r.primary)
			eventually(t, "closed", func() bool { return r.primary.Open() == 0 })
			c.fails(1158, "INSERT INTO t VALUES (2)")
			c.closed()
			if len(r.primary.received("INSERT")) > 0 {
				t.Error("executed outside of its transaction")
			}
		})
	}
}
