package proxy

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/auth"
	"github.com/telamondb/telamon/wire/wiretest"
)

// tryLogin logs in with any credentials.
func (r *rig) tryLogin(c wiretest.Credentials) (*client, error) {
	r.t.Helper()
	nc := r.dial()
	p, err := wiretest.Login(nc, c)
	return &client{p, r.t, nc}, err
}

func TestLoginRefusals(t *testing.T) {
	limits := func(s *setup) {
		s.config.Users["app"].MaxConnections = 2
		s.config.MaxConnections = 4
	}
	t.Run("a wrong password and an unknown user get the same answer", func(t *testing.T) {
		r := newRig(t)
		_, err := r.tryLogin(wiretest.Credentials{User: "app", Password: "wrong"})
		wrong := wantErr(t, err, wire.CodeAccessDenied)
		_, err = r.tryLogin(wiretest.Credentials{User: "nobody", Password: "wrong"})
		if unknown := wantErr(t, err, wire.CodeAccessDenied); strings.Replace(unknown, "nobody", "app", 1) != wrong {
			t.Errorf("%q and %q", wrong, unknown)
		}
		wantAll(t, wrong, "'app'@'127.0.0.1'", "using password: YES")
		_, err = r.tryLogin(wiretest.Credentials{User: "app"})
		wantAll(t, wantErr(t, err, wire.CodeAccessDenied), "using password: NO")
		if n := r.Counts().AuthFailures; n != 3 {
			t.Errorf("%d failures counted", n)
		}
		if r.primary.Logins() > 0 {
			t.Error("a server was asked")
		}
	})
	t.Run("an unknown schema, before OK", func(t *testing.T) {
		r := newRig(t)
		// A fake lets anybody in with any schema; a real one refuses like this.
		r.primary.intercept(func(c *fakeConn, _ wire.Command, _ []byte) (bool, error) {
			if strings.HasPrefix(c.schema, "missing") {
				return true, c.fail(wire.CodeBadDB, "Unknown database '%s'", c.schema)
			}
			return false, nil
		})
		_, err := r.tryLogin(wiretest.Credentials{User: "app", Password: "pw", Database: "missing"})
		wantErr(t, err, wire.CodeBadDB)
		// With a connection in the pool that has another schema.
		c := r.login(wiretest.Credentials{Database: "d1"})
		c.exec("INSERT INTO t VALUES (1)")
		_ = c.nc.Close()
		eventually(t, "it is over", func() bool { return r.Counts().Clients == 0 })
		_, err = r.tryLogin(wiretest.Credentials{User: "app", Password: "pw", Database: "missing"})
		wantErr(t, err, wire.CodeBadDB)
	})
	t.Run("connections per user and in all, which count down again", func(t *testing.T) {
		r := newRig(t, limits)
		a, _ := r.connect(), r.connect()
		_, err := r.tryLogin(wiretest.Credentials{User: "app", Password: "pw"})
		wantAll(t, wantErr(t, err, wire.CodeTooManyUserConns), "app")
		eventually(t, "it is over", func() bool { return r.Counts().Clients == 2 })
		_, _ = r.login(wiretest.Credentials{User: "other"}), r.login(wiretest.Credentials{User: "other"})
		_, err = r.tryLogin(wiretest.Credentials{User: "other", Password: "pw"})
		wantAll(t, wantErr(t, err, wire.CodeConCount), "max_connections", "4")
		_ = a.nc.Close()
		eventually(t, "one has left", func() bool { return r.Counts().Clients == 3 })
		r.connect()
	})
	t.Run("COM_CHANGE_USER is counted for the right user", func(t *testing.T) {
		r := newRig(t, limits)
		a, b := r.connect(), r.connect()
		if err := a.changeUser("other", "pw", ""); err != nil {
			t.Fatal(err)
		}
		if err := b.changeUser("app", "pw", ""); err != nil { // at the limit, but itself
			t.Fatal(err)
		}
		c := r.connect()
		_, err := r.tryLogin(wiretest.Credentials{User: "app", Password: "pw"})
		wantErr(t, err, wire.CodeTooManyUserConns)
		wantErr(t, a.changeUser("app", "pw", ""), wire.CodeTooManyUserConns)
		if err := c.changeUser("other", "pw", ""); err != nil {
			t.Fatal(err)
		}
		for _, c := range []*client{a, b, c} {
			_ = c.nc.Close()
		}
		eventually(t, "all have left", func() bool { return r.Counts().Clients == 0 })
		if r.Proxy.mu.Lock(); len(r.perUser) != 0 {
			t.Errorf("left in the books: %v", r.perUser)
		}
		r.Proxy.mu.Unlock()
	})
	t.Run("addresses that are not allowed", func(t *testing.T) {
		r := newRig(t, func(s *setup) { s.config.Allow = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} })
		_, err := r.tryLogin(wiretest.Credentials{User: "app", Password: "pw"})
		wantAll(t, wantErr(t, err, wire.CodeHostNotPrivileged), "127.0.0.1", "proxy.allow")
		cfg := *r.config.Load()
		cfg.Allow = append(cfg.Allow, netip.MustParsePrefix("127.0.0.0/8"))
		r.Configure(&cfg)
		r.connect()
	})
	t.Run("load balancers while offline", func(t *testing.T) {
		r := newRig(t, func(s *setup) {
			s.config.LoadBalancers = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
			s.config.Allow = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		})
		c := r.connect()
		r.SetOffline(true)
		_, err := r.tryLogin(wiretest.Credentials{User: "app", Password: "pw"})
		wantAll(t, wantErr(t, err, wire.CodeUnknown), "Proxy Warning - Offline Now")
		if r.Ready() == nil {
			t.Error("ready while offline")
		}
		c.value(who) // those inside are served
		r.SetOffline(false)
		r.connect()
	})
}

