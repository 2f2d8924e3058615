package proxy

import (
	"bytes"
	"errors"
	"time"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/backend/pool"
	"github.com/telamondb/telamon/proxy/session"
	"github.com/telamondb/telamon/router"
	"github.com/telamondb/telamon/router/lex"
	"github.com/telamondb/telamon/wire"
)

// errClientGone says that the client could not be written to or read from.
var errClientGone = errors.New("client is gone")

var errReadOnly = errors.New("the server refuses writes")

// maxAttempts bounds how often a read is tried elsewhere.
const maxAttempts = 3

// carry sends the command to the server of the decision and the answer back.
// statement says that s.facts describe it. An error ends the session.
func (s *Session) carry(kind wire.ResponseKind, statement bool) error {
	pins := s.state.Pins
	var facts *lex.Facts
	if statement {
		facts = &s.facts
	}
	var exclude *backend.Server
	for attempt := 1; ; attempt++ {
		c, err := s.lease(exclude)
		if err != nil {
			return s.refuse(err)
		}
		s.counts.statements.Add(1)
		err = s.exchange(c, kind, facts)
		if err == nil {
			if s.response.ErrCode == wire.CodeParse && s.decision.SyntaxErrorIsSafe {
				s.state.Pins = pins // nothing has run
			}
			s.finish(c, facts)
			return nil
		}
		var refused *refusedError
		if errors.As(err, &refused) {
			s.response.Begin(wire.ResponseNone, c.Caps, s.caps, s.state.Status, nil)
			s.settle(c)
			return s.refuse(err)
		}
		if errors.Is(err, errClientGone) {
			c.Dirt = pool.MustClose
			s.drop(c)
			return errEnd
		}
		pinned := s.pinned == c
		s.drop(c)
		var lost *lostError
		if errors.As(err, &lost) {
			c.Server.Stats.Errors.Add(1)
			s.proxy.deps.Report(c.Server, lost.err)
			if !pinned && attempt < maxAttempts && s.mayRepeat(lost) {
				s.counts.retries.Add(1)
				s.state.Pins = pins
				exclude = c.Server
				continue
			}
		}
		if pinned || s.response.MidPacket() {
			_ = s.answerLost(err)
			return errEnd
		}
		s.state.Pins = pins // they were for a connection that is no more
		return s.answerLost(err)
	}
}

// mayRepeat reports whether running the command once more cannot be told from
// running it once: nothing of it has left, or it is a proven read of which the
// client has seen nothing. A statement somebody killed is not repeated.
func (s *Session) mayRepeat(lost *lostError) bool {
	if s.cmd.size == 0 || s.kill.reason.Load() != uint32(endNone) {
		return false // the command has been streamed, its bytes are gone
	}
	return lost.unsent || s.decision.Target == router.Replica && !s.response.Started() && !s.state.InTransaction()
}

// refuse answers a command that no connection was to be had for.
func (s *Session) refuse(err error) error {
	if swallowErr := s.swallow(); swallowErr != nil {
		return errEnd
	}
	if s.cmd.code == wire.ComStmtSendLongData {
		return s.noteFailure(err)
	}
	if writeErr := s.answerError(clientError(err)); writeErr != nil || errors.Is(err, errStateLost) {
		return errEnd
	}
	return nil
}

// answerLost tells the client that the connection was lost, as the rest of the
// answer it has begun to read.
func (s *Session) answerLost(err error) error {
	if s.response.MidPacket() {
		return errEnd
	}
	if err := s.swallow(); err != nil {
		return errEnd
	}
	if s.cmd.code == wire.ComStmtSendLongData {
		return s.noteFailure(err)
	}
	if !s.response.Started() {
		return s.answerError(clientError(err))
	}
	s.client.Seq = s.response.NextSeq()
	s.sendError(clientError(err))
	return nil
}

// noteFailure keeps an error of a command that has no answer for the execution
// that follows.
func (s *Session) noteFailure(err error) error {
	if errors.Is(err, errStateLost) {
		return errEnd
	}
	s.executing.LongData = false
	s.executing.Failed = clientError(err)
	s.repin()
	return nil
}

// exchange sends the command on c and relays the answer.
func (s *Session) exchange(c *pool.Conn, kind wire.ResponseKind, facts *lex.Facts) error {
	s.kill.serial.Store(s.kill.serial.Load() + 1)
	s.kill.current.Store(c)
	defer s.unkillable()
	if s.kill.forced.Load() {
		return &lostError{server: c.Server, err: errEnd, unsent: true}
	}
	if s.decision.Timeout > 0 {
		serial := s.kill.serial.Load()
		timer := time.AfterFunc(s.decision.Timeout, func() { _ = s.killOnServer(serial, false) })
		defer timer.Stop()
	}
	if s.executing != nil {
		if err := s.prepareOn(c); err != nil {
			return notPrepared(c, err)
		}
	}
	s.response.Begin(kind, c.Caps, s.caps, s.state.Status, s)
	if s.preparing != nil {
		s.response.PreparedID = s.preparing.ID
	}
	s.noteBlindWrite(c)
	n, err := c.Wire.Write(s.cmd.packet)
	if err != nil {
		return &lostError{server: c.Server, err: err, unsent: n == 0}
	}
	s.state.Sent(facts, &s.decision)
	if s.cmd.streamed {
		if err := s.stream(c); err != nil {
			return err
		}
	}
	return s.relay(c)
}

