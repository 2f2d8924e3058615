//go:build integration

package integration

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localserver"
	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/auth"
)

// tlsHello is the first flight of a TLS client.
func tlsHello() []byte {
	var heard overheard
	_ = tls.Client(&heard, &tls.Config{InsecureSkipVerify: true}).Handshake()
	return heard.sent
}

// overheard keeps what is sent and answers nothing.
type overheard struct {
	net.Conn
	sent []byte
}

func (o *overheard) Write(b []byte) (int, error) {
	o.sent = append(o.sent, b...)
	return len(b), nil
}
func (o *overheard) Read([]byte) (int, error) { return 0, io.EOF }

// injected is the statement that nobody may run.
const injected = "INSERT INTO " + caseSchema + ".b VALUES (25) /* H25 */"

// plainAfterRequest are the packets that somebody puts between a client's request for
// TLS and its handshake, each a login with the right password where there is one.
func plainAfterRequest(g *wire.HandshakeV10) map[string][]byte {
	h := appLogin(g)
	login := func(seq byte, flags wire.Capability) []byte {
		h.Capabilities |= flags
		b, _ := wire.AppendPacket(nil, seq, h.Append(nil))
		return b
	}
	statement := framed(wire.ComQuery, injected)
	return map[string][]byte{
		"a login and a statement":                              append(login(2, 0), statement...),
		"a login that has asked for TLS and a statement":       append(login(2, wire.SSL), statement...),
		"a login by the number of the request and a statement": append(login(1, 0), statement...),
		"a statement": statement,
		// Enough of it for what the login's header says if it is read as a record's.
		"a hello of TLS, a login and a statement": slices.Concat(tlsHello(), login(2, wire.SSL), framed(wire.ComQuery, injected+strings.Repeat(" ", 2000))),
	}
}

// sslRequest is a packet.
func sslRequest() []byte {
	h := wire.HandshakeResponse{Capabilities: attemptCapabilities | wire.DeprecateEOF | wire.SSL, MaxPacket: 1 << 24, Collation: 45}
	return loginPacket(h.AppendSSLRequest(nil))
}

// turnedAway reads what comes until the connection ends, which is all that may come
// for a client that is not let in, and tells it in a word.
func turnedAway(t *testing.T, nc net.Conn) string {
	t.Helper()
	b, err := io.ReadAll(nc)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		t.Fatalf("the connection stays open, after %q", b)
	case err != nil && !errors.Is(err, syscall.ECONNRESET):
		t.Fatal(err)
	case len(b) == 0:
		return "closed"
	case len(b) > wire.HeaderSize && wire.PacketLen(b) == len(b)-wire.HeaderSize && wire.IsErr(b[wire.HeaderSize:]):
		return fmt.Sprintf("closed after %q", b[wire.HeaderSize:])
	case b[0] == 21 && b[1] == 3: // RFC 8446, 5.1
		return "closed after a TLS alert"
	case b[0] == 22 && b[1] == 3:
		return "closed after the server's part of a TLS handshake"
	}
	t.Errorf("answered by %q", b)
	return ""
}

// testPlainBehindTheRequest is MINEFIELD H25: what lies in the same segment as a request
// for TLS is the client's part of the handshake or breaks it; nothing of it is run, now
// or later. Both flavours say "Bad handshake" in plain before they close the connection,
// Telamon closes it.
func (r *tlsRig) testPlainBehindTheRequest(t *testing.T) {
	createCaseSchema(t, r.c)
	offering := suite.StartProxy(t, r.config("preferred", "preferred"))
	without := suite.StartProxy(t, r.config("off", "preferred"))
	logs := harness.OpenLogs(t, r.c)
	trusting := &tls.Config{RootCAs: r.authority.Pool(), ServerName: "127.0.0.1"}
	secure := dialRawOver(t, trusting, offering.Addr(), localserver.AppUser, rawCapabilities|wire.DeprecateEOF, 0)
	open := dialRaw(t, without.Addr(), localserver.AppUser, rawCapabilities|wire.DeprecateEOF, 0)
	targets := []struct{ name, addr string }{
		{"directly", r.c.Primary.Addr()}, {"through the proxy", offering.Addr()}, {"through one that offers no TLS", without.Addr()},
	}
	for name := range plainAfterRequest(new(wire.HandshakeV10)) {
		for _, target := range targets {
			t.Run(name+", "+target.name, func(t *testing.T) {
				c, g := helloFrom(t, target.addr)
				defer c.nc.Close()
				c.write(append(sslRequest(), plainAfterRequest(g)[name]...))
				t.Log(turnedAway(t, c.nc))
			})
		}
		for _, bystander := range []*rawClient{secure, open} {
			if got := ask(t, bystander, "SELECT 'unharmed'"); got != "unharmed" {
				t.Fatalf("a bystander got %q", got)
			}
		}
	}
	for _, target := range targets[:2] {
		t.Run("a statement that somebody puts before a client's handshake, "+target.name, func(t *testing.T) {
			if _, err := handshakeBehind(t, target.addr, append(sslRequest(), framed(wire.ComQuery, injected)...)); err == nil {
				t.Error("the handshake came about")
			}
		})
		t.Run("a handshake in the segment of the request, "+target.name, func(t *testing.T) {
			c, err := handshakeBehind(t, target.addr, sslRequest())
			if err != nil {
				t.Fatal(err)
			}
			if got := ask(t, c, "SELECT 'inside'"); got != "inside" {
				t.Errorf("got %q", got)
			}
		})
	}
	if seen := logs.Statements("H25"); len(seen) > 0 {
		t.Errorf("run: %v", seen)
	}
	if n, err := r.c.Primary.Value(t.Context(), "SELECT COUNT(*) FROM "+caseSchema+".b"); err != nil || n != "0" {
		t.Errorf("%s rows, %v", n, err)
	}
}

// handshakeBehind logs in over TLS as a client whose first flight goes out in one
// write with something before it.
func handshakeBehind(t *testing.T, addr string, before []byte) (*rawClient, error) {
	t.Helper()
	c, g := helloFrom(t, addr)
	secure := tls.Client(&behind{c.nc, before}, &tls.Config{InsecureSkipVerify: true})
	if err := secure.HandshakeContext(t.Context()); err != nil {
		return nil, err
	}
	c.nc, c.r, c.w = secure, bufio.NewReader(secure), secure
	h := appLogin(g)
	h.Capabilities |= wire.SSL
	b, _ := wire.AppendPacket(nil, 2, h.Append(nil))
	c.write(b)
	c.seq = 3
	x := auth.ClientExchange{Password: localserver.AppPassword, Secure: true}
	x.Start(g.AuthPlugin, g.Salt[:])
	c.exchange(&x)
	if n := len(c.said); n == 0 || !strings.Contains(c.said[n-1], "OK") {
		t.Fatalf("%q", c.said)
	}
	return c, nil
}

// behind sends the first write behind what comes before it.
type behind struct {
	net.Conn
	before []byte
}

func (b *behind) Write(p []byte) (int, error) {
	all := append(b.before, p...)
	b.before = nil
	if _, err := b.Conn.Write(all); err != nil {
		return 0, err
	}
	return len(p), nil
}
