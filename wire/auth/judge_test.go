package auth

import (
	"crypto/sha1"
	"testing"
)

func sha1Of(password string) [sha1.Size]byte { return sha1.Sum([]byte(password)) }

// nothingKnown is an account that has to be judged by others.
type nothingKnown struct{}

func (nothingKnown) Supports(plugin string) bool {
	return plugin != Ed25519
}
func (nothingKnown) CheckResponse(string, []byte, []byte) Fast { return Unknown }
func (nothingKnown) CheckPassword([]byte) Fast                 { return Unknown }

// judged lets a client log in and has others judge: responses by the given
// outcome, passwords by what they are.
func judged(x *ServerExchange, client *ClientExchange, greeting, name string, responses Fast) (said string, verdict Verdict, offers []Offer) {
	name, response := nameAndAnswer(x, client, greeting, name)
	step := x.Start(name, response)
	for {
		switch step.Verdict {
		case Judge:
			o := x.Offer()
			offers = append(offers, o)
			outcome := responses
			if o.Response == nil {
				outcome = Wrong
				if o.Password == "secret" {
					outcome = Right
				}
			}
			step = x.Judged(outcome)
			continue
		case Continue:
			said += word(step.Packet) + " "
			_, reply, err := client.Next(step.Packet)
			if err != nil {
				return said + err.Error(), Deny, offers
			}
			step = x.Next(reply)
			continue
		}
		return said, step.Verdict, offers
	}
}

func nameAndAnswer(x *ServerExchange, client *ClientExchange, greeting, name string) (string, []byte) {
	if name == "" {
		return client.Start(greeting, x.Salt[:])
	}
	client.Start(name, x.Salt[:])
	client.plugin = name
	response, _ := Respond(name, client.Password, x.Salt[:])
	return name, response
}

func TestAccountsThatOthersJudge(t *testing.T) {
	for _, c := range []struct {
		name             string
		greeting, plugin string
		password         string
		secure           bool
		responses        Fast // the judgement of answers to challenges
		want             string
		verdict          Verdict
	}{
		{"sha2 has the password asked for", CachingSHA2, "", "secret", false, Wrong, "full key ", Accept},
		{"sha2 over TLS", CachingSHA2, "", "secret", true, Wrong, "full ", Accept},
		{"sha2 wrong", CachingSHA2, "", "Secret", false, Wrong, "full key ", Deny},
		{"native judged right", NativePassword, "", "secret", false, Right, "", Accept},
		{"native judged wrong", NativePassword, "", "secret", false, Wrong, "", Deny},
		{"native that tells nothing", NativePassword, "", "secret", false, Unknown, "switch:caching_sha2 full key ", Accept},
		{"native that tells nothing, wrong", NativePassword, "", "Secret", false, Unknown, "switch:caching_sha2 full key ", Deny},
		{"no password is an offer", NativePassword, "", "", false, Unknown, "", Deny},
		{"clear text over TLS", NativePassword, ClearPassword, "secret", true, Unknown, "", Accept},
		{"clear text in the open is not taken", NativePassword, ClearPassword, "secret", false, Unknown, "switch:native switch:caching_sha2 full key ", Accept},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := &ServerExchange{Account: nothingKnown{}, Salt: NewSalt(), DefaultPlugin: c.greeting, CanSwitch: true, Secure: c.secure, Key: testKey}
			said, verdict, offers := judged(x, &ClientExchange{Password: c.password, Secure: c.secure}, c.greeting, c.plugin, c.responses)
			if said != c.want || verdict != c.verdict {
				t.Errorf("says %q, %d; want %q, %d", said, verdict, c.want, c.verdict)
			}
			if len(offers) == 0 {
				t.Error("nobody was asked")
			}
			for _, o := range offers {
				if o.Response == nil && o.Password != c.password {
					t.Errorf("offered %+v", o)
				}
			}
		})
	}
}

