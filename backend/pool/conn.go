package pool

import (
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/wire"
)

// Login is what a connection is authenticated as: it cannot change afterwards.
// Connections are only handed to sessions with an equal Login.
type Login struct {
	User string
	// Credential is what the session's client has proved itself with; nil
	// means the Dialer's password of the user.
	Credential *Credential
	// Client is whom the connection was announced for, invalid unless the server
	// is told of clients' addresses; see Dialer.ProxyProtocol. Pool.Acquire
	// takes it from Request.Client.
	Client netip.Addr
	// Flags are the capabilities that change what statements mean or may do,
	// as the client negotiated them: a subset of LoginFlags.
	Flags wire.Capability
}

// LoginFlags are the capabilities whose presence a client would notice, so
// that its server connection has to agree with it (CLIENT_FOUND_ROWS changes
// affected rows, CLIENT_MULTI_STATEMENTS lets a second statement run, ...).
const LoginFlags = wire.FoundRows | wire.NoSchema | wire.ODBC | wire.LocalFiles | wire.IgnoreSpace |
	wire.Interactive | wire.MultiStatements | wire.MultiResults | wire.PSMultiResults | wire.ExpiredPasswords |
	wire.QueryAttributes | wire.MariaDBProgress | wire.MariaDBStmtBulk | wire.MariaDBExtMetadata | wire.MariaDBCacheMetadata |
	wire.MariaDBBulkUnitResults

// Dirt says what the owner has left behind in a connection besides its Profile.
type Dirt uint8

// Degrees of dirt.
const (
	// Clean: nothing; only proven reads ran that leave no trace.
	Clean Dirt = iota
	// NeedsReset: something that COM_RESET_CONNECTION clears.
	NeedsReset
	// MustClose: something it does not clear, or that is not known.
	MustClose
)

// Statement is a prepared statement of a server connection.
type Statement struct {
	ID uint32 // the server's
	// Types is the generation of parameter types bound to it, 0 for none;
	// what generations mean is the owner's.
	Types uint32
	// Metadata is a hash of the column definitions that the server takes the
	// client to have; see wire.Response. Fresh says that Prepare has made the
	// statement and nothing has been executed: Definitions, which go with
	// Metadata, are packets that the client has not been sent. All that only
	// with MariaDBCacheMetadata.
	Metadata    uint64
	Fresh       bool
	Definitions []byte
	used        uint64 // Conn.uses when it was used last
}

// The states of a connection.
const (
	inUse      uint32 = iota // owned by a session, or by the goroutine that acquires it for one
	parked                   // left by its session, which may take it back
	parkedOld                // parked, and seen so by a sweep
	parkedKept               // parked with something its session may ask for next; taken last
	idle                     // in the pool's list
	gone                     // taken away from the session that had parked it; final
)

// claim is what other goroutines may touch of a Conn.
type claim struct {
	state       atomic.Uint32
	interrupted atomic.Bool
	// worn says that the connection is as old as it may get.
	worn atomic.Bool
}

// Conn is an authenticated connection to a server. It is used by one owner at
// a time, the session or the pool; see Park for how it changes hands. The
// plain fields belong to the owner.
//
// A Conn is good for one owner: when the pool takes a parked connection away
// for somebody else, that one gets a Conn of its own, so that the session that
// had parked it can never take it back from under a later owner.
type Conn struct {
	Wire   *wire.Conn
	Server *backend.Server
	Login  Login
	// Caps are the capabilities negotiated with the server.
	Caps wire.Capability
	// ThreadID is the server's id of the connection.
	ThreadID uint32
	// BaseMode is the sql_mode the server starts a connection with.
	BaseMode string
	// PartialReports says that the server reports only some of the variables that
	// change, and otherwise that the state has.
	PartialReports bool
	// Profile is the state established, as of the last Acquire or as the
	// owner has learned since.
	Profile *Profile
	// Status is the last status the server reported.
	Status wire.Status
	// Dirt is what the owner leaves behind.
	Dirt Dirt
	// Statements are the owner's prepared statements that exist on this
	// connection, by the owner's own number; see SetStatement.
	Statements map[uint32]Statement

	// Salvage, if not nil, is read from a parked connection before somebody
	// else gets it. The owner sets it before Park; once Unpark has failed the
	// field still tells which Salvage it was.
	Salvage *Salvage
	// Diagnostics is the same for the warnings of the last statement, read
	// before Salvage is: reading them leaves them in place.
	Diagnostics *Salvage

	*claim
	introduction
	pool        *Pool
	uses        uint64 // of prepared statements, counted
	packetLimit int    // max_allowed_packet; 0 = not known
	epoch       uint64
	owner       uint64 // the session that used it last
	collation   byte   // of the handshake; a reset returns to it
	mariadb     bool
	encrypted   bool
	modeKnown   bool                 // BaseMode has been reported; it may be empty
	probed      int                  // variables of probeSQL that have been reported
	loginVars   []Var                // reported with the login
	reports     func(changes []byte) // of exchange, while Report runs
	opened      time.Time
	idleSince   time.Time // while in the pool's list
}

