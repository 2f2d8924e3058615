package auth

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"strings"
	"testing"
)

// hashOnly is an account of which only hashes are known that one plugin can
// check, as the accounts of real servers are.
type hashOnly struct {
	Verifier
	plugin string
	cached bool // caching_sha2_password: the server has seen the password before
}

func (h hashOnly) Supports(plugin string) bool { return plugin == h.plugin }

func (h hashOnly) CheckResponse(plugin string, salt, response []byte) Fast {
	if plugin == CachingSHA2 && !h.cached {
		return Unknown
	}
	return h.Verifier.CheckResponse(plugin, salt, response)
}

func account(password string) Verifier { return NewPasswordVerifier(password) }

func nativeAccount(password string) Verifier {
	return hashOnly{account(password), NativePassword, false}
}

func sha2Account(password string, cached bool) Verifier {
	return hashOnly{account(password), CachingSHA2, cached}
}

// run lets a client log in at x and returns what the server said, one word for
// each packet.
func run(x *ServerExchange, client *ClientExchange, greeting, name string, response []byte, again bool) (string, Verdict) {
	var said []string
	if name == "" {
		name, response = client.Start(greeting, x.Salt[:])
	} else {
		client.Start(greeting, x.Salt[:])
		client.plugin = name
	}
	begin := x.Start
	if again {
		begin = x.StartAgain
	}
	step := begin(name, response)
	for {
		if step.Packet != nil {
			said = append(said, word(step.Packet))
		}
		if step.Verdict != Continue {
			return strings.Join(said, " "), step.Verdict
		}
		_, reply, err := client.Next(step.Packet)
		if err != nil {
			return strings.Join(said, " ") + " client: " + err.Error(), Deny
		}
		step = x.Next(reply)
	}
}

func word(packet []byte) string {
	switch {
	case packet[0] == headerSwitch:
		plugin, _, _ := ParseSwitchRequest(packet)
		return "switch:" + strings.TrimSuffix(strings.TrimPrefix(plugin, "mysql_"), "_password")
	case packet[0] == headerMoreData && len(packet) == 2 && packet[1] == sha2FastOK:
		return "fast"
	case packet[0] == headerMoreData && len(packet) == 2 && packet[1] == sha2FullAuth:
		return "full"
	case packet[0] == headerMoreData:
		return "key"
	}
	return fmt.Sprintf("%q", packet)
}

