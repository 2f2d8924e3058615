//go:build integration

package integration

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localproxy"
	"github.com/telamondb/telamon/internal/localserver"
	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/wiretest"
)

// vanishing is a client over TLS at some stage of its life, about to go.
type vanishing struct {
	t    *testing.T
	c    *localserver.Cluster
	nc   net.Conn // TCP
	half bool     // of what is written only the first half is sent
	peer *wiretest.Peer
}

// vanishingConn is what TLS writes to.
type vanishingConn struct {
	net.Conn
	v *vanishing
}

func (c vanishingConn) Write(b []byte) (int, error) {
	if !c.v.half {
		return c.Conn.Write(b)
	}
	_, err := c.Conn.Write(b[:len(b)/2])
	return len(b), err
}

// login logs in over TLS.
func (v *vanishing) login() {
	v.t.Helper()
	peer, err := wiretest.Login(vanishingConn{v.nc, v}, wiretest.Credentials{
		User: localserver.AppUser, Password: localserver.AppPassword, Database: caseSchema,
		Capabilities: rawCapabilities | wire.DeprecateEOF, TLS: &tls.Config{InsecureSkipVerify: true},
	})
	if err != nil {
		v.t.Fatal(err)
	}
	v.peer = peer
}

// send sends a command and does not wait for an answer.
func (v *vanishing) send(sql string) {
	v.t.Helper()
	if err := v.peer.Command(wire.ComQuery, sql); err != nil {
		v.t.Fatal(err)
	}
}

// greet reads the greeting and asks for TLS.
func (v *vanishing) greet(then []byte) {
	v.t.Helper()
	c := greetable(v.t, v.nc)
	c.greeting()
	c.write(append(sslRequest(), then...))
}

// stages are how far a client gets. A running statement has the marker.
const vanishMarker = "H26"

var vanishStages = []struct {
	name string
	do   func(v *vanishing)
}{
	{"before the greeting", func(*vanishing) {}},
	{"behind its request for TLS", func(v *vanishing) { v.greet(nil) }},
	{"in the middle of its hello", func(v *vanishing) { v.greet(tlsHello()[:100]) }},
	{"behind its hello", func(v *vanishing) { v.greet(tlsHello()) }},
	{"behind the handshake", func(v *vanishing) { v.handshake() }},
	{"in the middle of the record with its login", func(v *vanishing) {
		secure := v.handshake()
		v.half = true
		_, _ = secure.Write(loginPacket(wellFormed()))
	}},
	{"in the middle of its login, between records", func(v *vanishing) {
		_, _ = v.handshake().Write(loginPacket(wellFormed())[:40])
	}},
	{"idle", func(v *vanishing) { v.login() }},
	{"in the middle of the record with a statement", func(v *vanishing) {
		v.login()
		v.half = true
		v.send("INSERT INTO b VALUES (26)")
	}},
	{"in the middle of a statement of several records", func(v *vanishing) {
		v.login()
		long := framed(wire.ComQuery, "INSERT INTO b VALUES ("+strings.Repeat("2", 300_000)+")")
		_, _ = v.peer.TLSConn.Write(long[:200_000])
	}},
	{"while its statement runs", func(v *vanishing) {
		v.login()
		awaitStopped(v.t, v.c, vanishMarker) // the one before
		v.send("SELECT SLEEP(100) /* " + vanishMarker + " */")
		awaitRunning(v.t, v.c, vanishMarker)
	}},
	{"in the middle of a large result", func(v *vanishing) {
		v.login()
		v.send(vanishLarge)
		if _, err := v.peer.Read(); err != nil {
			v.t.Fatal(err)
		}
	}},
	{"in the middle of a large result of the primary's", func(v *vanishing) {
		v.login()
		v.send("/*master*/ " + vanishLarge)
		if _, err := v.peer.Read(); err != nil {
			v.t.Fatal(err)
		}
	}},
}

// vanishLarge answers with 100 MB.
const vanishLarge = "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 1000) SELECT i, REPEAT('" + vanishMarker + "', 33000) FROM n"

// handshake does the TLS handshake and nothing behind it.
func (v *vanishing) handshake() *tls.Conn {
	v.t.Helper()
	v.greet(nil)
	secure := tls.Client(vanishingConn{v.nc, v}, &tls.Config{InsecureSkipVerify: true})
	if err := secure.HandshakeContext(v.t.Context()); err != nil {
		v.t.Fatal(err)
	}
	return secure
}

// vanishWays are: like a process that ends, like a host that has forgotten, with a
// goodbye of TLS's, and with an end to what is sent only.
var vanishWays = []func(v *vanishing){
	func(v *vanishing) { _ = v.nc.Close() }, // FIN, or RST if there is something unread
	func(v *vanishing) {
		_ = v.nc.(*net.TCPConn).SetLinger(0)
		_ = v.nc.Close()
	},
	func(v *vanishing) {
		if v.peer != nil {
			_ = v.peer.TLSConn.CloseWrite()
		}
		_ = v.nc.Close()
	},
	func(v *vanishing) {
		_ = v.nc.(*net.TCPConn).CloseWrite()
		_, err := io.Copy(io.Discard, v.nc) // until the proxy closes
		if errors.Is(err, os.ErrDeadlineExceeded) {
			v.t.Error("a connection that is half closed stays")
		}
		_ = v.nc.Close()
	},
}

