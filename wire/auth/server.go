package auth

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"slices"
)

// Verdict says what the caller of a ServerExchange does next.
type Verdict byte

// Verdicts.
const (
	// Continue: send Packet, pass the client's next packet to Next.
	Continue Verdict = iota
	// Accept: send Packet if there is one, then OK.
	Accept
	// Deny: send ERR 1045 and close. The text of the error is the same for
	// every reason; see ServerExchange.PasswordUsed.
	Deny
	// BadHandshake: send ERR 1043 and close; the answer has a form that no
	// client gives it.
	BadHandshake
	// Judge: what is known of the account does not tell whether ServerExchange.Offer
	// is right. Find out and call Judged.
	Judge
	// NoPlugin: send ERR 1251 and close; the client knows no plugins, and the
	// one that it can do without does not tell whether it is right.
	NoPlugin
)

// Step is one step of a ServerExchange.
type Step struct {
	Verdict Verdict
	Packet  []byte // payload; nil when there is nothing to send
}

// Offer is what a client has shown of its password.
type Offer struct {
	// Password is all of it; only if Response is nil.
	Password string
	// Response is the answer of Plugin to Salt.
	Plugin         string
	Salt, Response []byte
}

// ServerExchange lets a client in, initially or for COM_CHANGE_USER:
//
//	step := x.Start(login.AuthPlugin, login.AuthResponse) // or x.StartAgain
//	for step.Verdict == auth.Continue || step.Verdict == auth.Judge {
//		// Judge: step = x.Judged(...), judging x.Offer()
//		// Continue: send step.Packet, read packet
//		step = x.Next(packet)
//	}
//
// Whether the account exists changes neither the number nor the size of the
// packets nor the work done. The packets are those of MySQL 9.7 (for
// mysql_native_password, of MariaDB 10.11) for the same account and client. A
// ServerExchange serves one login and is not safe for concurrent use.
type ServerExchange struct {
	// Account is the account the client names, nil when there is none.
	Account Verifier
	// Salt is the challenge the client has, the greeting's. It changes when the
	// exchange sends another; what it is at the end is the Salt of the exchange
	// for a later COM_CHANGE_USER on the connection.
	Salt [SaltSize]byte
	// DefaultPlugin is the one that the greeting named. It is asked for when the
	// client names none or one that the account does not support;
	// NativePassword or CachingSHA2 (if empty).
	DefaultPlugin string
	// Plugins are those that accounts of the server have that clients think
	// they talk to: a client that names another one is asked for one of these.
	// Empty means whatever the account supports.
	Plugins []string
	// CanSwitch: the client has PluginAuth. Without it nothing but
	// mysql_native_password with the greeting's salt is possible.
	CanSwitch bool
	// Secure: the connection is TLS or a UNIX socket, so that clients send the
	// password in clear when asked for it.
	Secure bool
	// Key returns the key that clients on an insecure connection encrypt
	// the password with. It is called at most once per exchange, which then
	// sticks to the key whatever happens to the caller's. nil, or a nil
	// result, means that such clients are denied when they would need it.
	Key func() *rsa.PrivateKey

	plugin   string
	state    serverState
	nonce    [ed25519NonceSize]byte // of Ed25519, which does without Salt
	offer    Offer
	key      *rsa.PrivateKey
	password bool // see PasswordUsed
	unknown  bool // Account is a stand-in
}

type serverState byte

// States: what the next packet of the client is.
const (
	wantResponse  serverState = iota // the answer to an AuthSwitchRequest
	wantJudgement                    // nothing of the client, but Judged
	wantPassword                     // caching_sha2_password, secure: password and NUL
	wantKeyOrRSA                     // insecure: request for the key, or the encrypted password
	wantRSA                          // the encrypted password
	finished
)

// unknownAccount stands in for accounts that do not exist, so that the same code
// runs. accept makes sure that it lets nobody in.
var unknownAccount Verifier = &plainVerifier{}

