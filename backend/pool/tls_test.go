package pool

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/internal/certs"
	"github.com/telamondb/telamon/wire/wiretest"
)

var serverCertificate = sync.OnceValue(func() *certs.Pair {
	pair, err := certs.SelfSigned(certs.Request{Name: "server", Hosts: []string{"server.test"}})
	if err != nil {
		panic(err)
	}
	return pair
})

// encryptedFake is a fake server that offers TLS of one version.
func encryptedFake(t testing.TB, version uint16) *fake {
	return newFake(t, wiretest.Options{Passwords: map[string]string{"app": "secret"}, TLS: &tls.Config{
		Certificates: []tls.Certificate{serverCertificate().TLS()}, MinVersion: version, MaxVersion: version,
	}})
}

func demanding(optional bool) backend.Encryption {
	return backend.Encryption{
		Config: &tls.Config{RootCAs: serverCertificate().Pool(), ServerName: "server.test"}, Optional: optional,
	}
}

// encrypt makes all further connections do as e says.
func (r *rig) encrypt(e backend.Encryption) {
	d := testDialer()
	d.Encryption = func(*backend.Server) backend.Encryption { return e }
	r.pools.Configure(d, testLimits)
}

func TestConnectionsAreEncryptedAsToldAndOffered(t *testing.T) {
	offers := encryptedFake(t, tls.VersionTLS13)
	old := encryptedFake(t, tls.VersionTLS12)
	lacks := newFake(t, wiretest.Options{Passwords: map[string]string{"app": "secret"}})
	for _, c := range []struct {
		name    string
		server  *fake
		e       backend.Encryption
		version uint16 // 0: not encrypted
	}{
		{"none wanted, TLS offered", offers, backend.Encryption{}, 0},
		{"optional, TLS offered", offers, demanding(true), tls.VersionTLS13},
		{"optional, not offered", lacks, demanding(true), 0},
		{"demanded, TLS offered", offers, demanding(false), tls.VersionTLS13},
		{"demanded, TLS 1.2 offered", old, demanding(false), tls.VersionTLS12},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, c.server.Addr(), 0)
			r.encrypt(c.e)
			conn := r.acquire(1, plain)
			defer conn.Discard()
			state := conn.Wire.TLS()
			if (state == nil) != (c.version == 0) || state != nil && state.Version != c.version {
				t.Fatalf("TLS state %v", state)
			}
			if end := conn.Server.CertificateEnd(); end.IsZero() != (c.version == 0) || c.version != 0 && !end.Equal(serverCertificate().Cert.NotAfter) {
				t.Errorf("the certificate is noted to end at %s", end)
			}
			if !conn.Alive() { // the session tickets of TLS 1.3 may have arrived
				t.Error("a new connection is taken for broken")
			}
			if err := conn.Query("SET @me=1"); err != nil {
				t.Error(err)
			}
			if err := r.pools.KillQuery(t.Context(), conn); err != nil {
				t.Error(err)
			}
		})
	}
}

// FAULTS S9: a server that is said to have no TLS, perhaps by somebody in
// between, is told nothing.
func TestAServerWithoutTheTLSDemandedHearsNothing(t *testing.T) {
	heard := make(chan []byte, 1)
	addr := listen(t, func(nc net.Conn) {
		_, _ = io.WriteString(nc, greetingWith(wiretest.Capabilities))
		all, _ := io.ReadAll(nc)
		heard <- all
	})
	r := newRig(t, addr, 0)
	r.encrypt(demanding(false))
	_, err := r.pool.Acquire(t.Context(), &Request{Owner: 1, Login: testLogin, Profile: plain})
	if !errors.Is(err, ErrNoTLS) || !strings.Contains(err.Error(), addr) || !strings.Contains(err.Error(), "backends.tls.mode") {
		t.Errorf("error %v", err)
	}
	if all := <-heard; len(all) > 0 {
		t.Errorf("it heard %q", all)
	}
}

func TestAServerThatIsNotTrustedDoesNotLearnTheUser(t *testing.T) {
	seen := make(chan []byte, 1)
	addr := listen(t, func(nc net.Conn) {
		var all bytes.Buffer
		_, _ = wiretest.Accept(&overheard{nc, &all}, wiretest.Options{
			TLS: &tls.Config{Certificates: []tls.Certificate{serverCertificate().TLS()}},
		})
		seen <- all.Bytes()
	})
	r := newRig(t, addr, 0)
	r.encrypt(backend.Encryption{Config: &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "server.test"}, Optional: true})
	_, err := r.pool.Acquire(t.Context(), &Request{Owner: 1, Login: testLogin, Profile: plain})
	var verify *tls.CertificateVerificationError
	if !errors.As(err, &verify) {
		t.Errorf("error %v", err)
	}
	if all := <-seen; bytes.Contains(all, []byte("app")) {
		t.Errorf("it heard %q", all)
	}
}

// overheard keeps what is received.
type overheard struct {
	net.Conn
	all *bytes.Buffer
}

func (o *overheard) Read(p []byte) (int, error) {
	n, err := o.Conn.Read(p)
	o.all.Write(p[:n])
	return n, err
}

func TestConnectionsThatAreNotEncryptedAreGivenUpWhenTLSIsDemanded(t *testing.T) {
	f := encryptedFake(t, tls.VersionTLS13)
	r := newRig(t, f.Addr(), 0)
	inUse, lying := r.acquire(1, plain), r.acquire(2, plain)
	lying.Release()
	r.encrypt(demanding(false))
	if err := inUse.Query("SET @me=1"); err != nil { // nobody is disturbed
		t.Fatal(err)
	}
	inUse.Release()
	r.pool.sweep()
	r.checkStats(0, 0, 0, 0)
	c := r.acquire(3, plain)
	if c.Wire.TLS() == nil {
		t.Error("not encrypted")
	}
	r.encrypt(backend.Encryption{})
	c.Release()
	r.checkStats(1, 1, 0, 0) // one that is encrypted is as good
}

func TestTheLoginTimeoutCoversTheHandshake(t *testing.T) {
	addr := listen(t, func(nc net.Conn) {
		g := wiretest.Capabilities | 1<<11 // SSL
		_, _ = io.WriteString(nc, greetingWith(g))
		silent(nc)
	})
	r := newRig(t, addr, 0)
	r.encrypt(demanding(false))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := r.pool.Acquire(ctx, &Request{Owner: 1, Login: testLogin, Profile: plain})
		done <- err
	}()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
