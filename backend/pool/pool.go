package pool

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/wire"
)

// Limits of pools; they may be replaced at run time.
type Limits struct {
	MinIdle     int           // idle connections opened ahead per server and login
	MaxIdle     int           // idle connections kept per server
	IdleTimeout time.Duration // after which an idle one is closed; 0 = never
	MaxLifetime time.Duration // after which one is closed when it is free; 0 = never
	WaitTimeout time.Duration // how long Acquire waits at MaxConnections
	// MaxStatements is how many prepared statements a connection may have; 0 =
	// no limit.
	MaxStatements int
}

// Request says what connection is wanted.
type Request struct {
	// Owner identifies the session, and its state: a session that starts
	// afresh (COM_CHANGE_USER) takes a new number. Never 0.
	Owner   uint64
	Login   Login
	Profile *Profile
	// Client is the client's address, invalid if it has none (UNIX sockets).
	Client netip.Addr
}

// ErrClosed is returned for a server that is no longer a backend.
var ErrClosed = errors.New("no longer a backend")

// ErrChanged is returned when the server's epoch ended while a connection to it
// was being opened: the server has been lost or is not what it was chosen for.
var ErrChanged = errors.New("was lost or changed its role while a connection to it was being opened")

// LimitError is returned when no connection came free in time.
type LimitError struct {
	Server *backend.Server
	// Max is the limit, 0 if there is none: then so many were Opening already.
	Max, Opening int
	Waited       time.Duration
}

// Error names the limit.
func (e *LimitError) Error() string {
	if e.Max == 0 {
		return fmt.Sprintf("no free connection to %s within %v: %d more are being opened (wait_timeout of [pool])",
			e.Server, e.Waited, e.Opening)
	}
	return fmt.Sprintf("no free connection to %s within %v: all %d are in use (max_connections of the backend, wait_timeout of [pool])",
		e.Server, e.Waited, e.Max)
}

// Pool holds the connections to one server. It is safe for concurrent use.
type Pool struct {
	server  *backend.Server
	dialer  *atomic.Pointer[Dialer]
	limits  *atomic.Pointer[Limits]
	waiting atomic.Int32 // waiters, and who is about to become one; read by Conn.Park
	mode    atomic.Pointer[string]
	// loginVars are what the server reports with a login, nil for nothing.
	loginVars atomic.Pointer[[]Var]

	mu      sync.Mutex
	all     map[*Conn]struct{}
	idle    []*Conn // state idle; the most recently used last
	dialing int
	max     int // 0 = no limit
	waiters []*waiter
	closed  bool
	stats   Stats

	refusals     map[account]refusal
	ceiling      int // what the server has room for, as it said just now; 0 = not known
	ceilingUntil time.Time

	logins    *logins
	warms     bool
	warming   atomic.Bool   // by a goroutine of Pools.Run
	cold      time.Duration // since the last failure of warm, 0 for none
	coldUntil time.Time
}

// Stats describe a pool. Counters only grow.
type Stats struct {
	Address                          string
	Open, Idle, Parked, Max, Waiting int
	Opened, Closed, Waited, TimedOut uint64
	Reused, Reset, Reclaimed         uint64
	ConnectFailures                  uint64
}

func newPool(st *backend.State, ps *Pools) *Pool {
	return &Pool{server: st.Server, max: st.Spec.MaxConnections, warms: warms(st),
		dialer: &ps.dialer, limits: &ps.limits, logins: &ps.logins, all: map[*Conn]struct{}{}}
}

// Mode returns the sql_mode that the server starts connections with, those of
// CLIENT_IGNORE_SPACE apart, and false if none has been opened yet.
func (p *Pool) Mode() (string, bool) {
	if m := p.mode.Load(); m != nil {
		return *m, true
	}
	return "", false
}

// Acquire returns a connection in the state req describes, waiting for one if
// the server's limit is reached. The error is *LimitError when that took too
// long, contains *wire.Err when the server refused, and is ErrClosed,
// ErrChanged, ctx's or the network's otherwise.
func (p *Pool) Acquire(ctx context.Context, req *Request) (*Conn, error) {
	req.Login.Client = p.dialer.Load().clientFor(p.server, req.Client)
	var full error
	for {
		c, err := p.obtain(ctx, req)
		var limit *LimitError
		switch {
		case full != nil && errors.As(err, &limit):
			return nil, full // the server's limit it was, not ours
		case err != nil:
			return nil, err
		case c == nil:
			c, err = p.open(ctx, req)
			if isFull(err) && p.canWait() {
				full = err
				continue
			}
			return c, err
		}
		if !c.Alive() {
			p.discard(c)
			continue
		}
		reset, err := c.establishIn(ctx, req, p.dialer.Load().Timeout)
		switch {
		case err != nil && ctx.Err() != nil:
			p.discard(c)
			return nil, context.Cause(ctx)
		case err == nil && c.Valid():
			p.countReuse(reset)
			return c, nil
		case errors.Is(err, ErrUnclean):
			p.retire(c)
			return p.open(ctx, req)
		case isServerError(err), isTimeout(err):
			p.discard(c)
			return nil, err
		default:
			p.discard(c) // it died meanwhile; nothing of the session was sent
		}
	}
}

