//go:build integration

package integration

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localproxy"
	"github.com/telamondb/telamon/internal/localserver"
	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/auth"
)

// TestLogins are the other cases of MINEFIELD's group H that are about getting
// in.
func TestLogins(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		p := suite.StartProxy(t, harness.ProxyConfig(c))
		same := func(t *testing.T, a attempt) {
			t.Helper()
			if diff := cmp.Diff(a.make(t, c.Primary.Addr()), a.make(t, p.Addr())); diff != "" {
				t.Errorf("%+v\n- directly, + through the proxy:\n%s", a, diff)
			}
		}
		app := attempt{user: localserver.AppUser, password: localserver.AppPassword}
		t.Run("H06 a login cut short at every byte", func(t *testing.T) { cutShort(t, c, p) })
		t.Run("H07 a large legal login, and a large packet that is none", func(t *testing.T) { largeLogins(t, p) })
		t.Run("H09 a stray NUL before the plugin's name", func(t *testing.T) {
			stray := app
			stray.nulls = 1
			same(t, stray)
		})
		t.Run("H13 capabilities outlive an AuthSwitchRequest", func(t *testing.T) { switchKeepsCapabilities(t, c, p) })
		t.Run("H20 the schema of the login", func(t *testing.T) {
			for _, schema := range []string{localserver.AppSchema, "app_no_such", "no_such", "mysql"} {
				for _, again := range []bool{false, true} {
					a := app
					a.schema, a.again = schema, again
					same(t, a)
				}
			}
		})
		t.Run("H22 after a COM_CHANGE_USER that failed", func(t *testing.T) { changeFailed(t, p) })
		t.Run("H23 connections opened after COM_CHANGE_USER", func(t *testing.T) { changeThenReconnect(t, c, p) })
		t.Run("H35 a locked account", func(t *testing.T) { lockedAccount(t, c) })
	})
}

// appLogin is the login of the application's account for a greeting.
func appLogin(g *wire.HandshakeV10) wire.HandshakeResponse {
	response, _ := auth.Respond(g.AuthPlugin, localserver.AppPassword, g.Salt[:])
	return wire.HandshakeResponse{
		Capabilities: attemptCapabilities | wire.DeprecateEOF, MaxPacket: 1 << 24, Collation: 45,
		User: localserver.AppUser, AuthResponse: response, AuthPlugin: g.AuthPlugin,
	}
}

// helloFrom connects and reads the greeting.
func helloFrom(t *testing.T, addr string) (*rawClient, *wire.HandshakeV10) {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	c := greetable(t, nc)
	return c, c.greeting()
}

// greetable is a client that has not been greeted yet.
func greetable(t testing.TB, nc net.Conn) *rawClient {
	_ = nc.SetDeadline(time.Now().Add(rawTimeout))
	return &rawClient{t: t, nc: nc, r: bufio.NewReader(nc), w: nc, caps: attemptCapabilities | wire.DeprecateEOF}
}

// cutShort: what a server refuses as malformed is refused, with its error.
func cutShort(t *testing.T, c *localserver.Cluster, p *localproxy.Proxy) {
	said := func(addr string, n int) (said []string, whole bool) {
		r, g := helloFrom(t, addr)
		h := appLogin(g)
		b := h.Append(nil)
		if n > len(b) {
			return nil, true
		}
		framed, _ := wire.AppendPacket(nil, 1, b[:n])
		r.write(framed)
		r.seq = 2
		if b := r.payload(); b != nil {
			r.noteAuth(b)
		}
		return r.said, false
	}
	for n := 0; ; n++ {
		through, whole := said(p.Addr(), n)
		if whole {
			break
		}
		direct, _ := said(c.Primary.Addr(), n)
		if got, want := admittedOrNot(through), admittedOrNot(direct); got != want {
			t.Errorf("%d bytes: directly %q, through the proxy %q", n, direct, through)
		}
	}
}

// admittedOrNot tells what came of a login; how one is refused that nobody makes
// does not matter.
func admittedOrNot(said []string) string {
	for _, s := range said {
		switch {
		case strings.Contains(s, "OK"), strings.Contains(s, "more data"):
			return "goes on"
		case strings.Contains(s, "switch to"):
			return "goes on"
		}
	}
	return "refused"
}

