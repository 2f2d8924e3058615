package proxy

import (
	"crypto/tls"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/internal/certs"
	"github.com/telamondb/telamon/router"
	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/auth"
	"github.com/telamondb/telamon/wire/wiretest"
)

// pki are the certificates of these tests: two of the proxy, one after the
// other, one of a client, and one of a client nobody knows.
type pki struct {
	authority, first, second, client, stranger *certs.Pair
}

var testPKI = sync.OnceValue(func() pki {
	must := func(p *certs.Pair, err error) *certs.Pair {
		if err != nil {
			panic(err)
		}
		return p
	}
	p := pki{authority: must(certs.NewAuthority(certs.Request{Name: "authority"}))}
	p.first = must(p.authority.Issue(certs.Request{Name: "first", Hosts: []string{"proxy.test"}}))
	p.second = must(p.authority.Issue(certs.Request{Name: "second", Hosts: []string{"proxy.test"}}))
	p.client = must(p.authority.Issue(certs.Request{Name: "client"}))
	p.stranger = must(certs.SelfSigned(certs.Request{Name: "stranger"}))
	return p
})

func offeredTLS(p *certs.Pair) TLS {
	return TLS{Config: &tls.Config{
		Certificates: []tls.Certificate{p.TLS()}, MinVersion: tls.VersionTLS12,
		ClientCAs: testPKI().authority.Pool(), ClientAuth: tls.VerifyClientCertIfGiven,
	}}
}

func withTLS(s *setup) { s.config.TLS = offeredTLS(testPKI().first) }

func withTLSRequired(s *setup) {
	withTLS(s)
	s.config.TLS.Required = true
}

func trusting(certificates ...*certs.Pair) *tls.Config {
	c := &tls.Config{RootCAs: testPKI().authority.Pool(), ServerName: "proxy.test"}
	for _, p := range certificates {
		c.Certificates = append(c.Certificates, p.TLS())
	}
	return c
}

// with returns c limited to a version of TLS.
func with(c *tls.Config, version uint16) *tls.Config {
	c.MinVersion, c.MaxVersion = version, version
	return c
}

func TestClientsWorkOverTLS(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			r := newRig(t, withTLS)
			c := r.login(wiretest.Credentials{TLS: with(trusting(), version)})
			if got := c.TLS(); got == nil || got.Version != version {
				t.Fatalf("TLS state %v", got)
			}
			if got := c.value(who); got != "A" {
				t.Errorf("read went to %s", got)
			}
			c.exec("INSERT INTO t VALUES (1)")
			large := strings.Repeat("x", 3<<20)
			if got := c.value("SELECT '" + large + "'"); got != large {
				t.Errorf("%d bytes came back of %d", len(got), len(large))
			}
			r.connect().value(who) // whoever does not ask for it is served without
			if n := r.Counts(); n.TLSAccepted != 1 || n.TLSFailures != 0 {
				t.Errorf("%d handshakes counted, %d failures", n.TLSAccepted, n.TLSFailures)
			}
		})
	}
}

func TestRequiredTLS(t *testing.T) {
	r := newRig(t, withTLSRequired)
	t.Run("who comes without it learns nothing about the password", func(t *testing.T) {
		var texts []string
		for _, password := range []string{"pw", "wrong"} {
			_, err := r.tryLogin(wiretest.Credentials{User: "app", Password: password})
			texts = append(texts, wantErr(t, err, wire.CodeSecureTransport))
		}
		if texts[0] != texts[1] || texts[0] != "Connections using insecure transport are prohibited while --require_secure_transport=ON." {
			t.Errorf("texts %q", texts)
		}
	})
	t.Run("who comes with it is let in", func(t *testing.T) {
		r.login(wiretest.Credentials{TLS: trusting()}).value(who)
	})
	t.Run("a UNIX socket is as good", func(t *testing.T) {
		ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "telamon.sock"))
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- r.Serve(t.Context(), ln, router.Auto) }()
		nc, err := net.Dial("unix", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		if _, err := wiretest.Login(nc, wiretest.Credentials{User: "app", Password: "pw"}); err != nil {
			t.Error(err)
		}
		_ = ln.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Run("COM_CHANGE_USER works inside", func(t *testing.T) {
		c := r.login(wiretest.Credentials{TLS: trusting()})
		if err := c.changeUser("other", "pw", ""); err != nil {
			t.Error(err)
		}
		c.value(who)
	})
}

