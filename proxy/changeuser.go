package proxy

import (
	"time"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/backend/pool"
	"github.com/telamondb/telamon/router/lex"
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
	s.proxy.dismissUser(s.state.User)
	s.state.User = ""
	if !s.proxy.admitUser(user) {
		s.sendError(wire.NewErr(wire.CodeTooManyUserConns, "User %s already has more than 'max_user_connections' active connections", user.Name))
		return errEnd
	}
	s.state.User = user.Name
	s.resetPinned()
	s.dropLeases()
	s.prepared.Clear()
	if err := s.enter(user, collation, u.Database, nil); err != nil {
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
	s.resetPinned()
	s.dropLeases()
	s.prepared.Clear()
	s.state.Reset()
	s.noteWaitTimeout()
	s.resetConsistency()
	s.owner = s.proxy.nextOwner()
	return s.answerOK()
}

// resetPinned ends what the pinned connection holds, before the client is told
// that it has ended: whoever wants the lock next may come at once. An error
// means that the connection is gone, and all that with it.
func (s *Session) resetPinned() {
	if s.pinned != nil {
		_ = s.pinned.Reset()
	}
}

// setOption carries COM_SET_OPTION, which allows several statements in one
// packet or forbids them: the same as logging in with or without the
// capability, so the session's connections are simply taken from another set.
func (s *Session) setOption() error {
	if len(s.cmd.payload) < 3 && s.state.Mode.Flavor == lex.FlavorMySQL {
		return s.answerMalformed()
	}
	var option [2]byte // MariaDB reads on behind a command that is too short
	copy(option[:], s.cmd.payload[1:])
	if option[0] > 1 || option[1] != 0 {
		return s.answerError(wire.NewErr(wire.CodeUnknownCommand, "Unknown command"))
	}
	caps := s.caps | wire.MultiStatements
	if option[0] == 1 {
		caps = s.caps &^ wire.MultiStatements
	}
	held := s.pinned
	if held == nil {
		s.dropLeases()
		s.allow(caps)
		return s.answerEOF()
	}
	held.Dirt = pool.MustClose // a reset does not undo it
	if err := s.passToPrimary(wire.ResponseOK); err != nil || s.response.ErrCode != 0 {
		return err
	}
	s.dropOthers(held)
	s.allow(caps)
	return nil
}

// allow changes what the client may do.
func (s *Session) allow(caps wire.Capability) {
	s.caps = caps
	s.state.Login.Flags = caps & pool.LoginFlags
}
