package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/telamondb/telamon/admin"
	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/conf"
	"github.com/telamondb/telamon/internal/certs"
	"github.com/telamondb/telamon/proxy"
)

// clientTLS is what clients and the console are offered, nil for nothing.
func clientTLS(t *conf.TLS) *tls.Config {
	if t.Mode == "off" {
		return nil
	}
	config := commonTLS(&t.Files)
	if config.Certificates == nil {
		config.Certificates = []tls.Certificate{selfSigned()}
	}
	if t.Files.Authorities != nil {
		config.ClientCAs, config.ClientAuth = t.Files.Authorities, tls.VerifyClientCertIfGiven
	}
	return config
}

// commonTLS is what both sides have in common.
func commonTLS(f *conf.TLSFiles) *tls.Config {
	config := &tls.Config{
		MinVersion: tls.VersionTLS12,
		// Records that fit a segment help a browser show the beginning of a
		// page. A result is of use when it is complete.
		DynamicRecordSizingDisabled: true,
	}
	if f.Certificate != nil {
		config.Certificates = []tls.Certificate{*f.Certificate}
	}
	return config
}

// selfSigned is the certificate of a process without one, made when it is
// first asked for, as servers make theirs. Nobody can verify it.
var selfSigned = sync.OnceValue(func() tls.Certificate {
	pair, err := certs.SelfSigned(certs.Request{Name: "Telamon auto-generated certificate"})
	if err != nil {
		panic(err) // there is no input that could be wrong
	}
	return pair.TLS()
})

func proxyTLS(cfg *conf.Config) proxy.TLS {
	return proxy.TLS{Config: clientTLS(&cfg.Proxy.TLS), Required: cfg.Proxy.TLS.Mode == "required"}
}

// consoleEncryption is that of the proxy's ports, except that TLS is always
// offered: MariaDB's clients insist on it from 11.4 on, and where the console
// is concerned it does not matter what it costs.
func consoleEncryption(cfg *conf.Config) admin.Encryption {
	t := cfg.Proxy.TLS
	if t.Mode == "off" {
		t.Mode = "preferred"
	}
	return admin.Encryption{Config: clientTLS(&t), Required: t.Mode == "required"}
}

func transport(word string) proxy.Transport {
	return map[string]proxy.Transport{"any": proxy.AnyTransport, "required": proxy.SecureTransport, "x509": proxy.Certified}[word]
}

// backendEncryption returns how each server's connections are encrypted. A
// server that is not in the file, because it was added on the console, is
// treated like the first that is.
func backendEncryption(cfg *conf.Config) func(*backend.Server) backend.Encryption {
	configured := make(map[string]backend.Encryption, len(cfg.Backends))
	for i := range cfg.Backends {
		b := &cfg.Backends[i]
		configured[b.Address] = serverTLS(b.Address, &b.TLS)
	}
	return func(s *backend.Server) backend.Encryption {
		if e, ok := configured[s.String()]; ok {
			return e
		}
		return serverTLS(s.String(), &cfg.Backends[0].TLS)
	}
}

func serverTLS(address string, t *conf.TLS) backend.Encryption {
	network, addr := conf.SplitAddress(address)
	if t.Mode == "off" || network == "unix" {
		return backend.Encryption{}
	}
	config := commonTLS(&t.Files)
	switch t.Mode {
	case "verify_identity":
		config.RootCAs = t.Files.Authorities
		config.ServerName, _, _ = net.SplitHostPort(addr)
	case "verify_ca":
		verifyChain(config, t.Files.Authorities)
	default:
		config.InsecureSkipVerify = true // encryption was asked for, not identity
	}
	return backend.Encryption{Config: config, Optional: t.Mode == "preferred"}
}

// certificates are those in use, for the metrics.
func certificates(cfg *conf.Config) []admin.Certificate {
	var list []admin.Certificate
	add := func(key string, f *conf.TLSFiles) {
		if f.Certificate != nil {
			list = append(list, admin.Certificate{Key: key + ".tls.cert", NotAfter: f.Certificate.Leaf.NotAfter})
		}
	}
	add("proxy", &cfg.Proxy.TLS.Files)
	for i := range cfg.Backends {
		add("backends["+cfg.Backends[i].Address+"]", &cfg.Backends[i].TLS.Files)
	}
	return list
}

// endedCertificate returns why a reload is to be refused: a certificate that
// has ended would take the place of one that has not. A process that starts
// has nothing better and uses it.
func endedCertificate(file string, old, next *conf.Config) []conf.Problem {
	now, was := next.Proxy.TLS.Files.Certificate, old.Proxy.TLS.Files.Certificate
	if now == nil || was == nil || time.Now().Before(now.Leaf.NotAfter) || time.Now().After(was.Leaf.NotAfter) {
		return nil
	}
	return []conf.Problem{{File: file, Path: "proxy.tls.cert", Msg: fmt.Sprintf(
		"the certificate ended on %s UTC; the one in use is still valid", now.Leaf.NotAfter.UTC().Format(time.DateTime))}}
}

// verifyChain makes config verify that an authority of roots (nil = those this
// machine trusts) vouches for the server's certificate, whatever name is in it:
// the certificates MySQL and MariaDB make for themselves are for no host.
func verifyChain(config *tls.Config, roots *x509.CertPool) {
	config.InsecureSkipVerify = true // the check of the name; the rest follows
	config.VerifyConnection = func(state tls.ConnectionState) error {
		opts := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
		for _, c := range state.PeerCertificates[1:] {
			opts.Intermediates.AddCert(c)
		}
		if _, err := state.PeerCertificates[0].Verify(opts); err != nil {
			return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
		}
		return nil
	}
}
