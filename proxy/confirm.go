package proxy

import (
	"slices"

	"github.com/telamondb/telamon/backend/pool"
	"github.com/telamondb/telamon/proxy/session"
	"github.com/telamondb/telamon/router"
	"github.com/telamondb/telamon/router/lex"
	"github.com/telamondb/telamon/wire"
)

// confirm has the server report what the statement has changed without telling
// its new value: variables assigned while the client had switched reporting
// off, or that MariaDB leaves out, and the collation that goes with a character
// set. Reporting itself is switched on again first.
func (s *Session) confirm(c *pool.Conn, facts *lex.Facts) {
	var names []string
	if facts != nil {
		names = s.state.Unconfirmed(facts)
	}
	if s.state.Unread {
		names = append(names, session.CollationVariable)
	}
	if !s.state.Retrack && len(names) == 0 {
		return
	}
	s.readAhead(c)
	var retrack *pool.Profile
	if s.state.Retrack {
		if err := s.learnTracking(c); err != nil {
			s.unconfirmed(c, err)
			return
		}
		retrack = s.state.Profile
	}
	missing := slices.Clone(names)
	s.state.Confirming(names)
	err := c.Report(retrack, names, func(changes []byte) {
		s.state.SessionChanges(changes)
		for ch := wire.NewChanges(changes); ch.Next(); {
			if v := ch.Change(); v.Type == wire.ChangeSystemVariable {
				missing = slices.DeleteFunc(missing, func(name string) bool { return name == string(v.Name) })
			}
		}
	})
	s.state.Retrack = false
	if err != nil || len(missing) > 0 {
		s.unconfirmed(c, err)
	}
}

// unconfirmed keeps the session on c, whose state is not known completely.
func (s *Session) unconfirmed(c *pool.Conn, err error) {
	s.state.Retrack = false
	s.state.Pins |= router.PinOpaque
	if err != nil && !isStatementError(err) {
		c.Dirt = pool.MustClose
	}
}