// notPrepared words the failure to prepare a statement on another connection:
// the server's own error, or a lost connection on which nothing has run.
func notPrepared(c *pool.Conn, err error) error {
	if isStatementError(err) {
		return &refusedError{err}
	}
	return &lostError{server: c.Server, err: err, unsent: true}
}

// unkillable waits for a kill that has been aimed at the connection, so that
// it does not hit whoever uses the connection next.
func (s *Session) unkillable() {
	s.kill.current.Store(nil)
	if s.kill.pending.Load() {
		s.kill.mu.Lock()
		//lint:ignore SA2001 the critical section is the killer's
		s.kill.mu.Unlock() //nolint:staticcheck // the same, for golangci-lint
	}
}

// smallPiece is up to where parts of an answer are collected to be sent by one
// write; larger ones are sent from where they lie.
const smallPiece = 4 << 10

// relay passes the answer on until it is complete. Consecutive parts that lie
// in the server's buffer as they are to be sent go out in one write.
func (s *Session) relay(c *pool.Conn) error {
	r := &s.response
	for ready := 0; ; {
		if r.Done() {
			return s.forward(c, ready, true)
		}
		op, n := r.Step(c.Wire.Buffered()[ready:])
		if op == wire.OpForward {
			ready += n
			continue
		}
		if err := s.forward(c, ready, op == wire.OpMore); err != nil {
			return err
		}
		ready = 0
		switch op {
		case wire.OpMore:
			if err := c.Wire.Fill(); err != nil {
				return &lostError{server: c.Server, err: err}
			}
		case wire.OpReplace:
			s.client.Queue(r.Packet())
			c.Wire.Discard(n)
		case wire.OpInfile:
			if err := s.infile(c, n); err != nil {
				return err
			}
		case wire.OpFail:
			return &lostError{server: c.Server, err: r.Err()}
		}
	}
}

// forward sends the next n bytes of the answer; flush says that nothing can be
// added to them now.
func (s *Session) forward(c *pool.Conn, n int, flush bool) error {
	p := c.Wire.Buffered()[:n]
	var err error
	switch {
	case n == 0 && flush:
		err = s.client.Flush()
	case n > smallPiece || flush:
		_, err = s.client.Write(p)
	case n > 0:
		s.client.Queue(p)
	}
	if n > 0 {
		c.Wire.Discard(n)
	}
	if err != nil {
		return errClientGone
	}
	return nil
}

// stream sends the rest of a command that is too long to be read first.
func (s *Session) stream(c *pool.Conn) error {
	s.client.Discard(s.cmd.size)
	s.cmd.size, s.cmd.packet, s.cmd.payload = 0, nil, nil
	for {
		for s.cmd.left > 0 {
			p, err := s.moreOfCommand()
			if err != nil {
				return err
			}
			_, err = c.Wire.Write(p)
			s.client.Discard(len(p))
			if err != nil {
				return s.streamBroke(c, err)
			}
		}
		if !s.cmd.full {
			s.cmd.streamed = false
			s.response.StartAt(s.cmd.last + 1)
			return nil
		}
		header, err := s.nextFragment()
		if err != nil {
			return err
		}
		if _, err := c.Wire.Write(header[:]); err != nil {
			return s.streamBroke(c, err)
		}
	}
}

// moreOfCommand returns bytes of the physical packet being read; the caller
// discards them.
func (s *Session) moreOfCommand() ([]byte, error) {
	if len(s.client.Buffered()) == 0 {
		if err := s.client.Fill(); err != nil {
			return nil, errClientGone
		}
	}
	p := s.client.Buffered()
	p = p[:min(len(p), s.cmd.left)]
	s.cmd.left -= len(p)
	return p, nil
}

// nextFragment reads the header of the next physical packet of the command.
func (s *Session) nextFragment() (header [wire.HeaderSize]byte, err error) {
	for len(s.client.Buffered()) < wire.HeaderSize {
		if err := s.client.Fill(); err != nil {
			return header, errClientGone
		}
	}
	copy(header[:], s.client.Buffered())
	s.client.Discard(wire.HeaderSize)
	if header[3] != s.cmd.last+1 {
		return header, errClientGone // out of step: nothing sensible can follow
	}
	s.cmd.last++
	s.cmd.left = wire.PacketLen(header[:])
	s.cmd.full = s.cmd.left == wire.MaxPayload
	return header, nil
}

