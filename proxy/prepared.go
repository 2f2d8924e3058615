package proxy

import (
	"bytes"
	"errors"

	"github.com/telamondb/telamon/backend/pool"
	"github.com/telamondb/telamon/proxy/session"
	"github.com/telamondb/telamon/router"
	"github.com/telamondb/telamon/router/lex"
	"github.com/telamondb/telamon/wire"
)

// stmtPrepare carries COM_STMT_PREPARE. The statement is prepared where it
// would run now; on other servers it is prepared when it first runs there.
func (s *Session) stmtPrepare() error {
	if s.cmd.streamed {
		if err := s.readWhole(); err != nil {
			return err
		}
	}
	if !s.modeKnown {
		s.learnMode()
	}
	s.prepared.Preparing()
	text := s.cmd.payload[1:]
	lex.Scan(text, s.state.Mode, &s.facts)
	s.decide(true)
	if s.decision.Target == router.Deny && s.decision.Reason == router.ReasonLastStatement {
		s.decision.Target = router.Primary // it will be another statement's turn then
	}
	if s.decision.Target == router.Deny {
		return s.deny()
	}
	if e := s.tooManyPrepared(len(text)); e != nil {
		return s.answerError(e)
	}
	s.decision.Pin, s.decision.Release = 0, 0 // preparing has no effect of its own
	p := &session.Prepared{ID: s.prepared.NextID(), Text: bytes.Clone(text), Profile: s.state.Profile}
	s.preparing = p
	err := s.carry(wire.ResponsePrepare, false)
	s.preparing = nil
	return err
}

// maxPreparedText bounds the text of all prepared statements of a client, which
// Telamon keeps in memory.
const maxPreparedText = 64 << 20

// tooManyPrepared returns the error for a client that has as many prepared
// statements as it may, or nil.
func (s *Session) tooManyPrepared(size int) *wire.Err {
	limit := s.proxy.config.Load().MaxPreparedStatements
	switch {
	case limit > 0 && s.prepared.Len() >= limit:
		return wire.NewErr(wire.CodeMaxPreparedStmtCount,
			"Can't create more than max_prepared_stmt_count statements (current value: %d)", limit)
	case s.prepared.TextSize()+size > maxPreparedText:
		return wire.NewErr(wire.CodeMaxPreparedStmtCount,
			"Telamon: the prepared statements of a connection may have %d MiB of text", maxPreparedText>>20)
	}
	return nil
}

// prepareDone keeps a statement that c has just prepared for the client.
func (s *Session) prepareDone(c *pool.Conn) {
	p := s.preparing
	if s.response.ErrCode != 0 {
		return
	}
	p.Params = s.response.Params
	lex.Scan(p.Text, s.state.Mode, &p.Facts) // as s.facts, but of the copy
	s.prepared.Add(p)
	p.Metadata = s.response.Metadata
	c.SetStatement(p.ID, pool.Statement{ID: s.response.StatementID, Metadata: p.Metadata})
}

// readWhole reads the rest of a long command into memory, for those whose text
// has to be kept.
func (s *Session) readWhole() error {
	if s.cmd.full {
		return s.tooLarge()
	}
	end := s.cmd.size + s.cmd.left
	for len(s.client.Buffered()) < end {
		if err := s.client.Fill(); err != nil {
			return errClientGone
		}
	}
	b := s.client.Buffered()[:end]
	s.cmd = command{code: s.cmd.code, packet: b, payload: b[wire.HeaderSize:], size: end}
	return nil
}

// statement returns the prepared statement a command names, or nil after
// having answered that there is none.
func (s *Session) statement() (*session.Prepared, error) {
	if s.tooShort() {
		return nil, s.answerMalformed()
	}
	id := s.statementID()
	if p := s.prepared.Get(id); p != nil {
		return p, nil
	}
	return nil, s.answerError(wire.NewErr(wire.CodeUnknownStmt,
		"Unknown prepared statement handler (%d) given to %s", id, s.handlerName()))
}

// handlerName is the function that servers say they have given the statement
// to (measured, MySQL 9.7 and MariaDB 10.11).
func (s *Session) handlerName() string {
	if s.state.Mode.Flavor == lex.FlavorMySQL {
		return "mysql_stmt_precheck"
	}
	return commandNames[s.cmd.code]
}

var commandNames = map[wire.Command]string{
	wire.ComStmtExecute: "mysqld_stmt_execute", wire.ComStmtFetch: "mysqld_stmt_fetch",
	wire.ComStmtReset: "mysqld_stmt_reset", wire.ComStmtBulkExecute: "mysqld_stmt_execute",
}

// leastSizes are the sizes from which on MySQL does not call a command about a
// prepared statement malformed (measured, 9.7). MariaDB 10.11 looks at the size
// of COM_STMT_EXECUTE only and reads on behind the others, which is 0 here.
var leastSizes = map[wire.Command]int{
	wire.ComStmtExecute: 10, wire.ComStmtReset: 5, wire.ComStmtFetch: 9,
	wire.ComStmtSendLongData: 7, wire.ComStmtClose: 5,
}

