package pool

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/wire"
)

// Dialer opens authenticated connections. It is immutable and safe for
// concurrent use.
type Dialer struct {
	// Timeout bounds a whole login, from connect to the last packet of it.
	Timeout time.Duration
	// Password returns the password of a user towards the servers.
	Password func(user string) (password string, ok bool)
	// ServerKey returns the key that passwords are encrypted with on connections
	// to a server without TLS, nil for the one that it sends. Optional.
	ServerKey func(*backend.Server) *rsa.PublicKey
	// Attributes are connection attributes shown in performance_schema, in
	// wire form.
	Attributes []byte
	// Encryption of the connections to a server; nil means none to any.
	Encryption func(*backend.Server) backend.Encryption
	// Compression is the capability that stands for the compression wanted of a
	// server: Compress, ZstdCompress or 0. A server that does not offer it is
	// spoken to without. Nil means none of any.
	Compression func(*backend.Server) wire.Capability
	// ProxyProtocol says whether a server is told the address of the client, by
	// a PROXY protocol header. Connections to it are then good for clients of
	// the same address only. Nil means no server.
	ProxyProtocol func(*backend.Server) bool
}

// dial opens a connection for login in the state of profile. An ERR of the
// server is returned as *wire.Err inside the error.
func (d *Dialer) dial(ctx context.Context, server *backend.Server, login Login, profile *Profile) (*Conn, error) {
	secret, ok := d.secret(&login)
	if !ok {
		return nil, fmt.Errorf("no password for user %q towards %s", login.User, server)
	}
	epoch := server.Epoch()
	ctx, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	nd := net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 3 * time.Second, Count: 3},
		Control:         socketOptions,
	}
	nc, err := nd.DialContext(ctx, server.Network, server.Address)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, fmt.Errorf("connecting to %s: %w", server, err)
	}
	// ctx ending during the login interrupts it; once it is through, not any more.
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	c := &Conn{
		Wire: wire.NewConn(nc), Server: server, Login: login, epoch: epoch,
		Statements: map[uint32]Statement{}, claim: &claim{}, opened: time.Now(),
	}
	err = d.announce(nc, server, login.Client)
	if err == nil {
		err = c.login(d, secret, profile)
	}
	if err == nil {
		err = c.introduce()
	}
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		err = nc.SetDeadline(time.Time{})
	}
	if err != nil {
		_ = nc.Close()
		return nil, fmt.Errorf("logging in to %s as %q: %w", server, login.User, deadlineError(ctx, err))
	}
	return c, nil
}

// deadlineError replaces the time-out that interrupting a login leads to by its cause.
func deadlineError(ctx context.Context, err error) error {
	var ne net.Error
	if cause := context.Cause(ctx); cause != nil && errors.As(err, &ne) && ne.Timeout() {
		return cause
	}
	return err
}
