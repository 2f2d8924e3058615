package auth

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
)

// Names of authentication plugins on the wire.
const (
	NativePassword = "mysql_native_password"
	CachingSHA2    = "caching_sha2_password"
	Ed25519        = "client_ed25519" // MariaDB
	ClearPassword  = "mysql_clear_password"
)

// SaltSize is the length of the challenge of all plugins but Ed25519.
const SaltSize = 20

// ed25519NonceSize is the length of Ed25519's challenge.
const ed25519NonceSize = 32

// Errors of the exchanges. Each ends the connection.
var (
	// ErrUnknownPlugin: the server wants a plugin that is not implemented here.
	ErrUnknownPlugin = errors.New("unknown authentication plugin")
	// ErrInsecure: the server wants the password in clear over a connection that
	// anybody on the way can read. Nothing of it has been sent.
	ErrInsecure = errors.New("refused to send the password over an unencrypted connection")
	// ErrHashOnly: the server wants a plugin that needs the password, of which
	// only a hash is known.
	ErrHashOnly = errors.New("only a hash of the password is known")
	// ErrMalformed: the packet is not what the exchange allows at this point.
	ErrMalformed = errors.New("malformed authentication packet")
)

// First bytes of packets in the authentication phase; protocol doc
// "Protocol::AuthSwitchRequest", "Protocol::AuthMoreData".
const (
	headerOK       = 0x00
	headerMoreData = 0x01
	headerSwitch   = 0xfe
	headerERR      = 0xff
)

// What caching_sha2_password says in single bytes; MySQL manual "Caching SHA-2
// Pluggable Authentication", protocol doc "caching_sha2_password information".
const (
	sha2RequestKey = 0x02 // client: send the public key
	sha2FastOK     = 0x03 // server: the scramble was right
	sha2FullAuth   = 0x04 // server: send the password itself
)

// NewSalt returns a fresh challenge from crypto/rand: 20 printable ASCII
// characters without '$', because clients handle the challenge as a C string of
// signed characters and '$' separates fields in stored passwords. That leaves
// 130 bits.
func NewSalt() [SaltSize]byte {
	const lowest, highest = '!', '~'
	var salt [SaltSize]byte
	var random [2 * SaltSize]byte
	for n := 0; n < SaltSize; {
		rand.Read(random[:]) // never fails, crypto/rand
		for _, b := range random {
			b &= 0x7f
			if b < lowest || b > highest || b == '$' {
				continue
			}
			salt[n] = b
			if n++; n == SaltSize {
				break
			}
		}
	}
	return salt
}

// AppendSwitchRequest appends the payload by which a server asks for another
// plugin; salt is sent with the NUL that the plugins expect behind it, except
// Ed25519, which has none there (measured, MariaDB 10.11).
func AppendSwitchRequest(dst []byte, plugin string, salt []byte) []byte {
	dst = append(dst, headerSwitch)
	dst = append(append(dst, plugin...), 0)
	dst = append(dst, salt...)
	if plugin == Ed25519 {
		return dst
	}
	return append(dst, 0)
}

// ParseSwitchRequest reads a request for another plugin. salt aliases payload
// and lacks the final NUL. The random bytes of Ed25519's may end in NUL too.
func ParseSwitchRequest(payload []byte) (plugin string, salt []byte, err error) {
	if len(payload) == 0 || payload[0] != headerSwitch {
		return "", nil, fmt.Errorf("%w: auth switch: header", ErrMalformed)
	}
	if len(payload) == 1 {
		// mysql_old_password, gone from every server that can still be met.
		return "", nil, fmt.Errorf("%w: mysql_old_password", ErrUnknownPlugin)
	}
	name, salt, ok := bytes.Cut(payload[1:], []byte{0})
	if !ok {
		return "", nil, fmt.Errorf("%w: auth switch: plugin name without end", ErrMalformed)
	}
	if n := len(salt); n > 0 && salt[n-1] == 0 && (string(name) != Ed25519 || n > ed25519NonceSize) {
		salt = salt[:n-1]
	}
	return string(name), salt, nil
}
