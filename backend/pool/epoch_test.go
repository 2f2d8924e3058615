package pool

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/wiretest"
)

func TestEpochThatEnds(t *testing.T) {
	for _, c := range []struct {
		name        string
		end         func(*rig)
		interrupted bool
	}{
		{"by the loss of the server", func(r *rig) { r.setHealth(backend.Down, backend.CauseRefused) }, true},
		{"by an operator", func(r *rig) { _, _ = r.store.SetOffline("1") }, false},
		{"by removal", func(r *rig) { _, _ = r.store.Remove("1") }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake(t, wiretest.Options{})
			r := newRig(t, f.Addr(), 0)
			idle, left, used := r.acquire(1, plain), r.acquire(2, plain), r.acquire(3, plain)
			idle.Release()
			left.Park()
			c.end(r)
			r.checkStats(1, 0, 0, 0)
			if ok, _ := left.Unpark(); ok {
				t.Error("the parked connection is still there")
			}
			if used.Valid() {
				t.Error("the connection in use counts as valid")
			}
			if err := used.Query("SET a=1"); (err != nil) != c.interrupted {
				t.Errorf("the connection in use: %v", err)
			}
			if used.Park() {
				t.Error("it could be parked")
			}
			r.checkStats(0, 0, 0, 0)
		})
	}
}

func TestLaggingReplicaKeepsItsConnections(t *testing.T) {
	f := newFake(t, wiretest.Options{})
	r := newRig(t, f.Addr(), 0)
	idle, used := r.acquire(1, plain), r.acquire(2, plain)
	idle.Release()
	r.setHealth(backend.Down, backend.CauseLag)
	r.checkStats(2, 1, 0, 0)
	if err := used.Query("SET a=1"); err != nil {
		t.Error(err)
	}
}

// An epoch that ends before the pool has heard of it.
func TestConnectionsOfAnEndedEpochAreNotHandedOut(t *testing.T) {
	for _, state := range []string{"idle", "parked", "handed to a waiter"} {
		t.Run(state, func(t *testing.T) {
			f := newFake(t, wiretest.Options{})
			r := newRig(t, f.Addr(), 1)
			c := r.acquire(1, plain)
			var line <-chan acquired
			switch state {
			case "idle":
				c.Release()
			case "parked":
				c.Park()
			default:
				line = r.wait(t.Context(), Request{Owner: 2, Login: testLogin, Profile: plain})
			}
			c.epoch-- // as if the server's had grown
			if line != nil {
				c.epoch++
				r.pool.mu.Lock()
				r.pool.hand(c)
				c.epoch--
				r.pool.mu.Unlock()
			} else {
				line = r.acquireLater(2)
			}
			got := <-line
			if got.err != nil || got.conn.ThreadID == c.ThreadID || !got.conn.Valid() {
				t.Fatalf("%+v", got)
			}
			r.checkStats(1, 0, 0, 0)
		})
	}
}

func (r *rig) acquireLater(owner uint64) <-chan acquired {
	done := make(chan acquired, 1)
	go func() {
		c, err := r.pool.Acquire(r.t.Context(), &Request{Owner: owner, Login: testLogin, Profile: plain})
		done <- acquired{c, err}
	}()
	return done
}

// slowLogin is a server that answers the login when told to.
func slowLogin(t *testing.T) (f *fake, begun, goOn chan struct{}) {
	begun, goOn = make(chan struct{}), make(chan struct{})
	f = newFake(t, wiretest.Options{})
	f.answer = func(_ *wiretest.Peer, _ *fakeConn, _ wire.Command, arg string) (bool, error) {
		if len(arg) > 11 && arg[:11] == "SET SESSION" {
			begun <- struct{}{}
			<-goOn
		}
		return false, nil
	}
	return f, begun, goOn
}

func TestServerThatChangesWhileItIsBeingDialled(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*rig)
		want   error
	}{
		{"removed", func(r *rig) { _, _ = r.store.Remove("1") }, ErrClosed},
		{"lost", func(r *rig) { r.setHealth(backend.Down, backend.CauseRefused) }, ErrChanged},
		{"taken offline", func(r *rig) { _, _ = r.store.SetOffline("1") }, ErrChanged},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, begun, goOn := slowLogin(t)
			r := newRig(t, f.Addr(), 1)
			done := r.acquireLater(1)
			<-begun
			c.change(r)
			goOn <- struct{}{}
			if got := <-done; !errors.Is(got.err, c.want) {
				t.Fatalf("%+v, want %v", got, c.want)
			}
			r.checkStats(0, 0, 0, 0)
			eventually(t, "the connection to be closed", func() bool { return f.Open() == 0 })
		})
	}
}

