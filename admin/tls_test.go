package admin

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"

	"github.com/telamondb/telamon/internal/certs"
	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/wiretest"
)

func consoleTLS(t *testing.T, required bool) (Encryption, *tls.Config) {
	t.Helper()
	pair, err := certs.SelfSigned(certs.Request{Name: "console", Hosts: []string{"console.test"}})
	if err != nil {
		t.Fatal(err)
	}
	return Encryption{Config: &tls.Config{Certificates: []tls.Certificate{pair.TLS()}}, Required: required},
		&tls.Config{RootCAs: pair.Pool(), ServerName: "console.test"}
}

func TestTheConsoleSpeaksTLS(t *testing.T) {
	r := newRig(t)
	console, addr := r.console, r.addr
	login := func(config *tls.Config) (*wiretest.Peer, error) {
		nc, err := net.Dial("tcp", addr.String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = nc.Close() })
		return wiretest.Login(nc, wiretest.Credentials{User: testUser, Password: testPassword, TLS: config})
	}
	offer, trust := consoleTLS(t, false)
	console.SetEncryption(offer)
	p, err := login(trust)
	if err != nil || p.TLS() == nil {
		t.Fatalf("TLS %v: %v", p.TLS(), err)
	}
	if len(p.Info) != 65 || p.Info[0] != 1 {
		t.Errorf("no proof for clients of MariaDB: %q", p.Info)
	}
	if results, err := p.Query("SELECT * FROM help"); err != nil || len(results[0].Rows) < 10 {
		t.Errorf("help: %v, %v", results, err)
	}
	if _, err := login(nil); err != nil {
		t.Errorf("without TLS: %v", err)
	}
	demand, trust := consoleTLS(t, true)
	console.SetEncryption(demand)
	if _, err := login(nil); err == nil || !strings.Contains(err.Error(), "insecure transport") {
		t.Errorf("without the TLS demanded: %v", err)
	}
	if _, err := login(trust); err != nil {
		t.Errorf("with the TLS demanded: %v", err)
	}
	if _, err := p.Query("SELECT VERSION"); err != nil {
		t.Errorf("who was there before: %v", err)
	}
}

func TestTheConsoleDoesNotReadPlainTextForTLS(t *testing.T) {
	r := newRig(t)
	console, addr := r.console, r.addr
	offer, _ := consoleTLS(t, false)
	console.SetEncryption(offer)
	c := dial(t, addr)
	login := c.native()
	login.Capabilities |= wire.SSL
	c.WritePacket(login.AppendSSLRequest(nil))
	c.WritePacket(login.Append(nil))
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	if p, err := c.ReadPacket(1 << 10); err == nil {
		t.Errorf("answered by %q", p)
	}
}
