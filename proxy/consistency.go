package proxy

import (
	"errors"
	"regexp"
	"strings"
	"time"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/backend/causal"
	"github.com/telamondb/telamon/backend/pool"
	"github.com/telamondb/telamon/router"
	"github.com/telamondb/telamon/router/lex"
	"github.com/telamondb/telamon/wire"
)

// errBehind says that a replica did not reach a mark in time.
var errBehind = errors.New("replica is behind")

// maxLook is how many turns are looked at for a replica that has not just
// failed to catch up.
const maxLook = 8

// SessionChanges implements wire.SessionObserver. It is called before the
// client sees the packet that the changes came in, so that a write is on
// record before anybody can know of it.
func (s *Session) SessionChanges(block []byte) {
	s.state.SessionChanges(block)
	for c := wire.NewChanges(block); c.Next(); {
		ch := c.Change()
		if ch.Type == wire.ChangeGTIDs || ch.Type == wire.ChangeSystemVariable && string(ch.Name) == "last_gtid" {
			if len(ch.Value) > 0 {
				s.wrote = s.proxy.deps.Writes.Wrote(ch.Value)
			}
		}
	}
}

// noteBlindWrite puts a write on record that will not be reported: its server
// keeps no GTIDs, or is told in the same packet not to report them, or it is
// the transaction that DDL commits even if it fails then, in an ERR packet.
// That is done before it is sent, since nothing tells which answers are writes.
func (s *Session) noteBlindWrite(c *pool.Conn) {
	if s.decision.Target == router.Replica {
		return
	}
	f := &s.facts
	write := f.Classes&mayWrite != 0 || f.Flags.Has(mayWriteFlags)
	commits := f.Classes&implicitCommit != 0 && s.state.Status.Has(wire.InTrans) && !onlyTemporary(f)
	st := s.proxy.deps.Store.Load().ByServer(c.Server)
	if st == nil || st.Version == "" || !write && !commits {
		return
	}
	if st.GTID == "" || commits || f.Flags.Has(lex.FlagSetTrackVars) {
		s.wrote = s.proxy.deps.Writes.WroteBlind()
	}
}

// onlyTemporary reports whether DDL is about temporary tables alone: creating and
// dropping them commits nothing, on both flavours.
func onlyTemporary(f *lex.Facts) bool {
	return f.Flags.Has(lex.FlagTemporary) && f.Statements == 1 && f.NumTempCreated()+f.NumTempDropped() > 0
}

// implicitCommit are statements that end a transaction before they do, or fail
// to do, what they are for.
var implicitCommit = lex.Classes(lex.DDL, lex.Account, lex.Admin, lex.Lock)

// consistencySetting is the whole of a statement that sets the consistency of
// the session. It is for Telamon alone: no server gets to see it.
var consistencySetting = regexp.MustCompile(`(?i)^\s*SET\s+@telamon_consistency\s*:?=\s*['"]?(off|session|global|default)['"]?\s*;?\s*$`)

// setConsistency carries out SET @telamon_consistency = ..., and reports
// whether the statement is that.
func (s *Session) setConsistency() bool {
	m := consistencySetting.FindSubmatch(s.facts.Stmt)
	if m == nil {
		return false
	}
	switch strings.ToLower(string(m[1])) {
	case "off":
		s.consistency = router.ConsistencyOff
	case "session":
		s.consistency = router.ConsistencySession
	case "global":
		s.consistency = router.ConsistencyGlobal
	default:
		s.resetConsistency()
	}
	return true
}

// resetConsistency returns to what the user's configuration says.
func (s *Session) resetConsistency() {
	if u := s.proxy.config.Load().Users[s.state.User]; u != nil {
		s.consistency = u.Consistency
	}
}

// needs returns the mark that the read being routed has to see, 0 for none.
func (s *Session) needs() causal.Mark { return s.needsAt(s.decision.Consistency) }

// needsAt is needs for a read with the level that a statement asks for.
func (s *Session) needsAt(level router.Consistency) causal.Mark {
	if level == router.ConsistencyDefault {
		level = s.consistency
	}
	switch level {
	case router.ConsistencyGlobal:
		return s.proxy.deps.Writes.Mark()
	case router.ConsistencySession:
		return s.wrote
	}
	return 0
}

// pickReplica chooses a replica for a read that has to see need: the next in
// turn, whether it is known to have it or has to be asked, unless it has failed
// to catch up just now; then one that has it, if there is one within reach.
func (s *Session) pickReplica(t *backend.Topology, c backend.Constraint, need causal.Mark) *backend.State {
	if st := s.keptReplica(t, c); st != nil && (has(t, st, need) || !st.Behind()) {
		return st
	}
	tick := s.tick + 1
	if s.preparing == nil {
		s.tick = tick // preparing is no turn: the statement runs where it was prepared
	}
	if sticky := s.proxy.config.Load().Sticky; sticky.By != StickyNone {
		tick, _ = s.stickyTurn(sticky, time.Now())
	}
	first := t.PickReplica(tick, c)
	if first == nil || has(t, first, need) || !first.Behind() {
		return first
	}
	for i := uint32(1); i <= maxLook; i++ {
		if st := t.PickReplica(tick+i, c); st != nil && (has(t, st, need) || !st.Behind()) {
			return st
		}
	}
	return first
}