// PasswordUsed reports whether the client has offered a password so far, for
// "(using password: YES)" in error 1045.
func (x *ServerExchange) PasswordUsed() bool { return x.password }

// Start begins with what the login carries. plugin is empty when the client
// named none.
func (x *ServerExchange) Start(plugin string, response []byte) Step {
	x.begin(plugin)
	switch {
	case !x.takes(x.plugin):
		return x.switchTo(x.preferred())
	case plugin == Ed25519:
		return x.switchTo(plugin) // its challenge is longer than the greeting's
	case plugin == CachingSHA2 && len(response) == 0 && x.DefaultPlugin == NativePassword:
		// libmysqlclient up to 8.0.25 has no answer for the challenge of
		// another plugin than the one it names, and waits to be given one
		// (vitessio/vitess#8537). If the greeting named the same plugin, an
		// empty answer means that there is no password.
		return x.switchTo(plugin)
	}
	return x.check(response)
}

// StartAgain begins with what COM_CHANGE_USER carries. Servers of both flavours
// do not look at the answer in it: they send a challenge first.
func (x *ServerExchange) StartAgain(plugin string, response []byte) Step {
	x.begin(plugin)
	switch {
	case !x.takes(x.plugin):
		return x.switchTo(x.preferred())
	case !x.CanSwitch:
		return x.check(response)
	}
	return x.switchTo(x.plugin)
}

func (x *ServerExchange) begin(plugin string) {
	if x.Account == nil {
		x.Account, x.unknown = unknownAccount, true
	}
	if x.DefaultPlugin == "" {
		x.DefaultPlugin = CachingSHA2
	}
	if !x.CanSwitch {
		plugin = NativePassword
	}
	x.plugin = plugin
}

// takes reports whether clients may use a plugin for the account.
func (x *ServerExchange) takes(plugin string) bool {
	return x.Account.Supports(plugin) && (plugin != ClearPassword || x.Secure) &&
		(len(x.Plugins) == 0 || slices.Contains(x.Plugins, plugin))
}

// preferred returns the plugin to ask for.
func (x *ServerExchange) preferred() string {
	for _, p := range [...]string{x.DefaultPlugin, CachingSHA2, NativePassword, Ed25519, ClearPassword} {
		if x.takes(p) {
			return p
		}
	}
	return ""
}

func (x *ServerExchange) switchTo(plugin string) Step {
	switch {
	case !x.CanSwitch:
		x.state = finished
		return Step{Verdict: NoPlugin}
	case plugin == "":
		return x.deny()
	}
	x.plugin = plugin
	x.state = wantResponse
	switch plugin {
	case ClearPassword: // knows no challenge
		return Step{Continue, AppendSwitchRequest(nil, plugin, nil)}
	case Ed25519:
		rand.Read(x.nonce[:]) // never fails, crypto/rand
		return Step{Continue, AppendSwitchRequest(nil, plugin, x.nonce[:])}
	}
	x.Salt = NewSalt()
	return Step{Continue, AppendSwitchRequest(nil, plugin, x.Salt[:])}
}

// Next takes the client's answer to the packet of the step before.
func (x *ServerExchange) Next(packet []byte) Step {
	switch x.state {
	case wantResponse:
		return x.check(packet)
	case wantPassword:
		return x.checkPassword(packet)
	case wantKeyOrRSA:
		if len(packet) == 1 && packet[0] == sha2RequestKey {
			return x.sendKey()
		}
		return x.checkEncrypted(packet)
	case wantRSA:
		return x.checkEncrypted(packet)
	}
	return x.deny()
}

// check checks an answer to the challenge.
func (x *ServerExchange) check(response []byte) Step {
	if noPassword(x.plugin, response) {
		return x.settle(x.Account.CheckPassword(nil), Offer{})
	}
	x.password = true
	switch x.plugin {
	case NativePassword:
		if len(response) != sha1.Size {
			x.state = finished
			return Step{Verdict: BadHandshake}
		}
		return x.checkResponse(x.Salt[:], response)
	case Ed25519:
		return x.checkResponse(x.nonce[:], response)
	case CachingSHA2:
		return x.checkSHA2(response)
	case ClearPassword:
		return x.checkPassword(response)
	}
	return x.deny()
}

