package proxy

import (
	"context"
	cryptorand "crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/backend/causal"
	"github.com/telamondb/telamon/backend/pool"
	"github.com/telamondb/telamon/internal/backoff"
	"github.com/telamondb/telamon/router"
	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/auth"
)

// Config is what a reload can change. It is immutable once given to New or
// Configure; a statement sees one Config from beginning to end.
type Config struct {
	// NodeID, 0 to MaxNodeID, tells the connection ids of several proxies apart.
	NodeID uint32
	// Users by name. A session keeps its user until it ends, even if the user
	// is gone from a later Config.
	Users map[string]*User
	// Accounts, if set, knows who may log in; Users are then settings only.
	Accounts Accounts
	// Rules of the router.
	Rules *router.Rules
	// MaxConnections limits clients; 0 = no limit.
	MaxConnections int
	// ConnectTimeout bounds the whole login of a client.
	ConnectTimeout time.Duration
	// WaitTimeout ends clients that are idle for so long; 0 = never.
	WaitTimeout time.Duration
	// WriteTimeout ends clients that take nothing of what is sent to them for so
	// long; 0 = never. Connections accepted earlier keep what held then.
	WriteTimeout time.Duration
	// MaxPreparedStatements limits those of one client; 0 = no limit.
	MaxPreparedStatements int
	// Sticky keeps the reads of a client or user on one replica for a time.
	Sticky Sticky
	// ConsistencyWait is how long a read may wait for a replica to catch up.
	ConsistencyWait time.Duration
	// Compression are the capabilities of compression that clients are offered.
	Compression wire.Capability
	// ServeStale lets replicas serve reads that have to see a write no server
	// in reach is known to have, while there is no primary.
	ServeStale bool
	// Monotonic keeps a session from reading what is older than it has seen.
	Monotonic bool
	// ServerVersion is what clients see; "" = the primary's.
	ServerVersion string
	// Allow are the networks clients may come from; empty = all.
	Allow []netip.Prefix
	// LoadBalancers are refused while the proxy is offline, and let in
	// otherwise whatever Allow says (Atlas's lvs-ips). It is they who have
	// connected that count; for a client they announce, Allow does.
	LoadBalancers []netip.Prefix
	// ProxyProtocolFrom are those who may announce their clients' addresses.
	ProxyProtocolFrom []netip.Prefix
	// TLS of clients' connections.
	TLS TLS
}

// User is an account clients log in as.
type User struct {
	Name     string
	Verifier auth.Verifier
	// Hash knows the account instead, if only a hash of the password is known.
	Hash Accounts
	// Plugin is what clients are asked for; "" = what accounts have at the server.
	Plugin string
	// MaxConnections limits the user's clients; 0 = no limit of its own.
	MaxConnections int
	// Consistency is what the user's reads have to see.
	Consistency router.Consistency
	// Transport is what the user's connections must have.
	Transport Transport
}

// Deps are the parts the proxy works with. All are required.
type Deps struct {
	Store *backend.Store
	Pools *pool.Pools
	// Writes collects what clients write, for the reads that have to see it.
	Writes *causal.Log
	// Report tells the monitor about a server that failed a session. It does
	// not block.
	Report func(*backend.Server, error)
	Log    *zap.Logger
}

// Proxy serves clients on any number of listeners.
type Proxy struct {
	deps   Deps
	config atomic.Pointer[Config]
	totals totals
	// clock counts ticks, for activity marks that cost one load.
	clock atomic.Uint32
	// generations numbers states of sessions, see pool.Request.Owner.
	generations atomic.Uint64
	offline     atomic.Bool
	// loginKey is what clients encrypt their password with when
	// caching_sha2_password wants all of it on a connection without TLS. It is
	// made when the first client needs it.
	loginKey func() *rsa.PrivateKey

	watch    primaryWatch
	mu       sync.Mutex
	sessions map[uint32]*Session
	perUser  map[string]int
	lastID   uint32 // counter of nextID
	draining bool
	wg       sync.WaitGroup
}

// New returns a Proxy that serves nobody yet.
func New(config *Config, deps Deps) *Proxy {
	p := &Proxy{deps: deps, sessions: map[uint32]*Session{}, perUser: map[string]int{}}
	p.loginKey = sync.OnceValue(newLoginKey)
	p.config.Store(config)
	return p
}

func newLoginKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(cryptorand.Reader, 2048)
	if err != nil {
		return nil // such clients are denied
	}
	return key
}

// Configure replaces the configuration for all statements and logins to come.
func (p *Proxy) Configure(config *Config) { p.config.Store(config) }

