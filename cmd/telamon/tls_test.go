package main

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/telamondb/telamon/conf"
	"github.com/telamondb/telamon/internal/certs"
)

func pair(t *testing.T, make func(certs.Request) (*certs.Pair, error), r certs.Request) *certs.Pair {
	t.Helper()
	p, err := make(r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// handshake connects two configurations and returns what each side got.
func handshake(t *testing.T, server, client *tls.Config) (serverErr, clientErr error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	b, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	a, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	for _, nc := range []net.Conn{a, b} {
		_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	}
	defer b.Close()
	done := make(chan error, 1)
	go func() {
		s := tls.Server(a, server)
		err := s.Handshake()
		if err == nil {
			_, err = s.Write([]byte{1}) // a client of TLS 1.3 is done before its certificate is looked at
		}
		_ = a.Close()
		done <- err
	}()
	c := tls.Client(b, client)
	if clientErr = c.Handshake(); clientErr == nil {
		_, clientErr = c.Read(make([]byte, 1))
	}
	_ = b.Close()
	return <-done, clientErr
}

// FAULTS S12.
func TestServersAreTrustedAsTheModeSays(t *testing.T) {
	authority := pair(t, certs.NewAuthority, certs.Request{Name: "ours"})
	stranger := pair(t, certs.NewAuthority, certs.Request{Name: "ours"})
	day := 24 * time.Hour
	shown := map[string]*certs.Pair{
		"right":       pair(t, authority.Issue, certs.Request{Name: "db", Hosts: []string{"db.test"}}),
		"other host":  pair(t, authority.Issue, certs.Request{Name: "db", Hosts: []string{"other.test"}}),
		"ended":       pair(t, authority.Issue, certs.Request{Name: "db", Hosts: []string{"db.test"}, NotBefore: time.Now().Add(-2 * day), NotAfter: time.Now().Add(-day)}),
		"stranger":    pair(t, stranger.Issue, certs.Request{Name: "db", Hosts: []string{"db.test"}}),
		"self-signed": pair(t, certs.SelfSigned, certs.Request{Name: "db", Hosts: []string{"db.test"}}),
	}
	for mode, trusted := range map[string]string{
		"preferred":       "right, other host, ended, stranger, self-signed",
		"required":        "right, other host, ended, stranger, self-signed",
		"verify_ca":       "right, other host",
		"verify_identity": "right",
	} {
		for what, cert := range shown {
			t.Run(mode+"/"+what, func(t *testing.T) {
				e := serverTLS("db.test:3306", &conf.TLS{Mode: mode, Files: conf.TLSFiles{Authorities: authority.Pool()}})
				_, err := handshake(t, &tls.Config{Certificates: []tls.Certificate{cert.TLS()}}, e.Config)
				if want := strings.Contains(trusted, what); (err == nil) != want {
					t.Errorf("error %v", err)
				}
				if e.Optional != (mode == "preferred") {
					t.Errorf("optional: %t", e.Optional)
				}
			})
		}
	}
	t.Run("TLS 1.1", func(t *testing.T) {
		e := serverTLS("db.test:3306", &conf.TLS{Mode: "required"})
		_, err := handshake(t, &tls.Config{Certificates: []tls.Certificate{shown["right"].TLS()}, MinVersion: tls.VersionTLS11, MaxVersion: tls.VersionTLS11}, e.Config)
		if err == nil {
			t.Error("accepted")
		}
	})
	t.Run("off, and UNIX sockets", func(t *testing.T) {
		if serverTLS("db.test:3306", &conf.TLS{Mode: "off"}).Config != nil || serverTLS("unix:/tmp/x", &conf.TLS{Mode: "required"}).Config != nil {
			t.Error("encrypted")
		}
	})
}

func TestClientsAreShownACertificateInAnyCase(t *testing.T) {
	for _, mode := range []string{"preferred", "required"} {
		config := clientTLS(&conf.TLS{Mode: mode})
		var leaf *x509.Certificate
		client := &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error {
			leaf = s.PeerCertificates[0]
			return nil
		}}
		if serverErr, err := handshake(t, config, client); serverErr != nil || err != nil {
			t.Fatal(serverErr, err)
		}
		if !strings.Contains(leaf.Subject.CommonName, "auto-generated") {
			t.Errorf("%s: shown %s", mode, leaf.Subject)
		}
	}
	cfg := conf.Default()
	if proxyTLS(cfg).Config != nil {
		t.Error("TLS for clients although it is off")
	}
	if e := consoleEncryption(cfg); e.Config == nil || e.Required {
		t.Errorf("the console does not offer TLS, or demands it: %+v", e)
	}
}

func TestAReloadDoesNotReplaceACertificateByOneThatHasEnded(t *testing.T) {
	good := pair(t, certs.SelfSigned, certs.Request{Name: "good"})
	ended := pair(t, certs.SelfSigned, certs.Request{Name: "ended", NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)})
	config := func(p *certs.Pair) *conf.Config {
		c := conf.Default()
		if p != nil {
			cert := p.TLS()
			c.Proxy.TLS.Files.Certificate = &cert
		}
		return c
	}
	for _, c := range []struct {
		name      string
		old, next *certs.Pair
		refused   bool
	}{
		{"a good one by an ended one", good, ended, true},
		{"an ended one by an ended one", ended, ended, false},
		{"an ended one by a good one", ended, good, false},
		{"none by an ended one", nil, ended, false},
		{"a good one by none", good, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			problems := endedCertificate("telamon.toml", config(c.old), config(c.next))
			if conf.Fatal(problems) != c.refused {
				t.Errorf("problems %v", problems)
			}
		})
	}
}
