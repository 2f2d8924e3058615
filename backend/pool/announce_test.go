package pool

import (
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/wire/proxyproto"
	"github.com/telamondb/telamon/wire/wiretest"
)

// hall stands in front of a fake and takes the PROXY protocol headers.
type hall struct {
	net.Listener
	t    testing.TB
	to   string
	busy sync.WaitGroup

	mu      sync.Mutex
	visited []string // by whom, in order
	open    []net.Conn
}

func newHall(t testing.TB, to string) *hall {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &hall{Listener: l, t: t, to: to}
	h.busy.Go(h.accept)
	t.Cleanup(func() {
		_ = l.Close()
		h.mu.Lock()
		for _, nc := range h.open {
			_ = nc.Close()
		}
		h.mu.Unlock()
		h.busy.Wait()
	})
	return h
}

func (h *hall) accept() {
	for {
		nc, err := h.Accept()
		if err != nil {
			return
		}
		source, err := header(nc)
		if err != nil {
			h.t.Error(err)
		}
		to, err := net.Dial("tcp", h.to)
		if err != nil {
			_ = nc.Close()
			continue
		}
		h.mu.Lock()
		h.visited = append(h.visited, source)
		h.open = append(h.open, nc, to)
		h.mu.Unlock()
		for _, pair := range [][2]net.Conn{{nc, to}, {to, nc}} {
			h.busy.Go(func() {
				_, _ = io.Copy(pair[0], pair[1])
				_ = pair[0].Close()
			})
		}
	}
}

// header reads a header byte by byte; nothing follows it before the greeting.
func header(nc net.Conn) (string, error) {
	var p []byte
	for {
		b := make([]byte, 1)
		if _, err := nc.Read(b); err != nil {
			return "", err
		}
		p = append(p, b...)
		source, _, err := proxyproto.Parse(p)
		switch {
		case err == nil && !source.IsValid():
			return "local", nil
		case err == nil:
			return source.String(), nil
		case err != proxyproto.ErrIncomplete:
			return "", err
		}
	}
}

// visitors returns who has come since the last call.
func (h *hall) visitors() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	v := h.visited
	h.visited = nil
	return v
}

func telling(addresses bool) *Dialer {
	d := testDialer()
	d.ProxyProtocol = func(*backend.Server) bool { return addresses }
	return d
}

func TestH34AConnectionServesClientsOfOneAddress(t *testing.T) {
	one, two := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::2")
	f := newFake(t, wiretest.Options{})
	h := newHall(t, f.Addr())
	r := newRig(t, h.Addr().String(), 0)
	r.pools.Configure(telling(true), testLimits)
	serve := func(owner uint64, client netip.Addr) {
		t.Helper()
		c, err := r.pool.Acquire(t.Context(), &Request{Owner: owner, Login: testLogin, Profile: plain, Client: client})
		if err != nil {
			t.Fatal(err)
		}
		c.Release()
	}
	for owner, step := range []struct {
		why    string
		client netip.Addr
		want   []string
	}{
		{"the first", one, []string{"10.0.0.1:0"}},
		{"another session of the same address", one, nil},
		{"of another address", two, []string{"[fd00::2]:0"}},
		{"without an address", netip.Addr{}, []string{"local"}},
		{"each again", two, nil}, {"each again", one, nil}, {"each again", netip.Addr{}, nil},
	} {
		serve(uint64(owner+1), step.client)
		if got := h.visitors(); !slices.Equal(got, step.want) {
			t.Errorf("%s: %v, want %v", step.why, got, step.want)
		}
	}
	t.Run("a kill comes from the same address", func(t *testing.T) {
		c, err := r.pool.Acquire(t.Context(), &Request{Owner: 1, Login: testLogin, Profile: plain, Client: two})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.pools.KillQuery(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if got := h.visitors(); !slices.Equal(got, []string{"[fd00::2]:0"}) {
			t.Error(got)
		}
		c.Release()
	})
	t.Run("at the limit the connection of another address goes", func(t *testing.T) {
		r := newRig(t, h.Addr().String(), 1)
		r.pools.Configure(telling(true), testLimits)
		for _, client := range []netip.Addr{one, two} {
			c, err := r.pool.Acquire(t.Context(), &Request{Owner: 1, Login: testLogin, Profile: plain, Client: client})
			if err != nil {
				t.Fatal(err)
			}
			c.Release()
		}
		if got := h.visitors(); !slices.Equal(got, []string{"10.0.0.1:0", "[fd00::2]:0"}) {
			t.Error(got)
		}
	})
}

func TestServersThatAreNotToldShareConnectionsAmongAddresses(t *testing.T) {
	f := newFake(t, wiretest.Options{})
	r := newRig(t, f.Addr(), 0)
	for i, dialer := range []*Dialer{testDialer(), telling(false)} {
		r.pools.Configure(dialer, testLimits)
		for n := range byte(3) {
			c, err := r.pool.Acquire(t.Context(), &Request{Owner: 1, Login: testLogin, Profile: plain, Client: netip.AddrFrom4([4]byte{10, 0, 0, n})})
			if err != nil {
				t.Fatal(err)
			}
			c.Release()
		}
		if n := f.Logins(); n != 1 {
			t.Errorf("dialer %d: %d logins", i, n)
		}
	}
}

func TestARefusalOfOneAddressIsNotThatOfAnother(t *testing.T) {
	f := newFake(t, wiretest.Options{Passwords: map[string]string{"app": "another"}})
	h := newHall(t, f.Addr())
	r := newRig(t, h.Addr().String(), 0)
	r.pools.Configure(telling(true), testLimits)
	for _, client := range []string{"10.0.0.1", "10.0.0.1", "10.0.0.2"} {
		_, err := r.pool.Acquire(t.Context(), &Request{Owner: 1, Login: testLogin, Profile: plain, Client: netip.MustParseAddr(client)})
		if !isServerError(err) {
			t.Fatal(err)
		}
	}
	if got := h.visitors(); !slices.Equal(got, []string{"10.0.0.1:0", "10.0.0.2:0"}) {
		t.Error(got)
	}
}
