package proxy

import (
	"github.com/telamondb/telamon/backend/pool"
	"github.com/telamondb/telamon/proxy/session"
	"github.com/telamondb/telamon/router"
	"github.com/telamondb/telamon/wire"
)

// With MARIADB_CLIENT_CACHE_METADATA a server sends the column definitions of a
// prepared statement when it is prepared and whenever they have changed since,
// and leaves them out otherwise. That is about one connection; the statements of
// a session have one on each server. So there is a hash of what the client was
// sent last and one of what each server takes it to have. Where they differ the
// statement is prepared anew, and the definitions in that answer are put into
// the answer to the execution if the server leaves them out.

// outdated reports whether the server may leave out definitions that the client
// has not been sent. The statement then is closed.
func (s *Session) outdated(c *pool.Conn, p *session.Prepared, st *pool.Statement) bool {
	if !c.Caps.Has(wire.MariaDBCacheMetadata) || st.Fresh || st.Metadata == p.Metadata {
		return false
	}
	return c.CloseStatement(p.ID) == nil // an error shows when it is prepared
}

// noteDefinitions keeps the definitions for the execution about to begin.
func (s *Session) noteDefinitions(c *pool.Conn, p *session.Prepared, st *pool.Statement) {
	s.definitions = nil
	if s.cmd.code == wire.ComStmtSendLongData || !c.Caps.Has(wire.MariaDBCacheMetadata) {
		return
	}
	if st.Metadata != p.Metadata {
		s.definitions = st.Definitions
	}
	st.Fresh, st.Definitions = false, nil
}

// definitionsSent notes that an execution has brought the client definitions.
func (s *Session) definitionsSent(c *pool.Conn, p *session.Prepared) {
	s.definitions = nil
	if st, ok := c.Statements[p.ID]; ok && s.response.Metadata != 0 {
		p.Metadata, st.Metadata = s.response.Metadata, s.response.Metadata
		c.Statements[p.ID] = st
	}
}

// stmtBulkExecute carries MariaDB's COM_STMT_BULK_EXECUTE: a write executed for
// many rows of parameters. It runs on the primary whatever the statement is, for
// a server to refuse what it does not take.
func (s *Session) stmtBulkExecute() error {
	if len(s.cmd.payload) < 7 { // before it is looked for (measured, MariaDB 10.11)
		return s.answerMalformed()
	}
	p, err := s.statement()
	if p == nil {
		return err
	}
	e, ok := s.parseExecute(p.Params)
	if !ok {
		return s.answerMalformed()
	}
	p.BindExecute(s.cmd.payload, &e)
	s.facts = p.Facts
	if s.route(true); s.decision.Target == router.Deny {
		return s.deny()
	}
	if s.decision.Target == router.Replica {
		s.decision.Target = s.state.TransactionOn
	}
	s.executing, s.execute = p, e
	err = s.carry(wire.ResponseQuery, true)
	s.executing = nil
	return err
}
