package auth

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"sync"
	"testing"
)

// testKey is generated once; rsa keys below 2048 bits are not what servers use.
var testKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// The answers come from Python's hashlib and were accepted by MariaDB 10.11
// and MySQL 9.7.
func TestScramblesMatchAnIndependentComputation(t *testing.T) {
	for _, c := range []struct{ password, salt, native, sha2 string }{
		{"secret", `0*#l{G/U@{o:pJ\rHQ?'`, "a94d28d02bddefc1ab439a08c96f2effed1faa37", "3d5ef7e5acd4984c902eb7fc4d363fe15a81e6c80d256b421ed8de17532ea4e1"},
		{"päss", "abcdefghijklmnopqrst", "5152d6f6be64141d6aa929e311674b7adc8a6009", "4ba50471f335efd2737cd657116542c8fed8c3c57b03c50fccc1b39eb9d73fa0"},
		{"x", "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14", "d6735703ddb55a10a902fa57c33fe543b1f57040", "6de9055332ab03b0277f5c582964cf1404aff68d7b3c26f9aa6aa1f2caeae10d"},
	} {
		if got := hex.EncodeToString(NativeScramble(c.password, []byte(c.salt))); got != c.native {
			t.Errorf("native %q: %s, want %s", c.password, got, c.native)
		}
		if got := hex.EncodeToString(SHA2Scramble(c.password, []byte(c.salt))); got != c.sha2 {
			t.Errorf("sha2 %q: %s, want %s", c.password, got, c.sha2)
		}
	}
	if NativeScramble("", []byte("salt")) != nil || SHA2Scramble("", []byte("salt")) != nil {
		t.Error("an empty password gives an answer")
	}
}

func TestEd25519KeyIsTheOneMariaDBStores(t *testing.T) {
	// authentication_string of IDENTIFIED VIA ed25519 USING PASSWORD('secret'),
	// MariaDB 10.11.19; base64 without padding.
	want, err := base64.RawStdEncoding.DecodeString("ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY")
	if err != nil {
		t.Fatal(err)
	}
	if got := Ed25519PublicKey("secret"); !bytes.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
}

func TestEd25519SignatureIsValid(t *testing.T) {
	salt := []byte(strings.Repeat("s", 32))
	for _, password := range []string{"", "x", "secret", strings.Repeat("p", 32), strings.Repeat("long", 100)} {
		key := ed25519.PublicKey(Ed25519PublicKey(password))
		sig := Ed25519Sign(password, salt)
		if !ed25519.Verify(key, salt, sig) {
			t.Errorf("password of %d bytes: refused", len(password))
		}
		if ed25519.Verify(key, []byte(strings.Repeat("t", 32)), sig) {
			t.Errorf("password of %d bytes: valid for another salt", len(password))
		}
	}
	// With a password of 32 bytes the scheme is RFC 8032's.
	seed := strings.Repeat("p", 32)
	if want := ed25519.Sign(ed25519.NewKeyFromSeed([]byte(seed)), salt); !bytes.Equal(Ed25519Sign(seed, salt), want) {
		t.Error("differs from RFC 8032")
	}
}

func TestEncryptedPasswordComesBack(t *testing.T) {
	key := testKey()
	salt := []byte("abcdefghijklmnopqrst")
	for _, password := range []string{"", "secret", strings.Repeat("long", 30)} {
		b, err := EncryptPassword(&key.PublicKey, password, salt)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecryptPassword(key, b, salt)
		if err != nil || string(got) != password+"\x00" {
			t.Errorf("%q, %v", got, err)
		}
		if password != "" {
			if got, err := DecryptPassword(key, b, []byte("another salt")); err != nil || string(got) == password+"\x00" {
				t.Errorf("with another salt: %q, %v", got, err)
			}
		}
		b[0] ^= 1
		if got, err := DecryptPassword(key, b, salt); err == nil {
			t.Errorf("damaged: %q", got)
		}
	}
	if _, err := EncryptPassword(&key.PublicKey, strings.Repeat("x", 300), salt); err == nil {
		t.Error("a password longer than the key is no error")
	}
	if _, err := EncryptPassword(&key.PublicKey, "x", nil); err == nil {
		t.Error("no salt is no error")
	}
}

func TestPublicKeyText(t *testing.T) {
	key := testKey()
	text, err := MarshalPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParsePublicKey(text)
	if err != nil || !got.Equal(&key.PublicKey) {
		t.Fatalf("%v, %v", got, err)
	}
	for name, text := range map[string]string{
		"nothing":      "",
		"no PEM":       "hello",
		"PEM of junk":  "-----BEGIN PUBLIC KEY-----\nMTIz\n-----END PUBLIC KEY-----\n",
		"not RSA":      "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n",
		"cut in half ": string(text[:len(text)/2]),
	} {
		if _, err := ParsePublicKey([]byte(text)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// MINEFIELD H04, FAULTS S4.
func TestSaltIsPrintableAndFresh(t *testing.T) {
	const rounds = 100_000
	seen := make(map[[SaltSize]byte]bool, rounds)
	var counts [128]int
	for range rounds {
		salt := NewSalt()
		if seen[salt] {
			t.Fatalf("%q repeats", salt)
		}
		seen[salt] = true
		for _, b := range salt {
			if b <= ' ' || b > '~' || b == '$' {
				t.Fatalf("%q contains %q", salt, b)
			}
			counts[b]++
		}
	}
	// Chi squared over 93 symbols, 92 degrees of freedom: above 160 with a
	// probability of 1e-5.
	const symbols = '~' - '!' + 1 - 1
	expected := float64(rounds*SaltSize) / symbols
	var chi2 float64
	for b := '!'; b <= '~'; b++ {
		if b != '$' {
			d := float64(counts[b]) - expected
			chi2 += d * d / expected
		}
	}
	if chi2 > 160 {
		t.Errorf("chi squared %.0f over %d symbols", chi2, symbols)
	}
}

func TestSwitchRequest(t *testing.T) {
	p := AppendSwitchRequest(nil, CachingSHA2, []byte("abcdefghijklmnopqrst"))
	if string(p) != "\xfecaching_sha2_password\x00abcdefghijklmnopqrst\x00" {
		t.Fatalf("%q", p)
	}
	for _, c := range []struct {
		name, p, plugin, salt string
		bad                   bool
	}{
		{name: "ordinary", p: string(p), plugin: CachingSHA2, salt: "abcdefghijklmnopqrst"},
		{name: "without the last NUL", p: "\xfep\x00salt", plugin: "p", salt: "salt"},
		{name: "without salt", p: "\xfep\x00", plugin: "p"},
		{name: "old password", p: "\xfe", bad: true},
		{name: "name without NUL", p: "\xfep", bad: true},
		{name: "another packet", p: "\x00p\x00", bad: true},
		{name: "nothing", p: "", bad: true},
	} {
		plugin, salt, err := ParseSwitchRequest([]byte(c.p))
		if (err != nil) != c.bad || plugin != c.plugin || string(salt) != c.salt {
			t.Errorf("%s: %q, %q, %v", c.name, plugin, salt, err)
		}
	}
}
