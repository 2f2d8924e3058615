package wiretest

import (
	"bytes"
	"crypto/rsa"
	"crypto/tls"
	"fmt"
	"net"
	"sync/atomic"

	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/auth"
)

// Capabilities are what fakes offer and use unless told otherwise: those of
// MySQL 9.7 without TLS, compression, LOCAL INFILE, query attributes and
// optional metadata.
const Capabilities = wire.LongPassword | wire.FoundRows | wire.LongFlag |
	wire.ConnectWithDB | wire.NoSchema | wire.IgnoreSpace | wire.Protocol41 |
	wire.Interactive | wire.Transactions | wire.SecureConnection |
	wire.MultiStatements | wire.MultiResults | wire.PSMultiResults |
	wire.PluginAuth | wire.ConnectAttrs | wire.PluginAuthLenenc |
	wire.SessionTrack | wire.DeprecateEOF

// clientOnly are not to be set by a fake client just because the server could.
const clientOnly = wire.ConnectWithDB | wire.FoundRows | wire.NoSchema |
	wire.IgnoreSpace | wire.Interactive

// Options of a fake server.
type Options struct {
	// Greeting replaces the default where its fields are not zero. Salt and
	// ConnectionID are made up for each connection.
	Greeting wire.HandshakeV10
	// Passwords by user. Nil lets everybody in, whatever they answer.
	Passwords map[string]string
	// Key for caching_sha2_password over plain connections, unless nil.
	Key *rsa.PrivateKey
	// Frames, unless nil, makes the layer of those clients that ask for
	// compression. (This package does not import wire/compress, whose tests
	// use it.)
	Frames func(below net.Conn, agreed wire.Capability) wire.Frames
	// TLS, if not nil, is offered.
	TLS *tls.Config
}

// DefaultGreeting is what fake servers say.
func DefaultGreeting() wire.HandshakeV10 {
	return wire.HandshakeV10{
		ServerVersion: "8.4.0-fake",
		Capabilities:  Capabilities,
		Collation:     wire.CollationUTF8MB4_0900,
		Status:        wire.Autocommit,
		AuthPlugin:    auth.CachingSHA2,
	}
}

var connectionID atomic.Uint32

func (o *Options) greeting() wire.HandshakeV10 {
	g := DefaultGreeting()
	if o.Greeting.ServerVersion != "" {
		g.ServerVersion = o.Greeting.ServerVersion
	}
	if o.Greeting.Capabilities != 0 {
		g.Capabilities = o.Greeting.Capabilities
	}
	if o.Greeting.Collation != 0 {
		g.Collation = o.Greeting.Collation
	}
	if o.Greeting.Status != 0 {
		g.Status = o.Greeting.Status
	}
	if o.Greeting.AuthPlugin != "" {
		g.AuthPlugin = o.Greeting.AuthPlugin
	}
	if o.TLS != nil {
		g.Capabilities |= wire.SSL
	}
	g.ConnectionID = connectionID.Add(1)
	g.Salt = auth.NewSalt()
	return g
}