// tooShort reports whether the command is malformed for its size.
func (s *Session) tooShort() bool {
	return len(s.cmd.payload) < 10 && len(s.cmd.payload) < leastSizes[s.cmd.code] &&
		(s.state.Mode.Flavor == lex.FlavorMySQL || s.cmd.code == wire.ComStmtExecute)
}

// statementID returns the statement id in the command, the real one where
// MariaDB's clients mean the statement they have prepared last: to the server
// that may be one of Telamon's own.
func (s *Session) statementID() uint32 {
	id, ok := wire.StatementID(s.cmd.payload)
	if !ok {
		var padded [5]byte
		copy(padded[:], s.cmd.payload)
		id, _ = wire.StatementID(padded[:])
	}
	if id == session.Direct && s.state.Mode.Flavor == lex.FlavorMariaDB {
		return s.prepared.Latest()
	}
	return id
}

// stmtExecute carries COM_STMT_EXECUTE.
func (s *Session) stmtExecute() error {
	p, err := s.statement()
	if p == nil {
		return err
	}
	if e := p.Failed; e != nil {
		p.Failed = nil
		return s.answerError(e)
	}
	e, ok := s.parseExecute(p.Params)
	switch {
	case !ok && !e.Bound && s.state.Mode.Flavor != lex.FlavorMySQL: // measured, MariaDB 10.11
		return s.answerError(wire.NewErr(wire.CodeWrongArguments, "Incorrect arguments to mysqld_stmt_execute"))
	case !ok:
		return s.answerMalformed()
	}
	p.BindExecute(s.cmd.payload, &e)
	s.facts = p.Facts
	if p.Profile != s.state.Profile {
		s.facts.Flags &^= lex.FlagPlainAssign // a string in it is of another collation
	}
	s.route(true)
	if s.decision.Target == router.Deny {
		return s.deny()
	}
	switch {
	case s.facts.Class == lex.Kill:
		return s.killStatement()
	case s.facts.Flags.Has(lex.FlagConnectionID) && e.Flags == 0:
		if column, ok := s.idQuestion(); ok {
			return s.answerID(column, true)
		}
	}
	if e.Flags != 0 || p.LongData || p.Cursor {
		s.decision.Target = s.state.TransactionOn // where the cursor or the data is kept
		s.decision.Read = false                   // and nowhere else
	}
	s.executing, s.execute = p, e
	defer func() { s.executing = nil }()
	if answered, err := s.answerLast(); answered {
		return err
	}
	return s.carry(wire.ResponseQuery, true)
}

// prepareOn makes sure that c can run the statement being executed and puts
// c's numbers into the command.
func (s *Session) prepareOn(c *pool.Conn) error {
	p, e := s.executing, &s.execute
	st, ok := c.Statements[p.ID]
	if ok = ok && !s.outdated(c, p, &st); !ok {
		if err := s.prepareAgain(c, p); err != nil {
			return err
		}
		st = c.Statements[p.ID]
	}
	s.noteDefinitions(c, p, &st)
	wire.SetStatementID(s.cmd.payload, st.ID)
	untyped := p.Params > 0 && !e.Bound && st.Types != p.Generation && p.Generation > 0
	if untyped || e.Named && !c.Caps.Has(wire.QueryAttributes) {
		if err := s.rebuildExecute(c); err != nil {
			return err
		}
	}
	if s.cmd.code != wire.ComStmtSendLongData {
		st.Types = p.Generation
	}
	c.SetStatement(p.ID, st)
	return nil
}

// prepareAgain prepares a statement on a connection that does not have it. A
// server that has too many (1461) gets some of the session's back first.
func (s *Session) prepareAgain(c *pool.Conn, p *session.Prepared) error {
	c.MakeRoom(s.isOpen)
	err := c.Prepare(p.ID, p.Text, p.Profile)
	var refused *wire.Err
	if errors.As(err, &refused) && refused.Code == wire.CodeMaxPreparedStmtCount && c.CloseStatements(s.isOpen) > 0 {
		err = c.Prepare(p.ID, p.Text, p.Profile)
	}
	return err
}

// isOpen reports whether a statement has something on its server connection that
// preparing it again would not bring back.
func (s *Session) isOpen(number uint32) bool {
	p := s.prepared.Get(number)
	return p != nil && (p.Cursor || p.LongData)
}

// errTypesMissing refuses what would take splitting all the packets anew.
var errTypesMissing = &wire.Err{Code: wire.CodeUnknown, State: stateGeneral, Message: "Telamon: an execution of 16 MiB or more " +
	"relies on parameter types sent earlier, but its server connection is a new one; prepare the statement again"}

// rebuildExecute puts the types into the execute, and takes out what c does not
// understand.
func (s *Session) rebuildExecute(c *pool.Conn) error {
	if s.cmd.full {
		return errTypesMissing
	}
	payload := s.execute.Rebuild(s.cmd.payload, s.executing, c.Caps.Has(wire.QueryAttributes))
	n := len(payload) + s.cmd.left
	if n >= wire.MaxPayload {
		return errTypesMissing
	}
	s.cmd.packet = append([]byte{byte(n), byte(n >> 8), byte(n >> 16), 0}, payload...)
	s.cmd.payload = s.cmd.packet[wire.HeaderSize:]
	// Should it have to be repeated elsewhere, what follows is taken from the new one.
	s.execute, _ = s.parseExecute(s.executing.Params)
	return nil
}

