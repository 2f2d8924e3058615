package backend

import (
	"strconv"
	"time"
)

// State is one server as it was when its Topology was made. It is read-only.
type State struct {
	*Server
	Spec Spec

	Health Health
	// Cause and Reason tell why the server is not fully usable: Cause for
	// machines, Reason for people (what was seen, what happens, what to do).
	// A server that is Up may have a Reason too: a warning.
	Cause  Cause
	Reason string
	// Role is what the server is at present, RoleRW or RoleRO.
	Role Role
	// Since is when Health last changed.
	Since time.Time

	// Lag is the replication lag measured last, of the slowest channel; it
	// means something only if LagKnown.
	Lag      time.Duration
	LagKnown bool

	// What the server said about itself when it last answered; zero values
	// before.
	Flavor     Flavor
	Version    string
	ServerID   uint32
	ServerUUID string // empty on MariaDB, which has none
	// Identity tells servers apart that answer at the same address one after
	// the other: the value of IdentitySQL. Empty if the server has none.
	Identity string
	// GTID is the position applied so far: gtid_executed on MySQL,
	// gtid_current_pos on MariaDB. It is empty for a server that gives its
	// writes no GTIDs at present.
	GTID string
	// ReadOnly is @@read_only; it means something only if ReadOnlyKnown.
	ReadOnly, ReadOnlyKnown bool
	// Replicating says that replication is set up, running or not; CaughtUp
	// that it runs, is within the limits and has applied what it received.
	Replicating, CaughtUp bool
	// Sources are the servers it replicates from.
	Sources []Source
	// SeenAt is when the server last answered the monitor.
	SeenAt time.Time

	// Ramp is the slow start of a replica put back: from Ramp.From on, for
	// Ramp.For, its weight grows in steps. Share is the part of its weight
	// that counts at present, 1 to rampSteps in tenths.
	Ramp  Ramp
	Share int

	seq int // place in the order of configuration
}

// Source names a server that a replica replicates from.
type Source struct {
	Address string // host:port as the replica knows it
	ID      uint32 // server_id; 0 while never connected
	UUID    string // server_uuid; empty on MariaDB
}

// Ramp is a slow start; the zero Ramp is none.
type Ramp struct {
	From time.Time
	For  time.Duration
}

// rampSteps is the number of steps in which a slow start reaches full weight.
const rampSteps = 10

// share returns how many tenths of its weight a server gets at the time now.
func (r Ramp) share(now time.Time) int {
	if r.From.IsZero() || r.For <= 0 {
		return rampSteps
	}
	done := now.Sub(r.From)
	if done >= r.For {
		return rampSteps
	}
	return max(1, 1+int(done*rampSteps/r.For))
}

// Writable reports whether writes may be sent to the server: it is up, a rw
// server, and not known to be read-only.
func (st *State) Writable() bool {
	return st.Health == Up && st.Role == RoleRW && !(st.ReadOnlyKnown && st.ReadOnly)
}

// Topology is an immutable snapshot of all backends. Every method is safe for
// concurrent use, takes no lock and does not allocate.
type Topology struct {
	// Version grows by one with every snapshot of a Store.
	Version uint64
	// States holds the servers, rw before ro and otherwise in the order in
	// which they were configured. Position + 1 is Atlas's backend_ndx.
	States []State

	primary int // index into States, -1 if none
	all     schedule
	byTag   map[string]schedule
}

// Constraint narrows the choice of a replica. The zero Constraint takes any.
type Constraint struct {
	// MaxLag, if positive, is a limit on top of the server's own max_lag. A
	// server whose lag is not known does not meet it.
	MaxLag time.Duration
	// Tag, if not empty, is a tag the server must have.
	Tag string
	// Address, if not empty, is the server's address as configured. It may
	// have weight 0.
	Address string
	// Exclude is a server not to choose, because it was just tried.
	Exclude *Server
}

