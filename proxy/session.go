package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/telamondb/telamon/backend/causal"
	"github.com/telamondb/telamon/backend/pool"
	"github.com/telamondb/telamon/proxy/session"
	"github.com/telamondb/telamon/router"
	"github.com/telamondb/telamon/router/lex"
	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/compress"
)

// Session serves one client. Its goroutine owns everything but the fields
// marked as shared.
type Session struct {
	proxy  *Proxy
	id     uint32
	client *wire.Conn
	caps   wire.Capability // negotiated with the client
	salt   [wire.SaltSize]byte
	// certificate is what the client was shown, nil without TLS; proof is what
	// it is told about it at the end of a login.
	certificate, proof []byte
	// credential is what the client has proved itself with; nil = the
	// configuration's password.
	credential *pool.Credential

	state    session.State
	prepared session.PreparedStore
	owner    uint64
	// consistency is what the session's reads have to see; wrote is the mark
	// of its own last write.
	consistency router.Consistency
	wrote       causal.Mark
	begun       begun
	seen        seen
	// insertID is what LAST_INSERT_ID() returned on a connection the session
	// has no more; see insertid.go.
	insertID *pool.Salvage
	// modeKnown: state.Mode rests on what a server said, not on its default.
	modeKnown bool
	leases    []lease
	// pinned is the connection that has state only it has; nil while
	// state.Releasable.
	pinned *pool.Conn
	// last ran the previous statement; lastHeld says that its row count may
	// be asked for, so that it is not parked yet.
	last     *pool.Conn
	lastHeld bool
	// lastLost says that there is no last because it was lost.
	lastLost  bool
	diagnosis diagnosis
	tick      uint32

	// The statement being carried.
	cmd      command
	facts    lex.Facts
	decision router.Decision
	response wire.Response
	// preparing, executing and fetching are the prepared statement that the
	// command is about, by what it does with it; execute is its head.
	preparing, executing, fetching *session.Prepared
	execute                        session.Execute
	// definitions are what the client needs should the server leave them out.
	definitions []byte

	counts counts

	// Shared: read by other goroutines.
	user      atomic.Pointer[string]
	schema    atomic.Pointer[string]
	idleLimit atomic.Uint32 // ticks, by the client's own wait_timeout; 0 = none
	activeAt  atomic.Uint32 // Proxy.clock when the present command or pause began
	phase     atomic.Uint32
	doing     atomic.Uint32 // the wire.Command being carried
	startedAt time.Time
	announced atomic.Pointer[netip.AddrPort] // the client, if the peer connects for it
	encrypted atomic.Bool                    // the connection speaks TLS
	kill      killSwitch
}

// Phases of a session, for those who want to end it. The session moves between
// idle and busy; endIfIdle moves idle to ending.
const (
	phaseBusy uint32 = iota
	phaseIdle
	phaseEnding
)

// endReason is why somebody ends a session.
type endReason uint32

const (
	endNone endReason = iota
	endShutdown
	endIdleTimeout
	endKilled
)

// killSwitch lets another goroutine stop the running statement without ever
// hitting the next user of the connection: the connection is not given on
// while a kill is under way.
type killSwitch struct {
	mu      sync.Mutex
	current atomic.Pointer[pool.Conn]
	serial  atomic.Uint64 // of the statement on current
	pending atomic.Bool
	reason  atomic.Uint32
	inTrx   atomic.Bool
	// forced: nothing more is to be sent to servers.
	forced atomic.Bool
}

func (k *killSwitch) setInTransaction(v bool) {
	if k.inTrx.Load() != v {
		k.inTrx.Store(v)
	}
}

func (k *killSwitch) inTransaction() bool { return k.inTrx.Load() }

func newSession(p *Proxy, nc net.Conn, kind router.Listener) *Session {
	s := &Session{proxy: p, client: wire.NewConn(nc), startedAt: time.Now(), tick: firstTick()}
	s.state.Listener = kind
	s.activeAt.Store(p.clock.Load())
	return s
}

// run serves the client until it leaves or is made to. count is the number of
// sessions including this one.
func (s *Session) run(count int) {
	defer s.close()
	defer s.recover()
	if err := s.login(count); err != nil {
		return
	}
	defer func() { s.proxy.dismissUser(s.state.User) }() // the user may change
	for {
		if err := s.next(); err != nil {
			return
		}
	}
}

// recover keeps a bug in one session from ending the others.
func (s *Session) recover() {
	if r := recover(); r != nil {
		s.proxy.totals.panics.Add(1)
		s.proxy.deps.Log.Error("session ended by a bug in telamon", zap.Uint32("session", s.id),
			zap.String("panic", fmt.Sprint(r)), zap.ByteString("stack", debug.Stack()))
		for i := range s.leases {
			if !s.leases[i].parked {
				s.leases[i].conn.Dirt = pool.MustClose
			}
		}
	}
}

// next waits for a command and carries it out.
func (s *Session) next() error {
	s.activeAt.Store(s.proxy.clock.Load())
	if !s.phase.CompareAndSwap(phaseBusy, phaseIdle) {
		return errEnd
	}
	if s.leaving() {
		s.sayGoodbye()
		return errEnd
	}
	err := s.readCommand()
	if !s.phase.CompareAndSwap(phaseIdle, phaseBusy) {
		s.sayGoodbye()
		return errEnd
	}
	if err != nil {
		return s.readFailed(err)
	}
	s.activeAt.Store(s.proxy.clock.Load())
	s.doing.Store(uint32(s.cmd.code))
	err = s.dispatch()
	s.client.Discard(s.cmd.size)
	s.cmd = command{}
	s.doing.Store(uint32(wire.ComSleep))
	return err
}

