package proxy

import (
	"time"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/backend/pool"
	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/auth"
)

// changeUser carries COM_CHANGE_USER: the session starts afresh, as another
// user or the same. A client that fails is disconnected, as MySQL does.
func (s *Session) changeUser() error {
	if s.cmd.streamed {
		return errEnd
	}
	var u wire.ChangeUser
	if u.Parse(s.cmd.payload, s.caps) != nil {
		_ = s.answerError(wire.NewErr(wire.CodeUnknownCommand, "Unknown command"))
		return errEnd
	}
	cfg := s.proxy.config.Load()
	_ = s.client.SetDeadline(time.Now().Add(cfg.ConnectTimeout))
	// Nothing of the payload may be used once the buffer is read into again.
	u.AuthResponse = append([]byte(nil), u.AuthResponse...)
	s.client.Discard(s.cmd.size)
	s.cmd.size, s.cmd.packet, s.cmd.payload = 0, nil, nil
	s.client.Seq = 1
	collation := byte(u.Collation)
	if u.Collation > 255 || u.Collation == 0 {
		collation = s.state.Profile.Collation
	}
	user, err := s.authenticate(cfg, u.User, func(x *auth.ServerExchange) auth.Step {
		x.DefaultPlugin = s.preferredPlugin()
		return x.StartAgain(u.AuthPlugin, u.AuthResponse)
	})
	if err != nil {
		return errEnd
	}
	if !s.proxy.admitUser(user) {
		s.sendError(wire.NewErr(wire.CodeTooManyUserConns, "User %s already has more than 'max_user_connections' active connections", user.Name))
		return errEnd
	}
	s.proxy.dismissUser(s.state.User)
	s.dropLeases()
	s.prepared.Clear()
	if err := s.enter(user, collation, u.Database); err != nil {
		return errEnd
	}
	return nil
}

func (s *Session) preferredPlugin() string {
	if st := s.anyServer(); st != nil && st.Flavor == backend.MySQL {
		return auth.CachingSHA2
	}
	return auth.NativePassword
}

// resetConnection carries COM_RESET_CONNECTION: all state goes but the schema.
func (s *Session) resetConnection() error {
	s.dropLeases()
	s.prepared.Clear()
	s.state.Reset()
	s.owner = s.proxy.nextOwner()
	return s.answerOK()
}

// setOption carries COM_SET_OPTION, which allows several statements in one
// packet or forbids them: the same as logging in with or without the
// capability, so the session's connections are simply taken from another set.
func (s *Session) setOption() error {
	if len(s.cmd.payload) != 3 || s.cmd.payload[1] > 1 || s.cmd.payload[2] != 0 {
		return s.answerError(wire.NewErr(wire.CodeUnknownCommand, "Unknown command"))
	}
	if s.pinned != nil {
		s.decision.Target = 0
		s.pinned.Dirt = pool.MustClose
		return s.passToPrimary(wire.ResponseOK)
	}
	if s.cmd.payload[1] == 0 {
		s.caps |= wire.MultiStatements
	} else {
		s.caps &^= wire.MultiStatements
	}
	s.dropLeases()
	s.state.Login.Flags = s.caps & pool.LoginFlags
	return s.answerEOF()
}
