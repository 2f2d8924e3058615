package proxy

import (
	"errors"
	"time"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/backend/pool"
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
		if errors.Is(err, errTooLarge) {
			s.drop(c)
			return s.tooLarge()
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
	if s.asksAboutLast() {
		return false // another connection would answer about another statement
	}
	return lost.unsent || s.decision.Read && !s.response.Started() && !s.state.InTransaction()
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
	if s.preparing != nil {
		c.MakeRoom(s.isOpen)
	}
	if s.cmd.streamed {
		if err := s.heed(c); err != nil {
			return err
		}
	}
	s.state.PartialReports(c.PartialReports, facts)
	s.response.Begin(kind, c.Caps, s.caps, s.state.Status, s)
	s.response.View = &s.state.Track
	s.response.KeepRow = facts != nil && facts.Flags.Has(lex.FlagUserLock)
	s.response.Call = kind == wire.ResponseQuery && facts != nil && facts.Class == lex.Call && facts.Statements <= 1
	s.response.MySQL = !c.MariaDB()
	if s.executing != nil {
		s.response.Definitions = s.definitions
	}
	if s.preparing != nil {
		s.response.PreparedID = s.preparing.ID
	}
	s.noteBlindWrite(c)
	request, err := s.request(c)
	if err != nil {
		return err
	}
	c.Wire.StartCommand()
	n, err := c.Wire.Write(request)
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
	var e *wire.Err
	if errors.As(err, &e) && e.Code != wire.CodeServerShutdown {
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
		if !r.Started() && s.turnedAway(c) {
			return &lostError{server: c.Server, err: errShutdown}
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
