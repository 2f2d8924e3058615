package proxy

import (
	"github.com/telamondb/telamon/router"
	"github.com/telamondb/telamon/router/lex"
	"github.com/telamondb/telamon/wire"
)

// query carries COM_QUERY.
func (s *Session) query() error {
	if !s.modeKnown {
		s.learnMode()
	}
	text, ok := s.queryText()
	if !ok {
		return s.answerError(malformedAttributes)
	}
	lex.Scan(text, s.state.Mode, &s.facts)
	if s.cmd.streamed {
		s.judgeByBeginning()
	}
	s.route(false)
	switch {
	case s.decision.Target == router.Deny:
		return s.deny()
	case s.facts.Class == lex.Kill && s.facts.Statements == 1:
		return s.killStatement()
	case s.facts.Classes.Has(lex.Kill):
		s.decision.Deny = "Proxy Warning - KILL has to be a statement of its own"
		return s.deny()
	case s.facts.Class == lex.Set && s.facts.Flags.Has(lex.FlagUserVarWrite) && s.setConsistency():
		return s.answerOK()
	case s.facts.Flags.Has(lex.FlagConnectionID):
		if column, ok := s.idQuestion(); ok {
			return s.answerID(column, false)
		}
	}
	if answered, err := s.answerLast(); answered {
		return err
	}
	return s.carry(wire.ResponseQuery, true)
}

// judgeByBeginning allows for what the part of a statement that has not
// arrived may contain: it goes to the primary, and if the client may send
// several statements at once, one of them may leave state behind.
func (s *Session) judgeByBeginning() {
	s.facts.Flags |= lex.FlagUncertain
	if s.caps.Has(wire.MultiStatements) {
		s.facts.Flags |= lex.FlagMultiStatement
		return
	}
	// Strings end somewhere in the rest; the text is not broken.
	s.facts.Flags &^= lex.FlagUnterminated
}

// route decides about the statement in s.facts, which is about to run.
func (s *Session) route(prepared bool) {
	s.decide(prepared)
	s.counts.routes[s.decision.Reason].Add(1)
	if s.facts.Flags.Has(lex.FlagUnknownHint) {
		s.counts.unknownHints.Add(1)
	}
}

// decide is route without the counters.
func (s *Session) decide(prepared bool) {
	req := router.Request{Facts: &s.facts, View: s.state.ViewOf(&s.facts), Prepared: prepared}
	req.View.LastWasPrimary = s.lastWasPrimary()
	s.decision = router.Route(&req, s.proxy.config.Load().Rules)
}

// deny answers a statement that the rules forbid.
func (s *Session) deny() error {
	if s.decision.DenyCode == 0 {
		return s.answerError(&wire.Err{Code: wire.CodeUnknown, State: stateGeneral, Message: s.decision.Deny})
	}
	e := wire.NewErr(s.decision.DenyCode, "%s", s.decision.Deny)
	if s.state.Mode.Flavor == lex.FlavorMySQL {
		e.Message += "." // MariaDB writes it without
	}
	return s.answerError(e)
}

// initDB carries COM_INIT_DB. The server's answer says whether the schema
// exists and may be used; that it changed is reported with it.
func (s *Session) initDB() error {
	s.facts = lex.Facts{Class: lex.Use}
	s.decision = router.Decision{Target: s.state.TransactionOn}
	return s.carry(wire.ResponseOK, false)
}