func largeLogins(t *testing.T, p *localproxy.Proxy) {
	r, g := helloFrom(t, p.Addr())
	h := appLogin(g)
	for i := range 60 {
		h.Attributes = wire.AppendAttribute(h.Attributes, fmt.Sprint("attribute", i), strings.Repeat("x", 1000))
	}
	framed, _ := wire.AppendPacket(nil, 1, h.Append(nil))
	r.write(framed)
	r.seq = 2
	x := auth.ClientExchange{Password: localserver.AppPassword}
	x.Start(g.AuthPlugin, g.Salt[:])
	r.exchange(&x)
	if !strings.Contains(strings.Join(r.said, ""), "OK") {
		t.Errorf("60 KiB of attributes: %q", r.said)
	}
	// The header of a large packet is enough to know.
	r, _ = helloFrom(t, p.Addr())
	r.write([]byte{0xff, 0xff, 0xff, 1})
	r.closes()
}

func switchKeepsCapabilities(t *testing.T, c *localserver.Cluster, p *localproxy.Proxy) {
	harness.Exec(t, c, "DROP TABLE IF EXISTS app.h13", "CREATE TABLE app.h13 (v INT)", "INSERT INTO app.h13 VALUES (1), (1)")
	said := func(addr string) []string {
		r, g := helloFrom(t, addr)
		h := appLogin(g)
		h.AuthPlugin, h.AuthResponse, h.Collation = "no_such_plugin", nil, 8 // latin1_swedish_ci
		h.Capabilities |= wire.FoundRows | wire.MultiStatements | wire.ConnectWithDB
		h.Database = localserver.AppSchema
		r.caps = h.Capabilities
		framed, _ := wire.AppendPacket(nil, 1, h.Append(nil))
		r.write(framed)
		r.seq = 2
		r.exchange(&auth.ClientExchange{Password: localserver.AppPassword})
		r.said = nil
		r.query("UPDATE h13 SET v = 1 WHERE v = 1")
		r.query("SELECT @@character_set_client, @@collation_connection, DATABASE()")
		r.query("SELECT 1; SELECT 2")
		return r.said
	}
	if diff := cmp.Diff(said(c.Primary.Addr()), said(p.Addr())); diff != "" {
		t.Errorf("- directly, + through the proxy:\n%s", diff)
	}
}

// changeFailed: MySQL closes, MariaDB serves the old user on. Through Telamon the
// connection ends with both, and the next client meets nothing of it.
func changeFailed(t *testing.T, p *localproxy.Proxy) {
	r, g := helloFrom(t, p.Addr())
	attempt{user: localserver.AppUser, password: localserver.AppPassword}.log(r, g)
	r.query("SELECT 1")
	r.said = nil
	attempt{user: localserver.DBAUser, password: "wrong", again: true}.log(r, g)
	r.closes()
	if all := strings.Join(r.said, ""); !strings.Contains(all, "Access denied") || !strings.HasSuffix(all, "< closed") {
		t.Errorf("%q", r.said)
	}
	conn := harness.Connect(t, p)
	var who string
	if err := conn.QueryRowContext(t.Context(), "SELECT CURRENT_USER()").Scan(&who); err != nil || who != "app@%" {
		t.Errorf("%q, %v", who, err)
	}
}

func changeThenReconnect(t *testing.T, c *localserver.Cluster, p *localproxy.Proxy) {
	r, g := helloFrom(t, p.Addr())
	attempt{user: localserver.AppUser, password: localserver.AppPassword}.log(r, g)
	r.query("SELECT 1 /* H23 as app */")
	attempt{user: localserver.DBAUser, password: localserver.DBAPassword, again: true}.log(r, g)
	who := func() string {
		r.said = nil
		r.query("SELECT CURRENT_USER() /* H23 */")
		return strings.Join(r.said, "")
	}
	if said := who(); !strings.Contains(said, "dba@%") {
		t.Errorf("after COM_CHANGE_USER: %s", said)
	}
	for _, s := range c.Replicas {
		ids, err := s.Value(t.Context(), "SELECT GROUP_CONCAT(ID) FROM information_schema.PROCESSLIST WHERE USER IN ('app', 'dba')")
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range strings.Split(ids, ",") {
			if id != "" {
				_ = s.Exec(t.Context(), "KILL "+id)
			}
		}
	}
	if said := who(); !strings.Contains(said, "dba@%") {
		t.Errorf("after its connections were killed: %s", said)
	}
}

