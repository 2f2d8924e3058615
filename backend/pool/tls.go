package pool

import (
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/wire"
)

// ErrNoTLS is returned for a server that is to be spoken to through TLS only
// and does not offer it. Nothing has been sent to it.
var ErrNoTLS = errors.New("the server does not offer TLS, and backends.tls.mode demands it")

func (d *Dialer) encryption(server *backend.Server) backend.Encryption {
	if d.Encryption == nil {
		return backend.Encryption{}
	}
	return d.Encryption(server)
}

// encrypt starts TLS if that is wanted and offered. hello is the login of
// which the server sees the part that names no user.
func (c *Conn) encrypt(e backend.Encryption, offered wire.Capability, hello *wire.HandshakeResponse) error {
	if e.Config == nil {
		return nil
	}
	if !offered.Has(wire.SSL) {
		if e.Optional {
			return nil
		}
		return ErrNoTLS
	}
	hello.Capabilities |= wire.SSL
	c.Wire.WritePacket(hello.AppendSSLRequest(nil))
	if err := c.Wire.Flush(); err != nil {
		return err
	}
	if err := c.Wire.StartTLS(tls.Client, e.Config); err != nil {
		return fmt.Errorf("TLS: %w", unexpectedEOF(err))
	}
	c.encrypted = true
	if shown := c.Wire.TLS().PeerCertificates; len(shown) > 0 {
		c.Server.NoteCertificate(shown[0].NotAfter)
	}
	return nil
}

// accepts reports whether a connection is encrypted as it has to be now: the
// configuration may have changed since it was opened.
func (d *Dialer) accepts(c *Conn) bool {
	e := d.encryption(c.Server)
	return c.encrypted || e.Config == nil || e.Optional
}
