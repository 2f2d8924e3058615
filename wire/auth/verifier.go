package auth

import (
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
	// Empty reports whether the account has no password.
	Empty() bool
	// CheckResponse checks a non-empty answer of plugin to salt.
	CheckResponse(plugin string, salt, response []byte) Fast
	// CheckPassword checks the password itself, as caching_sha2_password and
	// mysql_clear_password deliver it.
	CheckPassword(password []byte) bool
}

// plainVerifier knows what every plugin needs of a password.
type plainVerifier struct {
	nativeHash [sha1.Size]byte   // SHA1(SHA1(password))
	sha2Hash   [sha256.Size]byte // SHA256(SHA256(password))
	empty      bool
}

// NewPasswordVerifier returns the verifier of an account whose password is
// known. It keeps hashes, not the password. It supports NativePassword and
// CachingSHA2.
func NewPasswordVerifier(password string) Verifier {
	v := &plainVerifier{empty: password == ""}
	s1 := sha1.Sum([]byte(password))
	v.nativeHash = sha1.Sum(s1[:])
	s2 := sha256.Sum256([]byte(password))
	v.sha2Hash = sha256.Sum256(s2[:])
	return v
}

func (v *plainVerifier) Supports(plugin string) bool {
	return plugin == NativePassword || plugin == CachingSHA2
}

func (v *plainVerifier) Empty() bool { return v.empty }

func (v *plainVerifier) CheckResponse(plugin string, salt, response []byte) Fast {
	switch plugin {
	case NativePassword:
		return outcome(checkNative(&v.nativeHash, salt, response))
	case CachingSHA2:
		return outcome(checkSHA2(&v.sha2Hash, salt, response))
	}
	return Wrong
}

func (v *plainVerifier) CheckPassword(password []byte) bool {
	s := sha256.Sum256(password)
	s = sha256.Sum256(s[:])
	return subtle.ConstantTimeCompare(s[:], v.sha2Hash[:]) == 1
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
	got := sha1.Sum(xor(h.Sum(nil), response))
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
