package pool

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/wiretest"
)

func TestWaitersAreServedInTheOrderTheyCame(t *testing.T) {
	f := newFake(t, wiretest.Options{})
	r := newRig(t, f.Addr(), 1)
	c := r.acquire(1, plain)
	var lines []<-chan acquired
	for owner := uint64(2); owner < 7; owner++ {
		lines = append(lines, r.wait(t.Context(), Request{Owner: owner, Login: testLogin, Profile: plain}))
	}
	for i, line := range lines {
		c.Release()
		got := <-line
		if got.err != nil {
			t.Fatal(got.err)
		}
		if waiting := r.pool.Stats().Waiting; waiting != len(lines)-1-i {
			t.Fatalf("%d waiters left after turn %d", waiting, i+1)
		}
		c = got.conn
	}
	if f.Logins() != 1 {
		t.Errorf("%d logins", f.Logins())
	}
	c.Release()
	r.checkStats(1, 1, 0, 0)
}

func TestWaiterIsServedByEveryEndOfAConnection(t *testing.T) {
	for _, c := range []struct {
		name  string
		login Login // of the waiter
		end   func(*rig, *Conn)
		reuse bool
	}{
		{"Release", testLogin, func(_ *rig, c *Conn) { c.Release() }, true},
		{"Release to another login", Login{User: "other"}, func(_ *rig, c *Conn) { c.Release() }, false},
		{"Discard", testLogin, func(_ *rig, c *Conn) { c.Discard() }, false},
		{"Park", testLogin, func(r *rig, c *Conn) {
			if c.Park() {
				r.t.Error("parked in spite of a waiter")
			}
		}, true},
		{"Release of what must be closed", testLogin, func(_ *rig, c *Conn) { c.Dirt = MustClose; c.Release() }, false},
		{"a higher limit", testLogin, func(r *rig, _ *Conn) { r.pool.setMax(2) }, false},
		{"no limit any more", testLogin, func(r *rig, _ *Conn) { r.pool.setMax(0) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake(t, wiretest.Options{})
			r := newRig(t, f.Addr(), 1)
			conn := r.acquire(1, plain)
			line := r.wait(t.Context(), Request{Owner: 2, Login: c.login, Profile: plain})
			c.end(r, conn)
			got := <-line
			if got.err != nil {
				t.Fatal(got.err)
			}
			if reused := got.conn.ThreadID == conn.ThreadID; reused != c.reuse {
				t.Errorf("reused %v", reused)
			}
			if got := f.conn(got.conn).login; got != c.login {
				t.Errorf("logged in as %+v", got)
			}
		})
	}
}

func TestWaitingTooLongNamesTheLimit(t *testing.T) {
	f := newFake(t, wiretest.Options{})
	r := newRig(t, f.Addr(), 1)
	r.limit(func(l *Limits) { l.WaitTimeout = 20 * time.Millisecond })
	c := r.acquire(1, plain)
	_, err := r.pool.Acquire(t.Context(), &Request{Owner: 2, Login: testLogin, Profile: plain})
	var limit *LimitError
	if !errors.As(err, &limit) || limit.Max != 1 || limit.Server != r.server || limit.Waited != 20*time.Millisecond {
		t.Fatalf("%v", err)
	}
	for _, part := range []string{f.Addr(), "20ms", "all 1", "max_connections", "wait_timeout"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %s", err, part)
		}
	}
	if s := r.pool.Stats(); s.Waited != 1 || s.TimedOut != 1 {
		t.Errorf("%+v", s)
	}
	r.checkStats(1, 0, 0, 0)
	c.Release()
	r.checkStats(1, 1, 0, 0)
}