// lockedAccount: the servers' own error reaches the client, and its place under
// max_connections is free again.
func lockedAccount(t *testing.T, c *localserver.Cluster) {
	createAccount(t, c, "h_locked", "BY 'secret'")
	cfg := harness.ProxyConfig(c)
	cfg.Users = append(localproxy.DefaultUsers(), localproxy.User{Name: "h_locked", Password: "secret", Lines: "max_connections = 1"})
	p := suite.StartProxy(t, cfg)
	harness.Exec(t, c, "ALTER USER h_locked@'%' ACCOUNT LOCK")
	locked := "Account is locked" // 3118
	if c.Primary.Flavour() == localserver.MariaDB {
		locked = "this account is locked" // 4151
	}
	for range 3 {
		said := attempt{user: "h_locked", password: "secret", schema: localserver.AppSchema}.make(t, p.Addr())
		if all := strings.Join(said, ""); !strings.Contains(all, locked) {
			t.Errorf("%q", said)
		}
	}
	harness.Exec(t, c, "ALTER USER h_locked@'%' ACCOUNT UNLOCK")
	harness.Eventually(t, 10*time.Second, func(context.Context) error {
		said := attempt{user: "h_locked", password: "secret", schema: localserver.AppSchema}.make(t, p.Addr())
		if !strings.Contains(strings.Join(said, ""), "OK") {
			return fmt.Errorf("%q", said)
		}
		return nil
	})
}

// TestARestartedServerLetsThePoolIn is MINEFIELD H17: MySQL forgets what it knows
// of caching_sha2_password when it restarts, and on connections without TLS
// wants each password in full again, encrypted with its key.
func TestARestartedServerLetsThePoolIn(t *testing.T) {
	const password = "canary-in-clear-text"
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		createAccount(t, c, "h_restart", "BY '"+password+"'")
		tap := startTap(t, c.Primary.Addr())
		cfg := harness.ProxyConfig(c)
		cfg.Backends[0].Address = tap.addr()
		cfg.Users = append(localproxy.DefaultUsers(), localproxy.User{Name: "h_restart", Password: password})
		p := suite.StartProxy(t, cfg)
		load := startLoad(t, p, "h_restart", password)
		load.awaitAll(t)
		if err := c.Primary.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		harness.AwaitState(t, p, tap.addr(), "up", 30*time.Second)
		load.awaitAll(t)
		t.Logf("all clients served %v after the server was back", time.Since(began).Round(time.Millisecond))
		load.stop()
		if tap.saw(password) {
			t.Error("the password was sent in clear")
		}
		for _, replica := range c.Replicas { // they try again only every second
			harness.Eventually(t, time.Minute, replica.CheckReplication)
		}
	})
}

// load are clients that each write again and again, with a connection of their
// own for each write.
type load struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup
	served []atomic.Int64 // by client
}

func startLoad(t *testing.T, p *localproxy.Proxy, user, password string) *load {
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{cancel: cancel, served: make([]atomic.Int64, 8)}
	t.Cleanup(l.stop)
	db := harness.Open(t, p.DSN(user, password, localserver.AppSchema))
	db.SetMaxIdleConns(0)
	for i := range l.served {
		l.wg.Go(func() {
			for ctx.Err() == nil {
				if _, err := db.ExecContext(ctx, "DO 1"); err == nil {
					l.served[i].Add(1)
				} else {
					<-time.After(10 * time.Millisecond)
				}
			}
		})
	}
	return l
}

func (l *load) stop() {
	l.cancel()
	l.wg.Wait()
}

// awaitAll waits until every client has been served once more.
func (l *load) awaitAll(t *testing.T) {
	t.Helper()
	before := make([]int64, len(l.served))
	for i := range l.served {
		before[i] = l.served[i].Load()
	}
	harness.Eventually(t, 30*time.Second, func(context.Context) error {
		for i := range l.served {
			if l.served[i].Load() == before[i] {
				return fmt.Errorf("client %d is not served", i)
			}
		}
		return nil
	})
}

// tap passes connections on and keeps what clients send.
type tap struct {
	ln   net.Listener
	mu   sync.Mutex
	sent bytes.Buffer
}

func startTap(t *testing.T, to string) *tap {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &tap{ln: ln}
	var wg sync.WaitGroup
	t.Cleanup(func() {
		_ = ln.Close()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				_ = client.Close()
				continue
			}
			pass := func(to io.Writer, from io.Reader) {
				_, _ = io.Copy(to, from)
				_ = errors.Join(client.Close(), server.Close())
			}
			wg.Go(func() { pass(io.MultiWriter(p, server), client) })
			wg.Go(func() { pass(client, server) })
		}
	})
	return p
}

