package wire

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/telamondb/telamon/internal/certs"
)

// certificate is what the servers of these tests show.
var certificate = sync.OnceValue(func() *certs.Pair {
	pair, err := certs.SelfSigned(certs.Request{Name: "wire", Hosts: []string{"wire.test"}})
	if err != nil {
		panic(err)
	}
	return pair
})

func serverTLS(version uint16) *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{certificate().TLS()}, MinVersion: version, MaxVersion: version,
		DynamicRecordSizingDisabled: true,
	}
}

func clientTLS() *tls.Config {
	return &tls.Config{RootCAs: certificate().Pool(), ServerName: "wire.test", DynamicRecordSizingDisabled: true}
}

// silent closes as MySQL clients do, and as quickly as the tests want it.
type silent struct {
	*tls.Conn
	nc net.Conn
}

func (s silent) Close() error { return s.nc.Close() }

// startTLS makes c a TLS server for peer and returns the client.
func startTLS(t testing.TB, c *Conn, peer net.Conn, version uint16) net.Conn {
	t.Helper()
	client := silent{tls.Client(peer, clientTLS()), peer}
	done := make(chan error, 1)
	go func() { done <- client.Handshake() }()
	if err := c.StartTLS(tls.Server, serverTLS(version)); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return client
}

// tlsPair returns both sides of a TLS connection over a socket, c the server's.
func tlsPair(t testing.TB, version uint16) (c *Conn, peer net.Conn) {
	t.Helper()
	a, b := tcpPair(t)
	for _, nc := range []net.Conn{a, b} {
		if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
	}
	c = NewConn(a)
	t.Cleanup(func() { _, _ = c.Close(), b.Close() })
	return c, startTLS(t, c, b, version)
}

func TestAnIdleTLSConnectionHoldsNoBuffer(t *testing.T) {
	c, _ := tlsPair(t, tls.VersionTLS13)
	if err := c.SetDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if err := c.Fill(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	if c.buf != nil || c.pooled != nil {
		t.Error("a buffer was held while waiting")
	}
}

// A record that arrives in pieces is waited for in pieces, also across a
// deadline that passes in the middle of it.
func TestARecordInPiecesIsKeptWhileWaiting(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			a, b := tcpPair(t)
			defer b.Close()
			c := NewConn(a)
			defer c.Close()
			slow := &record{Conn: b}
			peer := startTLS(t, c, slow, version)
			slow.hold = true
			if _, err := peer.Write(packets(0, pattern(40))); err != nil {
				t.Fatal(err)
			}
			for i := range slow.held {
				if err := c.SetDeadline(time.Now().Add(100 * time.Microsecond)); err != nil {
					t.Fatal(err)
				}
				if _, err := b.Write(slow.held[i : i+1]); err != nil {
					t.Fatal(err)
				}
				if i+1 == len(slow.held) {
					break
				}
				if err := c.Fill(); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatalf("byte %d of %d: %v", i+1, len(slow.held), err)
				}
			}
			if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			if p, err := c.ReadPacket(100); err != nil || len(p) != 40 {
				t.Errorf("got %d bytes: %v", len(p), err)
			}
		})
	}
}

// record keeps what is written, when told so.
type record struct {
	net.Conn
	hold bool
	held []byte
}

func (r *record) Write(p []byte) (int, error) {
	if r.hold {
		r.held = append(r.held, p...)
		return len(p), nil
	}
	return r.Conn.Write(p)
}

// MINEFIELD H25: what a client sends in plain behind its request for TLS is
// never read as anything but its part of the handshake.
func TestPlainBytesBeforeTheHandshakeBreakIt(t *testing.T) {
	a, b := tcpPair(t)
	defer b.Close()
	c := NewConn(a)
	defer c.Close()
	if _, err := b.Write(packets(1, []byte("SSLRequest"), []byte("injected"))); err != nil {
		t.Fatal(err)
	}
	c.Seq = 1
	if _, err := c.ReadPacket(100); err != nil {
		t.Fatal(err)
	}
	for len(c.Buffered()) < HeaderSize+8 {
		if err := c.Fill(); err != nil {
			t.Fatal(err)
		}
	}
	err := c.StartTLS(tls.Server, serverTLS(tls.VersionTLS13))
	if err == nil || !strings.Contains(err.Error(), "does not look like a TLS handshake") {
		t.Errorf("error %v", err)
	}
	if len(c.Buffered()) != 0 {
		t.Errorf("%q is left to be read", c.Buffered())
	}
}

