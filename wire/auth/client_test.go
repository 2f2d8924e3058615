package auth

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"strings"
	"testing"
)

const testSalt = "abcdefghijklmnopqrst"

func switchTo(plugin, salt string) string {
	return string(AppendSwitchRequest(nil, plugin, []byte(salt)))
}

// step is a packet of the server and what the client makes of it.
type step struct {
	packet string
	action Action
	reply  string
	err    error
}

func keyPacket(t testing.TB) string {
	t.Helper()
	text, err := MarshalPublicKey(&testKey().PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return "\x01" + string(text)
}

// encrypted stands for a reply that is the password under testKey.
const encrypted = "(encrypted)"

func TestClientExchanges(t *testing.T) {
	const ok, fastOK, fullAuth, otherSalt = "\x00\x00\x00\x02\x00\x00\x00", "\x01\x03", "\x01\x04", "ABCDEFGHIJKLMNOPQRST"
	native := string(NativeScramble("secret", []byte(testSalt)))
	sha2 := string(SHA2Scramble("secret", []byte(testSalt)))
	salt32 := strings.Repeat("s", 32)
	key := NativeKey(sha1.Sum([]byte("secret")))
	for _, c := range []struct {
		name           string
		x              ClientExchange
		plugin         string // of the greeting
		named, initial string
		steps          []step
	}{
		{"native accepted", ClientExchange{Password: "secret"}, NativePassword, NativePassword, native,
			[]step{{packet: ok, action: Done}}},
		{"native denied", ClientExchange{Password: "secret"}, NativePassword, NativePassword, native,
			[]step{{packet: "\xff\x15\x04#28000no", action: Done}}},
		{"greeting without plugin", ClientExchange{Password: "secret"}, "", NativePassword, native,
			[]step{{packet: ok, action: Done}}},
		{"no password", ClientExchange{}, CachingSHA2, CachingSHA2, "",
			[]step{{packet: ok, action: Done}}},
		{"sha2 fast", ClientExchange{Password: "secret"}, CachingSHA2, CachingSHA2, sha2,
			[]step{{packet: fastOK, action: Read}, {packet: ok, action: Done}}},
		{"sha2 full when secure", ClientExchange{Password: "secret", Secure: true}, CachingSHA2, CachingSHA2, sha2,
			[]step{{packet: fullAuth, action: Send, reply: "secret\x00"}, {packet: ok, action: Done}}},
		{"sha2 full in the open asks for the key", ClientExchange{Password: "secret"}, CachingSHA2, CachingSHA2, sha2,
			[]step{{packet: fullAuth, action: Send, reply: "\x02"}, {packet: keyPacket(t), action: Send, reply: encrypted}, {packet: ok, action: Done}}},
		{"sha2 full with a pinned key does not ask", ClientExchange{Password: "secret", ServerKey: &testKey().PublicKey}, CachingSHA2, CachingSHA2, sha2,
			[]step{{packet: fullAuth, action: Send, reply: encrypted}, {packet: ok, action: Done}}},
		// FAULTS S13.
		{"a key nobody asked for is refused", ClientExchange{Password: "secret", ServerKey: &testKey().PublicKey}, CachingSHA2, CachingSHA2, sha2,
			[]step{{packet: keyPacket(t), action: Done, err: ErrMalformed}}},
		{"a key that is none is refused", ClientExchange{Password: "secret"}, CachingSHA2, CachingSHA2, sha2,
			[]step{{packet: fullAuth, action: Send, reply: "\x02"}, {packet: "\x01junk", action: Done, err: ErrMalformed}}},
		{"full authentication is asked for once", ClientExchange{Password: "secret", Secure: true}, CachingSHA2, CachingSHA2, sha2,
			[]step{{packet: fullAuth, action: Send, reply: "secret\x00"}, {packet: fullAuth, action: Done, err: ErrMalformed}}},
		{"switch from sha2 to native", ClientExchange{Password: "secret"}, CachingSHA2, CachingSHA2, sha2,
			[]step{{packet: switchTo(NativePassword, otherSalt), action: Send, reply: string(NativeScramble("secret", []byte(otherSalt)))}, {packet: ok, action: Done}}},
		{"switch from native to sha2 and full", ClientExchange{Password: "secret"}, NativePassword, NativePassword, native,
			[]step{
				{packet: switchTo(CachingSHA2, testSalt), action: Send, reply: sha2},
				{packet: fullAuth, action: Send, reply: "\x02"},
				{packet: keyPacket(t), action: Send, reply: encrypted},
				{packet: ok, action: Done},
			}},
		{"switch without a password sends an empty packet", ClientExchange{}, CachingSHA2, CachingSHA2, "",
			[]step{{packet: switchTo(NativePassword, otherSalt), action: Send}, {packet: ok, action: Done}}},
		{"switch to ed25519", ClientExchange{Password: "secret"}, NativePassword, NativePassword, native,
			[]step{{packet: switchTo(Ed25519, salt32), action: Send, reply: string(Ed25519Sign("secret", []byte(salt32)))}, {packet: ok, action: Done}}},
		{"one plugin after the other", ClientExchange{Password: "secret"}, NativePassword, NativePassword, native,
			[]step{
				{packet: switchTo(Ed25519, salt32), action: Send, reply: string(Ed25519Sign("secret", []byte(salt32)))},
				{packet: switchTo(NativePassword, otherSalt), action: Send, reply: string(NativeScramble("secret", []byte(otherSalt)))},
				{packet: ok, action: Done},
			}},
		{"a hash goes past the plugins it is no use for", ClientExchange{Native: &key}, NativePassword, NativePassword, native,
			[]step{
				{packet: switchTo(Ed25519, salt32), action: Send, reply: "\xff"},
				{packet: switchTo(NativePassword, otherSalt), action: Send, reply: string(NativeScramble("secret", []byte(otherSalt)))},
				{packet: ok, action: Done},
			}},
		{"a hash is wrong itself", ClientExchange{Native: &key}, NativePassword, NativePassword, native,
			[]step{
				{packet: switchTo(Ed25519, salt32), action: Send, reply: "\xff"},
				{packet: switchTo(NativePassword, otherSalt), action: Send, reply: string(NativeScramble("secret", []byte(otherSalt)))},
				{packet: "\xff\x15\x04#28000no", action: Done},
			}},
		{"a hash is not enough for ed25519", ClientExchange{Native: &key}, NativePassword, NativePassword, native,
			[]step{{packet: switchTo(Ed25519, salt32), action: Send, reply: "\xff"}, {packet: "\xff\x15\x04#28000no", action: Done, err: ErrHashOnly}}},
		{"a hash is not enough for sha2", ClientExchange{Native: &key}, CachingSHA2, NativePassword, native,
			[]step{{packet: switchTo(CachingSHA2, testSalt), action: Send, reply: "\xff"}, {packet: "\xff\x15\x04#28000no", action: Done, err: ErrHashOnly}}},
		{"a hash is not enough for sha2 in full either", ClientExchange{Native: &key, Secure: true}, CachingSHA2, NativePassword, native,
			[]step{{packet: switchTo(CachingSHA2, testSalt), action: Send, reply: "\xff"}, {packet: fullAuth, action: Done, err: ErrHashOnly}}},
		{"a hash is not sent in clear", ClientExchange{Native: &key, Secure: true}, NativePassword, NativePassword, native,
			[]step{{packet: switchTo(ClearPassword, ""), action: Done, err: ErrHashOnly}}},
		{"greeting with a plugin that is not implemented", ClientExchange{Password: "secret"}, "sha256_password", CachingSHA2, "",
			[]step{{packet: switchTo(CachingSHA2, testSalt), action: Send, reply: sha2}, {packet: fastOK, action: Read}, {packet: ok, action: Done}}},
		// FAULTS S8.
		{"greeting that wants the password in clear gets nothing", ClientExchange{Password: "secret", Secure: true}, ClearPassword, CachingSHA2, "",
			[]step{{packet: switchTo(ClearPassword, ""), action: Send, reply: "secret\x00"}, {packet: ok, action: Done}}},
		{"switch to clear in the open is refused", ClientExchange{Password: "secret"}, NativePassword, NativePassword, native,
			[]step{{packet: switchTo(ClearPassword, ""), action: Done, err: ErrInsecure}}},
		{"switch to a plugin that is not implemented", ClientExchange{Password: "secret"}, NativePassword, NativePassword, native,
			[]step{{packet: switchTo("auth_gssapi_client", ""), action: Done, err: ErrUnknownPlugin}}},
		{"switch to the password of before 4.1", ClientExchange{Password: "secret"}, NativePassword, NativePassword, native,
			[]step{{packet: "\xfe", action: Done, err: ErrUnknownPlugin}}},
		{"an empty packet", ClientExchange{Password: "secret"}, NativePassword, NativePassword, native,
			[]step{{packet: "", action: Done, err: ErrMalformed}}},
		{"more data for native", ClientExchange{Password: "secret"}, NativePassword, NativePassword, native,
			[]step{{packet: fullAuth, action: Done, err: ErrMalformed}}},
		{"a LOCAL INFILE request", ClientExchange{Password: "secret"}, NativePassword, NativePassword, native,
			[]step{{packet: "\xfb/etc/passwd", action: Done, err: ErrMalformed}}},
		{"sha2 data of no meaning", ClientExchange{Password: "secret"}, CachingSHA2, CachingSHA2, sha2,
			[]step{{packet: "\x01\x07", action: Done, err: ErrMalformed}}},
		{"sha2 data of no length", ClientExchange{Password: "secret"}, CachingSHA2, CachingSHA2, sha2,
			[]step{{packet: "\x01", action: Done, err: ErrMalformed}}},
		{"RSA without a salt", ClientExchange{Password: "secret"}, NativePassword, NativePassword, native,
			[]step{
				{packet: switchTo(CachingSHA2, ""), action: Send, reply: string(SHA2Scramble("secret", nil))},
				{packet: fullAuth, action: Send, reply: "\x02"},
				{packet: keyPacket(t), action: Done, err: ErrMalformed},
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			named, initial := c.x.Start(c.plugin, []byte(testSalt))
			if named != c.named || string(initial) != c.initial {
				t.Fatalf("starts with %s %x, want %s %x", named, initial, c.named, c.initial)
			}
			for i, s := range c.steps {
				action, reply, err := c.x.Next([]byte(s.packet))
				if !errors.Is(err, s.err) || action != s.action {
					t.Fatalf("step %d: %v, %v, want %v, %v", i+1, action, err, s.action, s.err)
				}
				if s.reply == encrypted {
					got, err := DecryptPassword(testKey(), reply, []byte(testSalt))
					if err != nil || string(got) != "secret\x00" {
						t.Fatalf("step %d: %q, %v", i+1, got, err)
					}
				} else if string(reply) != s.reply {
					t.Fatalf("step %d: replies %q, want %q", i+1, reply, s.reply)
				}
			}
		})
	}
}

func TestClientExchangeEndsWithAServerThatDoesNot(t *testing.T) {
	x := ClientExchange{Password: "secret"}
	x.Start(CachingSHA2, []byte(testSalt))
	var err error
	packets := 0
	for err == nil && packets < 1000 {
		_, _, err = x.Next([]byte("\x01\x03"))
		packets++
	}
	if !errors.Is(err, ErrMalformed) || packets > 100 {
		t.Fatalf("%v after %d packets", err, packets)
	}
}

func TestClientExchangeKeepsNoPacket(t *testing.T) {
	x := ClientExchange{Password: "secret"}
	salt := []byte(testSalt)
	x.Start(CachingSHA2, salt)
	packet := []byte(switchTo(CachingSHA2, testSalt))
	for _, b := range [][]byte{salt, packet} {
		if &b[0] == &packet[0] {
			if _, _, err := x.Next(packet); err != nil {
				t.Fatal(err)
			}
		}
		for i := range b {
			b[i] = 'X'
		}
		if string(x.salt) != testSalt {
			t.Fatalf("salt is now %q", x.salt)
		}
	}
}

// FuzzClientExchange: whatever a server says over an open connection, the
// password does not go out in clear.
func FuzzClientExchange(f *testing.F) {
	f.Add(NativePassword, []byte("\xfemysql_clear_password\x00"), []byte("\x00"), []byte(""))
	f.Add(CachingSHA2, []byte("\x01\x04"), []byte(keyPacket(f)), []byte("\x00"))
	f.Add("", []byte(switchTo(Ed25519, testSalt)), []byte("\x01\x03"), []byte("\xff"))
	f.Fuzz(func(t *testing.T, plugin string, a, b, c []byte) {
		const password = "correct horse battery staple"
		x := ClientExchange{Password: password}
		_, sent := x.Start(plugin, []byte(testSalt))
		for _, packet := range [][]byte{a, b, c} {
			if bytes.Contains(sent, []byte(password)) {
				t.Fatalf("sent %q", sent)
			}
			action, reply, err := x.Next(packet)
			if err != nil || action == Done {
				if reply != nil {
					t.Fatal("a reply at the end")
				}
				return
			}
			if (action == Send) != (reply != nil) && len(reply) != 0 {
				t.Fatalf("%v with %q", action, reply)
			}
			sent = reply
		}
	})
}
