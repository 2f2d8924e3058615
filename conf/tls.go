package conf

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// TLSFiles is what the files of a TLS table hold. Nobody changes it.
type TLSFiles struct {
	// Certificate with its key; Leaf is set. Nil if no file is named.
	Certificate *tls.Certificate
	// Authorities are those of the peer's certificate, nil if no file is named.
	Authorities *x509.CertPool
}

// expiresSoon is how long before its end a certificate is worth a warning.
const expiresSoon = 30 * day

// maxPEMFile bounds what is read for one certificate, key or list of
// authorities; a machine's whole list has a few hundred KiB.
const maxPEMFile = 4 << 20

// validateTLS reads certificates, keys and authorities, so that a file that
// cannot be used is found before anything depends on it.
func (d *decoder) validateTLS(cfg *Config) {
	d.readTLS("proxy.tls", &cfg.Proxy.TLS)
	for i := range cfg.Backends {
		b := &cfg.Backends[i]
		path := entry("backends", i) + ".tls"
		if d.failed(entry("backends", i)) {
			continue
		}
		if network, _ := SplitAddress(b.Address); network == "unix" && b.TLS.Mode != "off" {
			d.add(path+".mode", "a UNIX socket is not encrypted; leave it off")
			continue
		}
		if b.PublicKey != "" {
			b.PublicKeyPEM = d.readPublicKey(entry("backends", i)+".public_key", b.PublicKey)
		}
		d.readTLS(path, &b.TLS)
		if b.TLS.CA != "" && (b.TLS.Mode == "preferred" || b.TLS.Mode == "required") {
			d.add(path+".ca", "is not looked at with mode = %q; use verify_ca or verify_identity", b.TLS.Mode)
		}
	}
	if d.failed("proxy.tls") {
		return
	}
	for i, u := range cfg.Users {
		path := entry("users", i) + ".tls"
		switch {
		case d.failed(entry("users", i)):
		case u.TLS != "any" && cfg.Proxy.TLS.Mode == "off":
			d.add(path, "is %q, but proxy.tls.mode is off", u.TLS)
		case u.TLS == "x509" && cfg.Proxy.TLS.CA == "":
			d.add(path, "is x509, but there is no proxy.tls.ca to verify certificates with")
		}
	}
}

// readTLS reads the files of one table, unless TLS is off there.
func (d *decoder) readTLS(path string, t *TLS) {
	if d.failed(path) || t.Mode == "off" {
		return
	}
	switch {
	case t.Cert == "" && t.Key != "":
		d.add(path+".cert", "is missing: there is a key")
	case t.Cert != "" && t.Key == "":
		d.add(path+".key", "is missing: there is a cert")
	case t.Cert != "":
		t.Files.Certificate = d.readPair(path, t)
	}
	if t.CA != "" {
		t.Files.Authorities = d.readAuthorities(path+".ca", t.CA)
	}
}

// readPair reads a certificate and its key; nil if a problem was reported.
func (d *decoder) readPair(path string, t *TLS) *tls.Certificate {
	cert, err := d.readPEM(t.Cert)
	if err != nil {
		d.add(path+".cert", "%v", err)
		return nil
	}
	leaf, err := firstCertificate(cert)
	if err != nil {
		d.add(path+".cert", "%s: %v", t.Cert, err)
		return nil
	}
	key, err := d.readPEM(t.Key)
	if err != nil {
		d.add(path+".key", "%v", err)
		return nil
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		msg := strings.TrimPrefix(err.Error(), "tls: ")
		if strings.Contains(string(key), "ENCRYPTED") {
			msg = "the key is encrypted; store it without a passphrase"
		}
		d.add(path+".key", "%s: %s", t.Key, msg)
		return nil
	}
	pair.Leaf = leaf
	d.checkValidity(path+".cert", leaf)
	return &pair
}

// checkValidity warns of a certificate that is not valid now, or not for much
// longer. It is used all the same: most clients of databases do not verify.
func (d *decoder) checkValidity(path string, leaf *x509.Certificate) {
	now := time.Now()
	switch end := leaf.NotAfter.UTC().Format(time.DateTime); {
	case now.After(leaf.NotAfter):
		d.warn(path, "the certificate ended on %s UTC; whoever verifies it refuses it", end)
	case now.Before(leaf.NotBefore):
		d.warn(path, "the certificate is valid only from %s UTC on", leaf.NotBefore.UTC().Format(time.DateTime))
	case now.Add(expiresSoon).After(leaf.NotAfter):
		d.warn(path, "the certificate ends on %s UTC", end)
	}
}

// readAuthorities reads certificates to verify others with.
func (d *decoder) readAuthorities(path, file string) *x509.CertPool {
	text, err := d.readPEM(file)
	if err != nil {
		d.add(path, "%v", err)
		return nil
	}
	if _, err := firstCertificate(text); err != nil {
		d.add(path, "%s: %v", file, err)
		return nil
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	return pool
}

// readPublicKey reads an RSA key as MySQL keeps it in public_key.pem.
func (d *decoder) readPublicKey(path, file string) []byte {
	text, err := d.readPEM(file)
	if err != nil {
		d.add(path, "%v", err)
		return nil
	}
	if block, _ := pem.Decode(text); block != nil {
		if key, err := x509.ParsePKIXPublicKey(block.Bytes); err == nil {
			if _, ok := key.(*rsa.PublicKey); ok {
				return text
			}
		}
	}
	d.add(path, "%s: there is no RSA public key in PEM form in it", file)
	return nil
}

func (d *decoder) readPEM(file string) ([]byte, error) {
	full := file
	if !filepath.IsAbs(full) {
		full = filepath.Join(d.secrets.dir, full)
	}
	text, err := readAtMost(full, maxPEMFile)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", full, withoutPath(err))
	}
	return text, nil
}

// firstCertificate returns the first certificate in a PEM text.
func firstCertificate(text []byte) (*x509.Certificate, error) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return nil, errors.New("there is no certificate in PEM form in it")
		}
		if block.Type == "CERTIFICATE" {
			return x509.ParseCertificate(block.Bytes)
		}
	}
}

// describe names a certificate in a few words: what changes when its file is
// replaced.
func (f *TLSFiles) describe() string {
	if f.Certificate == nil {
		return ""
	}
	leaf := f.Certificate.Leaf
	return fmt.Sprintf("%s until %s, SHA-256 %.4x...", leaf.Subject, leaf.NotAfter.UTC().Format(time.DateOnly), sha256.Sum256(leaf.Raw))
}
