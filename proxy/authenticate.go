package proxy

import (
	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/auth"
)

// authenticate finds out whether the client is who it says; start begins the
// exchange with what it has sent.
func (s *Session) authenticate(cfg *Config, name string, start func(*auth.ServerExchange) auth.Step) (*User, error) {
	user := cfg.Users[name]
	if user != nil && !s.meets(user.Transport) {
		user = nil // the password does not matter, and nobody learns whether it is right
	}
	x := auth.ServerExchange{
		Salt: s.salt, CanSwitch: s.caps.Has(wire.PluginAuth),
		Secure: s.secure(),
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
	if st := s.anyServer(); st != nil && st.Flavor == backend.MariaDB {
		s.proof = x.Proof(s.certificate)
	}
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