// What servers say, packet by packet, was measured with a raw client: native on
// MariaDB 10.11.19, the rest on MySQL 9.7.4.
func TestServerSaysWhatRealServersSay(t *testing.T) {
	right := func(plugin string) []byte { b, _ := Respond(plugin, "secret", []byte(testSalt)); return b }
	wrong := func(plugin string) []byte { b, _ := Respond(plugin, "Secret", []byte(testSalt)); return b }
	native, sha2 := nativeAccount("secret"), sha2Account("secret", true)
	for _, c := range []struct {
		name     string
		account  Verifier
		greeting string
		plugin   string
		response []byte
		password string // what the client answers later
		again    bool
		want     string
		verdict  Verdict
	}{
		{"native right", native, NativePassword, NativePassword, right(NativePassword), "secret", false, "", Accept},
		{"native wrong", native, NativePassword, NativePassword, wrong(NativePassword), "", false, "", Deny},
		{"native empty answer", native, NativePassword, NativePassword, []byte{}, "", false, "", Deny},
		{"native answer of one NUL", native, NativePassword, NativePassword, []byte{0}, "", false, "", BadHandshake},
		{"native answer of 5 bytes", native, NativePassword, NativePassword, []byte("12345"), "", false, "", BadHandshake},
		{"native unknown user", nil, NativePassword, NativePassword, right(NativePassword), "", false, "", Deny},
		{"native no password needed", nativeAccount(""), NativePassword, NativePassword, []byte{}, "", false, "", Accept},
		{"native password given but none needed", nativeAccount(""), NativePassword, NativePassword, right(NativePassword), "", false, "", Deny},
		{"native account, sha2 named", native, NativePassword, CachingSHA2, right(CachingSHA2), "secret", false, "switch:native", Accept},
		{"native account, unknown plugin named", native, NativePassword, "foo", []byte("x"), "secret", false, "switch:native", Accept},
		{"native account, clear named", native, NativePassword, ClearPassword, []byte("secret\x00"), "secret", false, "switch:native", Accept},
		{"native account, wrong after the switch", native, NativePassword, "foo", []byte("x"), "Secret", false, "switch:native", Deny},
		{"native account, empty after the switch", native, NativePassword, "foo", []byte("x"), "", false, "switch:native", Deny},
		{"native no password needed, after the switch", nativeAccount(""), NativePassword, "foo", []byte("x"), "", false, "switch:native", Accept},
		{"native unknown user, after the switch", nil, NativePassword, "foo", []byte("x"), "secret", false, "switch:native", Deny},
		{"native change user", native, NativePassword, NativePassword, right(NativePassword), "secret", true, "switch:native", Accept},
		{"native change user, sha2 named", native, NativePassword, CachingSHA2, right(CachingSHA2), "secret", true, "switch:native", Accept},
		{"native change user, wrong", native, NativePassword, NativePassword, right(NativePassword), "Secret", true, "switch:native", Deny},
		{"native change user, no password needed", nativeAccount(""), NativePassword, NativePassword, nil, "", true, "switch:native", Accept},

		{"sha2 right, cached", sha2, CachingSHA2, CachingSHA2, right(CachingSHA2), "secret", false, "fast", Accept},
		{"sha2 right, not cached", sha2Account("secret", false), CachingSHA2, CachingSHA2, right(CachingSHA2), "secret", false, "full key", Accept},
		{"sha2 wrong scramble, right password", sha2, CachingSHA2, CachingSHA2, wrong(CachingSHA2), "secret", false, "full key", Accept},
		{"sha2 wrong", sha2, CachingSHA2, CachingSHA2, wrong(CachingSHA2), "Secret", false, "full key", Deny},
		{"sha2 empty answer", sha2, CachingSHA2, CachingSHA2, []byte{}, "", false, "", Deny},
		{"sha2 answer of one NUL", sha2, CachingSHA2, CachingSHA2, []byte{0}, "", false, "", Deny},
		{"sha2 answer of 5 bytes", sha2, CachingSHA2, CachingSHA2, []byte("12345"), "", false, "", Deny},
		{"sha2 unknown user", nil, CachingSHA2, CachingSHA2, right(CachingSHA2), "secret", false, "full key", Deny},
		{"sha2 unknown user, empty answer", nil, CachingSHA2, CachingSHA2, []byte{}, "", false, "", Deny},
		{"sha2 no password needed", sha2Account("", false), CachingSHA2, CachingSHA2, []byte{}, "", false, "", Accept},
		{"sha2 no password needed, one NUL", sha2Account("", false), CachingSHA2, CachingSHA2, []byte{0}, "", false, "", Accept},
		{"sha2 password given but none needed", sha2Account("", true), CachingSHA2, CachingSHA2, right(CachingSHA2), "secret", false, "full key", Deny},
		{"sha2 account, native named", sha2, CachingSHA2, NativePassword, right(NativePassword), "secret", false, "switch:caching_sha2", Accept},
		{"sha2 account, unknown plugin named", sha2, CachingSHA2, "foo", []byte("x"), "secret", false, "switch:caching_sha2", Accept},
		{"sha2 account, clear named", sha2, CachingSHA2, ClearPassword, []byte("secret\x00"), "secret", false, "switch:caching_sha2", Accept},
		{"sha2 unknown user, after the switch", nil, CachingSHA2, "foo", []byte("x"), "secret", false, "switch:caching_sha2 full key", Deny},
		{"sha2 wrong after the switch", sha2, CachingSHA2, "foo", []byte("x"), "Secret", false, "switch:caching_sha2 full key", Deny},
		{"sha2 empty after the switch", sha2, CachingSHA2, "foo", []byte("x"), "", false, "switch:caching_sha2", Deny},
		{"sha2 no password needed, after the switch", sha2Account("", false), CachingSHA2, "foo", []byte("x"), "", false, "switch:caching_sha2", Accept},
		{"sha2 change user", sha2, CachingSHA2, CachingSHA2, right(CachingSHA2), "secret", true, "switch:caching_sha2", Accept},
		{"sha2 change user, native named", sha2, CachingSHA2, NativePassword, right(NativePassword), "secret", true, "switch:caching_sha2", Accept},
		{"sha2 change user, no password needed", sha2Account("", false), CachingSHA2, CachingSHA2, nil, "", true, "switch:caching_sha2", Accept},

		// MINEFIELD H11, H09: what servers do when the greeting named another plugin.
		{"sha2 named with nothing after a greeting with native", account("secret"), NativePassword, CachingSHA2, []byte{}, "secret", false, "switch:caching_sha2", Accept},
		{"native named after a greeting with sha2", account("secret"), CachingSHA2, NativePassword, right(NativePassword), "secret", false, "", Accept},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := c.want
			if c.verdict == Accept && strings.HasSuffix(want, "switch:caching_sha2") && c.password != "" {
				want += " fast"
			}
			x := &ServerExchange{Account: c.account, Salt: [SaltSize]byte([]byte(testSalt)), DefaultPlugin: c.greeting, CanSwitch: true, Key: testKey}
			got, verdict := run(x, &ClientExchange{Password: c.password}, c.greeting, c.plugin, c.response, c.again)
			if got != want || verdict != c.verdict {
				t.Errorf("says %q, verdict %d, want %q, %d", got, verdict, want, c.verdict)
			}
		})
	}
}

