package proxy

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/backend/pool"
	"github.com/telamondb/telamon/proxy/session"
	"github.com/telamondb/telamon/router"
	"github.com/telamondb/telamon/router/lex"
	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/auth"
)

// offered are the capabilities clients may use: those that every server has
// and Telamon can carry. LONG_PASSWORD is set, so that MariaDB clients do not
// look for extended capabilities.
const offered = wire.LongPassword | wire.FoundRows | wire.LongFlag | wire.ConnectWithDB | wire.NoSchema |
	wire.ODBC | wire.LocalFiles | wire.IgnoreSpace | wire.Protocol41 | wire.Interactive | wire.IgnoreSigpipe |
	wire.Transactions | wire.Reserved | wire.SecureConnection | wire.MultiStatements | wire.MultiResults |
	wire.PSMultiResults | wire.PluginAuth | wire.ConnectAttrs | wire.PluginAuthLenenc | wire.DeprecateEOF

// maxLogin bounds packets of a client that is not let in yet. Connection
// attributes alone may take 64 KiB.
const maxLogin = 80 << 10

var errRefused = errors.New("client refused")

// login lets the client in. count is the number of clients. An error means
// that the session is over, and that the client has been told.
func (s *Session) login(count int) error {
	cfg := s.proxy.config.Load()
	_ = s.client.SetDeadline(time.Now().Add(cfg.ConnectTimeout))
	if refusal := s.admit(cfg, count); refusal != nil {
		s.proxy.totals.refused.Add(1)
		s.sendError(refusal)
		return errRefused
	}
	greeting := s.greeting(cfg)
	s.client.WritePacket(greeting.Append(nil))
	if err := s.client.Flush(); err != nil {
		return err
	}
	p, err := s.client.ReadPacket(maxLogin)
	if err != nil {
		return err // a health check of TCP only, or garbage: no noise
	}
	var hello wire.HandshakeResponse
	if wire.IsSSLRequest(p) || hello.Parse(p) != nil {
		s.sendError(wire.NewErr(wire.CodeHandshake, "Bad handshake"))
		return errRefused
	}
	s.caps = hello.Capabilities & offered
	user, err := s.authenticate(cfg, hello.User, func(x *auth.ServerExchange) auth.Step {
		x.DefaultPlugin = greeting.AuthPlugin
		return x.Start(hello.AuthPlugin, hello.AuthResponse)
	})
	if err != nil {
		return err
	}
	if !s.proxy.admitUser(user) {
		s.proxy.totals.refused.Add(1)
		s.sendError(&wire.Err{Code: wire.CodeTooManyUserConns, State: "42000",
			Message: "User " + user.Name + " already has more than 'max_user_connections' active connections"})
		return errRefused
	}
	if err := s.enter(user, hello.Collation, hello.Database); err != nil {
		s.proxy.dismissUser(user.Name)
		return err
	}
	return nil
}

// enter completes a login, initial or by COM_CHANGE_USER, and answers it.
func (s *Session) enter(user *User, collation byte, schema string) error {
	if _, known := wire.CollationByID(collation); !known {
		collation = defaultCollation
	}
	s.begin(user.Name, collation, schema)
	s.consistency = user.Consistency
	s.user.Store(&user.Name)
	s.schema.Store(&s.state.Profile.Schema)
	if err := s.checkSchema(); err != nil {
		s.sendError(clientError(err))
		return errRefused
	}
	ok := wire.OK{Status: s.state.Status}
	s.client.WritePacket(ok.Append(nil, 0x00, s.caps))
	if err := s.client.Flush(); err != nil {
		return err
	}
	s.client.Idle()
	return s.client.SetDeadline(time.Time{})
}

// defaultCollation is utf8mb4_general_ci, which both flavours know.
const defaultCollation = 45

// begin sets the state of a fresh session.
func (s *Session) begin(user string, collation byte, schema string) {
	s.owner = s.proxy.nextOwner()
	mode, known, flavor := "", false, lex.FlavorUnknown
	if st := s.anyServer(); st != nil {
		mode, known = s.proxy.deps.Pools.For(st).Mode()
		flavor = lexFlavor(st)
	}
	s.state.Start(pool.Login{User: user, Flags: s.caps & pool.LoginFlags}, collation, schema, mode, flavor)
	s.modeKnown = known
}

func lexFlavor(st *backend.State) lex.Flavor {
	switch st.Flavor {
	case backend.MySQL:
		return lex.FlavorMySQL
	case backend.MariaDB:
		return lex.FlavorMariaDB
	}
	return lex.FlavorUnknown
}

// FreshMode returns how statements of a session that has just logged in are
// read, for a server and as far as its connections have told.
func FreshMode(st *backend.State, pools *pool.Pools) lex.Mode {
	mode, _ := pools.For(st).Mode()
	var s session.State
	s.Start(pool.Login{}, defaultCollation, "", mode, lexFlavor(st))
	return s.Mode
}

// anyServer returns the primary, or else any server that has ever answered.
func (s *Session) anyServer() *backend.State {
	t := s.proxy.deps.Store.Load()
	if st := t.Primary(); st != nil {
		return st
	}
	for i := range t.States {
		if t.States[i].Version != "" {
			return &t.States[i]
		}
	}
	return nil
}

