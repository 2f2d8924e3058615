package proxy

import (
	"bytes"
	"errors"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/backend/pool"
	"github.com/telamondb/telamon/router"
	"github.com/telamondb/telamon/router/lex"
)

// A READ ONLY transaction on a replica sees what the replica has at its first
// read, not at its beginning. So that read has to wait for the replica, as a
// read outside of a transaction does; and if the replica does not get there in
// time, the transaction, which has shown nothing yet, begins anew on the
// primary. Where isolation keeps no snapshot, every read is a first one.

// begun is the READ ONLY transaction open on a replica.
type begun struct {
	text        []byte // the statement that began it, empty for no transaction
	consistency router.Consistency
	// settled: what it sees is decided.
	settled bool
	// bound: it has a savepoint, which exists on its connection only.
	bound bool
}

// noteTransaction keeps account of the transaction on a replica after a
// statement that c has run.
func (s *Session) noteTransaction(c *pool.Conn) {
	b, f := &s.begun, &s.facts
	switch {
	case s.state.TransactionOn != router.Replica || !s.state.InTransaction():
		b.text = b.text[:0]
	case s.preparing != nil || s.decision.Reason != router.ReasonReplicaTransaction && f.Class != lex.Begin:
		// No statement of the transaction.
	case f.Class == lex.Begin:
		*b = begun{text: append(b.text[:0], f.Stmt...), consistency: s.decision.Consistency,
			settled: f.Flags.Has(lex.FlagConsistentSnapshot) && c.KeepsSnapshot()}
	case f.Class == lex.Commit || f.Class == lex.Rollback: // AND CHAIN: the next one is open
		b.settled, b.bound = false, false
	case f.Class == lex.Savepoint:
		b.bound = true
	case readsTables(f) && c.KeepsSnapshot():
		b.settled = true
	}
}

// readsTables reports whether a statement of a transaction on a replica may look
// at data. There is no doubt about what may run there: see router.Route.
func readsTables(f *lex.Facts) bool {
	switch f.Class {
	case lex.Set, lex.Use, lex.Begin, lex.Commit, lex.Rollback, lex.Savepoint, lex.Empty, lex.Diagnostics:
		return false
	case lex.Select: // not SELECT 1, but TABLE t, too
		text := bytes.ToUpper(f.Stmt)
		return bytes.Contains(text, []byte("FROM")) || bytes.Contains(text, []byte("TABLE"))
	}
	return true
}

// leaseReadOnly returns the connection for a statement of a transaction on a
// replica: the replica's, unless the statement reads and the replica lacks what
// it has to see.
func (s *Session) leaseReadOnly() (*pool.Conn, error) {
	c, err := s.leasePinned()
	if err != nil || s.begun.settled || !readsTables(&s.facts) {
		return c, err
	}
	need := s.needsAt(s.begun.consistency)
	err = s.catchUp(c, need, backend.RoleRO)
	if err == nil {
		return c, nil
	}
	t := s.proxy.deps.Store.Load()
	if t.Primary() == nil {
		t = s.proxy.awaitTopology(lostPatience, hasPrimary)
	}
	behind := errors.Is(err, errBehind)
	if !behind {
		s.proxy.deps.Report(c.Server, err)
	}
	switch {
	case t != nil && !s.begun.bound && s.state.Pins == 0:
		return s.beginAgain(t.Primary(), c)
	case behind && s.proxy.config.Load().ServeStale && t == nil:
		return c, nil
	case behind && t != nil:
		return nil, &unseenError{"this READ ONLY transaction runs on a replica that lacks what has been written before its first read, " +
			"and cannot move, because it has a savepoint there, or data sent ahead; begin it anew"}
	case behind:
		return nil, s.unseen()
	}
	return nil, &lostError{server: c.Server, err: errStateLost, unsent: true}
}

// beginAgain begins the transaction that is open on from, and has read nothing,
// on the primary instead.
func (s *Session) beginAgain(primary *backend.State, from *pool.Conn) (*pool.Conn, error) {
	to, err := s.leaseReported(primary)
	if err != nil {
		return nil, err
	}
	if err := to.Query(string(s.begun.text)); err != nil {
		s.drop(to)
		return nil, &connectError{server: primary.Server, err: err}
	}
	s.pinned = to
	if err := from.Query("ROLLBACK"); err != nil {
		s.drop(from)
	} else {
		s.park(from)
	}
	s.begun.text = s.begun.text[:0]
	s.state.TransactionOn = router.Primary
	s.decision.Target, s.decision.Reason = router.Primary, router.ReasonInTransaction
	if s.insertID != nil {
		return to, s.restoreInsertID(to)
	}
	return to, nil
}
