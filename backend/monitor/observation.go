package monitor

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/telamondb/telamon/backend"
)

// Failure classifies what kept a probe from being complete.
type Failure uint8

const (
	// OK is a complete observation.
	OK Failure = iota
	// Refused: nothing accepts the connection, or it is closed before the
	// greeting. Certain at the first sight.
	Refused
	// Timeout: the server did not answer in time; it may be hung, or slow.
	Timeout
	// ShuttingDown: the server said so (1053).
	ShuttingDown
	// Blocked: the server refuses this host after earlier errors (1129).
	Blocked
	// Protocol: the answer is not the MySQL protocol.
	Protocol
	// Broken: anything else that went wrong on the way, such as a connection
	// lost in the middle.
	Broken
	// Auth: the server lives and refuses the monitor's login.
	Auth
	// TooMany: the server lives and has no connection left for the monitor
	// (1040, 1203, 1226).
	TooMany
	// Privilege: logged in, but not allowed to see the replication status.
	Privilege
	// Resolve: the host name could not be looked up and no earlier address is
	// known.
	Resolve
	// Local: this machine could not open a connection (descriptors, ports,
	// memory). It says nothing about the server.
	Local
)

// Observation is what one probe saw.
type Observation struct {
	At      time.Time
	Failure Failure
	Err     error // nil if Failure is OK

	// PrimaryLost is filled in by the Monitor: there is a rw server among the
	// backends, but none that takes writes.
	PrimaryLost bool

	// Identified says that the fields down to GTID were read. It is true on
	// failure Privilege.
	Identified    bool
	Flavor        backend.Flavor
	Version       string
	ServerID      uint32
	UUID          string // MySQL only
	Identity      string // see backend.State.Identity
	ReadOnly      bool
	SuperReadOnly bool // MySQL only
	GTID          string
	Galera        Galera

	// Channels are the replication channels; none means that no replication is
	// set up. Meaningless unless Failure is OK.
	Channels []Channel
}

// Galera is the state of a cluster member; the zero value is no member.
type Galera struct {
	Member bool
	Ready  bool // wsrep_ready
	State  int  // wsrep_local_state: 4 is Synced, 2 Donor
}

// serves reports whether the member may take statements. A donor is a member in
// good order, but may block for its state transfer.
func (g Galera) serves() bool { return g.Member && g.Ready && g.State == 4 }

// Channel is one replication channel ("connection" in MariaDB).
type Channel struct {
	Name   string
	Source backend.Source
	// IO is the receiving thread: Yes, No, Connecting (Preparing on MariaDB)
	// as the server says it. SQL says whether the applying thread runs.
	IO  string
	SQL bool
	// Lag is Seconds_Behind_Source; LagKnown false if that is NULL.
	Lag      time.Duration
	LagKnown bool
	// Received and Executed are positions in the source's binary log.
	Received, Executed LogPos
	// LastError is the thread's last error, the applying thread's first.
	LastError string
	// IOErrno is the error number of the receiving thread, 0 if none.
	IOErrno uint16
}

// running reports whether the receiving thread is connected and running.
func (c *Channel) running() bool { return c.IO == "Yes" }

// connecting reports whether the receiving thread runs but has lost its source.
func (c *Channel) connecting() bool { return c.IO == "Connecting" || c.IO == "Preparing" }

// gaveUp reports whether the receiving thread has stopped because it could not
// connect: a client error (CR_*, from 2000 on). MySQL does so after
// SOURCE_RETRY_COUNT attempts, 10 by default in 9.7 and 86400 in 8.0.
func (c *Channel) gaveUp() bool { return c.IO == "No" && c.IOErrno >= 2000 && c.IOErrno < 3000 }

// cutOff reports whether the channel has no contact to its source although
// nobody stopped it.
func (c *Channel) cutOff() bool { return c.connecting() || c.gaveUp() }

// LogPos is a place in a binary log.
type LogPos struct {
	File string
	Pos  uint64
}

// reached reports whether p is at or behind mark. Positions in files of
// different base names (the source changed) cannot be compared: comparable is
// false then.
func (p LogPos) reached(mark LogPos) (ok, comparable bool) {
	if p.File == mark.File {
		return p.Pos >= mark.Pos, true
	}
	base, n, ok1 := splitLog(p.File)
	markBase, markN, ok2 := splitLog(mark.File)
	if !ok1 || !ok2 || base != markBase {
		return false, false
	}
	return n > markN || n == markN && p.Pos >= mark.Pos, true
}

// splitLog splits "binlog.000012".
func splitLog(file string) (base string, n uint64, ok bool) {
	dot := strings.LastIndexByte(file, '.')
	if dot < 0 {
		return "", 0, false
	}
	n, err := strconv.ParseUint(file[dot+1:], 10, 64)
	return file[:dot], n, err == nil
}

// Prober looks at one server. It is used by one goroutine.
type Prober interface {
	// Probe looks once. It returns soon after cfg.Timeout at the latest, or
	// after ctx has ended, and never fails other than by Observation.Failure.
	Probe(ctx context.Context, cfg Config) Observation
	// Close drops the connection the prober keeps; the next Probe opens one.
	Close()
}
