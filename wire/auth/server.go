package auth

import "crypto/rsa"

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
)

// Step is one step of a ServerExchange.
type Step struct {
	Verdict Verdict
	Packet  []byte // payload; nil when there is nothing to send
}

// ServerExchange lets a client in, initially or for COM_CHANGE_USER:
//
//	step := x.Start(login.AuthPlugin, login.AuthResponse)
//	for step.Verdict == auth.Continue {
//		// send step.Packet, read packet
//		step = x.Next(packet)
//	}
//
// Whether the account exists changes neither the number nor the size of the
// packets nor the work done. It serves one login and is not safe for
// concurrent use.
type ServerExchange struct {
	// Account is the account the client names, nil when there is none.
	Account Verifier
	// Salt is the challenge the client has: the greeting's, at COM_CHANGE_USER
	// that of the connection's last exchange (see CurrentSalt).
	Salt [SaltSize]byte
	// DefaultPlugin is asked for when the client names none or one that is
	// not supported; NativePassword or CachingSHA2 (if empty).
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
	password bool
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

// unknownAccount stands in for accounts that do not exist: no password is
// right, and nobody knows it.
var unknownAccount Verifier = newDecoy()

func newDecoy() Verifier {
	a, b := NewSalt(), NewSalt()
	return decoy{NewPasswordVerifier(string(a[:]) + string(b[:]))}
}

// decoy computes what any account does and then says no.
type decoy struct{ Verifier }

func (d decoy) CheckResponse(plugin string, salt, response []byte) Fast {
	d.Verifier.CheckResponse(plugin, salt, response)
	return Wrong
}

func (d decoy) CheckPassword(password []byte) bool {
	d.Verifier.CheckPassword(password)
	return false
}

// PasswordUsed reports whether the client has offered a password so far, for
// "(using password: YES)" in error 1045.
func (x *ServerExchange) PasswordUsed() bool { return x.password }

// CurrentSalt returns the challenge sent last, the greeting's or that of an
// AuthSwitchRequest. Clients answer it in a later COM_CHANGE_USER.
func (x *ServerExchange) CurrentSalt() [SaltSize]byte { return x.Salt }

// Start begins with what the login carries. plugin is empty when the client
// named none.
func (x *ServerExchange) Start(plugin string, response []byte) Step {
	if x.Account == nil {
		x.Account = unknownAccount
	}
	if !x.CanSwitch {
		plugin = NativePassword
	}
	x.plugin = plugin
	switch {
	case !x.Account.Supports(plugin):
		return x.switchTo(x.preferred())
	case plugin == CachingSHA2 && noPassword(plugin, response) && !x.Account.Empty():
		// libmysqlclient up to 8.0.25 names the plugin without a scramble
		// when the greeting named another one (vitessio/vitess#8537).
		return x.switchTo(plugin)
	}
	return x.check(response)
}

// preferred returns the plugin to ask for.
func (x *ServerExchange) preferred() string {
	def := x.DefaultPlugin
	if def == "" {
		def = CachingSHA2
	}
	if x.Account.Supports(def) {
		return def
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
	fast := x.Account.CheckResponse(x.plugin, x.Salt[:], response)
	if x.plugin != CachingSHA2 {
		if fast == Right {
			return x.accept(nil)
		}
		return x.deny()
	}
	if fast == Right {
		return x.accept([]byte{headerMoreData, sha2FastOK})
	}
	return x.fullAuth(response)
}

// fullAuth asks for the password itself. A server does that after a wrong
// scramble too, since the password may have changed since it was cached.
func (x *ServerExchange) fullAuth(response []byte) Step {
	switch {
	case len(response) != sha2ResponseSize:
		return x.deny()
	case x.Secure:
		x.state = wantPassword
	default:
		if x.Key != nil {
			x.key = x.Key()
		}
		if x.key == nil {
			return x.deny()
		}
		x.state = wantKeyOrRSA
	}
	return Step{Continue, []byte{headerMoreData, sha2FullAuth}}
}

// sha2ResponseSize is the length of a SHA2Scramble.
const sha2ResponseSize = 32

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
