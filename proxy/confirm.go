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
// set. A stored program may have switched the reporting off as well, which shows
// when something is missing. Reporting is switched on again first.
func (s *Session) confirm(c *pool.Conn, facts *lex.Facts) {
	var names []string
	if facts != nil {
		names = s.state.Unconfirmed(facts)
	}
	if s.state.Unread {
		names = append(names, session.CollationVariable)
	}
	moved := s.movedUnseen()
	if s.state.Restores() {
		s.readAhead(c)
		if err := c.Query("DO 0"); err != nil { // the report that comes with it is for nobody
			s.unconfirmed(c, err)
			return
		}
	}
	if !s.state.Retrack && !moved && len(names) == 0 {
		return
	}
	s.readAhead(c)
	retrack := s.state.Retrack || moved
	if err := s.learnTracking(c); err != nil {
		s.unconfirmed(c, err)
		return
	}
	s.state.Confirming()
	missing, err := s.report(c, retrack, names)
	if err == nil && len(missing) > 0 && !retrack {
		missing, err = s.report(c, true, missing)
	}
	if err == nil && moved {
		err = s.learnSchema(c)
	}
	s.state.Retrack = false
	if err != nil || len(missing) > 0 {
		s.unconfirmed(c, err)
	}
}

// report takes over what c reports of the variables named, and returns the names
// of those that it does not.
func (s *Session) report(c *pool.Conn, retrack bool, names []string) (missing []string, err error) {
	var with *pool.Profile
	if retrack {
		with = s.state.Profile
	}
	missing = slices.Clone(names)
	err = c.Report(with, names, func(changes []byte) {
		s.state.SessionChanges(changes)
		for ch := wire.NewChanges(changes); ch.Next(); {
			if v := ch.Change(); v.Type == wire.ChangeSystemVariable {
				missing = slices.DeleteFunc(missing, func(name string) bool { return name == string(v.Name) })
			}
		}
	})
	return missing, err
}

// movedUnseen reports whether the statement has changed the schema and the
// server has not reported it: it does report any USE, of the same schema too
// (measured, MariaDB 10.11 and MySQL 9.7).
func (s *Session) movedUnseen() bool {
	return (s.facts.Class == lex.Use || s.facts.Classes.Has(lex.Use)) && s.response.ErrCode == 0 && !s.state.SchemaReported()
}

func (s *Session) learnSchema(c *pool.Conn) error {
	name, err := c.QueryValue("SELECT DATABASE()")
	if err == nil {
		s.state.SchemaRead(name)
	}
	return err
}

// unconfirmed keeps the session on c, whose state is not known completely.
func (s *Session) unconfirmed(c *pool.Conn, err error) {
	s.state.Retrack = false
	s.state.Pins |= router.PinOpaque
	if err != nil && !isStatementError(err) {
		c.Dirt = pool.MustClose
	}
}
