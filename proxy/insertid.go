package proxy

import (
	"strconv"

	"github.com/telamondb/telamon/backend/pool"
	"github.com/telamondb/telamon/router/lex"
)

// What LAST_INSERT_ID() returns is state of one connection, and OK packets do
// not tell it: an INSERT with an explicit id reports that id and leaves
// LAST_INSERT_ID() alone. So that a session that has inserted something does
// not occupy a connection for good, the value is read from the connection when
// somebody else needs it, and set on the session's next one.

// hasInsertID notes that LAST_INSERT_ID() may have a value in c.
func (s *Session) hasInsertID(c *pool.Conn) {
	s.insertID = nil
	if c.Salvage == nil {
		c.Salvage = pool.NewSalvage("SELECT LAST_INSERT_ID()")
	}
}

// inherit takes over what has been salvaged from a connection that the session
// has no more, and forgets it. The connection may be somebody else's by now.
func (s *Session) inherit(c *pool.Conn, salvage, diagnostics *pool.Salvage) {
	if salvage != nil {
		s.insertID = salvage
	}
	s.diagnosis.gone(c, diagnostics)
	s.forget(c)
}

// restoreInsertID sets on c, a connection to the primary, what LAST_INSERT_ID()
// returned on the connection before.
func (s *Session) restoreInsertID(c *pool.Conn) error {
	value, err := s.insertID.Value()
	if err == nil {
		var id uint64
		if id, err = strconv.ParseUint(value, 10, 64); err == nil && id == 0 {
			s.insertID = nil
			return nil
		}
	}
	if err != nil {
		if s.facts.Flags.Has(lex.FlagLastInsertID) {
			return &lostError{server: c.Server, err: errStateLost, unsent: true}
		}
		return nil // it is gone, but nobody has asked for it yet
	}
	if err := c.Query("SET last_insert_id=" + value); err != nil {
		return &lostError{server: c.Server, err: err, unsent: true}
	}
	c.Dirt = max(c.Dirt, pool.NeedsReset)
	s.hasInsertID(c)
	return nil
}
