package auth

import (
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
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
)

// Step is one step of a ServerExchange.
type Step struct {
	Verdict Verdict
	Packet  []byte // payload; nil when there is nothing to send
}

// ServerExchange lets a client in, initially or for COM_CHANGE_USER:
//
//	step := x.Start(login.AuthPlugin, login.AuthResponse) // or x.StartAgain
//	for step.Verdict == auth.Continue {
//		// send step.Packet, read packet
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
	key      *rsa.PrivateKey
	password bool // see PasswordUsed
	unknown  bool // Account is a stand-in
}

type serverState byte

// States: what the next packet of the client is.
const (
	wantResponse serverState = iota // the answer to an AuthSwitchRequest
	wantPassword                    // caching_sha2_password, secure: password and NUL
	wantKeyOrRSA                    // insecure: request for the key, or the encrypted password
	wantRSA                         // the encrypted password
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
	case !x.Account.Supports(x.plugin):
		return x.switchTo(x.preferred())
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
	case !x.Account.Supports(x.plugin):
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

// preferred returns the plugin to ask for.
func (x *ServerExchange) preferred() string {
	if x.Account.Supports(x.DefaultPlugin) {
		return x.DefaultPlugin
	}
	for _, p := range [...]string{CachingSHA2, NativePassword} {
		if x.Account.Supports(p) {
			return p
		}
	}
	return ""
}

func (x *ServerExchange) switchTo(plugin string) Step {
	if !x.CanSwitch || plugin == "" {
		return x.deny()
	}
	x.plugin = plugin
	x.Salt = NewSalt()
	x.state = wantResponse
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
		if x.Account.Empty() {
			return x.accept(nil)
		}
		return x.deny()
	}
	x.password = true
	switch x.plugin {
	case NativePassword:
		return x.checkNative(response)
	case CachingSHA2:
		return x.checkSHA2(response)
	}
	return x.deny()
}

func (x *ServerExchange) checkNative(response []byte) Step {
	switch {
	case len(response) != sha1.Size:
		x.state = finished
		return Step{Verdict: BadHandshake}
	case x.Account.CheckResponse(NativePassword, x.Salt[:], response) != Right:
		return x.deny()
	}
	return x.accept(nil)
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
	if n == 0 || packet[n-1] != 0 || !x.Account.CheckPassword(packet[:n-1]) {
		return x.deny()
	}
	return x.accept(nil)
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
// For caching_sha2_password a single NUL says so too.
func noPassword(plugin string, response []byte) bool {
	return len(response) == 0 || plugin == CachingSHA2 && len(response) == 1 && response[0] == 0
}
