package auth

import (
	"crypto/rsa"
	"testing"
)

func TestTheProofIsWhatMariaDBClientsExpect(t *testing.T) {
	// Computed apart from this code. MariaDB Connector/Node.js 3.5.4 has
	// accepted proofs made like this at login and in COM_CHANGE_USER.
	const want = "\x01208E512F8D456FADF8EA212350D4DAD3D8E84AA9AB2A68FAC8AF57DC99900A85"
	salt := [SaltSize]byte([]byte("abcdefghijklmnopqrst"))
	certificate := []byte("a certificate in DER")
	for _, c := range []struct {
		name             string
		account          Verifier
		plugin, password string
		certificate      []byte
		want             string
	}{
		{"a right password", NewPasswordVerifier("secret"), NativePassword, "secret", certificate, want},
		{"without TLS", NewPasswordVerifier("secret"), NativePassword, "secret", nil, ""},
		{"without a password", NewPasswordVerifier(""), NativePassword, "", certificate, ""},
		{"a plugin that MariaDB clients do not take it from", NewPasswordVerifier("secret"), CachingSHA2, "secret", certificate, ""},
		{"an unknown account", nil, NativePassword, "secret", certificate, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := ServerExchange{Account: c.account, Salt: salt, DefaultPlugin: c.plugin, CanSwitch: true, Key: func() *rsa.PrivateKey { return nil }}
			client := ClientExchange{Password: c.password}
			x.Start(client.Start(c.plugin, salt[:]))
			if got := string(x.Proof(c.certificate)); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
