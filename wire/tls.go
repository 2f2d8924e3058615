package wire

import (
	"context"
	"crypto/tls"
	"net"
)

// StartTLS performs a TLS handshake, with role being tls.Server or tls.Client,
// after which everything goes through it. Bytes that were received before are
// taken for the peer's part of the handshake and nothing else: what a client
// sent in plain behind its request for TLS breaks the handshake.
//
// The handshake is bounded by the deadline of the connection. An error leaves a
// Conn that can only be closed.
func (c *Conn) StartTLS(role func(net.Conn, *tls.Config) *tls.Conn, config *tls.Config) error {
	// A handshake cannot be interrupted and resumed, hence it waits.
	b := &below{Conn: c.top}
	c.push(b, func(b net.Conn) net.Conn {
		c.tls = role(b, config)
		return quietly{c.tls, c.nc}
	})
	if err := c.tls.HandshakeContext(context.Background()); err != nil {
		return err
	}
	b.raw = c.raw
	return nil
}

// TLS returns what has been negotiated, nil without TLS.
func (c *Conn) TLS() *tls.ConnectionState {
	if c.tls == nil {
		return nil
	}
	state := c.tls.ConnectionState()
	return &state
}

// quietly closes a TLS connection without a word, as MySQL and MariaDB do on
// both sides (vio_ssl_shutdown, quiet shutdown): packets have lengths, so that
// nothing can be cut off unnoticed, and saying goodbye to a peer that does not
// read may take long.
type quietly struct {
	*tls.Conn
	socket net.Conn
}

func (q quietly) Close() error { return q.socket.Close() }

// IsTLSAlert reports whether p, the first bytes received of a TLS record, are
// an alert, by which a peer says that it closes the connection, or that it
// gives up: openly in TLS 1.2, and in TLS 1.3 as the only encrypted record of
// its size, two bytes, their type and the tag (RFC 8446, 5.2 and 6).
func IsTLSAlert(p []byte) bool {
	const alert, applicationData, encryptedAlert = 21, 23, 2 + 1 + 16
	return len(p) >= 5 && (p[0] == alert || p[0] == applicationData && p[3] == 0 && p[4] == encryptedAlert)
}
