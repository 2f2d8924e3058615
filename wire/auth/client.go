package auth

import (
	"bytes"
	"crypto/rsa"
	"fmt"
)

// Action says what the caller of an exchange does next.
type Action byte

// Actions of ClientExchange.
const (
	// Read: nothing is to be sent, pass the server's next packet to Next.
	Read Action = iota
	// Send: send the reply, which may be empty, then as Read.
	Send
	// Done: the packet just passed is the server's OK or ERR.
	Done
)

// maxServerPackets bounds how long a server can keep an exchange going. MariaDB
// may ask for each plugin of an account in turn (IDENTIFIED VIA a OR b), and
// caching_sha2_password takes three packets.
const maxServerPackets = 16

// ClientExchange logs in to a server, initially or for COM_CHANGE_USER:
//
//	plugin, response, err := x.Start(greeting.AuthPlugin, greeting.Salt[:])
//	// send the login with both, then for each packet of the server:
//	action, reply, err := x.Next(packet)
//
// After an error the connection must be closed. A ClientExchange serves one
// login and is not safe for concurrent use.
type ClientExchange struct {
	Password string
	// Native, if set, is all that is known of the password: enough for
	// NativePassword and nothing else. A server that asks for a proof of another
	// plugin gets one that cannot be right: MariaDB asks for each plugin of an
	// account in turn. ErrHashOnly says that it has refused after that.
	Native *NativeKey
	// Secure: the password may be sent in clear because the connection is
	// encrypted and the server verified as far as configured, or it is a UNIX
	// socket.
	Secure bool
	// ServerKey, if set, is the only key the password is encrypted with on
	// an insecure connection. Otherwise the server is asked for its key, which
	// keeps the password from eavesdroppers but not from somebody who answers
	// in the server's place.
	ServerKey *rsa.PublicKey

	plugin  string
	salt    []byte
	keyAsk  bool // asked for the public key, which the next packet carries
	replied bool // the password has been sent in its full form
	passed  bool // the last answer was noProof
	packets int
}

// Start returns the plugin to name in the login and the response to go with it.
// plugin and salt are the greeting's. A plugin that is not implemented, or
// that would send the password in clear before the server has asked for it,
// is replaced by caching_sha2_password with an empty response: the server then
// asks for the one the account needs.
func (x *ClientExchange) Start(plugin string, salt []byte) (name string, response []byte) {
	switch {
	case plugin == "" || x.Native != nil:
		plugin = NativePassword // "": a greeting without PluginAuth
	case plugin == NativePassword || plugin == CachingSHA2:
	default:
		x.plugin = CachingSHA2
		return CachingSHA2, nil
	}
	x.plugin, x.salt = plugin, bytes.Clone(salt)
	response, _ = x.respond(plugin, salt)
	return plugin, response
}

func (x *ClientExchange) respond(plugin string, salt []byte) ([]byte, error) {
	switch {
	case x.Native == nil:
		return Respond(plugin, x.Password, salt)
	case plugin == NativePassword:
		return x.Native.scramble(salt), nil
	case plugin == Ed25519 || plugin == CachingSHA2:
		return []byte{noProof}, nil
	}
	return nil, fmt.Errorf("%w: the server asks for %s", ErrHashOnly, plugin)
}

// noProof is shorter than any proof. Not an empty packet: that is how
// caching_sha2_password is told of an empty password (measured, MySQL 9.7).
const noProof = 0xff

// Next takes a packet of the server. reply is valid with Send only.
func (x *ClientExchange) Next(packet []byte) (action Action, reply []byte, err error) {
	if len(packet) == 0 {
		return Done, nil, fmt.Errorf("%w: empty", ErrMalformed)
	}
	if x.packets++; x.packets > maxServerPackets {
		return Done, nil, fmt.Errorf("%w: the server does not come to an end", ErrMalformed)
	}
	switch packet[0] {
	case headerERR:
		if x.passed {
			return Done, nil, fmt.Errorf("%w: the server asks for %s", ErrHashOnly, x.plugin)
		}
		return Done, nil, nil
	case headerOK:
		return Done, nil, nil
	case headerSwitch:
		return x.switchPlugin(packet)
	case headerMoreData:
		if x.plugin == CachingSHA2 {
			return x.moreSHA2(packet[1:])
		}
	}
	return Done, nil, fmt.Errorf("%w: 0x%02x during %s", ErrMalformed, packet[0], x.plugin)
}

func (x *ClientExchange) switchPlugin(packet []byte) (Action, []byte, error) {
	plugin, salt, err := ParseSwitchRequest(packet)
	if err != nil {
		return Done, nil, err
	}
	if plugin == ClearPassword && !x.Secure {
		return Done, nil, fmt.Errorf("%w: the server asks for %s", ErrInsecure, plugin)
	}
	reply, err := x.respond(plugin, salt)
	if err != nil {
		return Done, nil, err
	}
	x.plugin, x.salt = plugin, bytes.Clone(salt)
	x.keyAsk, x.replied = false, false
	x.passed = x.Native != nil && plugin != NativePassword
	return Send, reply, nil
}

// moreSHA2 goes on with caching_sha2_password after the scramble.
func (x *ClientExchange) moreSHA2(data []byte) (Action, []byte, error) {
	if x.keyAsk {
		key, err := ParsePublicKey(data)
		if err != nil {
			return Done, nil, err
		}
		x.keyAsk = false
		return x.sendEncrypted(key)
	}
	switch {
	case x.passed:
		return Done, nil, fmt.Errorf("%w: the server asks for %s", ErrHashOnly, x.plugin)
	case len(data) == 1 && data[0] == sha2FastOK:
		return Read, nil, nil
	case len(data) != 1 || data[0] != sha2FullAuth || x.replied:
		return Done, nil, fmt.Errorf("%w: %s: unexpected data", ErrMalformed, x.plugin)
	case x.Secure:
		x.replied = true
		return Send, append([]byte(x.Password), 0), nil
	case x.ServerKey != nil:
		return x.sendEncrypted(x.ServerKey)
	}
	x.keyAsk = true
	return Send, []byte{sha2RequestKey}, nil
}

func (x *ClientExchange) sendEncrypted(key *rsa.PublicKey) (Action, []byte, error) {
	b, err := EncryptPassword(key, x.Password, x.salt)
	if err != nil {
		return Done, nil, err
	}
	x.replied = true
	return Send, b, nil
}

// Respond computes the first answer of a plugin to its challenge. For
// ClearPassword that is the password itself: the caller makes sure that the
// connection is secure.
func Respond(plugin, password string, salt []byte) ([]byte, error) {
	switch plugin {
	case NativePassword:
		return NativeScramble(password, salt), nil
	case CachingSHA2:
		return SHA2Scramble(password, salt), nil
	case Ed25519:
		return Ed25519Sign(password, salt), nil
	case ClearPassword:
		return append([]byte(password), 0), nil
	}
	return nil, fmt.Errorf("%w: %q", ErrUnknownPlugin, plugin)
}
