package backend

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Role says what a server is for.
type Role uint8

const (
	// RoleRW takes the writes: Atlas's "rw", a primary.
	RoleRW Role = iota
	// RoleRO takes reads only: Atlas's "ro", a replica.
	RoleRO
	// RoleAuto follows what the server says about itself (read_only and
	// replication). It occurs in Spec only; State.Role is never RoleAuto.
	RoleAuto
)

// String returns the word used in the configuration and on the console.
func (r Role) String() string {
	switch r {
	case RoleRW:
		return "rw"
	case RoleRO:
		return "ro"
	case RoleAuto:
		return "auto"
	}
	return "role(" + strconv.Itoa(int(r)) + ")"
}

// ParseRole reads a role as the configuration and the console write it,
// including Atlas's and MySQL's words for them.
func ParseRole(s string) (Role, error) {
	switch strings.ToLower(s) {
	case "rw", "master", "primary":
		return RoleRW, nil
	case "ro", "slave", "replica":
		return RoleRO, nil
	case "auto":
		return RoleAuto, nil
	}
	return 0, fmt.Errorf("role %q: want rw, ro or auto", s)
}

// Health says whether a server may be used now. The four words are Atlas's.
type Health uint8

const (
	// Unknown is a server nobody has looked at yet. It is not used. Entered
	// when a server is added and by Store.SetOnline.
	Unknown Health = iota
	// Up serves. Entered by the monitor only.
	Up
	// Down does not serve; State.Cause and State.Reason say why. A replica
	// that lags is Down too. Entered by the monitor only.
	Down
	// Offline was taken out by an operator and stays out until
	// Store.SetOnline, whatever the monitor sees.
	Offline
)

// String returns Atlas's word, lower case.
func (h Health) String() string {
	switch h {
	case Unknown:
		return "unknown"
	case Up:
		return "up"
	case Down:
		return "down"
	case Offline:
		return "offline"
	}
	return "health(" + strconv.Itoa(int(h)) + ")"
}

// Flavor is the family a server belongs to.
type Flavor uint8

const (
	// FlavorUnknown is a server that never answered.
	FlavorUnknown Flavor = iota
	// MySQL includes Percona Server.
	MySQL
	// MariaDB announces itself in its version string.
	MariaDB
)

// String returns the product's name, or "unknown".
func (f Flavor) String() string {
	switch f {
	case MySQL:
		return "MySQL"
	case MariaDB:
		return "MariaDB"
	}
	return "unknown"
}

// Cause is the closed list of reasons for a server's condition; metrics and
// filters use it, people read State.Reason.
type Cause uint8

const (
	// CauseNone is a server in good order.
	CauseNone Cause = iota
	// CauseNew has not been looked at yet.
	CauseNew
	// CauseOperator was taken offline on the console.
	CauseOperator
	// CauseRefused did not accept the connection (refused, reset, unreachable).
	CauseRefused
	// CauseHung accepts connections or data but does not answer in time.
	CauseHung
	// CauseShutdown said that it is shutting down (1053).
	CauseShutdown
	// CauseBlocked refuses this host because of earlier errors (1129).
	CauseBlocked
	// CauseProtocol answered something that is not the MySQL protocol.
	CauseProtocol
	// CauseBlind lives, but the monitor cannot see into it: login refused,
	// privilege missing, too many connections.
	CauseBlind
	// CauseReadOnly is a rw server with read_only=1: no writes are sent.
	CauseReadOnly
	// CauseSecondWritable is writable while another server is the primary.
	CauseSecondWritable
	// CauseNoReplication is a replica with no replication set up.
	CauseNoReplication
	// CauseReplicationStopped has a replication thread that does not run.
	CauseReplicationStopped
	// CauseLag is behind by more than max_lag, or by an unknown time.
	CauseLag
	// CauseCatchingUp is good again but still in its waiting time.
	CauseCatchingUp
	// CauseHeld is good again, but maintenance.enabled is off: SET ONLINE.
	CauseHeld
	// CauseNotSynced is a Galera member that does not take part at present.
	CauseNotSynced
	// CauseUnresolved has a host name that cannot be looked up.
	CauseUnresolved
	numCauses
)

var causeNames = [numCauses]string{
	"ok", "new", "operator", "refused", "hung", "shutdown", "blocked", "protocol", "blind",
	"read_only", "second_writable", "no_replication", "replication_stopped", "lag",
	"catching_up", "held", "not_synced", "unresolved",
}

