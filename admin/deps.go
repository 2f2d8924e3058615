package admin

import (
	"context"
	"errors"
	"time"
)

// Deps is everything admin knows of the program around it. A field left nil
// stands for a part that is not there: its lists are empty, its actions
// answer ErrNotSupported. All methods are called from many goroutines at once
// and return values that admin owns.
type Deps struct {
	Backends  Backends
	Pools     Pools
	Routes    Routes
	Sessions  Sessions
	Access    Access
	Config    Config
	Counters  Counters
	Readiness Readiness
}

// Errors that implementations return (wrapped or not) for admin to answer with
// the number and text that clients know.
var (
	// ErrNotSupported is answered with a hint to use the configuration file.
	ErrNotSupported = errors.New("not supported by this version: edit the configuration file and RELOAD CONFIG")
	// ErrUnknownBackend says that the backend has gone since it was listed.
	ErrUnknownBackend = errors.New("unknown backend")
	// ErrUnknownSession says that no session has the id (error 1094).
	ErrUnknownSession = errors.New("unknown session id")
)

// States of a Backend, Atlas's words.
const (
	StateUnknown = "unknown" // not checked yet, or just set online
	StateUp      = "up"
	StateDown    = "down"
	StateOffline = "offline" // by an operator; stays until SET ONLINE
)

// Types of a Backend, Atlas's words.
const (
	TypePrimary = "rw"
	TypeReplica = "ro"
)

// Backend is one server as the console shows it. Its number (backend_ndx) is
// given by admin: its place in Backends.List with the primaries moved to the
// front.
type Backend struct {
	Address string // unique in the list; host:port or unix:PATH
	State   string // StateUp, ...
	Type    string // TypePrimary or TypeReplica: the role it has now
	Weight  int    // share of reads
	Tags    []string

	// Reason says in words why State is not up, or why a server that is up
	// gets no reads (lag, slow start). Empty when all is well.
	Reason string
	Since  time.Time // when State was entered; zero = not known

	Lag      time.Duration // behind the primary; meaningless unless LagKnown
	LagKnown bool

	Flavor  string // "MySQL", "MariaDB"; empty before the first contact
	Version string // the server's own version text

	Connections    int // open now, lent and idle
	MaxConnections int // 0 = no limit
	Statements     uint64
	Errors         uint64 // connections that failed or broke

	CertificateEnd time.Time // of the certificate it shows; zero = none seen
}

// AnyWeight asks Backends.Add for the default weight of the role.
const AnyWeight = -1

// Backends is the list of servers and the ways to change it. Addresses given
// to SetOffline, SetWeight and Remove are ones List returned. Errors are shown
// to the operator as they are.
type Backends interface {
	// List returns a consistent snapshot in configuration order.
	List() []Backend
	// Add makes a server known; typ is TypePrimary or TypeReplica, address is
	// the operator's word and not checked yet. A server that is already
	// known with that type is no error (Atlas).
	Add(typ, address string, weight int) error
	Remove(address string) error
	// SetOffline takes a backend out (true) or lets the health check decide
	// again (false), and returns it as it is afterwards.
	SetOffline(address string, offline bool) (Backend, error)
	SetWeight(address string, weight int) (Backend, error)
}

// Pool is the connection pool of one backend.
type Pool struct {
	Address string
	Active  int // lent to sessions
	Idle    int
	Waiting int // sessions waiting for a connection
	Max     int // 0 = no limit
	Opened  uint64
	Reused  uint64
	Resets  uint64 // connections cleaned before they were lent again
}

// Pools lists the connection pools.
type Pools interface {
	Pools() []Pool
}

// RouteExplanation is what the router would do with a statement. Every string
// is for people; Kind, Target and Reason are from closed sets.
type RouteExplanation struct {
	Kind   string // of statement: read, write, ...
	Target string // primary, replica, ...
	Reason string // the reason's short name, as in RouteCount
	Detail string // the reason in a sentence
	Pins   string // what the statement would tie the session to; empty = nothing
	Server string // the backend that would be chosen now; empty = none
	// Constraints are what hints and rules ask of the server:
	// "tag=report max_lag=200ms"; empty = nothing.
	Constraints string
}

// RouteCount is how many statements went somewhere for one reason.
type RouteCount struct {
	Target     string
	Reason     string
	Statements uint64 // since start
}

// Routes explains and counts routing decisions.
type Routes interface {
	// ExplainRoute decides for a fresh session, without side effects. It
	// does not keep sql.
	ExplainRoute(sql []byte) RouteExplanation
	Routes() []RouteCount
}

// Process is one client session.
type Process struct {
	ID      uint32
	User    string
	Host    string // the client's address
	DB      string
	Command string        // "Query", "Sleep", ...
	Time    time.Duration // in that command
	State   string        // what the session is doing or waiting for
	Info    string        // the statement; may be cut
	Backend string        // address of the server it holds; empty = none
	Pins    string        // why it holds it
}

