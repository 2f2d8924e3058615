package auth

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// knowsStored is a Verifier that has what a server stores for a plugin.
type knowsStored interface {
	// stored returns nil if there is nothing for the plugin.
	stored(plugin string) []byte
}

func (v *plainVerifier) stored(plugin string) []byte {
	if plugin != NativePassword || v.CheckPassword(nil) == Right {
		return nil
	}
	return v.nativeHash[:]
}

func (v *nativeVerifier) stored(plugin string) []byte {
	if plugin != NativePassword {
		return nil
	}
	return v.hash[:]
}

// Proof returns what shows to a client, whose password was right, that the peer
// of its TLS connection, whose certificate is given, knows the password as
// well: so that nobody is in between, although no authority vouches for the
// certificate. It goes into the OK of the login. MariaDB 11.4 introduced it;
// clients from then on (Connector/C 3.4, plugins/auth/my_auth.c, and
// Connector/Node.js 3.4) refuse a certificate they cannot verify without it.
// It is empty where the plugin in use has none.
func (x *ServerExchange) Proof(certificate []byte) []byte {
	account, ok := x.Account.(knowsStored)
	if !ok || x.unknown || certificate == nil {
		return nil
	}
	stored := account.stored(x.plugin)
	if stored == nil {
		return nil
	}
	const sha256Follows = "\x01"
	fingerprint := sha256.Sum256(certificate)
	h := sha256.New()
	h.Write(stored)
	h.Write(x.Salt[:])
	h.Write(fingerprint[:])
	return []byte(sha256Follows + strings.ToUpper(hex.EncodeToString(h.Sum(nil))))
}