// MINEFIELD H12, over everything that exists here.
func TestEveryCombinationLogsInWithTheRightPasswordOnly(t *testing.T) {
	n := 0
	for _, greeting := range []string{NativePassword, CachingSHA2} {
		for _, named := range []string{"(greeting's)", NativePassword, CachingSHA2, Ed25519, ""} {
			for _, stored := range []string{"plain", "native", "sha2", "sha2 cached"} {
				for _, secure := range []bool{false, true} {
					for _, secret := range []string{"secret", ""} {
						for _, offered := range []string{"secret", "Secret", ""} {
							for _, again := range []bool{false, true} {
								n++
								combination(t, greeting, named, stored, secure, secret, offered, again)
							}
						}
					}
				}
			}
		}
	}
	if n != 2*5*4*2*2*3*2 {
		t.Fatalf("%d combinations", n)
	}
}

func combination(t *testing.T, greeting, named, stored string, secure bool, secret, offered string, again bool) {
	t.Helper()
	acc := account(secret)
	switch stored {
	case "native":
		acc = nativeAccount(secret)
	case "sha2", "sha2 cached":
		acc = sha2Account(secret, stored == "sha2 cached")
	}
	x := &ServerExchange{Account: acc, Salt: NewSalt(), DefaultPlugin: greeting, CanSwitch: true, Secure: secure, Key: testKey}
	client := &ClientExchange{Password: offered, Secure: secure}
	plugin, response := client.Start(greeting, x.Salt[:])
	if named != "(greeting's)" {
		plugin = named
		response, _ = Respond(named, offered, x.Salt[:])
		client.plugin = plugin
	}
	said, verdict := run(x, client, greeting, plugin, response, again)
	if want := secret == offered; (verdict == Accept) != want {
		t.Errorf("greeting %s, named %q, stored %s, secure %v, secret %q, offered %q, again %v: verdict %d after %q",
			greeting, named, stored, secure, secret, offered, again, verdict, said)
	}
	if want := offered != "" || x.plugin == Ed25519; x.PasswordUsed() != want {
		t.Errorf("greeting %s, named %q, offered %q: password used: %v", greeting, named, offered, x.PasswordUsed())
	}
}

// FAULTS S2: nothing but the verdict's reason differs, and that nobody sees.
func TestUnknownUsersLookLikeWrongPasswords(t *testing.T) {
	for _, greeting := range []string{NativePassword, CachingSHA2} {
		for _, named := range []string{NativePassword, CachingSHA2, "", "foo"} {
			for _, secure := range []bool{false, true} {
				for _, offered := range []string{"wrong", ""} {
					for _, again := range []bool{false, true} {
						transcript := func(acc Verifier) string {
							x := &ServerExchange{Account: acc, Salt: [SaltSize]byte([]byte(testSalt)), DefaultPlugin: greeting, CanSwitch: true, Secure: secure, Key: testKey}
							response, _ := Respond(named, offered, x.Salt[:])
							said, verdict := run(x, &ClientExchange{Password: offered, Secure: secure}, greeting, named+" ", response, again)
							return fmt.Sprint(said, verdict, x.PasswordUsed())
						}
						if known, unknown := transcript(account("secret")), transcript(nil); known != unknown {
							t.Errorf("greeting %s, named %q: known %q, unknown %q", greeting, named, known, unknown)
						}
					}
				}
			}
		}
	}
}

