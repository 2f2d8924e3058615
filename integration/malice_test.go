//go:build integration

package integration

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localproxy"
	"github.com/telamondb/telamon/internal/localserver"
	"github.com/telamondb/telamon/wire"
)

// What a wicked client can send, by the numbers of the fault catalogue, while
// another client goes on working. The process must not die, hang, grow or tell
// anything; harness.StartProxy looks for panics and data races in its log.

// wicked is a proxy under attack.
type wicked struct {
	t  *testing.T
	p  *localproxy.Proxy
	by *rawClient // the bystander
}

// knock connects and reads the greeting.
func (w *wicked) knock() net.Conn {
	w.t.Helper()
	nc, err := net.Dial("tcp", w.p.Addr())
	if err != nil {
		w.t.Fatal(err)
	}
	_ = nc.SetDeadline(time.Now().Add(rawTimeout))
	var h [4]byte
	if _, err := io.ReadFull(nc, h[:]); err != nil {
		w.t.Fatalf("no greeting: %v", err)
	}
	if _, err := io.CopyN(io.Discard, nc, int64(wire.PacketLen(h[:]))); err != nil {
		w.t.Fatal(err)
	}
	return nc
}

// end ends what is sent and returns what is answered, up to the end of the
// connection, which the proxy has to bring about.
func (w *wicked) end(nc net.Conn, sent []byte) []byte {
	w.t.Helper()
	defer nc.Close()
	_, _ = nc.Write(sent)
	_ = nc.(*net.TCPConn).CloseWrite()
	got, err := io.ReadAll(nc)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		w.t.Fatalf("the proxy keeps a connection after %.60q", sent)
	}
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		w.t.Fatal(err)
	}
	return got
}

// unharmed checks that the bystander is served.
func (w *wicked) unharmed() {
	w.t.Helper()
	if got := ask(w.t, w.by, "SELECT 'unharmed'"); got != "unharmed" {
		w.t.Fatalf("the bystander got %q", got)
	}
}

// wellFormed is a login as a client sends it, with a password that is wrong.
func wellFormed() []byte {
	h := wire.HandshakeResponse{
		Capabilities: rawCapabilities | wire.ConnectWithDB | wire.ConnectAttrs, MaxPacket: 1 << 24, Collation: 45,
		User: localserver.AppUser, AuthResponse: bytes.Repeat([]byte{7}, 20), Database: localserver.AppSchema,
		AuthPlugin: "mysql_native_password", Attributes: wire.AppendAttribute(nil, "program_name", "wicked"),
	}
	return h.Append(nil)
}

func loginPacket(payload []byte) []byte {
	b, _ := wire.AppendPacket(nil, 1, payload)
	return b
}

