package proxy

import (
	"errors"
	"slices"
	"time"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/backend/causal"
	"github.com/telamondb/telamon/backend/pool"
	"github.com/telamondb/telamon/router"
	"github.com/telamondb/telamon/router/lex"
	"github.com/telamondb/telamon/wire"
)

// lease is a server connection the session has, in use or parked.
type lease struct {
	conn   *pool.Conn
	parked bool
}

// errStateLost ends a session whose pinned connection is gone: the state the
// client relies on went with it.
var errStateLost = errors.New("the connection with the session's state is gone")

// lease returns the connection the decision asks for, in the session's state.
// Server exclude has just failed and is not tried again.
func (s *Session) lease(exclude *backend.Server) (*pool.Conn, error) {
	if s.decision.Target == router.Last && s.lastConn() != s.pinned {
		if c := s.leaseLast(); c != nil {
			return c, nil
		}
	}
	if s.pinned != nil && (s.decision.Target != router.Replica || s.state.InTransaction()) {
		if s.decision.Reason == router.ReasonReplicaTransaction && len(s.begun.text) > 0 {
			return s.leaseReadOnly()
		}
		return s.leasePinned()
	}
	topology := s.proxy.deps.Store.Load()
	if s.decision.Target == router.Replica {
		return s.leaseForRead(topology, exclude)
	}
	c, err := s.leasePrimary(topology, exclude)
	if err == nil && s.insertID != nil {
		err = s.restoreInsertID(c)
	}
	return c, err
}

// leasePrimary returns a connection to the primary. The primary may change
// while a connection to it is being opened; that one is then not used.
func (s *Session) leasePrimary(t *backend.Topology, exclude *backend.Server) (*pool.Conn, error) {
	for {
		st, err := s.choosePrimary(t, exclude)
		if err != nil {
			return nil, err
		}
		c, err := s.leaseReported(st)
		now := s.proxy.deps.Store.Load()
		if now.Version == t.Version || now.Primary() == nil || now.Primary().Server == st.Server {
			return c, err
		}
		if err == nil {
			s.park(c)
		}
		t = now
	}
}

// leaseForRead returns a connection to a server that may serve the read: a
// replica that has what the read must see, or else the primary. A server that
// cannot be had is left out once. While there is no primary, and nobody has it,
// there is a moment's wait, and then an error.
func (s *Session) leaseForRead(t *backend.Topology, exclude *backend.Server) (*pool.Conn, error) {
	need := s.needs()
	var failed error
	var patience time.Time
	for asked := 0; ; {
		st, err := s.chooseForRead(t, exclude, need)
		if failed != nil && (err != nil || st.Server == exclude) {
			return nil, failed
		}
		if err != nil {
			return nil, err
		}
		known := st.Behind()
		var c *pool.Conn
		if need, err = s.notOlder(t, st, need); err == nil {
			c, err = s.leaseReported(st)
		}
		if err == nil && st != t.Primary() {
			err = s.catchUp(c, need, st.Role)
		}
		switch {
		case err == nil:
			return c, nil
		case errors.Is(err, errBehind):
			if t.Primary() != nil {
				s.park(c)
				return s.leaseReported(t.Primary())
			}
			asked++
			nobody := known || asked == maxLook
			if nobody && s.proxy.config.Load().ServeStale {
				return c, nil
			}
			s.park(c)
			if nobody {
				if !s.awaitPrimary(&patience) {
					return nil, s.unseen()
				}
				t, asked = s.proxy.deps.Store.Load(), 0
			}
			continue // it is known to be behind now, so that another one is asked
		case errors.Is(err, errStateLost):
			return nil, err
		case c != nil: // lost while it caught up
			s.drop(c)
			s.proxy.deps.Report(st.Server, err)
		}
		if exclude != nil {
			return s.leaseInstead(t, st, err)
		}
		exclude, failed = st.Server, err
	}
}

// leaseInstead returns a connection to the primary for a read that two servers
// have failed, the last of them st with err. One that has too many connections
// already is no reason to load the primary.
func (s *Session) leaseInstead(t *backend.Topology, st *backend.State, err error) (*pool.Conn, error) {
	var limit *pool.LimitError
	if p := t.Primary(); p != nil && p != st && !errors.As(err, &limit) && s.proxy.config.Load().Rules.NoReplica != router.NoReplicaError {
		return s.leaseReported(p)
	}
	return nil, err
}