// swallow reads what is still to come of a streamed command and drops it.
func (s *Session) swallow() error {
	if !s.cmd.streamed {
		return nil
	}
	s.client.Discard(s.cmd.size)
	s.cmd.size, s.cmd.packet, s.cmd.payload = 0, nil, nil
	for {
		for s.cmd.left > 0 {
			p, err := s.moreOfCommand()
			if err != nil {
				return err
			}
			s.client.Discard(len(p))
		}
		if !s.cmd.full {
			s.cmd.streamed = false
			return nil
		}
		if _, err := s.nextFragment(); err != nil {
			return err
		}
	}
}

// lastWords is how long a server that has stopped reading is given to say why.
const lastWords = time.Second

// streamBroke handles a server that closes while a command is being sent. It
// has usually said why, for instance that the packet is too large (1153). The
// client hears it when it has sent all of it.
func (s *Session) streamBroke(c *pool.Conn, writeErr error) error {
	lost := &lostError{server: c.Server, err: writeErr}
	_ = c.Wire.SetDeadline(time.Now().Add(lastWords))
	for len(c.Wire.Buffered()) < wire.HeaderSize {
		if err := c.Wire.Fill(); err != nil {
			return lost
		}
	}
	c.Wire.Seq = c.Wire.Buffered()[3]
	p, err := c.Wire.ReadPacket(64 << 10)
	if err != nil || !wire.IsErr(p) {
		return lost
	}
	e, err := wire.ParseErr(p)
	if err != nil {
		return lost
	}
	return e
}

// infile passes a file from the client to the server, which has asked for it
// by the packet of n bytes at the start of its buffer. A server that asks
// without having been told to is not to be trusted with anything further.
func (s *Session) infile(c *pool.Conn, n int) error {
	fromClient, toServer := s.response.InfileSeq()
	if !s.facts.Flags.Has(lex.FlagLocalInfile) || !s.caps.Has(wire.LocalFiles) {
		s.response.InfileSent(toServer, fromClient-1) // the client has not seen the request
		return &lostError{server: c.Server, err: errors.New("the server asks for a file of the client, which the statement does not offer")}
	}
	if err := s.forward(c, n, true); err != nil {
		return err
	}
	s.client.Discard(s.cmd.size)
	s.cmd.size, s.cmd.packet, s.cmd.payload = 0, nil, nil
	var broken error // of the server: the client sends all of the file nevertheless
	for {
		size, err := s.infilePacket(c, fromClient, toServer, &broken)
		if err != nil {
			return err
		}
		fromClient++
		toServer++
		if size == 0 {
			s.response.InfileSent(toServer, fromClient)
			return broken
		}
	}
}

// infilePacket passes one packet on, unless broken, and returns its payload's
// size.
func (s *Session) infilePacket(c *pool.Conn, fromClient, toServer byte, broken *error) (int, error) {
	for len(s.client.Buffered()) < wire.HeaderSize {
		if err := s.client.Fill(); err != nil {
			return 0, errClientGone
		}
	}
	header := s.client.Buffered()[:wire.HeaderSize]
	if header[3] != fromClient {
		return 0, errClientGone
	}
	header[3] = toServer
	size := wire.PacketLen(header)
	for left := wire.HeaderSize + size; left > 0; {
		if len(s.client.Buffered()) == 0 {
			if err := s.client.Fill(); err != nil {
				return 0, errClientGone
			}
		}
		p := s.client.Buffered()
		p = p[:min(len(p), left)]
		if *broken == nil {
			if _, err := c.Wire.Write(p); err != nil {
				*broken = &lostError{server: c.Server, err: err}
			}
		}
		s.client.Discard(len(p))
		left -= len(p)
	}
	return size, nil
}

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
	pins := s.state.Pins
	switch {
	case s.preparing != nil:
		s.prepareDone(c)
	case s.executing != nil && r.Started():
		s.executeDone()
	case s.fetching != nil:
		s.fetchDone()
	}
	s.state.Finished(facts, &s.decision, &session.Outcome{
		Target: target, Status: r.Status, StatusSeen: r.StatusSeen, ErrCode: r.ErrCode, LastInsertID: r.LastInsertID,
	})
	if *s.schema.Load() != s.state.Profile.Schema {
		s.schema.Store(&s.state.Profile.Schema)
	}
	c.Profile = s.state.Profile
	if r.LastInsertID != 0 || (s.decision.Pin | s.state.Pins&^pins).Has(router.PinLastInsertID) {
		s.hasInsertID(c)
	}
	if !s.traceless() || s.state.Pins&^pins != 0 {
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
	if s.state.Retrack {
		s.state.Retrack = false
		if err := c.Retrack(); err != nil {
			c.Dirt = pool.MustClose
			s.state.Pins |= router.PinOpaque
		}
	}
	s.settle(c)
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
	s.last = c
	s.lastDiagnosed = s.response.Warnings > 0 || s.response.ErrCode != 0 || s.lastDiagnosed && s.keepsDiagnostics()
	s.lastHeld = s.state.Pins.Has(router.PinFoundRows)
	for _, free := range [...]*pool.Conn{c, previous, pinned} {
		if free != nil && free != s.pinned && !(free == c && s.lastHeld) {
			s.park(free)
		}
	}
}