// Sessions lists the client sessions and ends them.
type Sessions interface {
	Processlist() []Process
	// Kill ends a session, or only the statement it runs. It returns
	// ErrUnknownSession when there is none with the id.
	Kill(id uint32, queryOnly bool) error
}

// Account is a user the proxy lets in.
type Account struct {
	Name     string
	Password string // a stored form or a mask, never the password itself
}

// Access lists who may connect (Atlas: clients and pwds).
type Access interface {
	Clients() []string
	Accounts() []Account
}

// Setting is one configuration key with the value in force. Values of secret
// keys are masked by whoever makes the list.
type Setting struct {
	Key     string // "pool.max_idle"
	Value   string
	Default bool // not set in the file
	Live    bool // a reload changes it; otherwise it needs a restart
}

// Change is one difference between the configuration in force and the file.
type Change struct {
	Key  string
	Old  string // in force; secrets masked
	New  string // in the file
	Live bool
}

// Config is the running configuration and its file.
type Config interface {
	// Reload reads the file and applies it, as SIGHUP does, or with dryRun
	// only says what it would change. When the file is bad nothing changes.
	Reload(ctx context.Context, dryRun bool) ([]Change, error)
	Settings() []Setting
	// Diff compares what is in force (console commands included) with the file.
	Diff() ([]Change, error)
	// Save writes the backends as they are now into the file.
	Save() error
}

// Counts are the process-wide figures behind the metrics.
type Counts struct {
	Clients    int // connected now
	MaxClients int // limit; 0 = none
	Accepted   uint64
	Refused    uint64 // by a limit or an address list
	// Panics are sessions ended by a bug; Retries are reads repeated on
	// another server; UnknownHints are comments that look like a hint.
	Panics, Retries, UnknownHints uint64
	// ConsistencyWaits are reads that asked a replica whether it has caught
	// up; ConsistencyMisses those that went to the primary because it had not.
	ConsistencyWaits, ConsistencyMisses uint64
	LoginFailures                       uint64
	// TLSAccepted and TLSFailures are handshakes with clients.
	TLSAccepted, TLSFailures uint64
	// Certificates are those in use.
	Certificates []Certificate

	LastReload   time.Time // zero = never since start
	LastReloadOK bool
}

// Certificate is one Telamon shows to others.
type Certificate struct {
	Key      string // of the configuration that names it
	NotAfter time.Time
}

// Counters reads the process-wide figures.
type Counters interface {
	Counts() Counts
}

// Readiness adds to /readyz what only the process knows (draining, set
// offline by a signal).
type Readiness interface {
	// Ready returns nil, or an error that says why new clients should go
	// elsewhere.
	Ready() error
}

// absent stands for every part that is not there.
type absent struct{}

func (absent) List() []Backend                          { return nil }
func (absent) Add(string, string, int) error            { return ErrNotSupported }
func (absent) Remove(string) error                      { return ErrNotSupported }
func (absent) SetOffline(string, bool) (Backend, error) { return Backend{}, ErrNotSupported }
func (absent) SetWeight(string, int) (Backend, error)   { return Backend{}, ErrNotSupported }
func (absent) Pools() []Pool                            { return nil }
func (absent) Routes() []RouteCount                     { return nil }
func (absent) ExplainRoute([]byte) RouteExplanation     { return RouteExplanation{} }
func (absent) Processlist() []Process                   { return nil }
func (absent) Kill(uint32, bool) error                  { return ErrUnknownSession }
func (absent) Clients() []string                        { return nil }
func (absent) Accounts() []Account                      { return nil }
func (absent) Settings() []Setting                      { return nil }
func (absent) Diff() ([]Change, error)                  { return nil, ErrNotSupported }
func (absent) Save() error                              { return ErrNotSupported }
func (absent) Counts() Counts                           { return Counts{} }
func (absent) Ready() error                             { return nil }
func (absent) Reload(context.Context, bool) ([]Change, error) {
	return nil, ErrNotSupported
}

// complete returns d with absent in place of every nil.
func (d Deps) complete() Deps {
	if d.Backends == nil {
		d.Backends = absent{}
	}
	if d.Pools == nil {
		d.Pools = absent{}
	}
	if d.Routes == nil {
		d.Routes = absent{}
	}
	if d.Sessions == nil {
		d.Sessions = absent{}
	}
	if d.Access == nil {
		d.Access = absent{}
	}
	if d.Config == nil {
		d.Config = absent{}
	}
	if d.Counters == nil {
		d.Counters = absent{}
	}
	if d.Readiness == nil {
		d.Readiness = absent{}
	}
	return d
}