func (p *Pool) countReuse(reset bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.Reused++
	if reset {
		p.stats.Reset++
	}
}

// isTimeout reports whether a server has not answered, or the connection was
// interrupted: other connections to it would do no better.
func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

func isServerError(err error) bool {
	var e *wire.Err
	return errors.As(err, &e)
}

// canWait reports whether a connection can come free.
func (p *Pool) canWait() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.all) > 0
}

// open dials; the caller has been counted in p.dialing.
func (p *Pool) open(ctx context.Context, req *Request) (*Conn, error) {
	p.mu.Lock()
	if err := p.refusedBefore(req.Login.account()); err != nil {
		p.dialing--
		p.serveWaiters()
		p.mu.Unlock()
		return nil, err
	}
	p.mu.Unlock()
	c, err := p.dialer.Load().dial(ctx, p.server, req.Login, req.Profile)
	if err == nil {
		_, err = c.establishIn(ctx, req, p.dialer.Load().Timeout)
		if err != nil {
			_ = c.Wire.Close()
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.opened(c, req.Login, err); err != nil {
		return nil, err
	}
	p.logins.opened(req.Login, req.Profile)
	return c, nil
}

// unusable says why a connection just opened is of no use.
func (p *Pool) unusable() error {
	if p.closed {
		return fmt.Errorf("%s is %w", p.server, ErrClosed)
	}
	return fmt.Errorf("%s %w", p.server, ErrChanged)
}

// obtain returns a connection that may be re-used for req (state inUse), or nil
// when the caller is to open one, which then is counted already.
func (p *Pool) obtain(ctx context.Context, req *Request) (*Conn, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, p.unusable()
	}
	if c := p.takeIdle(req); c != nil {
		p.mu.Unlock()
		return c, nil
	}
	if p.room() {
		p.dialing++
		p.mu.Unlock()
		return nil, nil
	}
	p.waiting.Store(int32(len(p.waiters) + 1)) // before looking: see Conn.Park
	if c := p.reclaim(&req.Login, p.full()); c != nil {
		p.waiting.Store(int32(len(p.waiters)))
		p.mu.Unlock()
		c.salvage()
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.suit(c, req), nil
	}
	w := &waiter{turn: make(chan *Conn, 1)}
	p.waiters = append(p.waiters, w)
	p.stats.Waited++
	p.mu.Unlock()
	return p.wait(ctx, req, w)
}

// suit returns c if it may be re-used for req; otherwise it closes c and keeps
// its place for a new connection.
func (p *Pool) suit(c *Conn, req *Request) *Conn {
	if c.Login == req.Login && c.Valid() {
		return c
	}
	p.remove(c)
	p.dialing++
	return nil
}

// takeIdle removes the idle connection that is cheapest to use: one that this
// session used last, one in the same state, any of the login.
func (p *Pool) takeIdle(req *Request) *Conn {
	best, bestCost := -1, 4
	for i := len(p.idle) - 1; i >= 0; i-- {
		c := p.idle[i]
		if c.Login != req.Login || !c.Valid() {
			continue
		}
		if c.Profile.Schema != "" && req.Profile.Schema == "" {
			continue // would have to be closed; only the limit is worth that
		}
		cost := 3
		switch {
		case c.owner == req.Owner:
			cost = 0
		case c.Dirt == Clean && len(c.Statements) == 0 && c.Profile.Equal(req.Profile):
			cost = 1
		case c.Profile.Schema == req.Profile.Schema:
			cost = 2
		}
		if cost < bestCost {
			best, bestCost = i, cost
		}
		if cost == 0 {
			break
		}
	}
	if best < 0 {
		return nil
	}
	c := p.idle[best]
	p.idle = slices.Delete(p.idle, best, best+1)
	c.state.Store(inUse)
	if bestCost == 1 {
		c.Profile = req.Profile // equal: save the comparison next time
	}
	return c
}

// reclaim takes a connection that nobody is using at this moment: idle ones of
// another login, then parked ones, those of the given login and those that have
// lain for long first. Those of other logins are taken for their place only:
// with anyLogin.
func (p *Pool) reclaim(login *Login, anyLogin bool) *Conn {
	if n := len(p.idle); n > 0 && anyLogin {
		c := p.idle[0]
		p.idle = slices.Delete(p.idle, 0, 1)
		c.state.Store(inUse)
		return c
	}
	for _, from := range [...]uint32{parkedOld, parked, parkedKept} {
		for _, sameLogin := range [...]bool{true, false} {
			if !sameLogin && !anyLogin {
				continue
			}
			for c := range p.all {
				if c.state.Load() != from || (c.Login == *login) != sameLogin {
					continue
				}
				if heir := p.take(c, from); heir != nil {
					p.stats.Reclaimed++
					return heir
				}
			}
		}
	}
	return nil
}

// take takes a parked connection away from its session, unless that is faster.
func (p *Pool) take(c *Conn, from uint32) *Conn {
	heir := c.take(from)
	if heir != nil {
		delete(p.all, c)
		p.all[heir] = struct{}{}
	}
	return heir
}

// put is Conn.Release.
func (p *Pool) put(c *Conn) {
	limits := p.limits.Load()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed, c.Dirt == MustClose, c.interrupted.Load(), !c.Valid(), p.expired(c, limits),
		len(c.Wire.Buffered()) > 0, p.surplus() > 0:
		p.remove(c)
		p.serveWaiters()
	case len(p.waiters) > 0:
		c.abandon()
		p.hand(c)
	case len(p.idle) >= limits.MaxIdle:
		p.remove(c)
	default:
		c.abandon()
		c.state.Store(idle)
		c.idleSince = time.Now()
		p.idle = append(p.idle, c)
	}
}

