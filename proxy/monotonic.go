package proxy

import (
	"time"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/backend/causal"
	"github.com/telamondb/telamon/backend/pool"
	"github.com/telamondb/telamon/router"
	"github.com/telamondb/telamon/router/lex"
)

// Monotonic reads: what a session has seen it sees again, or something newer,
// whoever has written it. Writes through the proxy are on record; those of
// others are not, and nothing tells what a server had when it answered a read.
// So a session keeps to the replica it has read from, and when it has to leave
// it, the primary is asked for its position, which no replica is ahead of: that
// goes on record as seen, and the next server has to reach it.

// seen is the server whose state a session has seen, if that is not on record.
type seen struct {
	server *backend.Server
	epoch  uint64
	since  uint32      // Proxy.clock when the session came to the server
	wrote  causal.Mark // Session.wrote at the last look
}

// keepFor is how long a session keeps to a replica, in ticks of Proxy.clock.
// Then it takes its turn as ever, so that one that has come back gets readers.
const keepFor = uint32(5 * time.Second / tick)

// silent are statements whose answers tell nothing of the data.
var silent = lex.Classes(lex.Set, lex.Use, lex.Begin, lex.Commit, lex.Rollback, lex.Savepoint, lex.Empty,
	lex.Insert, lex.Replace, lex.Update, lex.Delete, lex.Load, lex.DDL, lex.Account, lex.Lock, lex.Unlock,
	lex.Kill, lex.Prepare, lex.Deallocate)

// noteSeen notes what the session has seen by the statement that c has run.
func (s *Session) noteSeen(c *pool.Conn) {
	switch {
	case !s.proxy.config.Load().Monotonic || s.preparing != nil:
	case s.seen.wrote != s.wrote:
		// All that a writer sees before its commit comes before it in the
		// binary log: the mark of the write covers it.
		s.seen = seen{wrote: s.wrote}
	case s.facts.Classes&^silent == 0:
	case c.Server != s.seen.server || s.proxy.clock.Load()-s.seen.since > keepFor:
		s.seen.server, s.seen.epoch, s.seen.since = c.Server, c.Server.Epoch(), s.proxy.clock.Load()
	}
}

// keptReplica returns the replica that the session has read from last, if it
// serves and meets the constraint, and nobody else says where reads go.
func (s *Session) keptReplica(t *backend.Topology, c backend.Constraint) *backend.State {
	cfg := s.proxy.config.Load()
	if !cfg.Monotonic || s.seen.server == nil || cfg.Sticky.By != StickyNone || s.needsNothing() || c.Address != "" ||
		s.proxy.clock.Load()-s.seen.since > keepFor {
		return nil
	}
	c.Address = s.seen.server.String()
	if st := t.PickReplica(s.tick, c); st != nil && st.Server == s.seen.server && st.Spec.Weight > 0 {
		return st
	}
	return nil
}

// notOlder returns what a server has to have so that a read there shows nothing
// older than the session has seen, at least need. The error is errBehind if that
// cannot be found out.
func (s *Session) notOlder(t *backend.Topology, st *backend.State, need causal.Mark) (causal.Mark, error) {
	cfg := s.proxy.config.Load()
	if s.seen.server == nil || s.seen.server == st.Server && s.seen.epoch == st.Epoch() || st == t.Primary() ||
		!cfg.Monotonic || s.needsNothing() {
		return need, nil
	}
	if t.Primary() == nil {
		if cfg.ServeStale {
			return need, nil
		}
		return need, errBehind
	}
	c, err := s.leaseReported(t.Primary())
	if err != nil {
		return need, errBehind
	}
	position := ""
	asked := c != s.diagnosis.conn && !(c == s.last && s.lastHeld) // a question would wipe that out
	if asked {
		if position, err = c.Position(); err != nil {
			if c == s.pinned {
				return need, &lostError{server: c.Server, err: errStateLost, unsent: true}
			}
			s.drop(c)
			return need, errBehind
		}
	}
	if c != s.pinned && !(c == s.last && s.lastHeld) {
		s.park(c)
	}
	if !asked {
		return need, errBehind
	}
	s.counts.waits.Add(1)
	s.wrote = max(s.wrote, s.proxy.deps.Writes.Saw([]byte(position)))
	s.seen = seen{wrote: s.wrote}
	return max(need, s.wrote), nil
}

// needsNothing reports whether the read asks for no consistency at all.
func (s *Session) needsNothing() bool {
	level := s.decision.Consistency
	if level == router.ConsistencyDefault {
		level = s.consistency
	}
	return level == router.ConsistencyOff
}