func TestWaiterThatIsCancelledLeavesTheLine(t *testing.T) {
	f := newFake(t, wiretest.Options{})
	r := newRig(t, f.Addr(), 1)
	c := r.acquire(1, plain)
	cause := errors.New("the client is gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	line := r.wait(ctx, Request{Owner: 2, Login: testLogin, Profile: plain})
	cancel(cause)
	if got := <-line; !errors.Is(got.err, cause) {
		t.Fatalf("%v", got.err)
	}
	r.checkStats(1, 0, 0, 0)
	c.Release()
	r.checkStats(1, 1, 0, 0)
}

// Whatever comes first when a turn and a cancellation come at once: the place
// is either used or free, never lost.
func TestTurnAndCancellationAtOnceLoseNoPlace(t *testing.T) {
	f := newFake(t, wiretest.Options{})
	r := newRig(t, f.Addr(), 1)
	c := r.acquire(1, plain)
	for i := range uint64(300) {
		ctx, cancel := context.WithCancel(t.Context())
		login := testLogin
		if i%3 == 0 {
			login.User = "other" // its turn is to close this one and to open another
		}
		line := r.wait(ctx, Request{Owner: 2 + i, Login: login, Profile: plain})
		var both sync.WaitGroup
		both.Go(cancel)
		both.Go(func() {
			if i%2 == 0 {
				c.Release()
			} else {
				c.Discard()
			}
		})
		both.Wait()
		if got := <-line; got.err == nil {
			got.conn.Release()
		}
		if s := r.pool.Stats(); s.Open > 1 {
			t.Fatalf("%d connections", s.Open)
		}
		c = r.acquire(1, plain) // would wait for ever if the place were lost
	}
	r.checkStats(1, 0, 0, 0)
}

func TestParkedConnectionIsTakenBackByItsSessionOrByThePool(t *testing.T) {
	f := newFake(t, wiretest.Options{})
	r := newRig(t, f.Addr(), 1)
	c := r.acquire(1, plain)
	if !c.Park() {
		t.Fatal("not parked")
	}
	r.checkStats(1, 0, 1, 0)
	if ok, stale := c.Unpark(); !ok || stale {
		t.Fatalf("ok %v, stale %v", ok, stale)
	}
	c.Park()
	r.pool.sweep()
	if ok, stale := c.Unpark(); !ok || !stale {
		t.Fatalf("after one sweep: ok %v, stale %v", ok, stale)
	}
	c.Park()
	r.pool.sweep()
	r.pool.sweep()
	r.checkStats(1, 1, 0, 0)
	if ok, _ := c.Unpark(); ok {
		t.Fatal("taken back after two sweeps")
	}
	d := r.acquire(2, plain)
	if d.ThreadID != c.ThreadID {
		t.Error("the swept connection was not used")
	}
}

// The session that has lost a parked connection must not get it back when the
// next owner parks it in turn: it would find that one's state in it.
func TestLostConnectionStaysLostWhenTheNextOwnerParksIt(t *testing.T) {
	for _, how := range []string{"reclaimed", "swept"} {
		t.Run(how, func(t *testing.T) {
			f := newFake(t, wiretest.Options{})
			r := newRig(t, f.Addr(), 1)
			a := r.acquire(1, plain)
			a.Dirt = NeedsReset
			a.Park()
			if how == "swept" {
				r.pool.sweep()
				r.pool.sweep()
			}
			b := r.acquire(2, plain)
			if b.ThreadID != a.ThreadID {
				t.Fatal("another connection")
			}
			b.Park()
			if ok, _ := a.Unpark(); ok {
				t.Fatal("the first owner has taken back what the second has parked")
			}
			if ok, _ := b.Unpark(); !ok {
				t.Fatal("the second owner has lost it")
			}
			r.checkStats(1, 0, 0, 0)
		})
	}
}

func TestReclaimTakesParkedConnections(t *testing.T) {
	f := newFake(t, wiretest.Options{})
	r := newRig(t, f.Addr(), 3)
	other := Login{User: "other"}
	a, old, b := r.acquire(1, plain), r.acquireAs(2, other, plain), r.acquireAs(3, other, plain)
	old.Park()
	r.pool.sweep()
	a.Park()
	b.Park()
	// First what has lain for long, then what needs no new login.
	r.acquire(4, plain)
	if ok, _ := old.Unpark(); ok {
		t.Error("the one that has lain for long is still there")
	}
	r.acquire(5, plain)
	if ok, _ := a.Unpark(); ok {
		t.Error("the one of the same login is still there")
	}
	if ok, _ := b.Unpark(); !ok {
		t.Error("the one of another login is gone, though it was not needed")
	}
	if s := r.pool.Stats(); s.Reclaimed != 2 {
		t.Errorf("reclaimed %d", s.Reclaimed)
	}
	r.checkStats(3, 0, 0, 0)
}

// Sessions park and unpark without a lock while others take from them: none
// waits for a connection that lies parked.
func TestNobodyWaitsWhileAConnectionIsParked(t *testing.T) {
	f := newFake(t, wiretest.Options{})
	r := newRig(t, f.Addr(), 1)
	r.limit(func(l *Limits) { l.WaitTimeout = time.Minute })
	var all sync.WaitGroup
	for s := range uint64(2) {
		all.Go(func() {
			for range 3000 {
				c, err := r.pool.Acquire(t.Context(), &Request{Owner: s + 1, Login: testLogin, Profile: plain})
				if err != nil {
					t.Error(err)
					return
				}
				c.Park() // and never touch it again
			}
		})
	}
	all.Wait()
}

func TestSweepClosesIdleConnections(t *testing.T) {
	f := newFake(t, wiretest.Options{})
	for _, c := range []struct {
		name   string
		limits func(*Limits)
		age    func(*Conn)
		left   int
	}{
		{"none that are young and few", func(*Limits) {}, func(*Conn) {}, 3},
		{"above max_idle", func(l *Limits) { l.MaxIdle = 2 }, func(*Conn) {}, 2},
		{"idle for too long", func(*Limits) {}, func(c *Conn) { c.idleSince = c.idleSince.Add(-2 * time.Hour) }, 0},
		{"never, without idle_timeout", func(l *Limits) { l.IdleTimeout = 0 }, func(c *Conn) { c.idleSince = time.Time{} }, 3},
		{"open for too long", func(*Limits) {}, func(c *Conn) { c.opened = c.opened.Add(-2 * time.Hour) }, 0},
		{"never, without max_lifetime", func(l *Limits) { l.MaxLifetime = 0 }, func(c *Conn) { c.opened = time.Time{} }, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, f.Addr(), 0)
			conns := []*Conn{r.acquire(1, plain), r.acquire(2, plain), r.acquire(3, plain)}
			for _, conn := range conns {
				conn.Release()
				c.age(conn)
			}
			r.limit(c.limits)
			r.pool.sweep()
			r.checkStats(c.left, c.left, 0, 0)
			if c.name == "above max_idle" && r.acquire(3, plain) != conns[2] {
				t.Error("the one used last was closed")
			}
		})
	}
}