// MINEFIELD H37, towards clients.
func TestAClientThatSaysNothingIsDisconnected(t *testing.T) {
	r := newRig(t, func(s *setup) { s.config.ConnectTimeout = 50 * time.Millisecond })
	nc := r.dial()
	c := &client{&wiretest.Peer{Conn: wire.NewConn(nc)}, t, nc}
	if _, err := c.Read(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(); err == nil || !wiretest.IsClosed(err) {
		t.Errorf("got %v", err)
	}
	// One that is through is not.
	ok := r.connect()
	eventually(t, "only one is left", func() bool { return r.Counts().Clients == 1 })
	ok.value(who)
}

// handshakeResponse is a complete login with everything in it.
func handshakeResponse(t *testing.T, r *rig) (first net.Conn, payload []byte) {
	t.Helper()
	nc := r.dial()
	p := &wiretest.Peer{Conn: wire.NewConn(nc)}
	b, err := p.Read()
	if err != nil {
		t.Fatal(err)
	}
	var g wire.HandshakeV10
	if err := g.Parse(b); err != nil {
		t.Fatal(err)
	}
	x := auth.ClientExchange{Password: "pw"}
	plugin, response := x.Start(g.AuthPlugin, g.Salt[:])
	h := wire.HandshakeResponse{
		Capabilities: g.Capabilities &^ wire.FoundRows, User: "app", Database: "d1", Collation: 45,
		AuthPlugin: plugin, AuthResponse: response, Attributes: wire.AppendAttribute(nil, "a", "b"),
	}
	return nc, h.Append(nil)
}

// MINEFIELD H06, FAULTS S16.
func TestMalformedLoginsOfEveryLengthAreRefused(t *testing.T) {
	r := newRig(t)
	_, whole := handshakeResponse(t, r)
	for n := range whole {
		nc, payload := handshakeResponse(t, r)
		b, _ := wire.AppendPacket(nil, 1, payload[:n])
		if _, err := nc.Write(b); err != nil {
			t.Fatal(err)
		}
		p := &wiretest.Peer{Conn: wire.NewConn(nc)}
		p.Seq = 2
		switch answer, err := p.Read(); {
		case err != nil && !wiretest.IsClosed(err):
			t.Fatalf("%d bytes: %v", n, err)
		case err == nil && !wire.IsErr(answer) && answer[0] != 0xfe && answer[0] != 0 && answer[0] != 1:
			t.Fatalf("%d bytes: %q", n, answer)
		}
		_ = nc.Close()
	}
	if n := r.Counts().Panics; n != 0 {
		t.Errorf("%d panics", n)
	}
	r.connect()
}

func TestGarbageInPlaceOfALoginIsRefused(t *testing.T) {
	r := newRig(t)
	for name, b := range map[string][]byte{
		"an HTTP request":        []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"an empty packet":        {0, 0, 0, 1},
		"a huge packet":          {255, 255, 255, 1, 1, 2, 3},
		"a wrong sequence id":    {4, 0, 0, 9, 1, 2, 3, 4},
		"no capabilities at all": {5, 0, 0, 1, 0, 0, 0, 0, 0},
		"an SSLRequest":          append([]byte{32, 0, 0, 1}, (&wire.HandshakeResponse{Capabilities: wire.Protocol41 | wire.SSL}).AppendSSLRequest(nil)...),
	} {
		t.Run(name, func(t *testing.T) {
			nc := r.dial()
			p := &wiretest.Peer{Conn: wire.NewConn(nc)}
			if _, err := p.Read(); err != nil {
				t.Fatal(err)
			}
			if _, err := nc.Write(b); err != nil {
				t.Fatal(err)
			}
			p.Seq = 2
			if got, err := p.Read(); err == nil {
				if e, err := wire.ParseErr(got); err != nil || e.Code != wire.CodeHandshake {
					t.Errorf("%v, %v", e, err)
				}
			}
		})
	}
	r.connect()
}

// changeUser sends COM_CHANGE_USER and follows it to the end.
func (c *client) changeUser(user, password, schema string) error {
	c.t.Helper()
	x := auth.ClientExchange{Password: password}
	plugin, response := x.Start(c.Greeting.AuthPlugin, c.Greeting.Salt[:])
	u := wire.ChangeUser{User: user, AuthResponse: response, Database: schema, Collation: 45, AuthPlugin: plugin}
	c.Seq = 0
	if err := c.Send(u.Append(nil, c.Capabilities)); err != nil {
		c.t.Fatal(err)
	}
	for {
		b, err := c.packet()
		if err != nil {
			return err
		}
		action, reply, err := x.Next(b)
		switch {
		case err != nil:
			return err
		case action == auth.Done:
			return nil
		case action == auth.Send:
			if err := c.Send(reply); err != nil {
				return err
			}
		}
	}
}

func TestChangeUser(t *testing.T) {
	t.Run("starts afresh as the other user", func(t *testing.T) {
		r := newRig(t)
		c := r.login(wiretest.Credentials{Database: "d1"})
		c.exec("SET time_zone='+02:00', @a='1'")
		st := c.prepare("SELECT 1 FROM t")
		c.exec("BEGIN")
		if err := c.changeUser("other", "pw", "d2"); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(c.row("SELECT schema_, @@time_zone, @a"), " "); got != "d2 SYSTEM NULL" {
			t.Errorf("%q", got)
		}
		_, err := c.tryExecute(st, false)
		wantErr(t, err, wire.CodeUnknownStmt)
		if got := c.value(who); got != "A" {
			t.Errorf("read went to %s", got)
		}
		if got := r.Sessions()[0].User; got != "other" {
			t.Errorf("listed as %q", got)
		}
		users := map[string]int{}
		r.primary.mu.Lock()
		for _, fc := range r.primary.conns {
			users[fc.Login.User]++
		}
		r.primary.mu.Unlock()
		if users["other"] != 1 {
			t.Errorf("logins at the primary: %v", users)
		}
	})
	for name, f := range map[string]func(*client) error{
		"with a wrong password": func(c *client) error { return c.changeUser("other", "wrong", "") },
		"to an unknown user":    func(c *client) error { return c.changeUser("nobody", "pw", "") },
	} {
		t.Run(name+" ends the session", func(t *testing.T) {
			r := newRig(t)
			c := r.connect()
			wantErr(t, f(c), wire.CodeAccessDenied)
			c.closed()
		})
	}
	t.Run("malformed ends the session", func(t *testing.T) {
		r := newRig(t)
		c := r.connect()
		c.errs(wire.CodeUnknownCommand, wire.ComChangeUser, "oth")
		c.closed()
	})
}

func TestAPoolIsNotSharedBetweenUsersOrCapabilities(t *testing.T) {
	r := newRig(t, func(s *setup) { s.primary.MaxConnections = 1 })
	const plain = wiretest.Capabilities &^ (wire.ConnectWithDB | wire.FoundRows | wire.MultiStatements | wire.IgnoreSpace | wire.NoSchema | wire.Interactive)
	const flags = wire.FoundRows | wire.MultiStatements
	var runs wiretest.Credentials // as what the last INSERT ran
	r.primary.intercept(func(c *fakeConn, _ wire.Command, arg []byte) (bool, error) {
		if strings.HasPrefix(string(arg), "INSERT") {
			runs = wiretest.Credentials{User: c.Login.User, Capabilities: c.Capabilities & flags}
		}
		return false, nil
	})
	for _, c := range []wiretest.Credentials{
		{User: "app"}, {User: "other"}, {User: "app", Capabilities: wire.FoundRows},
		{User: "app", Capabilities: wire.MultiStatements}, {User: "app"},
	} {
		want := c
		c.Capabilities |= plain
		r.login(c).exec("INSERT INTO t VALUES (1)")
		if runs.User != want.User || runs.Capabilities != want.Capabilities {
			t.Errorf("%s with %#x runs as %s with %#x", want.User, want.Capabilities, runs.User, runs.Capabilities)
		}
	}
}

func TestErrorsOfAServersLoginReachTheClient(t *testing.T) {
	f := wiretest.NewServer(t, wiretest.Options{Passwords: map[string]string{"app": "changed"}}, wiretest.Script())
	r := newRig(t, func(s *setup) { s.replicas = 0 })
	if _, err := r.store.Add(backend.Spec{Address: f.Addr(), Role: backend.RoleRO, Weight: 1}); err != nil {
		t.Fatal(err)
	}
	r.setAll(backend.Up)
	c := r.connect()
	if got := c.value(who); got != "P" {
		t.Errorf("read went to %s: a replica that refuses the login must not be insisted on", got)
	}
}