func TestUsersMayHaveToUseTLS(t *testing.T) {
	r := newRig(t, withTLS, func(s *setup) {
		for name, transport := range map[string]Transport{"any": AnyTransport, "secure": SecureTransport, "certified": Certified} {
			u := user(name, "pw")
			u.Transport = transport
			s.config.Users[name] = u
		}
	})
	for _, c := range []struct {
		name string
		tls  func() *tls.Config
		in   string // who gets in
	}{
		{"without TLS", func() *tls.Config { return nil }, "any"},
		{"with TLS", func() *tls.Config { return trusting() }, "any secure"},
		{"with a certificate", func() *tls.Config { return trusting(testPKI().client) }, "any secure certified"},
		{"with a certificate in TLS 1.2", func() *tls.Config { return with(trusting(testPKI().client), tls.VersionTLS12) }, "any secure certified"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, name := range []string{"any", "secure", "certified"} {
				_, err := r.tryLogin(wiretest.Credentials{User: name, Password: "pw", TLS: c.tls()})
				if strings.Contains(c.in, name) {
					if err != nil {
						t.Errorf("%s: %v", name, err)
					}
					continue
				}
				denied := wantErr(t, err, wire.CodeAccessDenied)
				_, err = r.tryLogin(wiretest.Credentials{User: name, Password: "wrong", TLS: c.tls()})
				if wrong := wantErr(t, err, wire.CodeAccessDenied); wrong != denied {
					t.Errorf("%s: %q, and with a wrong password %q", name, denied, wrong)
				}
			}
		})
	}
	t.Run("a certificate nobody vouches for breaks the handshake", func(t *testing.T) {
		config := trusting()
		stranger := testPKI().stranger.TLS()
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &stranger, nil }
		before := r.Counts().TLSFailures
		if _, err := r.tryLogin(wiretest.Credentials{User: "any", Password: "pw", TLS: config}); err == nil {
			t.Error("let in")
		}
		eventually(t, "the failure is counted", func() bool { return r.Counts().TLSFailures == before+1 })
	})
}

