package proxy

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/backend/pool"
	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/auth"
)

// authenticate finds out whether the client is who it says; start begins the
// exchange with what it has sent. The session goes by what the client has
// proved itself with from then on.
func (s *Session) authenticate(cfg *Config, name string, start func(*auth.ServerExchange) auth.Step) (*User, error) {
	ctx, cancel := context.WithTimeout(s.context(), cfg.ConnectTimeout)
	defer cancel()
	accounts := cfg.accounts()
	x := auth.ServerExchange{
		Salt: s.salt, CanSwitch: s.caps.Has(wire.PluginAuth),
		Secure:  s.secure(),
		Key:     s.proxy.loginKey,
		Plugins: s.plugins(cfg, name),
	}
	var credential *pool.Credential
	if u := cfg.Users[name]; u == nil || s.meets(u.Transport) {
		x.Account, credential = accounts.Find(ctx, name, s.host())
	} // else the password does not matter, and nobody learns whether it is right
	step, err := start(&x), error(nil)
	for step.Verdict == auth.Continue || step.Verdict == auth.Judge {
		if step.Verdict == auth.Judge {
			outcome, c, why := accounts.Judge(ctx, name, s.host(), x.Offer())
			if outcome == auth.Right {
				credential = c
			}
			step, err = x.Judged(outcome), why
			continue
		}
		p, err := s.ask(step.Packet)
		if err != nil {
			return nil, err
		}
		step = x.Next(p)
	}
	s.salt = x.Salt
	if step.Verdict != auth.Accept {
		s.denyLogin(step.Verdict, name, x.PasswordUsed(), err)
		return nil, errRefused
	}
	s.goBy(credential)
	s.prove(&x)
	if step.Packet != nil {
		s.client.WritePacket(step.Packet)
	}
	return cfg.user(name), nil
}

// prove keeps for the OK what shows a client of MariaDB that Telamon knows its
// password, too.
func (s *Session) prove(x *auth.ServerExchange) {
	s.proof = nil
	if st := s.anyServer(); st == nil || st.Flavor != backend.MariaDB || s.certificate == nil {
		return
	}
	if s.credential != nil {
		x.Account = s.credential.Verifier() // the one there was may have known less
	}
	s.proof = x.Proof(s.certificate)
}

// ask sends the client a packet of the login and returns its answer.
func (s *Session) ask(packet []byte) ([]byte, error) {
	s.client.WritePacket(packet)
	if err := s.client.Flush(); err != nil {
		return nil, err
	}
	return s.client.ReadPacket(maxLogin)
}

// denyLogin tells the client that it is not let in. err says more about it.
func (s *Session) denyLogin(verdict auth.Verdict, name string, password bool, err error) {
	s.proxy.totals.authFailures.Add(1)
	refusal := accessDenied(name, s.host(), password)
	var e *wire.Err
	switch {
	case verdict == auth.BadHandshake:
		refusal = wire.NewErr(wire.CodeHandshake, "Bad handshake")
	case verdict == auth.NoPlugin:
		refusal = s.noPlugin()
	case err == nil, errors.As(err, &e) && e.Code == wire.CodeAccessDenied, errors.Is(err, auth.ErrUnknownPlugin):
		// A server's own words would have Telamon's address in them, and MySQL
		// asks those it does not know for plugins at random.
	default:
		refusal = clientError(err)
	}
	if err != nil {
		s.proxy.deps.Log.Debug("login refused", zap.String("user", name), zap.String("client", s.host()), zap.Error(err))
	}
	s.sendError(refusal)
}

// noPlugin words what a client without authentication plugins is told.
func (s *Session) noPlugin() *wire.Err {
	product := "MySQL"
	if st := s.anyServer(); st != nil && st.Flavor == backend.MariaDB {
		product = "MariaDB"
	}
	e := wire.NewErr(wire.CodeNotSupportedAuthMode,
		"Client does not support authentication protocol requested by server; consider upgrading %s client", product)
	if s.proxy.config.Load().Accounts != nil {
		e.Message += " (Telamon has to see the password once: use a client with caching_sha2_password)"
	}
	return e
}

// goBy changes what the session proves itself with to servers.
func (s *Session) goBy(c *pool.Credential) {
	if s.credential != nil {
		s.credential.Drop()
	}
	if s.credential = c; c != nil {
		c.Hold()
	}
}

func accessDenied(user, host string, password bool) *wire.Err {
	used := "NO"
	if password {
		used = "YES"
	}
	return wire.NewErr(wire.CodeAccessDenied, "Access denied for user '%s'@'%s' (using password: %s)", user, host, used)
}