// Primary returns the server that takes the writes, nil if there is none.
// There is never more than one: with several rw servers up, all writes go to
// the same one (see elect).
func (t *Topology) Primary() *State {
	if t.primary < 0 {
		return nil
	}
	return &t.States[t.primary]
}

// Fallback returns the server for reads that no replica can take: the primary,
// or while there is none a rw server that is up but read-only. Nil if neither.
func (t *Topology) Fallback() *State {
	if p := t.Primary(); p != nil {
		return p
	}
	for i := range t.States {
		if st := &t.States[i]; st.Health == Up && st.Role == RoleRW && st.Cause == CauseReadOnly {
			return st
		}
	}
	return nil
}

// PickReplica chooses the server for a read. Consecutive ticks spread over the
// replicas in proportion to their weights, evenly interleaved; the primary
// takes part if its weight is above 0. It returns nil if no server qualifies:
// the caller then decides between Fallback and an error.
func (t *Topology) PickReplica(tick uint32, c Constraint) *State {
	if c.Address != "" {
		return t.pickAddress(&c)
	}
	s := t.all
	if c.Tag != "" {
		s = t.byTag[c.Tag]
	}
	if len(s) == 0 {
		return nil
	}
	at := int(tick % uint32(len(s)))
	if st := &t.States[s[at]]; st.meets(&c) {
		return st
	}
	return t.pickNext(s, at, &c)
}

// pickNext looks for the next turn after at that meets c. Walking the schedule
// keeps the proportions among the servers that remain.
func (t *Topology) pickNext(s schedule, at int, c *Constraint) *State {
	any := false
	for i := range t.States {
		if st := &t.States[i]; st.meets(c) {
			any = true
			break
		}
	}
	if !any {
		return nil
	}
	for range s {
		if at++; at == len(s) {
			at = 0
		}
		if st := &t.States[s[at]]; st.meets(c) {
			return st
		}
	}
	return nil
}

func (t *Topology) pickAddress(c *Constraint) *State {
	st := t.Find(c.Address)
	if st == nil || !t.serves(st) || !st.meets(c) || (c.Tag != "" && !st.Spec.hasTag(c.Tag)) {
		return nil
	}
	return st
}

// meets checks the parts of c that a schedule does not express.
func (st *State) meets(c *Constraint) bool {
	return st.Server != c.Exclude && (c.MaxLag <= 0 || st.LagKnown && st.Lag <= c.MaxLag)
}

// serves reports whether st may take balanced reads, its weight aside: a
// replica that is up, the primary, or a further rw server that is a replica
// within its lag limit.
func (t *Topology) serves(st *State) bool {
	switch {
	case st.Health != Up:
		return false
	case st.Role == RoleRO || st == t.Primary():
		return true
	}
	return st.CaughtUp && st.LagKnown && (st.Spec.MaxLag < 0 || st.Lag <= st.Spec.MaxLag)
}

// Find returns the server with the configured address, nil if there is none.
func (t *Topology) Find(address string) *State {
	if path, ok := cutUnix(address); ok {
		return t.find("unix", path)
	}
	return t.find("tcp", address)
}

func cutUnix(s string) (string, bool) {
	const p = "unix:"
	if len(s) > len(p) && s[:len(p)] == p {
		return s[len(p):], true
	}
	return s, false
}

func (t *Topology) find(network, address string) *State {
	for i := range t.States {
		if st := &t.States[i]; st.Address == address && st.Network == network {
			return st
		}
	}
	return nil
}

// ByServer returns the state of s, nil if s is no longer a backend.
func (t *Topology) ByServer(s *Server) *State {
	for i := range t.States {
		if t.States[i].Server == s {
			return &t.States[i]
		}
	}
	return nil
}

// Lookup returns the server a console command means: a number is its 1-based
// position, anything else its address. Nil if there is none.
func (t *Topology) Lookup(key string) *State {
	if n, err := strconv.Atoi(key); err == nil {
		if n < 1 || n > len(t.States) {
			return nil
		}
		return &t.States[n-1]
	}
	return t.Find(key)
}