// expired reports whether c is not to be used any more once it is free.
func (p *Pool) expired(c *Conn, limits *Limits) bool {
	return limits.MaxLifetime > 0 && time.Since(c.opened) > limits.MaxLifetime || !p.dialer.Load().accepts(c)
}

// discard is Conn.Discard.
func (p *Pool) discard(c *Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.remove(c)
	p.serveWaiters()
}

// retire closes c and keeps its place for a new connection.
func (p *Pool) retire(c *Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.remove(c)
	p.dialing++
}

// remove closes a connection that nobody uses.
func (p *Pool) remove(c *Conn) {
	if _, ok := p.all[c]; !ok {
		return
	}
	delete(p.all, c)
	p.stats.Closed++
	c.abandon()
	_ = c.Wire.Close()
}

// setMax changes the limit. Of the connections above it, those that nobody uses
// are closed at once and the others as they are given back.
func (p *Pool) setMax(max int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.max = max
	for p.surplus() > 0 {
		c := p.reclaim(&Login{}, true)
		if c == nil {
			break
		}
		p.remove(c)
	}
	p.serveWaiters()
}

// dropInvalid closes what must not be used any more. With interrupt, sessions
// in the middle of something on such a connection fail at once.
func (p *Pool) dropInvalid(interrupt bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(func(c *Conn) bool { return !c.Valid() }, interrupt)
}

func (p *Pool) drop(which func(*Conn) bool, interrupt bool) {
	for c := range p.all {
		if !which(c) {
			continue
		}
		s := c.state.Load()
		if isParked(s) {
			if heir := p.take(c, s); heir != nil {
				p.remove(heir)
				continue
			}
		}
		switch {
		case s == idle:
			p.remove(c)
		case interrupt:
			c.Interrupt()
		}
	}
	p.idle = slices.DeleteFunc(p.idle, func(c *Conn) bool {
		_, open := p.all[c]
		return !open
	})
	p.serveWaiters()
}

// close ends the pool. Connections in use are interrupted if asked for, and
// closed when they are given back otherwise.
func (p *Pool) close(interrupt bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.drop(func(*Conn) bool { return true }, interrupt)
	for len(p.waiters) > 0 {
		p.dialing++
		p.hand(nil)
	}
}

func isParked(state uint32) bool {
	return state == parked || state == parkedOld || state == parkedKept
}

// ageParked makes connections idle that have been parked for a whole interval,
// and returns those of them that have something to be salvaged first.
func (p *Pool) ageParked() (loaded []*Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.all {
		heir := p.take(c, parkedOld)
		switch {
		case heir == nil:
			if !c.state.CompareAndSwap(parked, parkedOld) {
				c.state.CompareAndSwap(parkedKept, parked)
			}
		case heir.laden():
			loaded = append(loaded, heir)
		default:
			heir.state.Store(idle)
			heir.idleSince = time.Now()
			p.idle = append(p.idle, heir)
		}
	}
	return loaded
}

// sweep is run every sweepInterval: connections parked for a whole interval
// become idle ones, and idle ones that are too many or too old are closed.
func (p *Pool) sweep() {
	for _, c := range p.ageParked() {
		c.salvage()
		p.put(c)
	}
	limits := p.limits.Load()
	now := time.Now()
	for _, c := range p.takeLaden(now) {
		c.Leave()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.noteUse(now)
	p.markWorn(limits)
	keep := p.idle[:0]
	for i, c := range p.idle {
		tooMany := len(p.idle)-i > limits.MaxIdle
		tooOld := limits.IdleTimeout > 0 && now.Sub(c.idleSince) > limits.IdleTimeout
		if tooMany || tooOld || p.expired(c, limits) || !c.Valid() || c.Login.abandoned() {
			p.remove(c)
			continue
		}
		keep = append(keep, c)
	}
	clear(p.idle[len(keep):])
	p.idle = keep
}

// markWorn has the connections that are to be closed released by sessions that
// would only park them again.
func (p *Pool) markWorn(limits *Limits) {
	for c := range p.all {
		if !c.worn.Load() && p.expired(c, limits) {
			c.worn.Store(true)
		}
	}
}

// Stats returns the pool's figures.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Address = p.server.String()
	s.Open, s.Idle, s.Max, s.Waiting = len(p.all), len(p.idle), p.max, len(p.waiters)
	for c := range p.all {
		if isParked(c.state.Load()) {
			s.Parked++
		}
	}
	return s
}