// A client need not wait between its request and the handshake.
func TestAHandshakeMayArriveWithTheRequest(t *testing.T) {
	a, b := tcpPair(t)
	defer b.Close()
	c := NewConn(a)
	defer c.Close()
	client := tls.Client(&prefixed{b, packets(1, []byte("SSLRequest"))}, clientTLS())
	done := make(chan error, 1)
	go func() { done <- client.Handshake() }()
	c.Seq = 1
	if p, err := c.ReadPacket(100); err != nil || string(p) != "SSLRequest" {
		t.Fatalf("got %q: %v", p, err)
	}
	if len(c.Buffered()) == 0 {
		t.Fatal("the handshake is not there yet: nothing is tested")
	}
	if err := c.StartTLS(tls.Server, serverTLS(tls.VersionTLS13)); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// prefixed puts something before the first write.
type prefixed struct {
	net.Conn
	first []byte
}

func (p *prefixed) Write(b []byte) (int, error) {
	all := append(p.first, b...)
	p.first = nil
	if _, err := p.Conn.Write(all); err != nil {
		return 0, err
	}
	return len(b), nil
}

func TestATLSConnectionIsQuietUntilThePeerSaysSomethingOrGoes(t *testing.T) {
	for name, act := range map[string]func(net.Conn){
		"sends": func(nc net.Conn) { _, _ = nc.Write([]byte{1}) },
		"goes":  func(nc net.Conn) { _ = nc.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			c, peer := tlsPair(t, tls.VersionTLS13)
			if !c.Quiet() {
				t.Error("not quiet although nothing happened")
			}
			act(peer)
			deadline := time.Now().Add(patience)
			for c.Quiet() {
				if time.Now().After(deadline) {
					t.Fatal("still quiet")
				}
				runtime.Gosched()
			}
			if name == "sends" && string(c.Buffered()) != "\x01" {
				t.Errorf("looking has lost what was sent: %x", c.Buffered())
			}
		})
	}
}

// Servers send session tickets after the handshake of TLS 1.3. They arrive
// some time after the client considers it done, and are no data.
func TestSessionTicketsDoNotDisturbTheQuiet(t *testing.T) {
	a, b := tcpPair(t)
	defer b.Close()
	server := tls.Server(b, serverTLS(tls.VersionTLS13))
	c := NewConn(a)
	defer c.Close()
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	if err := c.StartTLS(tls.Client, clientTLS()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil { // the tickets have been written
		t.Fatal(err)
	}
	if c.raw == nil {
		t.Fatal("not a socket")
	}
	for range 100 {
		if !c.Quiet() {
			t.Fatalf("not quiet: %v, %d bytes", c.recvE, len(c.Buffered()))
		}
	}
	if c.buf != nil {
		t.Error("looking keeps a buffer")
	}
	go func() { _, err := server.Write(packets(0, pattern(9))); done <- err }()
	if p, err := c.ReadPacket(100); err != nil || len(p) != 9 {
		t.Errorf("got %d bytes: %v", len(p), err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestACutTLSConnectionEndsTheRead(t *testing.T) {
	for _, c := range []struct {
		name string
		cut  func(peer net.Conn, rec *record)
		want error
	}{
		{"between records", func(_ net.Conn, r *record) { _ = r.Close() }, io.EOF},
		{"with a goodbye", func(peer net.Conn, _ *record) { _ = peer.(silent).Conn.Close() }, io.EOF},
		{"in the middle of a record", func(peer net.Conn, r *record) {
			r.hold = true
			_, _ = peer.Write(pattern(100))
			_, _ = r.Conn.Write(r.held[:20])
			_ = r.Close()
		}, io.ErrUnexpectedEOF},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer goleak.VerifyNone(t)
			a, b := tcpPair(t)
			conn := NewConn(a)
			defer conn.Close()
			r := &record{Conn: b}
			peer := startTLS(t, conn, r, tls.VersionTLS13)
			c.cut(peer, r)
			if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			if err := conn.Fill(); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
		})
	}
}

func TestTLSStateIsThereOnlyWithTLS(t *testing.T) {
	c, _ := tlsPair(t, tls.VersionTLS12)
	if st := c.TLS(); st == nil || st.Version != tls.VersionTLS12 {
		t.Errorf("state %v", st)
	}
	a, b := tcpPair(t)
	defer b.Close()
	plain := NewConn(a)
	defer plain.Close()
	if plain.TLS() != nil {
		t.Error("TLS without a handshake")
	}
}

// What a connection costs while it is idle is what crypto/tls keeps of it.
func TestAnIdleTLSConnectionIsSmall(t *testing.T) {
	const n, limit = 100, 40 << 10
	var before, after runtime.MemStats
	certificate() // made once
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range n {
		c, peer := tlsPair(t, tls.VersionTLS13)
		if _, err := peer.Write(packets(0, pattern(100))); err != nil {
			t.Fatal(err)
		}
		if _, err := c.ReadPacket(100); err != nil {
			t.Fatal(err)
		}
		c.Idle()
		if !c.Quiet() {
			t.Fatal("not quiet")
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / n
	t.Logf("%d bytes for both ends of a connection", each)
	if each > limit {
		t.Errorf("%d bytes for both ends of a connection, limit %d", each, limit)
	}
}
