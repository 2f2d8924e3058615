package pool

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/wiretest"
)

// listen is a server that is nothing but a function of its connections.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			serve(nc)
			_ = nc.Close()
		}
	}()
	t.Cleanup(func() { _ = ln.Close(); <-done })
	return ln.Addr().String()
}

func say(s string) func(net.Conn) {
	return func(nc net.Conn) {
		_, _ = io.WriteString(nc, s)
		_, _ = io.Copy(io.Discard, nc)
	}
}

func silent(nc net.Conn) { _, _ = io.Copy(io.Discard, nc) }

func greetingWith(caps wire.Capability) string {
	g := wiretest.DefaultGreeting()
	g.Capabilities = caps
	b, _ := wire.AppendPacket(nil, 0, g.Append(nil))
	return string(b)
}

// MINEFIELD H37, towards servers: those that do not come.
func TestFailedDials(t *testing.T) {
	refused := listen(t, func(net.Conn) {})
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	protected := newFake(t, wiretest.Options{Passwords: map[string]string{"app": "other"}})
	for _, c := range []struct {
		name string
		addr string
		is   error  // or
		code uint16 // of the server's ERR
		says string
	}{
		{"nobody listens", closed.Addr().String(), nil, 0, "connecting to"},
		{"closed at once", refused, io.ErrUnexpectedEOF, 0, "closed the connection during the login"},
		{"a greeting that does not come", listen(t, silent), context.DeadlineExceeded, 0, "logging in to"},
		{"half a greeting", listen(t, say("\x4a\x00\x00\x00\x0a8.4")), context.DeadlineExceeded, 0, "logging in to"},
		{"an answer to the login that does not come", listen(t, say(greetingWith(wiretest.Capabilities))), context.DeadlineExceeded, 0, "as \"app\""},
		{"HTTP", listen(t, say("HTTP/1.1 400 Bad Request\r\n\r\n")), wire.ErrSequence, 0, ""},
		{"an empty packet", listen(t, say("\x00\x00\x00\x00")), wire.ErrMalformed, 0, ""},
		{"another protocol version", listen(t, say("\x02\x00\x00\x00\x09x")), wire.ErrMalformed, 0, ""},
		{"a packet above the limit", listen(t, say("\xff\xff\xff\x00")), wire.ErrPacketTooLarge, 0, ""},
		{"an ERR for a greeting, without SQLSTATE as before a login", listen(t, say("\x17\x00\x00\x00\xff\x10\x04Too many connections")), nil, 1040, "Too many connections"},
		{"a server without session tracking", listen(t, say(greetingWith(wiretest.Capabilities&^wire.SessionTrack))), ErrTooOld, 0, "8.4.0-fake"},
		{"a wrong password", protected.Addr(), nil, 1045, "Access denied"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, c.addr, 1)
			d := testDialer()
			d.Timeout = 200 * time.Millisecond
			r.pools.Configure(d, testLimits)
			before := openFiles(t)
			_, err := r.pool.Acquire(t.Context(), &Request{Owner: 1, Login: testLogin, Profile: plain})
			if err == nil {
				t.Fatal("it worked")
			}
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%v, want %v", err, c.is)
			}
			var e *wire.Err
			if errors.As(err, &e); c.code != 0 && (e == nil || e.Code != c.code) {
				t.Errorf("%v, want %d", err, c.code)
			}
			for _, part := range []string{c.addr, c.says} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
			r.checkStats(0, 0, 0, 0)
			if s := r.pool.Stats(); s.ConnectFailures != 1 || r.server.Stats.ConnectErrors.Load() != 1 {
				t.Errorf("%+v", s)
			}
			eventually(t, "the socket to be closed", func() bool { return openFiles(t) <= before })
		})
	}
}