// leaseReported is leaseOn that tells the monitor about a server that is in
// trouble. If another server answers in the primary's place, it waits until the
// monitor has looked whether that one is the primary now.
func (s *Session) leaseReported(st *backend.State) (*pool.Conn, error) {
	c, err := s.leaseOn(st)
	if err == nil || isStatementError(err) {
		return c, err
	}
	s.proxy.deps.Report(st.Server, err)
	if errors.Is(err, backend.ErrOtherServer) && st.Role == backend.RoleRW && s.proxy.awaitIdentity(st) {
		if p := s.proxy.deps.Store.Load().Primary(); p != nil && p.Server == st.Server {
			return s.leaseOn(p)
		}
	}
	return c, err
}

// isStatementError reports whether a server refused what the session wants
// rather than service altogether.
func isStatementError(err error) bool {
	var e *wire.Err
	var limit *pool.LimitError
	return errors.As(err, &e) || errors.As(err, &limit)
}

func (s *Session) leasePinned() (*pool.Conn, error) {
	c := s.pinned
	st := s.proxy.deps.Store.Load().ByServer(c.Server)
	switch {
	case st == nil, s.decision.Target == router.Primary && st.Role != backend.RoleRW:
		// Nothing that belongs on the primary may run elsewhere, whatever
		// has made a connection to another server the session's own.
	case c.Valid(), st.Health == backend.Offline && s.state.InTransaction():
		// A server taken offline by an operator finishes what is open.
		return c, nil
	}
	return nil, &lostError{server: c.Server, err: errStateLost, unsent: true}
}

// chooseForRead picks a replica, or who stands in for replicas.
func (s *Session) chooseForRead(t *backend.Topology, exclude *backend.Server, need causal.Mark) (*backend.State, error) {
	constraint := backend.Constraint{
		MaxLag: s.decision.MaxLag, Tag: s.decision.Tag, Address: s.decision.Backend, Exclude: exclude,
	}
	if st := s.diagnosed(t, need); st != nil && constraint == (backend.Constraint{}) {
		return st, nil
	}
	if st := s.pickReplica(t, constraint, need); st != nil {
		return st, nil
	}
	if s.proxy.config.Load().Rules.NoReplica == router.NoReplicaError {
		return s.chooseAgain(t, exclude)
	}
	if st := t.Fallback(); st != nil {
		return st, nil
	}
	return nil, noServer(t, "primary")
}

// diagnosed returns the server of the previous statement if that left warnings
// or an error that this one does not clear, so that a SHOW WARNINGS behind it
// finds both in one connection.
func (s *Session) diagnosed(t *backend.Topology, need causal.Mark) *backend.State {
	last := s.diagnosis.conn
	if last == nil || s.decision.Reason == router.ReasonHintReplica || !s.keepsDiagnostics() {
		return nil
	}
	st := t.ByServer(last.Server)
	if st == nil || st.Health != backend.Up || !has(t, st, need) {
		return nil
	}
	return st
}

// choosePrimary returns the primary. Changing the schema needs a server's
// word, not the primary's.
func (s *Session) choosePrimary(t *backend.Topology, exclude *backend.Server) (*backend.State, error) {
	if st := t.Primary(); st != nil {
		return st, nil
	}
	if s.facts.Class == lex.Use {
		s.tick++
		if st := t.PickReplica(s.tick, backend.Constraint{Exclude: exclude}); st != nil {
			return st, nil
		}
	}
	return nil, noServer(t, "primary")
}

// chooseAgain is for reads that may run on replicas only: the one that has
// failed is better than none, it may have closed an idle connection.
func (s *Session) chooseAgain(t *backend.Topology, exclude *backend.Server) (*backend.State, error) {
	if exclude != nil {
		c := backend.Constraint{MaxLag: s.decision.MaxLag, Tag: s.decision.Tag, Address: s.decision.Backend}
		if st := t.PickReplica(s.tick, c); st != nil {
			return st, nil
		}
	}
	return nil, noServer(t, "replica")
}