// executeDone notes what the execution has left open.
func (s *Session) executeDone(c *pool.Conn) {
	p := s.executing
	s.definitionsSent(c, p)
	p.Stuck = p.LongData && s.response.ErrCode != 0
	p.LongData = false
	p.Cursor = s.execute.Flags != 0 && s.response.StatusSeen && s.response.Status.Has(wire.CursorExists)
	s.repin()
}

// fetchDone notes that a fetch or reset may have closed the cursor.
func (s *Session) fetchDone() {
	if s.response.StatusSeen && s.response.Status.Has(wire.LastRowSent) || s.response.ErrCode != 0 {
		s.fetching.Cursor = false
	}
	s.repin()
}

// repin keeps the connection for open cursors and long data, and no longer.
func (s *Session) repin() {
	cursor, longData := s.prepared.Holding()
	s.state.Pins &^= router.PinCursor | router.PinLongData
	if cursor {
		s.state.Pins |= router.PinCursor
	}
	if longData {
		s.state.Pins |= router.PinLongData
	}
}

const codeNoOpenCursor = 1421 // ER_STMT_HAS_NO_OPEN_CURSOR

// stmtFetch carries COM_STMT_FETCH, on the connection that has the cursor.
func (s *Session) stmtFetch() error {
	p, err := s.statement()
	if p == nil {
		return err
	}
	if s.pinned == nil || !p.Cursor {
		text := "The statement (%d) has no open cursor"
		if s.state.Mode.Flavor == lex.FlavorMySQL {
			text += "."
		}
		return s.answerError(wire.NewErr(codeNoOpenCursor, text, p.ID))
	}
	return s.onPinned(p, wire.ResponseRows)
}

// stmtReset carries COM_STMT_RESET: it closes the cursor and drops long data,
// both of which only the pinned connection can have.
func (s *Session) stmtReset() error {
	p, err := s.statement()
	if p == nil {
		return err
	}
	if p.Stuck {
		p.Stuck = false
		s.closeOnServers(p.ID)
	}
	had := p.Cursor || p.LongData
	p.Cursor, p.LongData, p.Failed = false, false, nil
	if !had || s.pinned == nil {
		return s.answerOK()
	}
	return s.onPinned(p, wire.ResponseOK)
}

// onPinned sends the command about p on the pinned connection.
func (s *Session) onPinned(p *session.Prepared, kind wire.ResponseKind) error {
	st, ok := s.pinned.Statements[p.ID]
	if !ok {
		return s.answerOK()
	}
	wire.SetStatementID(s.cmd.payload, st.ID)
	s.facts = lex.Facts{}
	s.decision = router.Decision{Target: s.state.TransactionOn}
	s.fetching = p
	err := s.carry(kind, false)
	s.fetching = nil
	return err
}

// stmtClose carries COM_STMT_CLOSE, which has no answer and fails silently.
func (s *Session) stmtClose() error {
	if s.tooShort() {
		return s.answerMalformed()
	}
	id := s.statementID()
	if err := s.swallow(); err != nil || s.prepared.Get(id) == nil {
		return err
	}
	s.prepared.Remove(id)
	s.closeOnServers(id)
	s.repin()
	if s.pinned != nil && s.state.Releasable() {
		c := s.pinned
		s.pinned = nil
		if !(c == s.last && s.lastHeld) {
			s.park(c)
		}
	}
	return nil
}

// closeOnServers closes a statement on all connections of the session.
func (s *Session) closeOnServers(id uint32) {
	for i := 0; i < len(s.leases); {
		wasParked := s.leases[i].parked
		c, ok := s.leases[i].conn, true
		if c != s.pinned { // whose loss is for the next statement to find out
			c, ok = s.own(i)
		}
		if !ok {
			continue // own has removed it
		}
		if err := c.CloseStatement(id); err != nil {
			if c == s.pinned {
				c.Interrupt() // likewise
				i++
				continue
			}
			s.drop(c)
			continue
		}
		n := len(s.leases)
		if wasParked {
			s.park(c)
		}
		if len(s.leases) == n {
			i++
		}
	}
}

// stmtSendLongData carries COM_STMT_SEND_LONG_DATA, which has no answer. The
// data goes where the statement will run, and keeps that connection.
func (s *Session) stmtSendLongData() error {
	if s.tooShort() {
		return s.answerMalformed()
	}
	p := s.prepared.Get(s.statementID())
	if p == nil || p.Failed != nil {
		return s.swallow()
	}
	s.facts = p.Facts
	s.decision = router.Decision{Target: s.state.TransactionOn, Pin: router.PinLongData}
	p.LongData = true
	s.executing, s.execute = p, session.Execute{Bound: true}
	err := s.carry(wire.ResponseNone, false)
	s.executing = nil
	return err
}