func TestWaitersOfARemovedServerAreToldAtOnce(t *testing.T) {
	f := newFake(t, wiretest.Options{})
	r := newRig(t, f.Addr(), 1)
	c := r.acquire(1, plain)
	a := r.wait(t.Context(), Request{Owner: 2, Login: testLogin, Profile: plain})
	b := r.wait(t.Context(), Request{Owner: 3, Login: testLogin, Profile: plain})
	_, _ = r.store.Remove("1")
	for _, line := range []<-chan acquired{a, b} {
		if got := <-line; !errors.Is(got.err, ErrClosed) {
			t.Errorf("%+v", got)
		}
	}
	if _, err := r.pool.Acquire(t.Context(), &Request{Owner: 4, Login: testLogin, Profile: plain}); !errors.Is(err, ErrClosed) {
		t.Errorf("%v", err)
	}
	if err := c.Query("SET a=1"); err != nil {
		t.Errorf("the connection in use: %v", err)
	}
	c.Release()
	r.checkStats(0, 0, 0, 0)
}

// The places of connections that an epoch's end has closed go to waiters.
func TestWaitersGetThePlacesOfConnectionsThatWereClosed(t *testing.T) {
	f := newFake(t, wiretest.Options{})
	r := newRig(t, f.Addr(), 1)
	c := r.acquire(1, plain)
	line := r.wait(t.Context(), Request{Owner: 2, Login: testLogin, Profile: plain})
	r.setHealth(backend.Down, backend.CauseRefused)
	c.Discard()
	if got := <-line; got.err != nil || !got.conn.Valid() {
		t.Errorf("%+v", got)
	}
	r.checkStats(1, 0, 0, 0)
}

func TestInterruptOutlastsThePoolsOwnDeadlines(t *testing.T) {
	f := newFake(t, wiretest.Options{})
	block, blocked := make(chan struct{}), make(chan struct{})
	f.answer = func(_ *wiretest.Peer, _ *fakeConn, cmd wire.Command, _ string) (bool, error) {
		if cmd == wire.ComResetConnection {
			blocked <- struct{}{}
			<-block
		}
		return false, nil
	}
	r := newRig(t, f.Addr(), 1)
	c := r.acquire(1, plain)
	c.Interrupt()
	c.setDeadline(time.Now().Add(time.Hour))
	c.setDeadline(time.Time{})
	if err := c.Query("SET a=1"); !isTimeout(err) {
		t.Fatalf("%v", err)
	}
	c.Discard()

	// A server that is lost while it prepares a connection for a session.
	c = r.acquire(2, plain)
	c.Dirt = NeedsReset
	c.Release()
	done := r.acquireLater(3)
	<-blocked
	r.setHealth(backend.Down, backend.CauseHung)
	if got := <-done; !isTimeout(got.err) {
		t.Fatalf("%+v", got)
	}
	close(block)
	r.checkStats(0, 0, 0, 0)
}

func TestServerThatDoesNotAnswerThePreparationIsNotAskedAgain(t *testing.T) {
	f := newFake(t, wiretest.Options{})
	hang := make(chan struct{})
	f.answer = func(_ *wiretest.Peer, _ *fakeConn, cmd wire.Command, _ string) (bool, error) {
		if cmd == wire.ComResetConnection {
			<-hang
		}
		return false, nil
	}
	t.Cleanup(func() { close(hang) })
	r := newRig(t, f.Addr(), 0)
	for _, c := range []*Conn{r.acquire(1, plain), r.acquire(2, plain)} {
		c.Dirt = NeedsReset
		c.Release()
	}
	d := testDialer()
	d.Timeout = 50 * time.Millisecond
	r.pools.Configure(d, testLimits)
	if _, err := r.pool.Acquire(t.Context(), &Request{Owner: 3, Login: testLogin, Profile: plain}); !isTimeout(err) {
		t.Fatalf("%v", err)
	}
	r.checkStats(1, 1, 0, 0)
}

func TestRunClosesThePoolsAtItsEnd(t *testing.T) {
	f := newFake(t, wiretest.Options{})
	r := newRig(t, f.Addr(), 0)
	idle, used := r.acquire(1, plain), r.acquire(2, plain)
	idle.Release()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- r.pools.Run(ctx) }()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	r.checkStats(1, 0, 0, 0)
	if err := used.Query("SET a=1"); err == nil {
		t.Error("a connection in use was not interrupted")
	}
	used.Discard()
}

func TestStatsOfAllPools(t *testing.T) {
	f := newFake(t, wiretest.Options{})
	r := newRig(t, f.Addr(), 7)
	if _, known := r.pool.Mode(); known {
		t.Error("sql_mode known before any connection")
	}
	c := r.acquire(1, plain)
	if mode, known := r.pool.Mode(); !known || mode != fakeMode || c.BaseMode != fakeMode {
		t.Errorf("sql_mode %q, %v", mode, known)
	}
	s := r.pools.Stats()
	if len(s) != 1 || s[0].Address != f.Addr() || s[0].Open != 1 || s[0].Max != 7 || s[0].Opened != 1 {
		t.Errorf("%+v", s)
	}
}