// Park leaves the connection without giving it up. The owner must not touch
// it afterwards until Unpark has returned true. A connection with a waiter, or
// one that must not be used any more, is not parked but released; Park then
// returns false and the connection is gone.
func (c *Conn) Park() bool {
	return c.parkAs(parked)
}

// ParkKept is Park for a connection of which the session may ask something
// right away, such as its warnings. It is taken for somebody else only when
// there is no other, or when it has lain for a few seconds.
func (c *Conn) ParkKept() bool { return c.parkAs(parkedKept) }

func (c *Conn) parkAs(state uint32) bool {
	c.state.Store(state)
	// Only now is it looked whether somebody wants it: who waits first says so
	// and then looks for parked connections, so that one of the two sees the
	// other. The same goes for a server that changes its epoch.
	if c.pool.waiting.Load() == 0 && c.Valid() && !c.worn.Load() {
		return true
	}
	if ok, _ := c.Unpark(); ok {
		c.salvage()
		c.Release()
	}
	return false
}

// Unpark takes a parked connection back and reports whether it still is there;
// if not, it belongs to somebody else now and the caller must forget it.
// stale says that it has been lying for a while, so that Alive should be asked.
func (c *Conn) Unpark() (ok, stale bool) {
	if c.state.CompareAndSwap(parked, inUse) {
		return true, false
	}
	if c.state.CompareAndSwap(parkedKept, inUse) {
		return true, false
	}
	return c.state.CompareAndSwap(parkedOld, inUse), true
}

// take is the pool's side of Unpark: it returns the connection as a Conn that
// the session which parked it does not know, in use, or nil if the session was
// faster.
func (c *Conn) take(from uint32) *Conn {
	if !c.state.CompareAndSwap(from, gone) {
		return nil
	}
	heir := *c
	heir.claim = &claim{}
	return &heir
}

// Valid reports whether the server is still what it was when the connection
// was opened; see backend.Server.Epoch.
func (c *Conn) Valid() bool { return c.epoch == c.Server.Epoch() }

// Release gives the connection back to the pool. The caller must not touch it
// afterwards. All replies must have been read.
func (c *Conn) Release() { c.pool.put(c) }

// Discard closes the connection.
func (c *Conn) Discard() { c.pool.discard(c) }

// Interrupt makes whatever is blocked on the connection fail, now and from now
// on. It may be called by anyone at any time.
func (c *Conn) Interrupt() {
	c.interrupted.Store(true)
	_ = c.Wire.NetConn().SetDeadline(time.Unix(1, 0))
}

// setDeadline sets a deadline, zero for none, unless the connection has been
// interrupted.
func (c *Conn) setDeadline(t time.Time) {
	_ = c.Wire.SetDeadline(t)
	if c.interrupted.Load() { // before or meanwhile; later is Interrupt's to undo
		c.Interrupt()
	}
}

// Alive reports whether the peer has neither closed the connection nor sent
// anything unasked: servers that close an idle connection may say so in an ERR
// packet first (MySQL 8.0.24 and later, error 4031). It costs one system call
// and does not wait.
func (c *Conn) Alive() bool { return c.Wire.Quiet() }

// replyLimit bounds replies to the pool's own commands.
const replyLimit = 1 << 20

// exchange sends the queued commands and reads one OK for each of n. The first
// ERR is returned after all replies have been read, as *wire.Err.
func (c *Conn) exchange(n int) error {
	if err := c.Wire.Flush(); err != nil {
		return err
	}
	var failed error
	for range n {
		c.Wire.Seq = 1
		p, err := c.Wire.ReadPacket(replyLimit)
		if err != nil {
			return err
		}
		switch {
		case wire.IsErr(p):
			e, err := wire.ParseErr(p)
			if err != nil {
				return err
			}
			failed = errors.Join(failed, e)
		case wire.IsOK(p, c.Caps):
			ok, err := wire.ParseOK(p, c.Caps)
			if err != nil {
				return err
			}
			c.Status = ok.Status
			c.noteReports(ok.SessionChanges)
			if c.reports != nil {
				c.reports(ok.SessionChanges)
			}
		default:
			return fmt.Errorf("unexpected packet %.1x of %d bytes from %s", p, len(p), c.Server)
		}
	}
	c.Wire.Idle()
	return failed
}

// queue puts a command into the send buffer.
func (c *Conn) queue(cmd wire.Command, arg string) {
	c.Wire.StartCommand()
	p := make([]byte, 0, 3+len(arg))
	p = append(p, byte(cmd))
	if cmd == wire.ComQuery && c.Caps.Has(wire.QueryAttributes) {
		p = append(p, wire.NoAttributes...)
	}
	c.Wire.WritePacket(append(p, arg...))
}

// Query runs a statement of Telamon's own that has no result set. A statement
// that fails returns *wire.Err; any other error means the connection is lost.
func (c *Conn) Query(sql string) error {
	return c.bounded(func() error {
		c.queue(wire.ComQuery, sql)
		return c.exchange(1)
	})
}

func asError(p []byte) error {
	e, err := wire.ParseErr(p)
	if err != nil {
		return err
	}
	return e
}