func TestHandshakesThatAreRefused(t *testing.T) {
	t.Run("TLS 1.1", func(t *testing.T) {
		r := newRig(t, withTLS)
		_, err := r.tryLogin(wiretest.Credentials{User: "app", Password: "pw", TLS: with(trusting(), tls.VersionTLS11)})
		if err == nil || !strings.Contains(err.Error(), "protocol version") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("a request where TLS was not offered", func(t *testing.T) {
		r := newRig(t)
		c := r.requestTLS(nil)
		e, err := wire.ParseErr(c.answer())
		if err != nil || e.Code != wire.CodeHandshake {
			t.Errorf("got %v, %v", e, err)
		}
	})
	t.Run("a second request inside TLS", func(t *testing.T) {
		r := newRig(t, withTLS)
		c := r.requestTLS(nil)
		if err := c.StartTLS(tls.Client, trusting()); err != nil {
			t.Fatal(err)
		}
		c.WritePacket(c.login.AppendSSLRequest(nil))
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
		e, err := wire.ParseErr(c.answer())
		if err != nil || e.Code != wire.CodeHandshake {
			t.Errorf("got %v, %v", e, err)
		}
	})
	// MINEFIELD H25, CVE-2021-3935 in another product.
	t.Run("a login in plain behind the request, in one segment", func(t *testing.T) {
		r := newRig(t, withTLS)
		login := wire.HandshakeResponse{
			Capabilities: wire.LongPassword | wire.Protocol41 | wire.SecureConnection | wire.PluginAuth | wire.SSL, User: "app",
			AuthPlugin: auth.NativePassword,
		}
		plain, seq := wire.AppendPacket(nil, 2, login.Append(nil))
		plain, _ = wire.AppendPacket(plain, seq, []byte("\x03INSERT INTO t VALUES ('injected')"))
		c := r.requestTLS(plain)
		if rest, err := io.ReadAll(c.NetConn()); len(rest) > 7 || err != nil && !wiretest.IsClosed(err) {
			t.Errorf("answered by %q, %v", rest, err) // 7: a TLS alert
		}
		eventually(t, "it is over", func() bool { return r.Counts().Clients == 0 })
		if n := r.Counts(); n.TLSFailures != 1 || n.AuthFailures != 0 || r.primary.Logins() != 0 {
			t.Errorf("%d failures, %d logins tried, %d at the server", n.TLSFailures, n.AuthFailures, r.primary.Logins())
		}
	})
	t.Run("a client that asks and then says nothing", func(t *testing.T) {
		r := newRig(t, withTLS, func(s *setup) { s.config.ConnectTimeout = 50 * time.Millisecond })
		c := r.requestTLS(nil)
		if _, err := c.NetConn().Read(make([]byte, 1)); err == nil {
			t.Error("it was answered")
		}
		eventually(t, "it is over", func() bool { return r.Counts().Clients == 0 })
	})
}

// asker is a client that has asked for TLS.
type asker struct {
	*wire.Conn
	t     testing.TB
	login wire.HandshakeResponse
}

// requestTLS reads the greeting and sends a request, followed by more.
func (r *rig) requestTLS(more []byte) *asker {
	r.t.Helper()
	c := &asker{Conn: wire.NewConn(r.dial()), t: r.t}
	if _, err := c.ReadPacket(1 << 10); err != nil {
		r.t.Fatal(err)
	}
	c.login.Capabilities = wire.LongPassword | wire.Protocol41 | wire.SecureConnection | wire.SSL
	c.WritePacket(c.login.AppendSSLRequest(nil))
	c.Queue(more)
	if err := c.Flush(); err != nil {
		r.t.Fatal(err)
	}
	return c
}

func (c *asker) answer() []byte {
	c.t.Helper()
	p, err := c.ReadPacket(1 << 10)
	if err != nil {
		c.t.Fatal(err)
	}
	return p
}

// cut is a connection that is closed by whoever uses it, after so many bytes.
type cut struct {
	net.Conn
	after int
}

func (c *cut) Write(p []byte) (int, error) {
	if len(p) >= c.after {
		_, _ = c.Conn.Write(p[:c.after])
		_ = c.Conn.Close()
		return 0, net.ErrClosed
	}
	c.after -= len(p)
	return c.Conn.Write(p)
}

// MINEFIELD H26: whatever a client leaves unfinished, nothing of it stays.
func TestAClientMayVanishAtEveryByteOfTheHandshake(t *testing.T) {
	r := newRig(t, withTLS)
	bystander := r.login(wiretest.Credentials{TLS: trusting()})
	for after := 0; ; after += 41 {
		nc := &cut{r.dial(), after}
		p, err := wiretest.Login(nc, wiretest.Credentials{User: "app", Password: "pw", TLS: trusting()})
		if err == nil {
			t.Logf("a login takes less than %d bytes", after)
			_ = p.Close()
			break
		}
	}
	eventually(t, "only one is left", func() bool { return r.Counts().Clients == 1 })
	bystander.value(who)
	if r.Counts().Panics != 0 {
		t.Error("a session panicked")
	}
}

func TestATLSClientMayVanishInTheMiddleOf(t *testing.T) {
	t.Run("a record", func(t *testing.T) {
		r := newRig(t, withTLS)
		nc := &cut{r.dial(), 1 << 30}
		p, err := wiretest.Login(nc, wiretest.Credentials{User: "app", Password: "pw", TLS: trusting()})
		if err != nil {
			t.Fatal(err)
		}
		nc.after = 20
		_ = p.Command(wire.ComQuery, "INSERT INTO t VALUES ('half a record')")
		eventually(t, "it is over", func() bool { return r.Counts().Clients == 0 })
		if len(r.primary.received("half")) > 0 {
			t.Error("half a record was run")
		}
	})
	t.Run("a result", func(t *testing.T) {
		r := newRig(t, withTLS)
		r.replicas[0].onQuery(waiting, func(c *fakeConn) error {
			return c.SendResult([]wire.ColumnDef{wire.TextColumn("a")}, [][]wire.Value{{{Text: strings.Repeat("x", 15<<20)}}})
		})
		c := r.login(wiretest.Credentials{TLS: trusting()})
		if err := c.Command(wire.ComQuery, waiting); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(); err != nil {
			t.Fatal(err)
		}
		_ = c.nc.Close()
		eventually(t, "it is over", func() bool { return r.Counts().Clients == 0 })
	})
	for name, leave := range map[string]func(c *client){
		"a statement, without a word": func(c *client) { _ = c.nc.Close() },
		"a statement, saying goodbye": func(c *client) {
			_ = c.TLSConn.CloseWrite() // close_notify, then FIN, as Go's and Java's clients do
			_ = c.nc.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, withTLS)
			r.replicas[0].onQuery(waiting, block)
			c := r.login(wiretest.Credentials{TLS: trusting()})
			if err := c.Command(wire.ComQuery, waiting); err != nil {
				t.Fatal(err)
			}
			r.busy("app")
			leave(c)
			eventually(t, "the statement is killed", func() bool { return r.Counts().Clients == 0 })
		})
	}
}

