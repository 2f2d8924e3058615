package auth

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strconv"
	"strings"
)

// ParseNativeHash reads what servers store for mysql_native_password: '*' and
// SHA1(SHA1(password)) in 40 hexadecimal digits.
func ParseNativeHash(text string) (hash [sha1.Size]byte, ok bool) {
	digits, ok := strings.CutPrefix(text, "*")
	if !ok || len(digits) != 2*sha1.Size {
		return hash, false
	}
	_, err := hex.Decode(hash[:], []byte(digits))
	return hash, err == nil
}

// SHA2Hash is what MySQL stores for caching_sha2_password: SHA-crypt with
// SHA-256, a salt of 20 bytes, and thousands of rounds. It tells a password when
// it sees one, and answers to challenges tell it nothing.
type SHA2Hash struct {
	rounds int
	salt   string
	digest [sha256.Size]byte
}

// Sizes in "$A$00A$" + salt + digest (measured, MySQL 9.7; 005 before 9.0 or so).
const (
	sha2HashPrefix   = "$A$"
	sha2DigestLength = 43
	sha2MaxThousands = 100 // rounds cost time: as many as SHOW CREATE USER has been seen with, and more
)

// ParseSHA2Hash reads authentication_string of caching_sha2_password as it is in
// mysql.user, or as SHOW CREATE USER shows it with
// print_identified_with_as_hex: 0x and hexadecimal digits.
func ParseSHA2Hash(text string) (*SHA2Hash, bool) {
	if digits, ok := strings.CutPrefix(text, "0x"); ok {
		b, err := hex.DecodeString(digits)
		if err != nil {
			return nil, false
		}
		text = string(b)
	}
	rest, ok := strings.CutPrefix(text, sha2HashPrefix)
	if !ok || len(rest) != 4+SaltSize+sha2DigestLength || rest[3] != '$' {
		return nil, false
	}
	thousands, err := strconv.ParseUint(rest[:3], 16, 16)
	if err != nil || thousands < 1 || thousands > sha2MaxThousands {
		return nil, false
	}
	h := &SHA2Hash{rounds: int(thousands) * 1000, salt: rest[4 : 4+SaltSize]}
	return h, decodeCrypt(h.digest[:], rest[4+SaltSize:])
}

// Matches reports whether password is the one. It takes some milliseconds.
func (h *SHA2Hash) Matches(password string) bool {
	d := sha256Crypt(password, h.salt, h.rounds)
	return subtle.ConstantTimeCompare(d[:], h.digest[:]) == 1
}

// sha256Crypt is "Unix crypt using SHA-256 and SHA-512" (Drepper, 2008), steps
// 1 to 21.
func sha256Crypt(password, salt string, rounds int) [sha256.Size]byte {
	b := sha256.Sum256([]byte(password + salt + password))
	var text []byte
	text = append(append(text, password...), salt...)
	text = appendRepeated(text, b[:], len(password))
	for n := len(password); n > 0; n >>= 1 {
		if n&1 != 0 {
			text = append(text, b[:]...)
		} else {
			text = append(text, password...)
		}
	}
	a := sha256.Sum256(text)
	dp := sha256.Sum256([]byte(strings.Repeat(password, len(password))))
	p := appendRepeated(nil, dp[:], len(password))
	ds := sha256.Sum256([]byte(strings.Repeat(salt, 16+int(a[0]))))
	s := appendRepeated(nil, ds[:], len(salt))
	for i := range rounds {
		text = text[:0]
		if i&1 != 0 {
			text = append(text, p...)
		} else {
			text = append(text, a[:]...)
		}
		if i%3 != 0 {
			text = append(text, s...)
		}
		if i%7 != 0 {
			text = append(text, p...)
		}
		if i&1 != 0 {
			text = append(text, a[:]...)
		} else {
			text = append(text, p...)
		}
		a = sha256.Sum256(text)
	}
	return a
}

// appendRepeated appends n bytes of d, repeated.
func appendRepeated(dst, d []byte, n int) []byte {
	for ; n > len(d); n -= len(d) {
		dst = append(dst, d...)
	}
	return append(dst, d[:n]...)
}

const cryptDigits = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// decodeCrypt reads the digest's form in crypt, step 22: three bytes a group,
// from the three thirds of the digest in turn, the least significant digit first.
func decodeCrypt(digest []byte, text string) bool {
	group := func(digits string) (v uint32, ok bool) {
		for i := len(digits) - 1; i >= 0; i-- {
			d := strings.IndexByte(cryptDigits, digits[i])
			if d < 0 {
				return 0, false
			}
			v = v<<6 | uint32(d)
		}
		return v, true
	}
	a, b, c := 0, 10, 20
	for range 10 {
		v, ok := group(text[:4])
		if !ok {
			return false
		}
		digest[a], digest[b], digest[c] = byte(v>>16), byte(v>>8), byte(v)
		a, b, c = c+1, a+1, b+1
		text = text[4:]
	}
	v, ok := group(text)
	digest[31], digest[30] = byte(v>>8), byte(v)
	return ok
}