// Serve accepts clients until the listener is closed, which Serve sees to when
// ctx ends. Sessions go on: see Drain. Errors that may pass (no descriptors
// left) are waited out.
func (p *Proxy) Serve(ctx context.Context, ln net.Listener, kind router.Listener) error {
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	wait := backoff.New(5*time.Millisecond, time.Second)
	for {
		nc, err := ln.Accept()
		switch {
		case err == nil:
			wait.Reset()
			p.accept(nc, kind)
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return nil
		default:
			p.totals.acceptErrors.Add(1)
			p.deps.Log.Warn("accepting a client", zap.Stringer("listener", ln.Addr()), zap.Error(err))
			if wait.Sleep(ctx) != nil {
				return nil
			}
		}
	}
}

// accept starts a session.
func (p *Proxy) accept(nc net.Conn, kind router.Listener) {
	p.totals.accepted.Add(1)
	boundWrites(nc, p.config.Load().WriteTimeout)
	s := newSession(p, nc, kind)
	p.mu.Lock()
	if p.draining {
		p.mu.Unlock()
		_ = nc.Close()
		return
	}
	s.id = p.nextID()
	p.sessions[s.id] = s
	count := len(p.sessions)
	p.wg.Add(1)
	p.mu.Unlock()
	go func() {
		defer p.wg.Done()
		s.run(count)
	}()
}

// admitUser counts a client of a user and reports whether the limit allows it.
func (p *Proxy) admitUser(u *User) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if u.MaxConnections > 0 && p.perUser[u.Name] >= u.MaxConnections {
		return false
	}
	p.perUser[u.Name]++
	return true
}

func (p *Proxy) dismissUser(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.perUser[name]--; p.perUser[name] <= 0 {
		delete(p.perUser, name)
	}
}

// remove forgets a session that has ended.
func (p *Proxy) remove(s *Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.sessions, s.id)
	p.totals.add(&s.counts)
}

// session returns a live session.
func (p *Proxy) session(id uint32) *Session {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sessions[id]
}

// nextOwner returns a number for pool.Request.Owner.
func (p *Proxy) nextOwner() uint64 { return p.generations.Add(1) }

// tick is the unit of Proxy.clock.
const tick = 500 * time.Millisecond

// Run keeps the clock, ends idle clients, and stops the statements of clients
// that have gone, until ctx ends. A client that leaves in the middle of a
// statement is noticed within two ticks.
func (p *Proxy) Run(ctx context.Context) error {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			p.clock.Add(1)
			for _, s := range p.inspect(p.config.Load().WaitTimeout) {
				wg.Go(s.abandoned)
			}
		}
	}
}

// inspect ends sessions that have been idle for longer than timeout, or than
// their own wait_timeout, and returns those that are busy for a client that has gone.
func (p *Proxy) inspect(timeout time.Duration) (gone []*Session) {
	now, limit := p.clock.Load(), uint32(min(timeout/tick, 1<<31-1))
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.sessions {
		since := now - s.activeAt.Load()
		switch {
		case s.phase.Load() == phaseIdle:
			own := s.idleLimit.Load()
			if timeout > 0 && since > limit || own > 0 && since > own {
				s.endIfIdle(endIdleTimeout)
			}
		case since >= 1 && s.kill.current.Load() != nil && s.kill.reason.Load() == uint32(endNone) && s.clientGone():
			gone = append(gone, s)
		}
	}
	return gone
}

// Drain ends all sessions: idle ones at once, others when their statement or
// transaction is through, and whatever is left when ctx ends. It returns when
// all have ended. Listeners should be closed before.
func (p *Proxy) Drain(ctx context.Context) error {
	p.mu.Lock()
	p.draining = true
	for _, s := range p.sessions {
		s.endIfIdle(endShutdown)
	}
	p.mu.Unlock()
	done := make(chan struct{})
	go func() {
		p.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	left := len(p.sessions)
	for _, s := range p.sessions {
		s.end(endShutdown)
	}
	p.mu.Unlock()
	<-done
	return fmt.Errorf("%d sessions did not finish in time", left)
}

func (p *Proxy) isDraining() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.draining
}

// SetOffline makes the proxy refuse clients from load balancers, so that those
// send new ones elsewhere, or ends that.
func (p *Proxy) SetOffline(offline bool) { p.offline.Store(offline) }

// Ready returns why new clients should go elsewhere, nil if they need not.
func (p *Proxy) Ready() error {
	switch {
	case p.isDraining():
		return errors.New("draining: the process is about to stop")
	case p.offline.Load():
		return errors.New("set offline by SIGUSR2; SIGUSR1 ends that")
	}
	return nil
}

// firstTick spreads sessions over the turns of the balancer.
func firstTick() uint32 { return rand.Uint32() }
