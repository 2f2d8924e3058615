package auth

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/pem"
	"fmt"

	"filippo.io/edwards25519"
)

// NativeKey is SHA1(password): all that mysql_native_password needs of it.
type NativeKey [sha1.Size]byte

// NativeScramble answers a challenge of mysql_native_password:
// SHA1(password) XOR SHA1(salt + SHA1(SHA1(password))). An empty password gives
// an empty answer. Protocol doc "Native Authentication".
func NativeScramble(password string, salt []byte) []byte {
	if password == "" {
		return nil
	}
	return NativeKey(sha1.Sum([]byte(password))).scramble(salt)
}

func (k NativeKey) scramble(salt []byte) []byte {
	hash := k.Hash()
	h := sha1.New()
	h.Write(salt)
	h.Write(hash[:])
	return xor(h.Sum(nil), k[:])
}

// Hash is what servers store, SHA1(SHA1(password)).
func (k NativeKey) Hash() [sha1.Size]byte { return sha1.Sum(k[:]) }

// RecoverNativeKey returns the key of a client whose answer to salt is right for
// an account with the given hash: with the hash, the answer gives it away.
func RecoverNativeKey(hash [sha1.Size]byte, salt, response []byte) (NativeKey, bool) {
	if !checkNative(&hash, salt, response) {
		return NativeKey{}, false
	}
	h := sha1.New()
	h.Write(salt)
	h.Write(hash[:])
	return NativeKey(xor(h.Sum(nil), response)), true
}

// SHA2Scramble answers a challenge of caching_sha2_password:
// SHA256(password) XOR SHA256(SHA256(SHA256(password)) + salt). An empty
// password gives an empty answer. Protocol doc "caching_sha2_password".
func SHA2Scramble(password string, salt []byte) []byte {
	if password == "" {
		return nil
	}
	stage1 := sha256.Sum256([]byte(password))
	stage2 := sha256.Sum256(stage1[:])
	h := sha256.New()
	h.Write(stage2[:])
	h.Write(salt)
	return xor(h.Sum(nil), stage1[:])
}

// xor returns a XOR b of equal lengths, in a.
func xor(a, b []byte) []byte {
	for i := range a {
		a[i] ^= b[i]
	}
	return a
}

// Ed25519Sign answers a challenge of MariaDB's client_ed25519: the Ed25519
// signature of salt under the key whose seed is the password, of any length
// (RFC 8032 wants 32 bytes, which is why crypto/ed25519 does not fit). The
// server checks it against the public key in its account; MariaDB KB
// "Authentication Plugin - ed25519".
func Ed25519Sign(password string, salt []byte) []byte {
	h := sha512.Sum512([]byte(password))
	s := clamped(h[:32])
	public := new(edwards25519.Point).ScalarBaseMult(s).Bytes()

	r := hashToScalar(h[32:], salt)
	R := new(edwards25519.Point).ScalarBaseMult(r).Bytes()
	k := hashToScalar(R, public, salt)
	S := edwards25519.NewScalar().MultiplyAdd(k, s, r)
	return append(R, S.Bytes()...)
}

// Ed25519PublicKey returns what MariaDB stores for a password, before base64.
func Ed25519PublicKey(password string) []byte {
	h := sha512.Sum512([]byte(password))
	return new(edwards25519.Point).ScalarBaseMult(clamped(h[:32])).Bytes()
}

func clamped(seed []byte) *edwards25519.Scalar {
	s, err := edwards25519.NewScalar().SetBytesWithClamping(seed)
	if err != nil {
		panic("auth: ed25519 seed is not 32 bytes") // callers pass half a SHA-512
	}
	return s
}

func hashToScalar(parts ...[]byte) *edwards25519.Scalar {
	h := sha512.New()
	for _, p := range parts {
		h.Write(p)
	}
	s, err := edwards25519.NewScalar().SetUniformBytes(h.Sum(nil))
	if err != nil {
		panic("auth: SHA-512 is not 64 bytes")
	}
	return s
}

// EncryptPassword prepares the password for caching_sha2_password over a plain
// connection: RSA-OAEP with SHA1 of (password + NUL) XOR salt, the salt
// repeated. The key must be longer than the password by at least 43 bytes.
func EncryptPassword(key *rsa.PublicKey, password string, salt []byte) ([]byte, error) {
	if len(salt) == 0 {
		return nil, fmt.Errorf("%w: no salt to hide the password with", ErrMalformed)
	}
	b, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, key, xorRepeat(append([]byte(password), 0), salt), nil)
	if err != nil {
		return nil, fmt.Errorf("encrypt the password for the server: %w", err)
	}
	return b, nil
}

// DecryptPassword undoes EncryptPassword; the NUL at the end is still there.
func DecryptPassword(key *rsa.PrivateKey, encrypted, salt []byte) ([]byte, error) {
	b, err := rsa.DecryptOAEP(sha1.New(), nil, key, encrypted, nil)
	if err != nil {
		return nil, err
	}
	return xorRepeat(b, salt), nil
}

func xorRepeat(b, salt []byte) []byte {
	for i := range b {
		b[i] ^= salt[i%len(salt)]
	}
	return b
}

// ParsePublicKey reads the PEM form in which servers hand out the key
// ("BEGIN PUBLIC KEY", PKIX).
func ParsePublicKey(text []byte) (*rsa.PublicKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%w: server's public key: no PEM block", ErrMalformed)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: server's public key: %w", ErrMalformed, err)
	}
	rsaKey, ok := key.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%w: server's public key: %T, want RSA", ErrMalformed, key)
	}
	return rsaKey, nil
}

// MarshalPublicKey is the inverse of ParsePublicKey.
func MarshalPublicKey(key *rsa.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}