// FAULTS S1: every bit of the answer counts.
func TestAnswersWithOneWrongBitAreDenied(t *testing.T) {
	acc := account("secret")
	salt := []byte(testSalt)
	for _, plugin := range []string{NativePassword, CachingSHA2} {
		response, _ := Respond(plugin, "secret", salt)
		if acc.CheckResponse(plugin, salt, response) != Right {
			t.Fatalf("%s: the right answer is denied", plugin)
		}
		for bit := range 8 * len(response) {
			b := bytes.Clone(response)
			b[bit/8] ^= 1 << (bit % 8)
			if acc.CheckResponse(plugin, salt, b) != Wrong {
				t.Fatalf("%s: accepted with bit %d wrong", plugin, bit)
			}
		}
		for n := range response {
			if acc.CheckResponse(plugin, salt, response[:n]) != Wrong {
				t.Fatalf("%s: accepted with %d bytes", plugin, n)
			}
		}
		if acc.CheckResponse(plugin, salt, append(response, 0)) != Wrong {
			t.Fatalf("%s: accepted with a byte too many", plugin)
		}
	}
}

func TestRandomAnswersAreDenied(t *testing.T) {
	acc := account("secret")
	salt := []byte(testSalt)
	n := 100_000
	if testing.Short() {
		n = 1000
	}
	var b [32]byte
	for range n {
		_, _ = rand.Read(b[:])
		if acc.CheckResponse(NativePassword, salt, b[:20]) != Wrong || acc.CheckResponse(CachingSHA2, salt, b[:]) != Wrong {
			t.Fatalf("%x accepted", b)
		}
	}
}

// FAULTS S5.
func TestAnAnswerIsOfNoUseOnAnotherConnection(t *testing.T) {
	for _, plugin := range []string{NativePassword, CachingSHA2} {
		first := &ServerExchange{Account: account("secret"), Salt: NewSalt(), CanSwitch: true, Key: testKey}
		response, _ := Respond(plugin, "secret", first.Salt[:])
		if s := first.Start(plugin, response); s.Verdict != Accept {
			t.Fatalf("%s: %+v", plugin, s)
		}
		second := &ServerExchange{Account: account("secret"), Salt: NewSalt(), CanSwitch: true}
		if s := second.Start(plugin, response); s.Verdict != Deny {
			t.Fatalf("%s: %+v", plugin, s)
		}
	}
}

func TestClientsWithoutPluginAuth(t *testing.T) {
	salt := NewSalt()
	for _, c := range []struct {
		name     string
		account  Verifier
		password string
		want     Verdict
	}{
		{"right", account("secret"), "secret", Accept},
		{"wrong", account("secret"), "Secret", Deny},
		{"unknown user", nil, "secret", Deny},
		{"account that native cannot check", sha2Account("secret", true), "secret", NoPlugin},
	} {
		for _, again := range []bool{false, true} {
			x := &ServerExchange{Account: c.account, Salt: salt, DefaultPlugin: CachingSHA2}
			start := x.Start
			if again {
				start = x.StartAgain
			}
			if s := start("", NativeScramble(c.password, salt[:])); s.Verdict != c.want || s.Packet != nil {
				t.Errorf("%s: %+v, want %d", c.name, s, c.want)
			}
		}
	}
}

func TestSaltOfTheExchangeIsTheOneLastSent(t *testing.T) {
	x := &ServerExchange{Account: account("secret"), Salt: [SaltSize]byte([]byte(testSalt)), CanSwitch: true}
	s := x.Start("foo", nil)
	_, salt, err := ParseSwitchRequest(s.Packet)
	if err != nil || !bytes.Equal(salt, x.Salt[:]) || string(salt) == testSalt {
		t.Fatalf("sent %q, kept %q, %v", salt, x.Salt, err)
	}
}