func TestMaliciousClients(t *testing.T) {
	c := suite.Cluster(t, localserver.MariaDB)
	p := suite.StartProxy(t, harness.ProxyConfig(c))
	createCaseSchema(t, c)
	w := &wicked{t: t, p: p, by: dialRaw(t, p.Addr(), localserver.AppUser, rawCapabilities|wire.DeprecateEOF, 0)}
	sub := func(name string, f func(*wicked)) {
		t.Run(name, func(t *testing.T) {
			sub := *w
			sub.t = t
			f(&sub)
			sub.unharmed()
		})
	}
	refused := func(w *wicked, got []byte) {
		w.t.Helper()
		if len(got) > 4 && got[4] == 0 {
			w.t.Fatalf("let in: %q", got)
		}
	}
	sub("S16 a login cut at every byte", func(w *wicked) {
		whole := wellFormed()
		for n := range whole {
			refused(w, w.end(w.knock(), loginPacket(whole[:n])))   // shorter
			refused(w, w.end(w.knock(), loginPacket(whole)[:n+4])) // broken off
		}
	})
	sub("S17 lengths that are not there", func(w *wicked) {
		whole := wellFormed()
		at := 32 + len(localserver.AppUser) + 1 // of the answer's length
		for _, l := range [][]byte{{0xfb}, {0xfc}, {0xfc, 0xff, 0xff}, {0xfd, 0, 0, 1}, {0xfe, 0, 0, 0, 0, 1, 0, 0, 0}, {0xfe, 0, 0, 0, 0, 0, 0, 0, 0x80}, bytes.Repeat([]byte{0xff}, 9), {0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}} {
			refused(w, w.end(w.knock(), loginPacket(append(append(bytes.Clone(whole[:at]), l...), whole[at+1:]...))))
		}
	})
	sub("S18 names without end", func(w *wicked) {
		refused(w, w.end(w.knock(), loginPacket(append(bytes.Clone(wellFormed()[:32]), bytes.Repeat([]byte{'a'}, 60_000)...))))
	})
	sub("S19 logins of other ages", func(w *wicked) {
		for _, b := range [][]byte{{}, {0}, make([]byte, 32), append(make([]byte, 32), "root\x00\x00"...), []byte("\x00\x00\x00\x00\x00root\x00"), []byte("\x8d\x00\x00\x00\x00root\x00xxxxxxxx")} {
			refused(w, w.end(w.knock(), loginPacket(b)))
		}
	})
	sub("S20 nothing but headers", func(w *wicked) {
		for _, n := range []int{1, 1000, 9000} {
			refused(w, w.end(w.knock(), bytes.Repeat([]byte{0xff, 0xff, 0xff, 0}, n)))
			refused(w, w.end(w.knock(), bytes.Repeat([]byte{0xff, 0xff, 0xff, 1}, n)))
		}
	})
	sub("S21 a thousand that promise 16 MiB and send a byte", func(w *wicked) {
		before, err := w.p.RSS()
		if err != nil {
			w.t.Fatal(err)
		}
		var all []net.Conn
		for range 1000 {
			nc := w.knock()
			_, _ = nc.Write([]byte{0xfe, 0xff, 0xff, 1, 'x'})
			all = append(all, nc)
		}
		w.unharmed()
		after, err := w.p.RSS()
		if err != nil {
			w.t.Fatal(err)
		}
		w.t.Logf("RSS %d MiB before, %d MiB after", before>>20, after>>20)
		if after-before > 32<<20 {
			w.t.Errorf("RSS grew by %d MiB", (after-before)>>20)
		}
		for _, nc := range all {
			nc.Close()
		}
	})
	sub("S23 sequence ids that make no sense", func(w *wicked) {
		for _, seq := range []byte{0, 2, 255} {
			b := loginPacket(wellFormed())
			b[3] = seq
			refused(w, w.end(w.knock(), b))
		}
		cl := w.by.another()
		b := append(framed(wire.ComQuery, "INSERT INTO b VALUES (23)"), framed(wire.ComQuery, "INSERT INTO b VALUES (23)")...)
		b[len(b)-len(framed(wire.ComQuery, "INSERT INTO b VALUES (23)"))+3] = 1 // a replay
		cl.write(b)
		cl.results()
		cl.seq = 0
		cl.closes()
		if got := ask(w.t, w.by, "SELECT COUNT(*) FROM b WHERE id = 23 FOR UPDATE"); got != "1" {
			w.t.Errorf("%s rows", got)
		}
	})
	sub("S24 commands before the login", func(w *wicked) {
		nc := w.knock()
		b := append(loginPacket(wellFormed()), framed(wire.ComQuery, "INSERT INTO app_cases.b VALUES (24)")...)
		refused(w, w.end(nc, b))
		refused(w, w.end(w.knock(), framed(wire.ComQuery, "INSERT INTO app_cases.b VALUES (24)")))
		if got := ask(w.t, w.by, "SELECT COUNT(*) FROM b WHERE id = 24 FOR UPDATE"); got != "0" {
			w.t.Errorf("%s rows", got)
		}
	})
	sub("F66 mutated logins and commands", func(w *wicked) {
		rnd := rand.New(rand.NewPCG(66, uint64(time.Now().UnixNano())))
		rounds := 300
		if harness.Long() {
			rounds = 20_000
		}
		for range rounds {
			b := loginPacket(wellFormed())
			for range 1 + rnd.IntN(3) {
				b[4+rnd.IntN(len(b)-4)] = byte(rnd.Uint32())
			}
			refused(w, w.end(w.knock(), b))
			cl := w.by.another()
			id := cl.prepare("SELECT ?, ?")
			s := framed(wire.ComStmtExecute, executeArg(id, []any{"x", 5}))
			s = append(s, framed(wire.ComStmtSendLongData, stmt(id, 0, 0)+"abc")...)
			s = append(s, framed(wire.ComFieldList, "b\x00")...)
			s = append(s, framed(wire.ComChangeUser, "app\x00\x14aaaaaaaaaaaaaaaaaaaaapp\x00-\x00mysql_native_password\x00")...)
			for range 1 + rnd.IntN(6) {
				s[rnd.IntN(len(s))] = byte(rnd.Uint32())
			}
			w.end(cl.nc, s)
		}
	})
}