// leaving reports whether the session should end now that no statement runs:
// because of a drain, once no transaction is open.
func (s *Session) leaving() bool {
	return endReason(s.kill.reason.Load()) == endShutdown && !s.state.InTransaction() || endReason(s.kill.reason.Load()) == endKilled
}

// readFailed ends the session after the client could not be read.
func (s *Session) readFailed(err error) error {
	switch {
	case errors.Is(err, wire.ErrSequence):
		s.client.Seq = 0 // measured, MySQL 9.7 and MariaDB 10.11
		s.sendError(&wire.Err{Code: wire.CodeNetPacketsOutOfOrder, State: stateCommunication, Message: "Got packets out of order"})
	case errors.Is(err, compress.ErrFrame):
		s.sendError(&wire.Err{Code: wire.CodeNetUncompress, State: stateCommunication, Message: "Couldn't uncompress communication packet"})
	case errors.Is(err, wire.ErrPacketTooLarge):
		s.sendError(&wire.Err{Code: wire.CodePacketTooLarge, State: stateCommunication, Message: "Got a packet bigger than 'max_allowed_packet' bytes"})
	}
	return errEnd
}

// sayGoodbye tells an idle client why it is disconnected, where it may be
// listening: clients read it as the answer to their next command.
func (s *Session) sayGoodbye() {
	_ = s.client.SetDeadline(time.Now().Add(time.Second))
	s.client.StartCommand()
	switch endReason(s.kill.reason.Load()) {
	case endShutdown:
		s.sendError(wire.NewErr(wire.CodeServerShutdown, "Server shutdown in progress"))
	case endIdleTimeout:
		if s.state.Mode.Flavor == lex.FlavorMariaDB {
			// It resets the connection without a word (measured, 10.11), which
			// tells libraries that a next statement was not executed: 2006, not 2013.
			if nc, ok := s.client.NetConn().(interface{ SetLinger(sec int) error }); ok {
				_ = nc.SetLinger(0)
			}
			return
		}
		s.sendError(&wire.Err{Code: wire.CodeClientInteraction, State: stateGeneral, Message: "The client was disconnected by the server because of inactivity. See wait_timeout and interactive_timeout for configuring this behavior."})
	}
}

// endIfIdle ends the session if no statement runs and none of a transaction is
// awaited. Otherwise it will end itself as soon as that is so (endShutdown).
func (s *Session) endIfIdle(reason endReason) {
	s.kill.reason.CompareAndSwap(uint32(endNone), uint32(reason))
	if reason == endShutdown && s.kill.inTransaction() {
		return
	}
	if s.phase.CompareAndSwap(phaseIdle, phaseEnding) {
		_ = s.client.NetConn().SetReadDeadline(time.Unix(1, 0))
	} else if reason == endIdleTimeout {
		s.kill.reason.CompareAndSwap(uint32(reason), uint32(endNone))
	}
}

// end ends the session whatever it is doing.
func (s *Session) end(reason endReason) {
	s.kill.reason.Store(uint32(reason))
	s.kill.forced.Store(true) // before current is looked at: see exchange
	_ = s.client.NetConn().SetDeadline(time.Unix(1, 0))
	if c := s.kill.current.Load(); c != nil {
		c.Interrupt()
	}
}

// close gives everything back.
func (s *Session) close() {
	s.dropLeases()
	s.goBy(nil)
	_ = s.client.Close()
	s.proxy.remove(s)
}

// sendError sends an ERR with the next sequence id and does not care whether
// it arrives.
func (s *Session) sendError(e *wire.Err) {
	s.client.WritePacket(e.Append(nil))
	_ = s.client.Flush()
}

// answerError answers the command being carried by an ERR.
func (s *Session) answerError(e *wire.Err) error {
	if err := s.swallow(); err != nil {
		return err
	}
	s.client.Seq = s.cmd.last + 1
	s.client.WritePacket(e.Append(nil))
	return s.client.Flush()
}

// answerOK answers the command being carried by an OK.
func (s *Session) answerOK() error {
	if err := s.swallow(); err != nil {
		return err
	}
	ok := wire.OK{Status: s.state.Status}
	s.client.Seq = s.cmd.last + 1
	s.client.WritePacket(ok.Append(nil, 0x00, s.caps))
	return s.client.Flush()
}

// answerEOF answers the command being carried by an EOF, or the OK that stands
// for it.
func (s *Session) answerEOF() error {
	if err := s.swallow(); err != nil {
		return err
	}
	s.client.Seq = s.cmd.last + 1
	if s.caps.Has(wire.DeprecateEOF) {
		ok := wire.OK{Status: s.state.Status}
		s.client.WritePacket(ok.Append(nil, 0xfe, s.caps))
	} else {
		eof := wire.EOF{Status: s.state.Status}
		s.client.WritePacket(eof.Append(nil))
	}
	return s.client.Flush()
}

// context returns the context of waiting for a connection. What ends the
// session interrupts the sockets; waiting has its own limits.
func (s *Session) context() context.Context { return context.Background() }