// leaseOn returns the session's connection to a server, a new one if need be.
func (s *Session) leaseOn(st *backend.State) (*pool.Conn, error) {
	for i := range s.leases {
		if s.leases[i].conn.Server != st.Server {
			continue
		}
		if s.leases[i].conn == s.pinned {
			return s.leasePinned()
		}
		c, ok := s.own(i)
		if !ok {
			break
		}
		if c.Profile == s.state.Profile {
			return c, nil
		}
		err := c.Adopt(s.state.Profile)
		if err == nil {
			return c, nil
		}
		s.drop(c)
		if isStatementError(err) {
			return nil, err
		}
		break
	}
	req := pool.Request{Owner: s.owner, Login: s.state.Login, Profile: s.state.Profile}
	req.Client, _ = s.clientIP()
	c, err := s.proxy.deps.Pools.For(st).Acquire(s.context(), &req)
	if err != nil {
		return nil, &connectError{server: st.Server, err: err}
	}
	s.leases = append(s.leases, lease{conn: c})
	return c, nil
}

// own makes lease i usable, or removes it if the pool has taken it meanwhile
// or it is no good any more.
func (s *Session) own(i int) (*pool.Conn, bool) {
	l := &s.leases[i]
	c := l.conn
	if l.parked {
		ok, stale := c.Unpark()
		if !ok {
			s.inherit(c, c.Salvage, c.Diagnostics)
			return nil, false
		}
		l.parked = false
		// A read that meets a closed connection is repeated elsewhere; anything
		// else cannot be, once it has been sent.
		if (stale || s.decision.Target != router.Replica) && !c.Alive() {
			s.drop(c)
			return nil, false
		}
	}
	if !c.Valid() {
		s.drop(c)
		return nil, false
	}
	return c, true
}

// park leaves a connection to the session or, if somebody waits for one, to
// the pool.
func (s *Session) park(c *pool.Conn) {
	for i := range s.leases {
		if s.leases[i].conn != c {
			continue
		}
		if s.leases[i].parked {
			return
		}
		s.diagnosis.load(c)
		salvage, diagnostics, park := c.Salvage, c.Diagnostics, c.Park
		if diagnostics != nil {
			park = c.ParkKept
		}
		if s.leases[i].parked = true; !park() {
			s.inherit(c, salvage, diagnostics)
		}
		return
	}
}

// drop closes a connection in use.
func (s *Session) drop(c *pool.Conn) {
	s.inherit(c, c.Salvage, nil)
	c.Discard()
}

// forget removes a connection from the session's books.
func (s *Session) forget(c *pool.Conn) {
	s.leases = slices.DeleteFunc(s.leases, func(l lease) bool { return l.conn == c })
	if s.pinned == c {
		s.pinned = nil
	}
	if s.last == c {
		s.last, s.lastHeld, s.lastLost = nil, false, true
	}
	s.diagnosis.gone(c, nil)
}

// dropLeases gives all connections back; the ones with state that is hard to
// name are closed, which also ends an open transaction and releases locks.
func (s *Session) dropLeases() {
	held := s.pinned
	for _, l := range s.leases {
		if l.parked {
			if ok, _ := l.conn.Unpark(); !ok {
				continue
			}
		}
		if l.conn == held || l.conn.Dirt == pool.MustClose {
			l.conn.Discard()
		} else {
			l.conn.Leave()
		}
	}
	s.leases, s.pinned, s.last, s.lastHeld, s.lastLost = nil, nil, nil, false, false
	s.insertID, s.diagnosis = nil, diagnosis{}
	s.kill.setInTransaction(false)
}

// dropOthers gives all connections back but one.
func (s *Session) dropOthers(keep *pool.Conn) {
	for _, l := range slices.Clone(s.leases) {
		if l.conn == keep {
			continue
		}
		if l.parked {
			if ok, _ := l.conn.Unpark(); !ok {
				s.forget(l.conn)
				continue
			}
		}
		s.forget(l.conn)
		l.conn.Leave()
	}
}

// lastWasPrimary reports whether the previous statement ran on the primary.
func (s *Session) lastWasPrimary() bool {
	return s.last == nil || s.isPrimary(s.last)
}

// isPrimary reports whether a connection is to the primary.
func (s *Session) isPrimary(c *pool.Conn) bool {
	p := s.proxy.deps.Store.Load().Primary()
	return p != nil && p.Server == c.Server
}
