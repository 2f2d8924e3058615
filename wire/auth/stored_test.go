package auth

import (
	"encoding/hex"
	"strings"
	"testing"
)

// The forms come from MySQL 9.7.4 (mysql.user.authentication_string) and MariaDB
// 10.11.
func TestStoredFormsAreRead(t *testing.T) {
	hash, ok := ParseNativeHash("*14E65567ABDB5135D0CFD9A70B3032C179A49EE7")
	if !ok || hash != NativeKey(sha1Of("secret")).Hash() {
		t.Errorf("native: %x, %v", hash, ok)
	}
	for _, text := range []string{"", "*", "14E65567ABDB5135D0CFD9A70B3032C179A49EE7", "*14E65567ABDB5135D0CFD9A70B3032C179A49EE", "*x4E65567ABDB5135D0CFD9A70B3032C179A49EE7"} {
		if _, ok := ParseNativeHash(text); ok {
			t.Errorf("%q is taken for a hash", text)
		}
	}
}

// The digest of SHA-crypt with a salt of 16 bytes is glibc's; MySQL does the same
// with 20.
func TestSHA256CryptIsTheOneOfOthers(t *testing.T) {
	for password, want := range map[string]string{
		"secret": "r6nzC5LUC0uVXFw52gWstJ181ms.XFW71j20yui2zG7",
		"a long password that does not fit into one block of sha-256": "I3fuCf5YXXyli8t0vYEQO6GIHpR/FtrVNeQjGFUNXJ6",
	} {
		var digest [32]byte
		if !decodeCrypt(digest[:], want) {
			t.Fatal("not read")
		}
		if got := sha256Crypt(password, "0123456789abcdef", 5000); got != digest {
			t.Errorf("%q: %x, want %x", password, got, digest)
		}
	}
}

// mysqlStored is IDENTIFIED BY 'secret' in mysql.user of MySQL 9.7.4.
const mysqlStored = "$A$00A$PQ,\t%l#i&+\x1cBde\x1e\x11\x1a1\x10\x06SCDeHga8ZgZo7YxHQCuL1a05cVonUbLe2slXXMGC.94"

func TestSHA2Hash(t *testing.T) {
	const stored = mysqlStored
	for _, text := range []string{stored, "0x" + hex.EncodeToString([]byte(stored))} {
		h, ok := ParseSHA2Hash(text)
		if !ok {
			t.Fatalf("%q is not read", text)
		}
		if !h.Matches("secret") || h.Matches("Secret") || h.Matches("") {
			t.Errorf("%q: tells passwords wrong", text)
		}
	}
	for _, text := range []string{
		"", "$A$", stored[:len(stored)-1], stored + "x", strings.Replace(stored, "$00A$", "$000$", 1),
		strings.Replace(stored, "$00A$", "$FFF$", 1), strings.Replace(stored, "$A$", "$B$", 1), "0xzz", stored[:69] + "!",
	} {
		if _, ok := ParseSHA2Hash(text); ok {
			t.Errorf("%q is taken for a hash", text)
		}
	}
}

func FuzzParseSHA2Hash(f *testing.F) {
	f.Add(mysqlStored, "secret")
	f.Add("0x244124", "")
	f.Fuzz(func(t *testing.T, stored, password string) {
		if h, ok := ParseSHA2Hash(stored); ok && (h.rounds < 1000 || h.rounds > 1000*sha2MaxThousands || len(h.salt) != SaltSize) {
			t.Fatalf("%q: %+v", stored, h)
		}
	})
}