// String returns the label used in metrics.
func (c Cause) String() string {
	if c < numCauses {
		return causeNames[c]
	}
	return "cause(" + strconv.Itoa(int(c)) + ")"
}

// Limits and defaults of a Spec.
const (
	// MaxWeight is the largest weight; larger ones are cut to it.
	MaxWeight = 1000
	// DefaultMaxLag replaces a MaxLag of zero.
	DefaultMaxLag = time.Second
	// LagUnchecked as MaxLag makes a replica serve whenever it is reachable,
	// replicating or not: for stand-alone test servers and for services that
	// hide their replication (Aurora readers, for one).
	LagUnchecked time.Duration = -1
)

// Spec is what the configuration file or the console says about a server.
type Spec struct {
	// Address is "host:port" or "unix:PATH".
	Address string
	Role    Role
	// Weight is the share of reads, 0 to MaxWeight. 0 on a rw server: reads
	// only when no replica can. 0 on a replica: only when asked for by address.
	Weight int
	// MaxConnections limits connections to the server; 0 is no limit.
	MaxConnections int
	// MaxLag is the lag above which a replica does not serve; 0 means
	// DefaultMaxLag, LagUnchecked means that replication is not looked at.
	MaxLag time.Duration
	// Tags are names for routing rules and hints. The slice is not changed
	// after it was handed to a Store.
	Tags []string
}

// normal returns s with limits and defaults applied.
func (s Spec) normal() Spec {
	s.Weight = min(max(s.Weight, 0), MaxWeight)
	s.MaxConnections = max(s.MaxConnections, 0)
	if s.MaxLag == 0 {
		s.MaxLag = DefaultMaxLag
	} else if s.MaxLag < 0 {
		s.MaxLag = LagUnchecked
	}
	return s
}

// hasTag reports whether tag is one of the server's tags.
func (s *Spec) hasTag(tag string) bool {
	for _, t := range s.Tags {
		if t == tag {
			return true
		}
	}
	return false
}

// ParseAddress splits a configured address into what net.Dial takes.
func ParseAddress(s string) (network, address string, err error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		if path == "" {
			return "", "", fmt.Errorf("address %q: no path after unix:", s)
		}
		return "unix", path, nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil || host == "" {
		return "", "", fmt.Errorf("address %q: want host:port or unix:PATH", s)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", "", fmt.Errorf("address %q: port %q is not between 1 and 65535", s, port)
	}
	return "tcp", s, nil
}

// Server is the identity of a backend: one pointer for as long as the backend
// exists, whatever its role, weight and health do. A backend that is removed
// and added again is a new Server. The exported plain fields never change; the
// rest is safe for concurrent use.
type Server struct {
	// ID is unique for the life of the process and never reused.
	ID uint32
	// Network and Address are the arguments for net.Dial.
	Network, Address string

	epoch    atomic.Uint64
	applied  atomic.Uint64 // see Applied
	behindAt atomic.Int64  // see NoteBehind; UNIX nanoseconds
	identity atomic.Pointer[string]
	certEnd  atomic.Int64 // see NoteCertificate; UNIX seconds, 0 = none seen
	_        [64]byte     // keeps the counters off the cache line every decision reads

	// Stats counts what was done with the server.
	Stats Counters
}

// Counters of one server. They only grow.
type Counters struct {
	// Statements sent to the server, of which Reads were balanced over replicas.
	Statements, Reads atomic.Uint64
	// Errors are statements that ended with the connection lost or an ERR
	// packet; ConnectErrors are connections that could not be opened.
	Errors, ConnectErrors atomic.Uint64
}

// newServer makes a server for an address that ParseAddress accepts.
func newServer(id uint32, address string) (*Server, error) {
	network, dial, err := ParseAddress(address)
	if err != nil {
		return nil, err
	}
	s := &Server{ID: id, Network: network, Address: dial}
	s.epoch.Store(1)
	return s, nil
}

// String returns the address as configured: "host:port" or "unix:PATH".
func (s *Server) String() string {
	if s.Network == "unix" {
		return "unix:" + s.Address
	}
	return s.Address
}

// Epoch numbers the periods in which connections to the server are worth
// keeping. It grows whenever the server was lost, turned out to be another
// server, stopped being the primary, became read-only or was taken offline.
//
// Note the epoch before dialling. A connection whose epoch is no longer the
// server's must not be given a new statement. The one exception is left to the
// session: when State.Health is Offline, an open transaction may finish on it.
func (s *Server) Epoch() uint64 { return s.epoch.Load() }
