//go:build integration

package integration

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/certs"
	"github.com/telamondb/telamon/internal/localproxy"
	"github.com/telamondb/telamon/internal/localserver"
	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/auth"
)

// rsaCertificate is a certificate as those have them who would encrypt passwords
// with its key.
func rsaCertificate(t *testing.T) (certificate, key []byte) {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "of RSA"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	certificate = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	key = pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)})
	return certificate, key
}

// shownCertificate is what a client is shown who asks for TLS.
func shownCertificate(t *testing.T, addr string) *x509.Certificate {
	t.Helper()
	c, _ := helloFrom(t, addr)
	defer c.nc.Close()
	c.encrypt(&wire.HandshakeResponse{Capabilities: attemptCapabilities | wire.SSL, MaxPacket: 1 << 24, Collation: 45})
	return c.nc.(*tls.Conn).ConnectionState().PeerCertificates[0]
}

// rotation is a server or proxy whose certificate is changed, and what it says of keys.
type rotation struct {
	addr   string
	rotate func(t *testing.T) // until new clients are shown another certificate
	keys   map[string]bool    // PEM, of all password exchanges
}

// pausing calls its function before certain packets are sent.
type pausing struct {
	net.Conn
	before func(packet []byte)
}

func (p *pausing) Write(b []byte) (int, error) {
	if p.before != nil {
		p.before(b)
	}
	return p.Conn.Write(b)
}

// keyRequest is what a client asks for the key by, encryptedPassword the length of
// what it sends back (MySQL, sha2_password.cc).
const (
	keyRequest        = "\x02"
	encryptedPassword = 2048 / 8
)

// attempt logs in, or changes the user if a says so, and changes the certificate
// before the packet that at tells.
func (r *rotation) attempt(t *testing.T, a attempt, at func(payload []byte) bool) []string {
	t.Helper()
	nc, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	c := greetable(t, nc)
	heard, pause := &hearing{Conn: nc}, &pausing{Conn: nc}
	c.r, c.w = bufio.NewReader(heard), pause
	greeting := c.greeting()
	if a.again {
		attempt{user: localserver.AppUser, password: localserver.AppPassword}.log(c, greeting)
		c.said, heard.bytes = nil, nil
	}
	paused := false
	pause.before = func(packet []byte) {
		if at(packet[wire.HeaderSize:]) {
			paused = true
			r.rotate(t)
			_ = nc.SetDeadline(time.Now().Add(rawTimeout))
		}
	}
	said := a.log(c, greeting)
	if !paused {
		t.Errorf("%s: the packet to pause before was not sent: %q", r.addr, said)
	}
	from := bytes.Index(heard.bytes, []byte("-----BEGIN"))
	if from < 0 {
		t.Fatalf("%s: no key was sent: %q", r.addr, said)
	}
	block, _ := pem.Decode(heard.bytes[from:])
	if block == nil {
		t.Fatalf("%s: the key is %q", r.addr, heard.bytes[from:])
	}
	r.keys[string(pem.EncodeToMemory(block))] = true
	return said
}

// onlyKey is the key that all exchanges had.
func (r *rotation) onlyKey(t *testing.T) *rsa.PublicKey {
	t.Helper()
	for text := range r.keys {
		key, err := auth.ParsePublicKey([]byte(text))
		if err != nil || len(r.keys) != 1 {
			t.Fatalf("%s: %d keys, %v", r.addr, len(r.keys), err)
		}
		return key
	}
	t.Fatalf("%s: no key", r.addr)
	return nil
}

// keyRig is a proxy in front of accounts whose passwords it only has hashes of, so
// that each has to be sent in full once.
type keyRig struct {
	c    *localserver.Cluster
	p    *localproxy.Proxy
	dir  string
	next int // account
}

const keyAccounts = 8

func newKeyRig(t *testing.T, c *localserver.Cluster) *keyRig {
	t.Helper()
	rig := &keyRig{c: c, dir: t.TempDir()}
	identified := "BY 'secret'"
	if c.Primary.Flavour() == localserver.MySQL {
		identified = "WITH caching_sha2_password BY 'secret'"
	}
	cfg := harness.ProxyConfig(c)
	cfg.Users = localproxy.DefaultUsers()
	for i := range keyAccounts {
		name := fmt.Sprint("h_key", i)
		createAccount(t, c, name, identified)
		cfg.Users = append(cfg.Users, localproxy.User{
			Name: name, Lines: fmt.Sprintf("plugin = \"caching_sha2_password\"\npassword_hash = %q", passwordHash(t, c, name)),
		})
	}
	cfg.Settings["proxy.tls"] = fmt.Sprintf("mode = \"preferred\"\ncert = \"%s/cert.pem\"\nkey = \"%s/key.pem\"", rig.dir, rig.dir)
	rig.write(t, rsaCertificate)
	rig.p = suite.StartProxy(t, cfg)
	return rig
}