func TestFullAuthenticationWithoutAKeyIsDenied(t *testing.T) {
	for name, key := range map[string]func() *rsa.PrivateKey{"no function": nil, "no key": func() *rsa.PrivateKey { return nil }} {
		x := &ServerExchange{Account: sha2Account("secret", false), Salt: [SaltSize]byte([]byte(testSalt)), CanSwitch: true, Key: key}
		if s := x.Start(CachingSHA2, SHA2Scramble("secret", []byte(testSalt))); s.Verdict != Deny || s.Packet != nil {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// MINEFIELD H16: the key advertised is the key used, whatever happens meanwhile.
func TestFullAuthenticationSticksToItsKey(t *testing.T) {
	calls := 0
	x := &ServerExchange{Account: sha2Account("secret", false), Salt: [SaltSize]byte([]byte(testSalt)), CanSwitch: true,
		Key: func() *rsa.PrivateKey {
			if calls++; calls > 1 {
				return nil
			}
			return testKey()
		}}
	said, verdict := run(x, &ClientExchange{Password: "secret"}, CachingSHA2, "", nil, false)
	if said != "full key" || verdict != Accept || calls != 1 {
		t.Fatalf("%q, %d, key fetched %d times", said, verdict, calls)
	}
}

func TestFullAuthenticationWithAPinnedKeySkipsTheRequest(t *testing.T) {
	x := &ServerExchange{Account: sha2Account("secret", false), Salt: [SaltSize]byte([]byte(testSalt)), CanSwitch: true, Key: testKey}
	said, verdict := run(x, &ClientExchange{Password: "secret", ServerKey: &testKey().PublicKey}, CachingSHA2, "", nil, false)
	if said != "full" || verdict != Accept {
		t.Fatalf("%q, %d", said, verdict)
	}
}

func TestFullAuthenticationRefusesOddPackets(t *testing.T) {
	right := SHA2Scramble("secret", []byte(testSalt))
	for _, c := range []struct {
		name    string
		secure  bool
		packets []string
	}{
		{"password without NUL", true, []string{"secret"}},
		{"password and more", true, []string{"secret\x00\x00"}},
		{"nothing", true, []string{""}},
		{"only NUL", true, []string{"\x00"}},
		{"request for the key over TLS", true, []string{"\x02"}},
		{"password in clear in the open", false, []string{"secret\x00"}},
		{"nothing in the open", false, []string{""}},
		{"request for the key twice", false, []string{"\x02", "\x02"}},
	} {
		x := &ServerExchange{Account: sha2Account("secret", false), Salt: [SaltSize]byte([]byte(testSalt)), CanSwitch: true, Secure: c.secure, Key: testKey}
		s := x.Start(CachingSHA2, right)
		for _, p := range c.packets {
			if s.Verdict != Continue {
				t.Fatalf("%s: ends early: %+v", c.name, s)
			}
			s = x.Next([]byte(p))
		}
		if s.Verdict != Deny {
			t.Errorf("%s: %+v", c.name, s)
		}
		if s := x.Next([]byte("secret\x00")); s.Verdict != Deny {
			t.Errorf("%s: goes on after its end: %+v", c.name, s)
		}
	}
}

// FuzzServerExchange: whatever a client sends, it gets in with the password only.
func FuzzServerExchange(f *testing.F) {
	f.Add(CachingSHA2, SHA2Scramble("x", []byte(testSalt)), []byte("\x02"), []byte("x"), byte(7))
	f.Add(NativePassword, NativeScramble("x", []byte(testSalt)), []byte(""), []byte(""), byte(1))
	f.Add("foo", []byte("x"), SHA2Scramble("x", []byte(testSalt)), []byte("secret\x00"), byte(3))
	f.Fuzz(func(t *testing.T, plugin string, a, b, c []byte, flags byte) {
		const password = "correct horse battery staple"
		acc := Verifier(nil)
		if flags&4 != 0 {
			acc = account(password)
		}
		x := &ServerExchange{Account: acc, Salt: [SaltSize]byte([]byte(testSalt)), CanSwitch: flags&1 != 0, Secure: flags&2 != 0, Key: testKey}
		if flags&8 != 0 {
			x.DefaultPlugin = NativePassword
		}
		var s Step
		if flags&16 != 0 {
			s = x.StartAgain(plugin, a)
		} else {
			s = x.Start(plugin, a)
		}
		for _, p := range [][]byte{b, c, a, b} {
			if s.Verdict == Accept && !bytes.Contains(append(append(a, b...), c...), []byte(password)) {
				t.Fatalf("accepted: %q %q %q %q", plugin, a, b, c)
			}
			if s.Verdict != Continue {
				return
			}
			if len(s.Packet) == 0 {
				t.Fatal("nothing to send")
			}
			s = x.Next(p)
		}
		if s.Verdict == Continue {
			t.Fatal("does not come to an end")
		}
	})
}
