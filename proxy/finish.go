package proxy

import (
	"bytes"

	"github.com/telamondb/telamon/backend/pool"
	"github.com/telamondb/telamon/proxy/session"
	"github.com/telamondb/telamon/router"
	"github.com/telamondb/telamon/router/lex"
	"github.com/telamondb/telamon/wire"
)

// finish takes the answer into the session's state and decides what becomes
// of the connection.
func (s *Session) finish(c *pool.Conn, facts *lex.Facts) {
	r := &s.response
	c.Server.Stats.Statements.Add(1)
	target := router.Primary
	if s.decision.Target == router.Replica {
		target = router.Replica
		c.Server.Stats.Reads.Add(1)
	}
	if r.Status.Has(wire.InTrans) && s.isPrimary(c) {
		target = router.Primary // whatever it stood in for: the transaction may do everything
	}
	pins := s.state.Pins
	switch {
	case s.preparing != nil:
		s.prepareDone(c)
	case s.executing != nil && r.Started():
		s.executeDone(c)
	case s.fetching != nil:
		s.fetchDone()
	}
	s.state.Finished(facts, &s.decision, &session.Outcome{
		Target: target, Status: r.Status, StatusSeen: r.StatusSeen, ErrCode: r.ErrCode, LastInsertID: r.LastInsertID,
		Answer: s.answer(),
	})
	s.confirm(c, facts)
	if *s.schema.Load() != s.state.Profile.Schema {
		s.schema.Store(&s.state.Profile.Schema)
	}
	if c.Profile != s.state.Profile {
		s.noteWaitTimeout()
		c.Profile = s.state.Profile
	}
	if r.LastInsertID != 0 || (s.decision.Pin | s.state.Pins&^pins).Has(router.PinLastInsertID) {
		s.hasInsertID(c)
	}
	if !s.traceless() || s.state.Pins&^pins != 0 || s.state.Touched() {
		c.Dirt = max(c.Dirt, pool.NeedsReset)
	}
	if len(c.Wire.Buffered()) > 0 {
		c.Dirt = pool.MustClose // it talks without being asked
	}
	switch r.ErrCode {
	case wire.CodeOptionPreventsStmt, wire.CodeReadOnlyMode:
		// A primary that takes no writes may not be one any more.
		s.proxy.deps.Report(c.Server, errReadOnly)
	}
	s.noteTransaction(c)
	s.noteSeen(c)
	s.settle(c)
}

// answer reads the row that a statement about user locks was answered with, in
// the protocol it came in.
func (s *Session) answer() session.Answer {
	row := s.response.Row()
	switch {
	case len(row) == 0:
		return session.AnswerUnseen
	case s.executing == nil && string(row) == "\x011",
		s.executing != nil && len(row) > 2 && row[1] == 0 && row[2] != 0: // an integer, the lowest byte first
		return session.AnswerYes
	}
	return session.AnswerNo
}

// keepsDiagnostics reports whether the statement has left warnings and errors
// of the one before in place: questions about them do, and on MariaDB
// everything that uses no table (measured on 10.11; MySQL 9.7 clears them).
func (s *Session) keepsDiagnostics() bool {
	if s.decision.Target == router.Last {
		return true
	}
	if s.state.Mode.Flavor == lex.FlavorMySQL {
		return false
	}
	switch s.facts.Class {
	case lex.Set, lex.Use, lex.Begin:
		return true
	case lex.Select:
		return !bytes.Contains(bytes.ToLower(s.facts.Stmt), []byte("from"))
	}
	return false
}

// traceless reports whether the statement left nothing in its connection that
// the profile does not say.
func (s *Session) traceless() bool {
	if s.response.Warnings > 0 || s.response.ErrCode != 0 {
		return false
	}
	if s.decision.Target == router.Replica {
		return true
	}
	switch s.facts.Class {
	case lex.Set, lex.Use, lex.Begin, lex.Commit, lex.Rollback:
		return s.facts.Statements <= 1 && s.decision.Pin == 0
	}
	return false
}

// settle keeps the connection if it has state of the session, and parks it
// otherwise.
func (s *Session) settle(c *pool.Conn) {
	held := !s.state.Releasable()
	pinned := s.pinned
	switch {
	case !held:
		s.pinned = nil
	case pinned == nil:
		s.pinned = c
	}
	s.kill.setInTransaction(s.state.InTransaction())
	if s.preparing != nil && s.response.ErrCode == 0 {
		// What is asked about the statement before, such as FOUND_ROWS(), is not
		// about this one.
		for _, free := range [...]*pool.Conn{c, pinned} {
			if free != nil && free != s.pinned && !(free == s.last && s.lastHeld) {
				s.park(free)
			}
		}
		return
	}
	previous := s.last
	if !s.lastHeld {
		previous = nil
	}
	s.last, s.lastLost = c, false
	s.diagnosis.note(c, s.response.Warnings > 0 || s.response.ErrCode != 0, s.keepsDiagnostics())
	s.lastHeld = s.state.Pins.Has(router.PinFoundRows)
	for _, free := range [...]*pool.Conn{c, previous, pinned} {
		if free != nil && free != s.pinned && !(free == c && s.lastHeld) {
			s.park(free)
		}
	}
}
