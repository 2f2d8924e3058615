package pool

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/wiretest"
)

// TestAServerThatStammersDuringTheLogin cuts and changes what a server says
// before it lets Telamon in, at every byte: the attempt fails, soon, and that is
// all that happens.
func TestAServerThatStammersDuringTheLogin(t *testing.T) {
	g := wiretest.DefaultGreeting()
	greeting, _ := wire.AppendPacket(nil, 0, g.Append(nil))
	framed := func(p []byte) []byte { b, _ := wire.AppendPacket(nil, 2, p); return b }
	ok := wire.OK{Status: wire.Autocommit}
	answers := map[string][]byte{
		"OK":          framed(ok.Append(nil, 0, wiretest.Capabilities)),
		"ERR":         framed(wire.NewErr(wire.CodeAccessDenied, "Access denied").Append(nil)),
		"auth switch": framed([]byte("\xfemysql_native_password\x00aaaaaaaaaaaaaaaaaaaa\x00")),
		"old switch":  framed([]byte{0xfe}),
		"more data":   framed([]byte{1, 4}),
		"a key":       framed([]byte("\x01-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")),
		"more to do":  framed([]byte{1, 3}),
	}
	var mu sync.Mutex
	var first, second []byte
	addr := listen(t, func(nc net.Conn) {
		mu.Lock()
		a, b := first, second
		mu.Unlock()
		_ = nc.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := nc.Write(a); err != nil {
			return
		}
		if len(a) != len(greeting) {
			return
		}
		if _, err := nc.Read(make([]byte, 4096)); err != nil {
			return
		}
		_, _ = nc.Write(b)
		_ = nc.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, nc)
	})
	r := newRig(t, addr, 1)
	d := testDialer()
	d.Timeout = 300 * time.Millisecond
	r.pools.Configure(d, testLimits)
	attempt := func(a, b []byte) {
		t.Helper()
		mu.Lock()
		first, second = a, b
		mu.Unlock()
		c, err := d.dial(t.Context(), r.server, testLogin, plain)
		if err == nil {
			c.Discard()
			t.Fatalf("a login that broke off was taken for one: %x, %x", a, b)
		}
	}
	changed := func(whole []byte, do func([]byte)) {
		for i := range whole {
			do(whole[:i])
			for _, v := range []byte{0, 0xff, whole[i] ^ 0x80, whole[i] + 1} {
				b := bytes.Clone(whole)
				b[i] = v
				do(b)
			}
		}
	}
	t.Run("greeting", func(t *testing.T) {
		changed(greeting, func(b []byte) {
			if len(b) >= wire.HeaderSize && wire.PacketLen(b) > len(greeting) {
				return // Telamon waits for the rest: TestFailedDials
			}
			attempt(b, answers["OK"])
		})
	})
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			changed(answer, func(b []byte) {
				attempt(greeting, b)
			})
		})
	}
}