// has reports whether a server is known to have everything up to a mark. The
// primary has it by definition.
func has(t *backend.Topology, st *backend.State, need causal.Mark) bool {
	return need == 0 || st.Applied() >= uint64(need) || st == t.Primary()
}

// catchUp waits until the server behind c has what the read must see. The
// error is errBehind when it does not in time; then c is in order.
func (s *Session) catchUp(c *pool.Conn, need causal.Mark, role backend.Role) error {
	if need == 0 || c.Server.Applied() >= uint64(need) {
		return nil
	}
	gtids, at, ok := s.proxy.deps.Writes.Wait(nil)
	if !ok || c.Server.Behind() {
		s.counts.behind.Add(1)
		return errBehind
	}
	if len(gtids) == 0 {
		return nil
	}
	s.counts.waits.Add(1)
	epoch := c.Server.Epoch()
	if !c.Valid() { // what this connection says is about the epoch before
		return &lostError{server: c.Server, err: pool.ErrChanged, unsent: true}
	}
	var reached bool
	var err error
	if role == backend.RoleRW {
		// It replicates from nobody: MASTER_GTID_WAIT would not find there what
		// it has written itself (measured, MariaDB 10.11).
		var position string
		if position, err = c.Position(); err == nil {
			at, reached = s.proxy.deps.Writes.Reached([]byte(position))
		}
	} else {
		reached, err = c.WaitApplied(string(gtids), s.proxy.config.Load().ConsistencyWait)
	}
	switch {
	case err == nil && reached:
		c.Server.NoteApplied(epoch, uint64(at))
		return nil
	case err == nil, isStatementError(err):
		c.Server.NoteBehind()
		s.counts.behind.Add(1)
		return errBehind
	}
	return &lostError{server: c.Server, err: err, unsent: true}
}

// lostPatience is how long a read that must see a write waits for somebody who
// is known to have it, while there is no primary: a switchover may be under way.
const lostPatience = time.Second

// lookAgain is how soon replicas that were behind are asked once more then.
const lookAgain = 100 * time.Millisecond

// awaitPrimary waits a little for a primary; false says that the read which has
// been waiting until then should give up. until is the zero time at first.
func (s *Session) awaitPrimary(until *time.Time) bool {
	if until.IsZero() {
		*until = time.Now().Add(lostPatience)
	}
	rest := time.Until(*until)
	if rest <= 0 {
		return false
	}
	s.proxy.awaitTopology(min(rest, lookAgain), hasPrimary)
	return true
}

func hasPrimary(t *backend.Topology) bool { return t.Primary() != nil }

// unseenError says that nobody can be shown to have what a read must see.
type unseenError struct{ about string }

func (e *unseenError) Error() string { return e.about }

// unseen is for a read outside of a transaction.
func (s *Session) unseen() error {
	return &unseenError{"what has been written before this read is not known to be on any server in reach, and the primary is away: " +
		noServer(s.proxy.deps.Store.Load(), "primary").about +
		" (/*consistency=off*/ in front of a read shows what there is, consistency.no_primary = \"replica\" does so for all)"}
}

// mayWrite are the statements that may be acknowledged as writes. The others
// that run on the primary set up the session or its transaction.
var mayWrite = ^lex.Classes(lex.Set, lex.Use, lex.Begin, lex.Rollback, lex.Savepoint, lex.Select, lex.Show,
	lex.Describe, lex.Help, lex.Kill, lex.Lock, lex.Unlock, lex.Empty, lex.Diagnostics)

// mayWriteFlags make a write possible whatever the statement is.
const mayWriteFlags = lex.FlagUnknownFunction | lex.FlagSideEffect | lex.FlagSequence | lex.FlagUncertain |
	lex.FlagUnterminated | lex.FlagExecutableComment

// primaryWatch notices when the primary changes. Its fields belong to Follow.
type primaryWatch struct {
	server *backend.Server
	epoch  uint64
	// looks counts observations of a new primary; the first may have been
	// under way when the old one took its last write.
	looks  int
	seenAt time.Time
}

// Follow restarts the record of writes when the primary changes: what the old
// primary wrote and the new one lacks is lost, and waiting for it would never
// end. Until the new one has been looked at afresh, reads that have to see
// every write go to it. The same ends the time after a write that was not
// reported, such as the first one ever of a server. Follow is a subscriber of
// backend.Store.
func (p *Proxy) Follow(_, next *backend.Topology) {
	st, w := next.Primary(), &p.watch
	if st == nil {
		return
	}
	epoch := st.Epoch()
	switch {
	case w.server == nil:
		w.server, w.epoch = st.Server, epoch
	case w.server != st.Server || w.epoch != epoch:
		p.deps.Writes.WroteBlind()
		*w = primaryWatch{server: st.Server, epoch: epoch, looks: 2, seenAt: st.SeenAt}
	case w.looks > 0 && st.SeenAt.After(w.seenAt):
		w.seenAt = st.SeenAt
		switch w.looks--; {
		case w.looks == 1:
			p.deps.Writes.Collect()
		case st.GTID != "":
			p.deps.Writes.Restart([]byte(st.GTID))
		}
	case w.looks == 0 && st.GTID != "" && p.deps.Writes.Blind():
		w.looks, w.seenAt = 2, st.SeenAt
	}
}
