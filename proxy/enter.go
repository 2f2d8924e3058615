package proxy

import (
	"time"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/backend/pool"
	"github.com/telamondb/telamon/proxy/session"
	"github.com/telamondb/telamon/router"
	"github.com/telamondb/telamon/router/lex"
	"github.com/telamondb/telamon/wire"
)

// loginReport is what servers report with a client's first login.
func (s *Session) loginReport(collation byte) []byte {
	if st := s.anyServer(); st != nil {
		return s.proxy.deps.Pools.For(st).AppendLoginReport(nil, collation)
	}
	return nil
}

// enter completes a login, initial or by COM_CHANGE_USER, and answers it. report is
// what the client is told of besides the schema.
func (s *Session) enter(user *User, collation byte, schema string, report []byte) error {
	if _, known := wire.CollationByID(collation); !known {
		collation = defaultCollation
	}
	s.begin(user.Name, collation, schema)
	s.consistency = user.Consistency
	s.user.Store(&user.Name)
	s.schema.Store(&s.state.Profile.Schema)
	s.noteWaitTimeout()
	if err := s.checkSchema(); err != nil {
		s.sendError(clientError(err))
		return errRefused
	}
	ok := wire.OK{Status: s.state.Status, Info: s.proof, SessionChanges: report}
	if schema != "" { // reported by both flavours as a change
		ok.SessionChanges = wire.AppendChange(ok.SessionChanges, wire.ChangeSchema, schema)
	}
	if ok.SessionChanges != nil {
		ok.Status |= wire.SessionStateChange
	}
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
	s.state.Start(pool.Login{User: user, Credential: s.credential, Flags: s.caps & pool.LoginFlags}, collation, schema, mode, flavor)
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