// TestH26TLSClientsThatVanish: wherever a client is when it goes, nothing of it stays in
// the proxy or on a server, the proxy rests, and nobody else notices.
func TestH26TLSClientsThatVanish(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		createCaseSchema(t, c)
		cfg := harness.ProxyConfig(c)
		cfg.Settings["proxy.tls"] = `mode = "preferred"`
		cfg.Settings["guard"] = "denied_functions = []"
		cfg.Settings["pool"] = "max_idle = 1"
		cfg.Settings["monitor"] = "fall = 100" // large results keep a small machine busy
		p := suite.StartProxy(t, cfg)
		secure := &tls.Config{InsecureSkipVerify: true}
		bystander := dialRawOver(t, secure, p.Addr(), localserver.AppUser, rawCapabilities|wire.DeprecateEOF, 0)
		unharmed := func(t *testing.T) {
			t.Helper()
			next := dialRawOver(t, secure, p.Addr(), localserver.AppUser, rawCapabilities|wire.DeprecateEOF, 0)
			defer next.nc.Close()
			for i := range 3 { // on all servers
				for _, sql := range []string{"SELECT 'mine-%d'", "/*master*/ SELECT 'mine-%d'"} {
					mine := fmt.Sprintf("mine-%d", i)
					for _, cl := range []*rawClient{bystander, next} {
						if got := ask(t, cl, fmt.Sprintf(sql, i)); got != mine {
							t.Fatalf("%s: got %q", sql, got)
						}
					}
				}
			}
		}
		unharmed(t)
		before := footprintOf(t, p)
		for _, stage := range vanishStages {
			t.Run(stage.name, func(t *testing.T) {
				for _, leave := range vanishWays {
					nc, err := net.Dial("tcp", p.Addr())
					if err != nil {
						t.Fatal(err)
					}
					defer nc.Close()
					_ = nc.SetDeadline(time.Now().Add(rawTimeout))
					v := &vanishing{t: t, c: c, nc: nc}
					stage.do(v)
					leave(v)
				}
				awaitStopped(t, c, vanishMarker)
				unharmed(t)
			})
		}
		harness.Eventually(t, 20*time.Second, func(context.Context) error { return footprintOf(t, p).beyond(before) })
		awaitRest(t, p)
		if n, err := c.Primary.Value(t.Context(), "SELECT COUNT(*) FROM "+caseSchema+".b"); err != nil || n != "0" {
			t.Errorf("%s rows were written by clients that did not end their command (%v)", n, err)
		}
	})
}

// footprint is what a proxy holds.
type footprint struct{ clients, goroutines, busy, files int }

func footprintOf(t *testing.T, p *localproxy.Proxy) footprint {
	t.Helper()
	response, err := http.Get("http://" + p.Config().HTTP + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var f footprint
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		n, _ := strconv.ParseFloat(value, 64)
		switch {
		case name == "telamon_clients_connected":
			f.clients = int(n)
		case name == "go_goroutines":
			f.goroutines = int(n)
		case strings.HasPrefix(name, "telamon_pool_connections{") && strings.Contains(name, `state="active"`):
			f.busy += int(n)
		}
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.PID()))
	if err != nil {
		t.Fatal(err)
	}
	f.files = len(files)
	if f.clients == 0 || f.goroutines == 0 {
		t.Fatalf("no metrics: %+v", f)
	}
	return f
}

// beyond tells whether more is held than before. The console and the monitor have
// connections that come and go.
func (f footprint) beyond(before footprint) error {
	const slack = 5
	if f.clients > before.clients || f.busy > before.busy || f.goroutines > before.goroutines+slack || f.files > before.files+slack {
		return fmt.Errorf("held is %+v, before it was %+v", f, before)
	}
	return nil
}

// awaitRest waits for a moment in which the proxy does next to nothing. A loop that
// is busy has a thread that is always runnable, however little of the processor a
// loaded machine gives it.
func awaitRest(t *testing.T, p *localproxy.Proxy) {
	t.Helper()
	const looks = 40
	harness.Eventually(t, 20*time.Second, func(ctx context.Context) error {
		busy, since := 0, time.Now()
		used, err := p.CPU()
		if err != nil {
			return err
		}
		pause := time.NewTicker(10 * time.Millisecond)
		defer pause.Stop()
		for range looks {
			if runnable(p.PID()) {
				busy++
			}
			select {
			case <-pause.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		now, err := p.CPU()
		if err != nil {
			return err
		}
		if used = now - used; busy > looks/2 || used > time.Since(since)/5 {
			return fmt.Errorf("the proxy has work at %d of %d moments and has used %v in %v", busy, looks, used, time.Since(since))
		}
		t.Logf("at rest: work at %d of %d moments, %v used in %v", busy, looks, used, time.Since(since))
		return nil
	})
}

// runnable reports whether a thread of the process runs or wants to (proc_pid_stat(5)).
func runnable(pid int) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, file := range threads {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		if _, state, _ := strings.Cut(string(stat), ") "); strings.HasPrefix(state, "R") {
			return true
		}
	}
	return false
}
