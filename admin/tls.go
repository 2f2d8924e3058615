package admin

import (
	"crypto/tls"
	"net/netip"

	"github.com/telamondb/telamon/wire"
)

// Encryption of the console's connections. It is immutable.
type Encryption struct {
	// Config is the server's side of TLS; nil = it is not offered.
	Config *tls.Config
	// Required: whoever comes without TLS, and not over a UNIX socket, is
	// refused.
	Required bool
}

// SetEncryption replaces how connections from now on are encrypted. It may be
// called at any time from any goroutine.
func (c *Console) SetEncryption(e Encryption) { c.encryption.Store(&e) }

// readLogin reads the client's login, through TLS if it asks for that.
func (s *session) readLogin(e *Encryption) ([]byte, error) {
	p, err := s.conn.ReadPacket(maxLogin)
	if err != nil || e.Config == nil || !wire.IsSSLRequest(p) {
		return p, err
	}
	if err := s.conn.StartTLS(tls.Server, e.Config); err != nil {
		return nil, err
	}
	if shown := e.Config.Certificates; len(shown) == 1 {
		s.certificate = shown[0].Certificate[0]
	}
	return s.conn.ReadPacket(maxLogin)
}

// welcome ends a login.
func (s *session) welcome() error {
	return s.write((&wire.OK{Status: wire.Autocommit, Info: s.proof}).Append(nil, 0, s.caps))
}

// secure reports whether nobody can listen to what the client says.
func (s *session) secure() bool {
	_, err := netip.ParseAddrPort(s.from)
	return s.conn.TLS() != nil || err != nil // a UNIX socket has no address
}
