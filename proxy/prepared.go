package proxy

import (
	"bytes"

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
	text := s.cmd.payload[1:]
	lex.Scan(text, s.state.Mode, &s.facts)
	if s.facts.Classes.Has(lex.Kill) {
		return s.answerError(wire.NewErr(wire.CodeUnsupportedPS, "This command is not supported in the prepared statement protocol yet"))
	}
	s.decide(true)
	if s.decision.Target == router.Deny && s.decision.Reason == router.ReasonLastStatement {
		s.decision.Target = router.Primary // it will be another statement's turn then
	}
	if s.decision.Target == router.Deny {
		return s.deny()
	}
	s.decision.Pin, s.decision.Release = 0, 0 // preparing has no effect of its own
	p := &session.Prepared{ID: s.prepared.NextID(), Text: bytes.Clone(text), Profile: s.state.Profile}
	s.preparing = p
	err := s.carry(wire.ResponsePrepare, false)
	s.preparing = nil
	return err
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
	c.Statements[p.ID] = pool.Statement{ID: s.response.StatementID}
}

// readWhole reads the rest of a long command into memory, for those whose text
// has to be kept.
func (s *Session) readWhole() error {
	if s.cmd.full {
		if err := s.swallow(); err != nil {
			return err
		}
		_ = s.answerError(wire.NewErr(wire.CodePacketTooLarge, "Got a packet bigger than 'max_allowed_packet' bytes"))
		return errEnd
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
	id, ok := wire.StatementID(s.cmd.payload)
	if ok {
		if p := s.prepared.Get(id); p != nil {
			return p, nil
		}
	}
	if err := s.swallow(); err != nil {
		return nil, err
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
	wire.ComStmtReset: "mysqld_stmt_reset",
}

// stmtExecute carries COM_STMT_EXECUTE.
func (s *Session) stmtExecute() error {
	p, err := s.statement()
	if p == nil {
		return err
	}
	if e := p.Failed; e != nil {
		p.Failed = nil
		if err := s.swallow(); err != nil {
			return err
		}
		return s.answerError(e)
	}
	e, ok := session.ParseExecute(s.cmd.payload, p.Params)
	if !ok {
		if err := s.swallow(); err != nil {
			return err
		}
		return s.answerError(wire.NewErr(wire.CodeMalformedPacket, "Malformed communication packet"))
	}
	if e.Bound {
		p.Bind(s.cmd.payload[e.TypesAt+1 : e.TypesAt+1+2*int(p.Params)])
	}
	s.facts = p.Facts
	s.route(true)
	if s.decision.Target == router.Deny {
		return s.deny()
	}
	if e.Flags != 0 || p.LongData || p.Cursor {
		s.decision.Target = s.state.TransactionOn // where the cursor or the data is kept
	}
	s.executing, s.execute = p, e
	err = s.carry(wire.ResponseQuery, true)
	s.executing = nil
	return err
}

// prepareOn makes sure that c can run the statement being executed and puts
// c's numbers into the command.
func (s *Session) prepareOn(c *pool.Conn) error {
	p, e := s.executing, &s.execute
	st, ok := c.Statements[p.ID]
	if !ok {
		if err := c.Prepare(p.ID, p.Text, p.Profile); err != nil {
			return err
		}
		st = c.Statements[p.ID]
	}
	wire.SetStatementID(s.cmd.payload, st.ID)
	if p.Params > 0 && !e.Bound && st.Types != p.Generation && p.Generation > 0 {
		if s.cmd.full {
			return errTypesMissing
		}
		s.insertTypes(p, e)
	}
	if s.cmd.code == wire.ComStmtExecute {
		st.Types = p.Generation
	}
	c.Statements[p.ID] = st
	return nil
}

// errTypesMissing refuses what would take splitting all the packets anew.
var errTypesMissing = &wire.Err{Code: wire.CodeUnknown, State: stateGeneral, Message: "Telamon: an execution of 16 MiB or more " +
	"relies on parameter types sent earlier, but its server connection is a new one; prepare the statement again"}

// insertTypes rebuilds an execute that relies on types this server connection
// has not been told.
func (s *Session) insertTypes(p *session.Prepared, e *session.Execute) {
	old := s.cmd.packet
	at := wire.HeaderSize + e.TypesAt
	b := make([]byte, 0, len(old)+len(p.Types))
	b = append(b, old[:at]...)
	b = append(b, 1)
	b = append(b, p.Types...)
	b = append(b, old[at+1:]...)
	n := len(b) - wire.HeaderSize + s.cmd.left
	b[0], b[1], b[2] = byte(n), byte(n>>8), byte(n>>16)
	s.cmd.packet, s.cmd.payload = b, b[wire.HeaderSize:]
	e.Bound = true
}

// executeDone notes what the execution has left open.
func (s *Session) executeDone() {
	p := s.executing
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
		return s.answerError(wire.NewErr(codeNoOpenCursor, "The statement (%d) has no open cursor.", p.ID))
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
	id, ok := wire.StatementID(s.cmd.payload)
	if !ok || s.prepared.Get(id) == nil {
		return nil
	}
	s.prepared.Remove(id)
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

// stmtSendLongData carries COM_STMT_SEND_LONG_DATA, which has no answer. The
// data goes where the statement will run, and keeps that connection.
func (s *Session) stmtSendLongData() error {
	id, ok := wire.StatementID(s.cmd.payload)
	p := s.prepared.Get(id)
	if !ok || p == nil || p.Failed != nil {
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
