package account

import (
	"context"
	"crypto/sha1"
	"crypto/subtle"

	"github.com/telamondb/telamon/backend/pool"
	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/auth"
)

// Hash is what is known of an account's password: one of the two.
type Hash struct {
	Native *[sha1.Size]byte
	SHA2   *auth.SHA2Hash
}

// ParseHash reads a hash as servers store it, and false if text is none.
func ParseHash(text string) (Hash, bool) {
	if native, ok := auth.ParseNativeHash(text); ok {
		return Hash{Native: &native}, true
	}
	sha2, ok := auth.ParseSHA2Hash(text)
	return Hash{SHA2: sha2}, ok
}

// Hashes is the Authority that a list of users with hashes is. It is immutable.
type Hashes map[string]Hash

// Try implements Authority.
func (h Hashes) Try(_ context.Context, user, _ string, c *pool.Credential) error {
	if hash, ok := h[user]; ok && hash.matches(c) {
		return nil
	}
	return wire.NewErr(wire.CodeAccessDenied, "Access denied for user '%s'", user)
}

func (h Hash) matches(c *pool.Credential) bool {
	if h.SHA2 != nil {
		return c.Native == nil && h.SHA2.Matches(c.Password)
	}
	if h.Native == nil {
		return false
	}
	key := auth.NativeKey(sha1.Sum([]byte(c.Password)))
	if c.Native != nil {
		key = *c.Native
	}
	got := key.Hash()
	return subtle.ConstantTimeCompare(got[:], h.Native[:]) == 1
}

// ByClient implements Authority.
func (Hashes) ByClient() bool { return false }

// NativeHashes implements Authority.
func (h Hashes) NativeHashes(_ context.Context, user string) (hashes [][sha1.Size]byte, all bool, err error) {
	hash := h[user]
	if hash.Native != nil {
		hashes = append(hashes, *hash.Native)
	}
	return hashes, hash.SHA2 == nil, nil
}