// learnMode finds out how statements have to be read, by having a connection.
func (s *Session) learnMode() {
	s.decision = router.Decision{Target: router.Primary}
	s.facts.Class = lex.Use // a replica's word will do
	if c, err := s.lease(nil); err == nil {
		s.park(c)
		s.state.SetBaseMode(c.BaseMode)
		s.modeKnown = true
	}
}

// checkSchema has a server confirm that the schema of the login exists and may
// be used: the client gets an error now, as it would from the server.
func (s *Session) checkSchema() error {
	if s.state.Profile.Schema == "" {
		return nil
	}
	s.decision = router.Decision{Target: router.Primary}
	s.facts.Class = lex.Use
	c, err := s.lease(nil)
	if err != nil {
		return err
	}
	if !s.modeKnown {
		s.state.SetBaseMode(c.BaseMode)
		s.modeKnown = true
	}
	s.park(c)
	return nil
}

// admit checks what can be checked before a client has said anything.
func (s *Session) admit(cfg *Config, count int) *wire.Err {
	if cfg.MaxConnections > 0 && count > cfg.MaxConnections {
		return &wire.Err{Code: wire.CodeConCount, State: "08004", Message: "Too many connections (proxy.max_connections is " + strconv.Itoa(cfg.MaxConnections) + ")"}
	}
	ip, ok := s.clientIP()
	if !ok {
		return nil // a UNIX socket has its file permissions
	}
	if contains(cfg.LoadBalancers, ip) {
		if s.proxy.offline.Load() {
			return wire.NewErr(wire.CodeUnknown, "Proxy Warning - Offline Now")
		}
		return nil
	}
	if len(cfg.Allow) == 0 || contains(cfg.Allow, ip) {
		return nil
	}
	return wire.NewErr(wire.CodeHostNotPrivileged, "Proxy Warning - IP Forbidden: %s is not in proxy.allow", ip)
}

func contains(networks []netip.Prefix, ip netip.Addr) bool {
	return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(ip) })
}

// clientIP returns the client's address, and false on a UNIX socket.
func (s *Session) clientIP() (netip.Addr, bool) {
	a, ok := s.client.NetConn().RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}, false
	}
	ip, ok := netip.AddrFromSlice(a.IP)
	return ip.Unmap(), ok
}

// host is how the client is called in messages and lists.
func (s *Session) host() string {
	if ip, ok := s.clientIP(); ok {
		return ip.String()
	}
	return "localhost"
}

// greeting makes the first packet, which looks like the primary's.
func (s *Session) greeting(cfg *Config) wire.HandshakeV10 {
	s.salt = auth.NewSalt()
	version, plugin := cfg.ServerVersion, auth.NativePassword
	if st := s.anyServer(); st != nil && st.Version != "" {
		if version == "" {
			version = greetingVersion(st)
		}
		if st.Flavor == backend.MySQL && !strings.HasPrefix(st.Version, "5.") {
			plugin = auth.CachingSHA2
		}
	}
	if version == "" {
		version = "5.7.0-telamon"
	}
	return wire.HandshakeV10{
		ServerVersion: version, ConnectionID: s.id, Salt: s.salt, Capabilities: offered,
		Collation: defaultCollation, Status: wire.Autocommit, AuthPlugin: plugin,
	}
}

// greetingVersion is the version as the server itself greets: MariaDB up to
// 10.x puts "5.5.5-" in front of it.
func greetingVersion(st *backend.State) string {
	if st.Flavor == backend.MariaDB && strings.HasPrefix(st.Version, "10.") {
		return "5.5.5-" + st.Version
	}
	return st.Version
}

// authenticate finds out whether the client is who it says; start begins the
// exchange with what it has sent.
func (s *Session) authenticate(cfg *Config, name string, start func(*auth.ServerExchange) auth.Step) (*User, error) {
	user := cfg.Users[name]
	x := auth.ServerExchange{
		Salt: s.salt, CanSwitch: s.caps.Has(wire.PluginAuth),
		Secure: s.client.NetConn().LocalAddr().Network() == "unix",
		Key:    s.proxy.loginKey,
	}
	if user != nil {
		x.Account = user.Verifier
	}
	step := start(&x)
	for step.Verdict == auth.Continue {
		s.client.WritePacket(step.Packet)
		if err := s.client.Flush(); err != nil {
			return nil, err
		}
		p, err := s.client.ReadPacket(maxLogin)
		if err != nil {
			return nil, err
		}
		step = x.Next(p)
	}
	s.salt = x.Salt
	switch {
	case step.Verdict == auth.BadHandshake:
		s.sendError(wire.NewErr(wire.CodeHandshake, "Bad handshake"))
		return nil, errRefused
	case step.Verdict != auth.Accept || user == nil:
		s.proxy.totals.authFailures.Add(1)
		s.sendError(accessDenied(name, s.host(), x.PasswordUsed()))
		return nil, errRefused
	}
	if step.Packet != nil {
		s.client.WritePacket(step.Packet)
	}
	return user, nil
}

func accessDenied(user, host string, password bool) *wire.Err {
	used := "NO"
	if password {
		used = "YES"
	}
	return wire.NewErr(wire.CodeAccessDenied, "Access denied for user '%s'@'%s' (using password: %s)", user, host, used)
}