func TestDialThatIsCancelled(t *testing.T) {
	accepted := make(chan struct{})
	addr := listen(t, func(nc net.Conn) {
		accepted <- struct{}{}
		silent(nc)
	})
	r := newRig(t, addr, 1)
	cause := errors.New("the client is gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error)
	go func() {
		_, err := r.pool.Acquire(ctx, &Request{Owner: 1, Login: testLogin, Profile: plain})
		done <- err
	}()
	<-accepted
	cancel(cause)
	if err := <-done; !errors.Is(err, cause) {
		t.Errorf("%v", err)
	}
	r.checkStats(0, 0, 0, 0)
}

func TestFailedDialLetsTheNextWaiterTry(t *testing.T) {
	protected := newFake(t, wiretest.Options{Passwords: map[string]string{"good": "secret"}})
	r := newRig(t, protected.Addr(), 1)
	c := r.acquireAs(1, Login{User: "good"}, plain)
	bad := r.wait(t.Context(), Request{Owner: 2, Login: Login{User: "bad"}, Profile: plain})
	good := r.wait(t.Context(), Request{Owner: 3, Login: Login{User: "good"}, Profile: plain})
	c.Release()
	var e *wire.Err
	if got := <-bad; !errors.As(got.err, &e) || e.Code != wire.CodeAccessDenied {
		t.Errorf("%+v", got)
	}
	if got := <-good; got.err != nil {
		t.Error(got.err)
	}
	r.checkStats(1, 0, 0, 0)
}

func TestUserWithoutPasswordIsNotDialled(t *testing.T) {
	f := newFake(t, wiretest.Options{})
	r := newRig(t, f.Addr(), 1)
	d := testDialer()
	d.Password = func(string) (string, bool) { return "", false }
	r.pools.Configure(d, testLimits)
	if _, err := r.pool.Acquire(t.Context(), &Request{Owner: 1, Login: testLogin, Profile: plain}); err == nil || !strings.Contains(err.Error(), `no password for user "app"`) {
		t.Errorf("%v", err)
	}
	r.checkStats(0, 0, 0, 0)
}

func TestLoginEstablishesTheProfile(t *testing.T) {
	f := newFake(t, wiretest.Options{})
	r := newRig(t, f.Addr(), 0)
	c := r.acquire(1, (&Profile{Schema: "shop", Collation: 8}).With("a", "1"))
	fc := f.conn(c)
	if fc.peer.Login.Collation != 8 || fc.schema != "shop" || fc.vars["a"] != "1" || c.ThreadID != fc.peer.Greeting.ConnectionID {
		t.Errorf("collation %d, %s", fc.peer.Login.Collation, fc.state())
	}
	if !c.Caps.Has(required|wire.MultiResults) || c.Caps.Has(wire.MultiStatements) || c.MariaDB() {
		t.Errorf("capabilities %x", uint64(c.Caps))
	}
}

// MariaDB does not know collation 255; see wire.HandshakeCollation.
func TestLoginAtMariaDBWithACollationItDoesNotKnow(t *testing.T) {
	f := newFake(t, wiretest.Options{Greeting: wire.HandshakeV10{ServerVersion: "5.5.5-10.11.6-MariaDB"}})
	r := newRig(t, f.Addr(), 0)
	c := r.acquire(1, &Profile{Collation: 255})
	fc := f.conn(c)
	if fc.peer.Login.Collation != 45 || fc.names != "utf8mb4" || !c.MariaDB() {
		t.Fatalf("collation %d, %s", fc.peer.Login.Collation, fc.state())
	}
	// A reset goes back to the handshake's.
	c.Dirt = NeedsReset
	c.Release()
	if r.acquire(2, &Profile{Collation: 255}) != c || fc.names != "utf8mb4" {
		t.Errorf("after a reset: %s", fc.state())
	}
}

func TestKillQueryNamesTheServersConnection(t *testing.T) {
	f := newFake(t, wiretest.Options{})
	r := newRig(t, f.Addr(), 1) // the limit does not hinder it
	c := r.acquire(1, plain)
	if err := r.pools.KillQuery(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if len(f.kills) != 1 || f.kills[0] != "KILL QUERY "+strconv.FormatUint(uint64(c.ThreadID), 10) {
		t.Errorf("%q", f.kills)
	}
	eventually(t, "the killer to be gone", func() bool { return f.Open() == 1 })
}

func TestKillQueryGivesUpWithItsContext(t *testing.T) {
	f := newFake(t, wiretest.Options{})
	asked, hang := make(chan struct{}), make(chan struct{})
	f.answer = func(_ *wiretest.Peer, _ *fakeConn, _ wire.Command, arg string) (bool, error) {
		if strings.HasPrefix(arg, "KILL") {
			close(asked)
			<-hang
		}
		return false, nil
	}
	t.Cleanup(func() { close(hang) })
	r := newRig(t, f.Addr(), 1)
	c := r.acquire(1, plain)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.pools.KillQuery(ctx, c) }()
	<-asked
	cancel()
	if err := <-done; err == nil {
		t.Error("no error")
	}
}
