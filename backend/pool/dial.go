package pool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/auth"
)

// Dialer opens authenticated connections. It is immutable and safe for
// concurrent use.
type Dialer struct {
	// Timeout bounds a whole login, from connect to the last packet of it.
	Timeout time.Duration
	// Password returns the password of a user towards the servers.
	Password func(user string) (password string, ok bool)
	// Attributes are connection attributes shown in performance_schema, in
	// wire form.
	Attributes []byte
}

// wanted are the capabilities Telamon uses with every server that has them,
// besides those of the Login.
const wanted = wire.LongPassword | wire.LongFlag | wire.Protocol41 | wire.Transactions | wire.SecureConnection |
	wire.PluginAuth | wire.PluginAuthLenenc | wire.ConnectAttrs | wire.SessionTrack | wire.DeprecateEOF

// required are those it cannot do without: a server without them is older
// than MySQL 5.7 and MariaDB 10.2.
const required = wire.Protocol41 | wire.SecureConnection | wire.PluginAuth | wire.SessionTrack | wire.DeprecateEOF

// maxLoginPacket bounds packets of a server before it has let us in.
const maxLoginPacket = 64 << 10

// ErrTooOld is returned for servers that lack what Telamon depends on.
var ErrTooOld = errors.New("server is too old: MySQL 5.7 or MariaDB 10.2 is needed")

// dial opens a connection for login in the state of profile. An ERR of the
// server is returned as *wire.Err inside the error.
func (d *Dialer) dial(ctx context.Context, server *backend.Server, login Login, profile *Profile) (*Conn, error) {
	password, ok := d.Password(login.User)
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
	err = c.login(d, password, profile)
	if err == nil {
		err = c.Query(trackingSQL(c.mariadb))
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

// login performs handshake and authentication.
func (c *Conn) login(d *Dialer, password string, profile *Profile) error {
	p, err := c.Wire.ReadPacket(maxLoginPacket)
	if err != nil {
		return unexpectedEOF(err)
	}
	if wire.IsErr(p) {
		return asError(p)
	}
	var greeting wire.HandshakeV10
	if err := greeting.Parse(p); err != nil {
		return err
	}
	if !greeting.Capabilities.Has(required) {
		return fmt.Errorf("%w, this is %s", ErrTooOld, greeting.Version())
	}
	c.mariadb = greeting.IsMariaDB()
	c.ThreadID = greeting.ConnectionID
	c.collation = wire.HandshakeCollation(profile.Collation, c.mariadb)
	c.Caps = wanted&(greeting.Capabilities|wire.LongPassword) | c.Login.Flags&LoginFlags&greeting.Capabilities
	if profile.Schema != "" {
		c.Caps |= wire.ConnectWithDB
	}
	exchange := auth.ClientExchange{Password: password, Secure: c.Server.Network == "unix"}
	plugin, response := exchange.Start(greeting.AuthPlugin, greeting.Salt[:])
	answer := wire.HandshakeResponse{
		Capabilities: c.Caps, MaxPacket: 1 << 30, Collation: c.collation, User: c.Login.User,
		AuthResponse: response, AuthPlugin: plugin, Database: profile.Schema, Attributes: d.Attributes,
	}
	c.Wire.WritePacket(answer.Append(nil))
	if err := c.authenticate(&exchange); err != nil {
		return err
	}
	// What the login has established; the rest of the profile is for establish.
	c.Profile = &Profile{Schema: profile.Schema, Collation: profile.Collation}
	if wire.HandshakeCollation(profile.Collation, c.mariadb) != profile.Collation {
		return c.Query(wire.SetNames(profile.Collation, c.mariadb))
	}
	return nil
}

func (c *Conn) authenticate(exchange *auth.ClientExchange) error {
	for {
		if err := c.Wire.Flush(); err != nil {
			return err
		}
		p, err := c.Wire.ReadPacket(maxLoginPacket)
		if err != nil {
			return unexpectedEOF(err)
		}
		action, reply, err := exchange.Next(p)
		if err != nil {
			return err
		}
		switch action {
		case auth.Send:
			c.Wire.WritePacket(reply)
		case auth.Done:
			if wire.IsErr(p) {
				return asError(p)
			}
			ok, err := wire.ParseOK(p, c.Caps)
			if err != nil {
				return err
			}
			c.Status = ok.Status
			c.Wire.Idle()
			return nil
		}
	}
}

func unexpectedEOF(err error) error {
	if err == io.EOF {
		return fmt.Errorf("the server closed the connection during the login: %w", io.ErrUnexpectedEOF)
	}
	return err
}
