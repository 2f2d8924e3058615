package auth

import (
	"crypto/ed25519"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
)

// Fast is the outcome of checking an answer to a challenge.
type Fast byte

// Outcomes.
const (
	Wrong Fast = iota
	Right
	// Unknown: what is stored does not tell; only the password itself would.
	Unknown
)

// Verifier checks what a client offers against one account's secret. The
// methods take the same time whether or not, and where, the offer differs.
// Implementations are immutable or safe for concurrent use.
type Verifier interface {
	// Supports reports whether the account can be checked by plugin.
	Supports(plugin string) bool
	// CheckResponse checks a non-empty answer of plugin to salt.
	CheckResponse(plugin string, salt, response []byte) Fast
	// CheckPassword checks the password itself, as caching_sha2_password and
	// mysql_clear_password deliver it; an empty one means that the client has
	// none.
	CheckPassword(password []byte) Fast
}

// plainVerifier knows what every plugin needs of a password.
type plainVerifier struct {
	nativeHash [sha1.Size]byte   // SHA1(SHA1(password))
	sha2Hash   [sha256.Size]byte // SHA256(SHA256(password))
	publicKey  [ed25519.PublicKeySize]byte
}

// NewPasswordVerifier returns the verifier of an account whose password is
// known. It keeps hashes, not the password. It supports every plugin.
func NewPasswordVerifier(password string) Verifier {
	v := &plainVerifier{nativeHash: sha1Twice([]byte(password)), sha2Hash: sha256Twice([]byte(password))}
	copy(v.publicKey[:], Ed25519PublicKey(password))
	return v
}

func (v *plainVerifier) Supports(plugin string) bool {
	switch plugin {
	case NativePassword, CachingSHA2, Ed25519, ClearPassword:
		return true
	}
	return false
}

func (v *plainVerifier) CheckResponse(plugin string, salt, response []byte) Fast {
	switch plugin {
	case NativePassword:
		return outcome(checkNative(&v.nativeHash, salt, response))
	case CachingSHA2:
		return outcome(checkSHA2(&v.sha2Hash, salt, response))
	case Ed25519:
		return outcome(ed25519.Verify(v.publicKey[:], salt, response))
	}
	return Wrong
}

func (v *plainVerifier) CheckPassword(password []byte) Fast {
	s := sha256Twice(password)
	return outcome(subtle.ConstantTimeCompare(s[:], v.sha2Hash[:]) == 1)
}

// nativeVerifier knows what mysql_native_password stores.
type nativeVerifier struct{ hash [sha1.Size]byte }

// NewNativeVerifier returns the verifier of an account of which
// SHA1(SHA1(password)) is known. It supports NativePassword, and knows the
// password when it sees it.
func NewNativeVerifier(hash [sha1.Size]byte) Verifier { return &nativeVerifier{hash} }

func (v *nativeVerifier) Supports(plugin string) bool { return plugin == NativePassword }

func (v *nativeVerifier) CheckResponse(plugin string, salt, response []byte) Fast {
	if plugin != NativePassword {
		return Unknown
	}
	return outcome(checkNative(&v.hash, salt, response))
}

func (v *nativeVerifier) CheckPassword(password []byte) Fast {
	if len(password) == 0 {
		return Wrong
	}
	s := sha1Twice(password)
	return outcome(subtle.ConstantTimeCompare(s[:], v.hash[:]) == 1)
}

func sha1Twice(b []byte) [sha1.Size]byte {
	s := sha1.Sum(b)
	return sha1.Sum(s[:])
}

func sha256Twice(b []byte) [sha256.Size]byte {
	s := sha256.Sum256(b)
	return sha256.Sum256(s[:])
}

func outcome(ok bool) Fast {
	if ok {
		return Right
	}
	return Wrong
}

// checkNative undoes the client's XOR, which gives SHA1(password), and compares
// its hash with the stored one: the password need not be known.
func checkNative(stored *[sha1.Size]byte, salt, response []byte) bool {
	if len(response) != sha1.Size {
		return false
	}
	h := sha1.New()
	h.Write(salt)
	h.Write(stored[:])
	got := sha1.Sum(xor(h.Sum(nil), response)) // of SHA1(password), see NativeKey
	return subtle.ConstantTimeCompare(got[:], stored[:]) == 1
}

// checkSHA2 is checkNative for caching_sha2_password, where the stored hash
// comes before the salt.
func checkSHA2(stored *[sha256.Size]byte, salt, response []byte) bool {
	if len(response) != sha256.Size {
		return false
	}
	h := sha256.New()
	h.Write(stored[:])
	h.Write(salt)
	got := sha256.Sum256(xor(h.Sum(nil), response))
	return subtle.ConstantTimeCompare(got[:], stored[:]) == 1
}