func (x *ServerExchange) checkResponse(salt, response []byte) Step {
	return x.settle(x.Account.CheckResponse(x.plugin, salt, response), Offer{
		Plugin: x.plugin, Salt: bytes.Clone(salt), Response: bytes.Clone(response),
	})
}

func (x *ServerExchange) checkSHA2(response []byte) Step {
	switch {
	case len(response) != sha256.Size:
		return x.deny()
	case x.Account.CheckResponse(CachingSHA2, x.Salt[:], response) == Right:
		return x.accept([]byte{headerMoreData, sha2FastOK})
	}
	return x.fullAuth()
}

// settle ends the exchange, or has the caller judge the offer.
func (x *ServerExchange) settle(outcome Fast, offer Offer) Step {
	switch outcome {
	case Right:
		return x.accept(nil)
	case Unknown:
		x.state, x.offer = wantJudgement, offer
		return Step{Verdict: Judge}
	}
	return x.deny()
}

// Offer is what the caller is to judge after Judge.
func (x *ServerExchange) Offer() Offer { return x.offer }

// Judged goes on with the caller's judgement of Offer. Unknown means that only
// the password itself would tell: the client is asked for it, if it can be.
func (x *ServerExchange) Judged(outcome Fast) Step {
	full := x.offer.Response == nil
	x.offer = Offer{}
	switch {
	case x.state != wantJudgement || full && outcome == Unknown:
		return x.deny()
	case outcome != Unknown:
		return x.settle(outcome, Offer{})
	}
	return x.switchTo(CachingSHA2)
}

// fullAuth asks for the password itself. A server does that after a wrong
// scramble too, since the password may have changed since it was cached.
func (x *ServerExchange) fullAuth() Step {
	if x.Secure {
		x.state = wantPassword
		return Step{Continue, []byte{headerMoreData, sha2FullAuth}}
	}
	if x.Key != nil {
		x.key = x.Key()
	}
	if x.key == nil {
		return x.deny()
	}
	x.state = wantKeyOrRSA
	return Step{Continue, []byte{headerMoreData, sha2FullAuth}}
}

func (x *ServerExchange) sendKey() Step {
	text, err := MarshalPublicKey(&x.key.PublicKey)
	if err != nil {
		return x.deny()
	}
	x.state = wantRSA
	return Step{Continue, append([]byte{headerMoreData}, text...)}
}

func (x *ServerExchange) checkEncrypted(packet []byte) Step {
	password, err := DecryptPassword(x.key, packet, x.Salt[:])
	if err != nil {
		return x.deny()
	}
	return x.checkPassword(password)
}

// checkPassword checks a password with the NUL behind it.
func (x *ServerExchange) checkPassword(packet []byte) Step {
	n := len(packet)
	if n == 0 || packet[n-1] != 0 {
		return x.deny()
	}
	return x.settle(x.Account.CheckPassword(packet[:n-1]), Offer{Password: string(packet[:n-1])})
}

func (x *ServerExchange) accept(packet []byte) Step {
	if x.unknown {
		return x.deny()
	}
	x.state = finished
	return Step{Accept, packet}
}

func (x *ServerExchange) deny() Step {
	x.state = finished
	return Step{Verdict: Deny}
}

// noPassword reports whether response says that the client has no password.
// For caching_sha2_password a single NUL says so too, and it is what
// mysql_clear_password sends. Ed25519 signs with no password as with any other.
func noPassword(plugin string, response []byte) bool {
	switch plugin {
	case Ed25519:
		return false
	case CachingSHA2, ClearPassword:
		return len(response) == 0 || len(response) == 1 && response[0] == 0
	}
	return len(response) == 0
}
