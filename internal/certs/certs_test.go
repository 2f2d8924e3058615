package certs

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"
)

func TestAnIssuedCertificateIsGoodForItsHostsAndTime(t *testing.T) {
	authority, err := NewAuthority(Request{Name: "authority"})
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := NewAuthority(Request{Name: "authority"})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := authority.Issue(Request{Name: "db", Hosts: []string{"db.example", "127.0.0.1"}, NotAfter: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		roots *x509.CertPool
		host  string
		at    time.Time
		good  bool
	}{
		{"its name", authority.Pool(), "db.example", time.Now(), true},
		{"its address", authority.Pool(), "127.0.0.1", time.Now(), true},
		{"another name", authority.Pool(), "other.example", time.Now(), false},
		{"another authority of that name", stranger.Pool(), "db.example", time.Now(), false},
		{"after its time", authority.Pool(), "db.example", time.Now().Add(2 * time.Hour), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
				_, err := pair.Cert.Verify(x509.VerifyOptions{Roots: c.roots, DNSName: c.host, CurrentTime: c.at, KeyUsages: []x509.ExtKeyUsage{usage}})
				if (err == nil) != c.good {
					t.Errorf("usage %d: %v", usage, err)
				}
			}
		})
	}
}

func TestThePEMFormBelongsTogether(t *testing.T) {
	pair, err := SelfSigned(Request{Name: "alone"})
	if err != nil {
		t.Fatal(err)
	}
	key, err := pair.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tls.X509KeyPair(pair.CertPEM(), key); err != nil {
		t.Error(err)
	}
	if left := time.Until(pair.Cert.NotAfter); left < 9*365*24*time.Hour {
		t.Errorf("it ends in %s", left)
	}
}