func TestAClientWithoutPluginsIsToldSo(t *testing.T) {
	x := &ServerExchange{Account: nothingKnown{}, Salt: NewSalt(), DefaultPlugin: NativePassword, Key: testKey}
	if s := x.Start("", NativeScramble("secret", x.Salt[:])); s.Verdict != Judge {
		t.Fatalf("%+v", s)
	}
	if s := x.Judged(Unknown); s.Verdict != NoPlugin {
		t.Fatalf("%+v", s)
	}
}

func TestJudgingUnaskedDenies(t *testing.T) {
	x := &ServerExchange{Account: account("secret"), Salt: NewSalt(), CanSwitch: true, Key: testKey}
	if s := x.Judged(Right); s.Verdict != Deny {
		t.Fatalf("%+v", s)
	}
	x = &ServerExchange{Salt: NewSalt(), CanSwitch: true, Key: testKey} // an unknown account is not for others to judge
	said, verdict, offers := judged(x, &ClientExchange{Password: "secret"}, CachingSHA2, "", Right)
	if verdict != Deny || len(offers) != 0 || said != "full key " {
		t.Fatalf("%q %d %v", said, verdict, offers)
	}
}

func TestOtherPluginsOfClients(t *testing.T) {
	for _, c := range []struct {
		plugin, password string
		secure           bool
		want             string
		verdict          Verdict
	}{
		{Ed25519, "secret", false, `switch:client_ed25519`, Accept},
		{Ed25519, "Secret", false, `switch:client_ed25519`, Deny},
		{Ed25519, "", false, `switch:client_ed25519`, Deny},
		{ClearPassword, "secret", true, "switch:clear", Accept},
		{ClearPassword, "Secret", true, "switch:clear", Deny},
		{ClearPassword, "", true, "switch:clear", Deny},
		{ClearPassword, "secret", false, "", Deny},
	} {
		x := &ServerExchange{Account: account("secret"), Salt: NewSalt(), DefaultPlugin: NativePassword, Plugins: []string{c.plugin}, CanSwitch: true, Secure: c.secure, Key: testKey}
		said, verdict := run(x, &ClientExchange{Password: c.password, Secure: c.secure}, NativePassword, "", nil, false)
		if said != c.want || verdict != c.verdict {
			t.Errorf("%s, %q, secure %v: says %q, %d; want %q, %d", c.plugin, c.password, c.secure, said, verdict, c.want, c.verdict)
		}
	}
}

// MariaDB's challenge is 32 random bytes without a NUL behind: the last may be one.
func TestAnEd25519ChallengeMayEndInNUL(t *testing.T) {
	nonce := make([]byte, ed25519NonceSize)
	_, salt, err := ParseSwitchRequest(AppendSwitchRequest(nil, Ed25519, nonce))
	if err != nil || len(salt) != ed25519NonceSize {
		t.Fatalf("%d bytes, %v", len(salt), err)
	}
}

func TestANativeKeyLogsInWithoutThePassword(t *testing.T) {
	salt := NewSalt()
	hash := NativeKey(sha1Of("secret")).Hash()
	key, ok := RecoverNativeKey(hash, salt[:], NativeScramble("secret", salt[:]))
	if !ok || key != sha1Of("secret") {
		t.Fatal("the key is not recovered")
	}
	if _, ok := RecoverNativeKey(hash, salt[:], NativeScramble("Secret", salt[:])); ok {
		t.Error("a key is recovered from a wrong answer")
	}
	for greeting, want := range map[string]string{NativePassword: "", CachingSHA2: ""} {
		x := &ServerExchange{Account: nativeAccount("secret"), Salt: NewSalt(), DefaultPlugin: greeting, CanSwitch: true}
		said, verdict := run(x, &ClientExchange{Native: &key}, greeting, "", nil, false)
		if said != want || verdict != Accept {
			t.Errorf("greeting %s: says %q, %d", greeting, said, verdict)
		}
	}
	x := &ServerExchange{Account: sha2Account("secret", true), Salt: NewSalt(), DefaultPlugin: CachingSHA2, CanSwitch: true, Key: testKey}
	said, verdict := run(x, &ClientExchange{Native: &key}, CachingSHA2, "", nil, false)
	if verdict != Deny || said == "" {
		t.Errorf("says %q, %d", said, verdict)
	}
}