func TestReleaseKeepsToTheLimits(t *testing.T) {
	f := newFake(t, wiretest.Options{})
	r := newRig(t, f.Addr(), 0)
	r.limit(func(l *Limits) { l.MaxIdle = 1 })
	a, b, old := r.acquire(1, plain), r.acquire(2, plain), r.acquire(3, plain)
	a.Release()
	b.Release()
	r.checkStats(2, 1, 0, 0)
	r.limit(func(l *Limits) { l.MaxIdle = 2 })
	old.opened = old.opened.Add(-2 * time.Hour)
	old.Release()
	r.checkStats(1, 1, 0, 0)
}

// A lower limit closes what nobody uses at once, and the rest as it is given
// back, even if somebody waits.
func TestLowerLimitClosesTheSurplus(t *testing.T) {
	f := newFake(t, wiretest.Options{})
	r := newRig(t, f.Addr(), 5)
	idle, parked, used, other := r.acquire(1, plain), r.acquire(2, plain), r.acquire(3, plain), r.acquire(4, plain)
	idle.Release()
	parked.Park()
	r.pool.setMax(1)
	r.checkStats(2, 0, 0, 0)
	if !used.Alive() || !other.Alive() {
		t.Error("a connection in use was touched")
	}
	line := r.wait(t.Context(), Request{Owner: 5, Login: testLogin, Profile: plain})
	used.Release()
	r.checkStats(1, 0, 0, 1)
	other.Release()
	if got := <-line; got.err != nil || got.conn != other {
		t.Errorf("%+v", got)
	}
	r.checkStats(1, 0, 0, 0)
}

func TestABurstOpensConnectionsInTurns(t *testing.T) {
	f := newFake(t, wiretest.Options{})
	var once sync.Once
	hold, held := make(chan struct{}), make(chan struct{}, 1000)
	release := func() { once.Do(func() { close(hold) }) }
	defer release()
	f.answer = func(_ *wiretest.Peer, _ *fakeConn, _ wire.Command, arg string) (bool, error) {
		if strings.HasPrefix(arg, "SET SESSION session_track") {
			held <- struct{}{}
			<-hold
		}
		return false, nil
	}
	r := newRig(t, f.Addr(), 0)
	done := make(chan acquired, 100)
	for owner := range uint64(100) {
		go func() {
			c, err := r.pool.Acquire(t.Context(), &Request{Owner: owner + 1, Login: testLogin, Profile: plain})
			done <- acquired{c, err}
		}()
	}
	for range maxDialing {
		<-held
	}
	eventually(t, "all stand in line", func() bool { return r.pool.Stats().Waiting == 100-maxDialing })
	if len(held) > 0 {
		t.Errorf("%d logins more than %d at once", len(held), maxDialing)
	}
	release()
	for range 100 {
		if a := <-done; a.err != nil {
			t.Fatal(a.err)
		} else {
			defer a.conn.Release()
		}
	}
	r.checkStats(100, 0, 0, 0)
}

func TestNoConnectionInTimeAlthoughThereIsNoLimit(t *testing.T) {
	err := &LimitError{Server: newRig(t, newFake(t, wiretest.Options{}).Addr(), 0).server, Opening: 32, Waited: time.Second}
	if s := err.Error(); !strings.Contains(s, "32 more are being opened") || strings.Contains(s, "max_connections") {
		t.Errorf("it says %q", s)
	}
}
