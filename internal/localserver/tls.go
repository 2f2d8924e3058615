package localserver

import (
	"os"
	"path/filepath"
)

// TLS is what a server encrypts with, each the content of a PEM file.
type TLS struct {
	Cert, Key []byte
	CA        []byte // of clients' certificates
}

const (
	tlsCertName = "tls-cert.pem"
	tlsKeyName  = "tls-key.pem"
	tlsCAName   = "tls-ca.pem"
)

func (t *TLS) write(dir string) error {
	for name, content := range map[string][]byte{tlsCertName: t.Cert, tlsKeyName: t.Key, tlsCAName: t.CA} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// arguments are the options of both flavours.
func (t *TLS) arguments(dir string) []string {
	return []string{
		"--ssl-cert=" + dir + "/" + tlsCertName,
		"--ssl-key=" + dir + "/" + tlsKeyName,
		"--ssl-ca=" + dir + "/" + tlsCAName,
	}
}