// MINEFIELD A10: a new certificate is for those who come.
func TestANewCertificateIsForNewClients(t *testing.T) {
	r := newRig(t, withTLS)
	subject := func(c *client) string { return c.TLS().PeerCertificates[0].Subject.CommonName }
	old := r.login(wiretest.Credentials{TLS: trusting()})
	half := r.requestTLS(nil) // asks before the change, shakes hands after it
	eventually(t, "it is waited for", func() bool { return r.Counts().Clients == 2 })
	next := *r.config.Load()
	next.TLS = offeredTLS(testPKI().second)
	r.Configure(&next)
	if err := half.StartTLS(tls.Client, trusting()); err != nil {
		t.Errorf("a handshake under way: %v", err)
	}
	if c := r.login(wiretest.Credentials{TLS: trusting()}); subject(c) != "second" {
		t.Errorf("a new client is shown %s", subject(c))
	}
	old.value(who)
	off := next
	off.TLS = TLS{}
	r.Configure(&off)
	old.value(who)
	if c := r.login(wiretest.Credentials{TLS: trusting()}); c.TLS() != nil {
		t.Error("TLS was switched off")
	}
}

// MINEFIELD H16: the key of the password exchange has nothing to do with the
// certificate, which may change in between.
func TestANewCertificateDoesNotDisturbThePasswordExchange(t *testing.T) {
	r := newRig(t, withTLS)
	c := wire.NewConn(r.dial())
	p, err := c.ReadPacket(1 << 10)
	if err != nil {
		t.Fatal(err)
	}
	var greeting wire.HandshakeV10
	if err := greeting.Parse(p); err != nil {
		t.Fatal(err)
	}
	x := auth.ClientExchange{Password: "pw"}
	login := wire.HandshakeResponse{Capabilities: wire.LongPassword | wire.Protocol41 | wire.SecureConnection | wire.PluginAuth, User: "app"}
	login.AuthPlugin, login.AuthResponse = x.Start(auth.CachingSHA2, greeting.Salt[:])
	reply := login.Append(nil)
	for steps := 0; ; steps++ {
		c.WritePacket(reply)
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
		next := *r.config.Load()
		next.TLS = offeredTLS(testPKI().second)
		r.Configure(&next)
		p, err := c.ReadPacket(1 << 14)
		if err != nil {
			t.Fatal(err)
		}
		var action auth.Action
		if action, reply, err = x.Next(p); err != nil {
			t.Fatal(err)
		}
		for action == auth.Read {
			if p, err = c.ReadPacket(1 << 14); err != nil {
				t.Fatal(err)
			}
			if action, reply, err = x.Next(p); err != nil {
				t.Fatal(err)
			}
		}
		if action == auth.Done {
			if wire.IsErr(p) {
				t.Errorf("refused: %q", p)
			}
			return
		}
	}
}

// See auth.ServerExchange.Proof.
func TestClientsOfMariaDBGetAProofOverTLS(t *testing.T) {
	r := newRig(t, withTLS)
	r.store.Update(func(d *backend.Draft) {
		for _, st := range r.store.Load().States {
			d.State(st.Server).Flavor = backend.MariaDB
		}
	})
	if c := r.connect(); len(c.Info) > 0 {
		t.Errorf("a client without TLS is told %q", c.Info)
	}
	if c := r.login(wiretest.Credentials{TLS: trusting()}); len(c.Info) != 65 || c.Info[0] != 1 {
		t.Errorf("a client with TLS is told %q", c.Info)
	}
	mysql := newRig(t, withTLS)
	if c := mysql.login(wiretest.Credentials{TLS: trusting()}); len(c.Info) > 0 {
		t.Errorf("a client of MySQL is told %q", c.Info)
	}
}
