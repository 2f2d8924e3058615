package proxy

import (
	"crypto/tls"
	"fmt"

	"go.uber.org/zap"

	"github.com/telamondb/telamon/wire"
)

// TLS is how clients' connections are encrypted. It is immutable.
type TLS struct {
	// Config is the server's side of TLS; nil = it is not offered.
	Config *tls.Config
	// Required: whoever comes without TLS, and not over a UNIX socket, is
	// refused.
	Required bool
}

// Transport is what a user's connections must have.
type Transport uint8

// The demands on a user's connections.
const (
	// AnyTransport: nothing.
	AnyTransport Transport = iota
	// SecureTransport: TLS or a UNIX socket.
	SecureTransport
	// Certified: TLS with a certificate that has been verified.
	Certified
)

// startTLS answers a client's request for TLS and returns the packet that
// follows it inside. The deadline of the login goes on.
func (s *Session) startTLS(cfg *Config) ([]byte, error) {
	if err := s.client.StartTLS(tls.Server, cfg.TLS.Config); err != nil {
		s.proxy.totals.tlsFailures.Add(1)
		// Clients that do not trust the certificate end here, and port scans:
		// a line for each would be noise.
		s.proxy.deps.Log.Debug("TLS handshake", zap.String("client", s.host()), zap.Error(err))
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	s.encrypted.Store(true)
	if shown := cfg.TLS.Config.Certificates; len(shown) == 1 {
		s.certificate = shown[0].Certificate[0]
	}
	s.proxy.totals.tlsAccepted.Add(1)
	return s.client.ReadPacket(maxLogin)
}

// secure reports whether nobody can listen to what the client says.
func (s *Session) secure() bool {
	return s.encrypted.Load() || s.client.NetConn().LocalAddr().Network() == "unix"
}

// insecure returns why the client may not even log in: MySQL's error. MySQL 9.7
// says so once the password was right and MariaDB 10.11 answers 1045 instead;
// here nobody learns whether a password sent in the open was right.
func (s *Session) insecure(cfg *Config) *wire.Err {
	if !cfg.TLS.Required || s.secure() {
		return nil
	}
	return wire.NewErr(wire.CodeSecureTransport, "Connections using insecure transport are prohibited while --require_secure_transport=ON.")
}

// meets reports whether the client's connection is what its user must have.
func (s *Session) meets(t Transport) bool {
	switch t {
	case AnyTransport:
		return true
	case SecureTransport:
		return s.secure()
	}
	state := s.client.TLS()
	return state != nil && len(state.VerifiedChains) > 0
}