// account is one that nobody has logged in with.
func (rig *keyRig) account(t *testing.T) string {
	t.Helper()
	if rig.next == keyAccounts {
		t.Fatal("all accounts are used")
	}
	rig.next++
	return fmt.Sprint("h_key", rig.next-1)
}

func (rig *keyRig) write(t *testing.T, made func(*testing.T) (certificate, key []byte)) {
	t.Helper()
	certificate, key := made(t)
	for name, text := range map[string][]byte{"cert.pem": certificate, "key.pem": key} {
		if err := os.WriteFile(filepath.Join(rig.dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// rotate gives the proxy a certificate of the kind it does not have.
func (rig *keyRig) rotate(t *testing.T) {
	t.Helper()
	before := shownCertificate(t, rig.p.Addr())
	made := rsaCertificate
	if before.PublicKeyAlgorithm == x509.RSA {
		made = func(t *testing.T) (certificate, key []byte) {
			pair, err := certs.SelfSigned(certs.Request{Name: "of ECDSA", Hosts: []string{"127.0.0.1"}})
			if err != nil {
				t.Fatal(err)
			}
			if key, err = pair.KeyPEM(); err != nil {
				t.Fatal(err)
			}
			return pair.CertPEM(), key
		}
	}
	rig.write(t, made)
	reload(t, rig.p, rig.p.Config())
	harness.Eventually(t, 20*time.Second, func(context.Context) error {
		if shownCertificate(t, rig.p.Addr()).Equal(before) {
			return errors.New("the certificate is the old one")
		}
		return nil
	})
}

// TestH16TheKeyOfPasswordsIsNotTheCertificates: a client that is asked for its whole
// password on a connection without TLS encrypts it with a key. That key outlives the
// certificate, which may change, even its kind, while the client is at it. MySQL has
// a key of its own for that, too.
func TestH16TheKeyOfPasswordsIsNotTheCertificates(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		rig := newKeyRig(t, c)
		through := &rotation{addr: rig.p.Addr(), rotate: rig.rotate, keys: map[string]bool{}}
		var direct *rotation
		if c.Primary.Flavour() == localserver.MySQL {
			direct = &rotation{addr: c.Primary.Addr(), keys: map[string]bool{}, rotate: func(t *testing.T) {
				if err := c.Primary.Exec(t.Context(), "ALTER INSTANCE RELOAD TLS"); err != nil {
					t.Fatal(err)
				}
			}}
			attempt{user: localserver.AppUser, password: localserver.AppPassword}.make(t, direct.addr) // is known from now on
		}
		shown := shownCertificate(t, rig.p.Addr()).PublicKey // of RSA
		asks := func(payload []byte) bool { return string(payload) == keyRequest }
		answers := func(payload []byte) bool { return len(payload) == encryptedPassword }
		for _, test := range []struct {
			name string
			a    attempt
			at   func(payload []byte) bool
			in   bool
		}{
			{"before the key is asked for", attempt{password: "secret"}, asks, true},
			{"before the password is sent", attempt{password: "secret"}, answers, true},
			{"before a wrong password is sent", attempt{password: "wrong"}, answers, false},
			{"before the password of a COM_CHANGE_USER is sent", attempt{password: "secret", again: true}, answers, true},
		} {
			t.Run(test.name, func(t *testing.T) {
				test.a.user, test.a.plugin = rig.account(t), auth.CachingSHA2
				var want []string
				if direct != nil {
					want = direct.attempt(t, test.a, test.at)
				}
				got := through.attempt(t, test.a, test.at)
				if diff := cmp.Diff(want, got); direct != nil && diff != "" {
					t.Errorf("- directly, + through the proxy:\n%s", diff)
				}
				if in := strings.Contains(strings.Join(got, ""), "OK"); in != test.in {
					t.Errorf("%q", got)
				}
			})
		}
		if key := through.onlyKey(t); key.Equal(shown) || key.Equal(shownCertificate(t, rig.p.Addr()).PublicKey) {
			t.Error("it is the certificate's")
		}
		if direct != nil && direct.onlyKey(t).Equal(shownCertificate(t, c.Primary.Addr()).PublicKey) {
			t.Error("the server's is the certificate's")
		}
	})
}
