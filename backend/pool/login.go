package pool

import (
	"errors"
	"fmt"
	"io"

	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/auth"
	"github.com/telamondb/telamon/wire/compress"
)

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

// login performs handshake and authentication.
func (c *Conn) login(d *Dialer, secret *Credential, profile *Profile) error {
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
	c.Caps |= d.compression(c.Server) & greeting.Capabilities
	if c.Caps>>32 != 0 {
		c.Caps &^= wire.LongPassword // by which MariaDB's clients say that they have extended ones
	}
	if profile.Schema != "" {
		c.Caps |= wire.ConnectWithDB
	}
	answer := wire.HandshakeResponse{
		Capabilities: c.Caps, MaxPacket: 1 << 30, Collation: c.collation, User: c.Login.User,
		Database: profile.Schema, Attributes: d.Attributes,
		ZstdLevel: compress.DefaultZstdLevel,
	}
	if err := c.encrypt(d.encryption(c.Server), greeting.Capabilities, &answer); err != nil {
		return err
	}
	exchange := auth.ClientExchange{Password: secret.Password, Native: secret.Native, Secure: c.encrypted || c.Server.Network == "unix"}
	if d.ServerKey != nil {
		exchange.ServerKey = d.ServerKey(c.Server)
	}
	answer.AuthPlugin, answer.AuthResponse = exchange.Start(greeting.AuthPlugin, greeting.Salt[:])
	c.Wire.WritePacket(answer.Append(nil))
	if err := c.authenticate(&exchange); err != nil {
		return err
	}
	c.compress()
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
			c.noteLogin(ok.SessionChanges)
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
