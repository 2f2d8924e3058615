package proxy

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"syscall"
	"time"

	"github.com/telamondb/telamon/router/lex"
	"github.com/telamondb/telamon/wire"
)

// ErrUnknownSession is returned for an id that no session has.
var ErrUnknownSession = errors.New("unknown session id")

// killTimeout bounds the delivery of a KILL QUERY.
const killTimeout = 5 * time.Second

// Kill ends a session, or only the statement it runs. It is for the console:
// no privilege is checked.
func (p *Proxy) Kill(id uint32, queryOnly bool) error {
	s := p.session(id)
	if s == nil {
		return ErrUnknownSession
	}
	return s.killed(queryOnly)
}

// killed stops what the session is doing; it is called by others. A running
// statement is killed on the server: closing its connection alone would let it
// run on. A client whose connection is killed hears nothing more, as from a
// server (measured on both flavours).
func (s *Session) killed(queryOnly bool) error {
	if queryOnly {
		return s.killOnServer(anyStatement, false)
	}
	s.kill.reason.Store(uint32(endKilled))
	s.kill.forced.Store(true) // before current is looked at: see exchange
	s.phase.CompareAndSwap(phaseIdle, phaseEnding)
	_ = s.client.NetConn().SetDeadline(time.Unix(1, 0))
	_ = s.killOnServer(anyStatement, true)
	return nil
}

// anyStatement makes killOnServer kill whatever runs.
const anyStatement = 0

// killOnServer kills the statement of the given number if it still runs. If it
// cannot and is to insist, it breaks the connection, which ends at least the
// transaction.
func (s *Session) killOnServer(serial uint64, insist bool) error {
	k := &s.kill
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pending.Store(true)
	defer k.pending.Store(false)
	c := k.current.Load()
	if c == nil || serial != anyStatement && serial != k.serial.Load() {
		return nil
	}
	// From here on the session does not let go of the connection before the
	// kill has been delivered: see unkillable.
	ctx, cancel := context.WithTimeout(context.Background(), killTimeout)
	defer cancel()
	err := s.proxy.deps.Pools.KillQuery(ctx, c)
	if err != nil && insist {
		c.Interrupt()
	}
	return err
}

// abandoned stops a session whose client has gone in the middle of a
// statement: nobody will read the answer, and what it has locked is to be free.
func (s *Session) abandoned() {
	s.kill.reason.CompareAndSwap(uint32(endNone), uint32(endKilled))
	_ = s.killOnServer(anyStatement, true)
}

// clientGone reports whether the client has closed the connection while a
// statement runs. A client that has sent something more is not seen to be gone.
func (s *Session) clientGone() bool {
	sc, ok := s.client.NetConn().(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return true
	}
	gone := false
	err = raw.Control(func(fd uintptr) {
		var b [8]byte
		n, _, e := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		gone = e == nil && n == 0 || e != nil && e != syscall.EAGAIN && e != syscall.EINTR ||
			e == nil && s.encrypted.Load() && wire.IsTLSAlert(b[:n])
	})
	return gone || err != nil
}

// killStatement carries KILL as text. The id is Telamon's own, the one the
// client was greeted with; it means nothing to the servers.
func (s *Session) killStatement() error {
	id, queryOnly, ok := s.killArgument()
	if !ok {
		return s.answerError(wire.NewErr(wire.CodeNoSuchThread, "Telamon: KILL takes the connection id as a number"))
	}
	return s.killClient(id, queryOnly)
}

// killArgument reads KILL [HARD | SOFT] [CONNECTION | QUERY] id.
func (s *Session) killArgument() (id uint64, queryOnly, ok bool) {
	p := phrase(s.facts.Stmt)
	p.take("kill")
	_ = p.take("hard") || p.take("soft") // MariaDB
	if queryOnly = p.take("query"); !queryOnly {
		p.take("connection")
	}
	if p.take("connection_id") {
		return uint64(s.id), queryOnly, p.take("(") && p.take(")") && p.done()
	}
	id, err := strconv.ParseUint(p.name(), 10, 64)
	return id, queryOnly, err == nil && p.done()
}

// processKill carries COM_PROCESS_KILL. What follows the id is ignored (measured,
// MariaDB 10.11, which reads on behind a command that is too short).
func (s *Session) processKill() error {
	var id [4]byte
	copy(id[:], s.cmd.payload[1:])
	return s.killClient(uint64(binary.LittleEndian.Uint32(id[:])), false)
}

func (s *Session) killClient(id uint64, queryOnly bool) error {
	var victim *Session
	if id <= math.MaxUint32 {
		victim = s.proxy.session(uint32(id))
	}
	switch {
	case victim == nil:
		return s.answerError(wire.NewErr(wire.CodeNoSuchThread, "Unknown thread id: %d", id))
	case victim == s && queryOnly:
		return s.answerError(wire.NewErr(wire.CodeQueryInterrupted, "Query execution was interrupted"))
	case victim == s:
		_ = s.answerError(s.killedItself())
		return errEnd
	}
	if u := victim.user.Load(); u == nil || *u != s.state.User {
		return s.answerError(wire.NewErr(wire.CodeKillDenied, "You are not owner of thread %d", id))
	}
	if err := victim.killed(queryOnly); err != nil {
		return s.answerError(clientError(fmt.Errorf("killing the statement on the server: %w", err)))
	}
	return s.answerOK()
}

// killedItself is the last word to a client that has killed its own connection.
func (s *Session) killedItself() *wire.Err {
	if s.state.Mode.Flavor == lex.FlavorMariaDB {
		return wire.NewErr(wire.CodeConnectionKilled, "Connection was killed")
	}
	return wire.NewErr(wire.CodeQueryInterrupted, "Query execution was interrupted")
}
