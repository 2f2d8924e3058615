package pool

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/wiretest"
)

// door stands in front of a fake server and may be shut: then it answers as a
// server that has no connection left.
type door struct {
	shut  atomic.Bool
	tries atomic.Int32 // while shut
	addr  string
}

func newDoor(t *testing.T, f *fake) *door {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{addr: ln.Addr().String()}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			if d.shut.Load() {
				d.tries.Add(1)
				_, _ = io.WriteString(nc, "\x17\x00\x00\x00\xff\x10\x04Too many connections")
				_ = nc.Close()
				continue
			}
			server, err := net.Dial("tcp", f.Addr())
			if err != nil {
				_ = nc.Close()
				continue
			}
			for _, way := range [][2]net.Conn{{nc, server}, {server, nc}} {
				wg.Go(func() {
					_, _ = io.Copy(way[0], way[1])
					_ = way[0].Close()
				})
			}
		}
	})
	t.Cleanup(func() { _ = ln.Close(); wg.Wait() })
	return d
}

func TestAServerWithoutAConnectionLeftMakesSessionsWaitForOneOfOurs(t *testing.T) {
	f := newFake(t, wiretest.Options{})
	d := newDoor(t, f)
	r := newRig(t, d.addr, 0)
	c := r.acquire(1, plain)
	d.shut.Store(true)
	line := r.wait(t.Context(), Request{Owner: 2, Login: testLogin, Profile: plain})
	c.Release()
	got := <-line
	if got.err != nil {
		t.Fatal(got.err)
	}
	if n := d.tries.Load(); n != 1 {
		t.Errorf("%d attempts while it is full, want 1", n)
	}
	d.shut.Store(false)
	eventually(t, "the server to be tried again", func() bool {
		r.pool.sweep()
		r.pool.mu.Lock()
		defer r.pool.mu.Unlock()
		return r.pool.room()
	})
	other := r.acquire(3, plain)
	got.conn.Release()
	other.Release()
	r.pool.close(true)
}

func TestWhenNoneComesFreeTheServersOwnErrorIsAnswered(t *testing.T) {
	f := newFake(t, wiretest.Options{})
	d := newDoor(t, f)
	r := newRig(t, d.addr, 0)
	limits := testLimits
	limits.WaitTimeout = 20 * time.Millisecond
	r.pools.Configure(testDialer(), limits)
	c := r.acquire(1, plain)
	d.shut.Store(true)
	_, err := r.pool.Acquire(t.Context(), &Request{Owner: 2, Login: testLogin, Profile: plain})
	var e *wire.Err
	if !errors.As(err, &e) || e.Code != wire.CodeConCount {
		t.Errorf("%v, want 1040", err)
	}
	c.Release()
	r.pool.close(true)
}

func TestARefusedAccountIsNotTriedAgainAtOnce(t *testing.T) {
	f := newFake(t, wiretest.Options{Passwords: map[string]string{"good": "secret"}})
	r := newRig(t, f.Addr(), 0)
	for range 50 {
		_, err := r.pool.Acquire(t.Context(), &Request{Owner: 1, Login: Login{User: "bad"}, Profile: plain})
		var e *wire.Err
		if !errors.As(err, &e) || e.Code != wire.CodeAccessDenied {
			t.Fatalf("%v, want 1045", err)
		}
	}
	if s := r.pool.Stats(); s.ConnectFailures != 1 {
		t.Errorf("%d attempts, want 1", s.ConnectFailures)
	}
	r.acquireAs(2, Login{User: "good"}, plain).Release() // others are not concerned
	r.pools.Configure(testDialer(), testLimits)
	if _, err := r.pool.Acquire(t.Context(), &Request{Owner: 1, Login: Login{User: "bad"}, Profile: plain}); err == nil {
		t.Fatal("it worked")
	}
	if s := r.pool.Stats(); s.ConnectFailures != 2 {
		t.Errorf("%d attempts after the configuration changed, want 2", s.ConnectFailures)
	}
}
