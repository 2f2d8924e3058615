package proxy

import (
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/auth"
)

// maxLogin bounds packets of a client that is not let in yet. Connection
// attributes alone may take 64 KiB.
const maxLogin = 80 << 10

var errRefused = errors.New("client refused")

// login lets the client in. count is the number of clients. An error means
// that the session is over, and that the client has been told.
func (s *Session) login(count int) error {
	cfg := s.proxy.config.Load()
	deadline := time.Now().Add(cfg.ConnectTimeout)
	_ = s.client.SetDeadline(deadline)
	refusal := s.readAnnouncement(cfg, deadline)
	if refusal == nil {
		refusal = s.admit(cfg, count)
	}
	if refusal != nil {
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
	if err == nil && wire.IsSSLRequest(p) && cfg.TLS.Config != nil {
		p, err = s.startTLS(cfg)
	}
	if err != nil {
		if refusal := s.refuseAnnouncement(); refusal != nil {
			s.proxy.totals.refused.Add(1)
			s.sendError(refusal)
		}
		return err // a health check of TCP only, or garbage: no noise
	}
	var hello wire.HandshakeResponse
	if wire.IsSSLRequest(p) || hello.Parse(p) != nil {
		s.sendError(wire.NewErr(wire.CodeHandshake, "Bad handshake"))
		return errRefused
	}
	if refusal := s.insecure(cfg); refusal != nil {
		s.proxy.totals.refused.Add(1)
		s.sendError(refusal)
		return errRefused
	}
	s.caps = hello.Capabilities & greeting.Capabilities
	if refusal := s.agreeOnCompression(&hello); refusal != nil {
		s.sendError(refusal)
		return errRefused
	}
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
	if err := s.enter(user, hello.Collation, hello.Database, s.loginReport(hello.Collation)); err != nil {
		s.proxy.dismissUser(user.Name)
		return err
	}
	s.compress()
	return nil
}

// admit checks what can be checked before a client has said anything.
func (s *Session) admit(cfg *Config, count int) *wire.Err {
	if cfg.MaxConnections > 0 && count > cfg.MaxConnections {
		return &wire.Err{Code: wire.CodeConCount, State: "08004", Message: "Too many connections (proxy.max_connections is " + strconv.Itoa(cfg.MaxConnections) + ")"}
	}
	peer, ok := s.peerIP()
	if !ok {
		return nil // a UNIX socket has its file permissions
	}
	if contains(cfg.LoadBalancers, peer) {
		if s.proxy.offline.Load() {
			return wire.NewErr(wire.CodeUnknown, "Proxy Warning - Offline Now")
		}
		if s.announced.Load() == nil {
			return nil
		}
	}
	ip, _ := s.clientIP()
	if len(cfg.Allow) == 0 || contains(cfg.Allow, ip) {
		return nil
	}
	return wire.NewErr(wire.CodeHostNotPrivileged, "Proxy Warning - IP Forbidden: %s is not in proxy.allow", ip)
}

func contains(networks []netip.Prefix, ip netip.Addr) bool {
	return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(ip) })
}

// host is how the client is called in messages and lists.
func (s *Session) host() string {
	if ip, ok := s.clientIP(); ok {
		return ip.String()
	}
	return "localhost"
}