func (p *tap) addr() string { return p.ln.Addr().String() }

// Write keeps what was sent.
func (p *tap) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sent.Write(b)
}

func (p *tap) saw(text string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Contains(p.sent.Bytes(), []byte(text))
}

// TestServersBlockHostsForBrokenHandshakesOnly: what docs/accounts.md says of
// guesses that are tried at the servers. Loopback is 127.0.0.1 alone to them.
// MySQL does not block hosts whose name it cannot look up, so that nothing can be
// seen there; its manual says the same of max_connect_errors.
func TestServersBlockHostsForBrokenHandshakesOnly(t *testing.T) {
	if err := localserver.Available(localserver.MariaDB); err != nil {
		t.Skip(err)
	}
	s, err := localserver.Start(t.Context(), localserver.Options{
		Flavour: localserver.MariaDB, Args: []string{"--skip-name-resolve=OFF", "--max-connect-errors=2"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	app := attempt{user: localserver.AppUser, password: localserver.AppPassword, from: "127.0.0.2"}
	wrong := app
	wrong.password = "wrong"
	for range 10 {
		wrong.make(t, s.Addr())
	}
	if said := strings.Join(app.make(t, s.Addr()), ""); !strings.Contains(said, "OK") {
		t.Errorf("after ten wrong passwords: %s", said)
	}
	for range 5 {
		_ = answeredFrom(t, app.from, s.Addr())
	}
	harness.Eventually(t, 10*time.Second, func(context.Context) error {
		if b := answeredFrom(t, app.from, s.Addr()); !wire.IsErr(b) {
			return fmt.Errorf("after broken handshakes: %q", b)
		}
		return nil
	})
}

// answeredFrom connects, returns the first packet and breaks off.
func answeredFrom(t *testing.T, from, addr string) []byte {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	nc, err := d.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(rawTimeout))
	r := &rawClient{t: t, nc: nc, r: bufio.NewReader(nc), w: nc}
	return r.payload()
}

// TestAPinnedKeyIsTheOnlyOne: backends.public_key, MySQL without TLS. A server
// that cannot read what was encrypted with it gets nothing else (FAULTS S13).
func TestAPinnedKeyIsTheOnlyOne(t *testing.T) {
	c := suite.Cluster(t, localserver.MySQL)
	key, err := c.Primary.Value(t.Context(), "SELECT VARIABLE_VALUE FROM performance_schema.global_status WHERE VARIABLE_NAME = 'Caching_sha2_password_rsa_public_key'")
	if err != nil {
		t.Fatal(err)
	}
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := auth.MarshalPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	// The accounts that are not the subject are known to the server.
	for user, password := range map[string]string{localserver.AppUser: localserver.AppPassword, localserver.MonitorUser: localserver.MonitorPassword} {
		if err := harness.Open(t, c.Primary.DSN(user, password, "")).PingContext(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for name, pinned := range map[string]struct {
		key string
		ok  bool
	}{"the server's": {key, true}, "another": {string(foreign), false}} {
		t.Run(name, func(t *testing.T) {
			createAccount(t, c, "h_pinned", "BY 'canary-in-clear-text'") // not known to the server yet
			file := filepath.Join(t.TempDir(), "key.pem")
			if err := os.WriteFile(file, []byte(pinned.key), 0o600); err != nil {
				t.Fatal(err)
			}
			tap := startTap(t, c.Primary.Addr())
			cfg := harness.ProxyConfig(c)
			cfg.Backends[0].Address = tap.addr()
			cfg.Backends[0].Settings = fmt.Sprintf("public_key = %q", file)
			cfg.Users = append(localproxy.DefaultUsers(), localproxy.User{Name: "h_pinned", Password: "canary-in-clear-text"})
			p := suite.StartProxy(t, cfg)
			db := harness.Open(t, p.DSN("h_pinned", "canary-in-clear-text", ""))
			if _, err := db.ExecContext(t.Context(), "DO 1"); (err == nil) != pinned.ok {
				t.Errorf("%v", err)
			}
			if tap.saw("canary-in-clear-text") {
				t.Error("the password was sent in clear")
			}
		})
	}
}