// Accept is the server's side of a login on nc. A client that is refused gets
// an ERR, which is also the error returned, as a *wire.Err.
func Accept(nc net.Conn, o Options) (*Peer, error) {
	p := &Peer{Conn: wire.NewConn(nc), Greeting: o.greeting()}
	p.Status = p.Greeting.Status
	if err := p.Send(p.Greeting.Append(nil)); err != nil {
		return nil, err
	}
	b, err := p.Read()
	if err == nil && o.TLS != nil && wire.IsSSLRequest(b) {
		if err = p.StartTLS(tls.Server, o.TLS); err == nil {
			b, err = p.Read()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read login: %w", err)
	}
	if err := p.Login.Parse(b); err != nil {
		return nil, err
	}
	p.Capabilities = p.Greeting.Capabilities & p.Login.Capabilities
	if err := p.admit(o); err != nil {
		return nil, err
	}
	if err := p.Send((&wire.OK{Status: p.Status}).Append(nil, 0, p.Capabilities)); err != nil {
		return nil, err
	}
	p.compress(o.Frames)
	return p, nil
}

// compress is what both sides do behind the OK of the login.
func (p *Peer) compress(frames func(net.Conn, wire.Capability) wire.Frames) {
	if frames == nil || p.Capabilities&(wire.Compress|wire.ZstdCompress) == 0 {
		return
	}
	p.PushFrames(func(below net.Conn) wire.Frames { return frames(below, p.Capabilities) })
}

// admit checks the password.
func (p *Peer) admit(o Options) error {
	if o.Passwords == nil {
		return nil
	}
	x := auth.ServerExchange{
		Salt:          p.Greeting.Salt,
		DefaultPlugin: p.Greeting.AuthPlugin,
		CanSwitch:     p.Capabilities.Has(wire.PluginAuth),
		Key:           func() *rsa.PrivateKey { return o.Key },
	}
	if password, ok := o.Passwords[p.Login.User]; ok {
		x.Account = auth.NewPasswordVerifier(password)
	}
	step := x.Start(p.Login.AuthPlugin, p.Login.AuthResponse)
	for step.Verdict == auth.Continue {
		if err := p.Send(step.Packet); err != nil {
			return err
		}
		b, err := p.Read()
		if err != nil {
			return fmt.Errorf("read answer to %s: %w", p.Login.AuthPlugin, err)
		}
		step = x.Next(b)
	}
	if step.Verdict != auth.Accept {
		e := wire.NewErr(wire.CodeAccessDenied, "Access denied for user '%s'", p.Login.User)
		_ = p.Send(e.Append(nil))
		return e
	}
	if step.Packet != nil {
		return p.Send(step.Packet)
	}
	return nil
}

// Credentials of a fake client.
type Credentials struct {
	User, Password, Database string
	// Capabilities to use if the server offers them; 0 means the default ones.
	// ConnectWithDB follows from Database.
	Capabilities wire.Capability
	// ZstdLevel goes with ZstdCompress among Capabilities.
	ZstdLevel byte
	// Frames, unless nil, makes the layer if compression is agreed on.
	Frames func(below net.Conn, agreed wire.Capability) wire.Frames
	// Collation; 0 means utf8mb4_general_ci.
	Collation byte
	// Plugin to name instead of the greeting's, with an answer that is empty.
	Plugin string
	// TLS, if not nil, is used when the server offers it.
	TLS *tls.Config
	// ServerKey is the pinned key of auth.ClientExchange.
	ServerKey *rsa.PublicKey
}

// Login is the client's side of a login on nc. A refusal is a *wire.Err.
func Login(nc net.Conn, c Credentials) (*Peer, error) {
	p := &Peer{Conn: wire.NewConn(nc)}
	b, err := p.readOrErr()
	if err != nil {
		return nil, fmt.Errorf("read greeting: %w", err)
	}
	if err := p.Greeting.Parse(b); err != nil {
		return nil, err
	}
	x := auth.ClientExchange{Password: c.Password, ServerKey: c.ServerKey}
	p.Login = c.login(&p.Greeting)
	p.Capabilities = p.Login.Capabilities
	if c.TLS != nil && p.Greeting.Capabilities.Has(wire.SSL) {
		if err := p.startTLS(c.TLS); err != nil {
			return nil, err
		}
		x.Secure = true
	}
	p.Login.AuthPlugin, p.Login.AuthResponse = x.Start(p.Greeting.AuthPlugin, p.Greeting.Salt[:])
	if c.Plugin != "" {
		p.Login.AuthPlugin, p.Login.AuthResponse = c.Plugin, nil
	}
	if err := p.Send(p.Login.Append(nil)); err != nil {
		return nil, err
	}
	if err := p.authenticate(&x); err != nil {
		return p, err
	}
	p.compress(c.Frames)
	return p, nil
}

func (c *Credentials) login(g *wire.HandshakeV10) wire.HandshakeResponse {
	wanted := c.Capabilities
	if wanted == 0 {
		wanted = Capabilities &^ clientOnly
	}
	if c.Database != "" {
		wanted |= wire.ConnectWithDB
	}
	if c.TLS != nil {
		wanted |= wire.SSL
	}
	if wanted>>32 == 0 {
		// Also towards MariaDB, which leaves the flag out: a client that has it
		// asks for none of the extended capabilities.
		wanted |= wire.LongPassword
	}
	h := wire.HandshakeResponse{
		Capabilities: wanted & (g.Capabilities | wire.LongPassword),
		MaxPacket:    64 << 20,
		Collation:    c.Collation,
		User:         c.User,
		Database:     c.Database,
		ZstdLevel:    c.ZstdLevel,
	}
	if h.Collation == 0 {
		h.Collation = wire.CollationUTF8MB4
	}
	return h
}

func (p *Peer) startTLS(config *tls.Config) error {
	if err := p.Send(p.Login.AppendSSLRequest(nil)); err != nil {
		return err
	}
	return p.StartTLS(func(nc net.Conn, config *tls.Config) *tls.Conn {
		p.TLSConn = tls.Client(nc, config)
		return p.TLSConn
	}, config)
}

func (p *Peer) authenticate(x *auth.ClientExchange) error {
	for {
		b, err := p.readOrErr()
		if err != nil {
			return err
		}
		action, reply, err := x.Next(b)
		if err != nil {
			return err
		}
		switch action {
		case auth.Done:
			ok, err := p.parseOK(b)
			p.Status, p.Info = ok.Status, bytes.Clone(ok.Info)
			return err
		case auth.Send:
			if err := p.Send(reply); err != nil {
				return err
			}
		}
	}
}
