package pool

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/wire"
)

// Opening a connection takes several round trips and some work of the server,
// and when a replica comes back every session needs one. So each server is kept
// at Limits.MinIdle free connections of every login that clients use at
// present, from the time on when it has all but come back. A server that is told
// clients' addresses is not: it would need them for each address.

// coldFor is how long nothing is opened ahead on a server after that has
// failed; it doubles up to maxColdFor.
const (
	coldFor    = time.Second
	maxColdFor = time.Minute
)

// logins are the logins that sessions use, on whatever server. It is safe for
// concurrent use.
type logins struct {
	mu  sync.Mutex // taken after Pool.mu
	use map[Login]loginUse
}

type loginUse struct {
	profile *Profile // of the login itself: without variables
	at      time.Time
}

// opened notes a login for a session's sake.
func (l *logins) opened(login Login, profile *Profile) {
	login.Client = netip.Addr{}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.use == nil {
		l.use = map[Login]loginUse{}
	}
	l.use[login] = loginUse{&Profile{Schema: profile.Schema, Collation: profile.Collation}, time.Now()}
}

// used notes that sessions have connections of a login.
func (l *logins) used(login Login, now time.Time) {
	login.Client = netip.Addr{}
	l.mu.Lock()
	defer l.mu.Unlock()
	if u, ok := l.use[login]; ok && u.at.Before(now) {
		u.at = now
		l.use[login] = u
	}
}

// all returns the logins that were used within idleFor (0 for ever), and
// forgets the others.
func (l *logins) all(now time.Time, idleFor time.Duration) map[Login]*Profile {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make(map[Login]*Profile, len(l.use))
	for login, u := range l.use {
		if idleFor > 0 && now.Sub(u.at) > idleFor || login.retired() {
			delete(l.use, login)
			continue
		}
		all[login] = u.profile
	}
	return all
}

// warms reports whether connections to a server are worth being opened ahead.
func warms(st *backend.State) bool {
	return st.Health == backend.Up || st.Health == backend.Down && st.Cause == backend.CauseCatchingUp
}

// warm opens connections until there are enough of each login. It is run by one
// goroutine at a time.
func (p *Pool) warm(ctx context.Context) {
	for ctx.Err() == nil {
		login, profile := p.missing()
		if profile == nil {
			return
		}
		c, err := p.dialer.Load().dial(ctx, p.server, login, profile)
		p.mu.Lock()
		if err = p.opened(c, login, err); err != nil {
			p.cold = min(max(2*p.cold, coldFor), maxColdFor)
			p.coldUntil = time.Now().Add(p.cold)
			p.mu.Unlock()
			return
		}
		p.cold = 0
		p.mu.Unlock()
		p.put(c)
	}
}

// missing returns a login that lacks a free connection, and what it is to be
// logged in with; it is then counted as being opened. Sessions that wait for
// a connection come first.
func (p *Pool) missing() (Login, *Profile) {
	limits := p.limits.Load()
	if limits.MinIdle == 0 || p.dialer.Load().announces(p.server) {
		return Login{}, nil
	}
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || !p.warms || now.Before(p.coldUntil) || len(p.waiters) > 0 || !p.room() || len(p.idle) >= limits.MaxIdle {
		return Login{}, nil
	}
	free := map[Login]int{}
	for _, c := range p.idle {
		if c.Valid() {
			free[c.Login]++
		}
	}
	for login, profile := range p.logins.all(now, limits.IdleTimeout) {
		if free[login] < limits.MinIdle && p.refusedBefore(login.account()) == nil {
			p.dialing++
			return login, profile
		}
	}
	return Login{}, nil
}

// opened takes in what dialling has come to; c is then in use. The caller has
// been counted in p.dialing, and holds p.mu.
func (p *Pool) opened(c *Conn, login Login, err error) error {
	p.dialing--
	if err == nil && (p.closed || !c.Valid()) {
		_ = c.Wire.Close()
		p.serveWaiters()
		return p.unusable()
	}
	if err != nil {
		p.stats.ConnectFailures++
		p.server.Stats.ConnectErrors.Add(1)
		p.noteRefusal(login.account(), err)
		p.serveWaiters()
		return err
	}
	c.pool = p
	p.all[c] = struct{}{}
	if mode := c.BaseMode; !login.Flags.Has(wire.IgnoreSpace) { // which the server puts into sql_mode
		p.mode.Store(&mode)
	}
	if c.loginVars != nil {
		p.loginVars.Store(&c.loginVars)
	}
	p.stats.Opened++
	p.serveWaiters() // those that waited for their turn to open one
	return nil
}

// noteUse keeps the logins that sessions use from being forgotten. p.mu is held.
func (p *Pool) noteUse(now time.Time) {
	if p.limits.Load().MinIdle == 0 {
		return
	}
	for c := range p.all {
		if c.state.Load() != idle {
			p.logins.used(c.Login, now)
		}
	}
}

// setWarms takes over whether the server is worth being warmed up, and reports
// whether it has just become so.
func (p *Pool) setWarms(v bool) (begins bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	begins = v && !p.warms
	p.warms = v
	if begins {
		p.cold, p.coldUntil = 0, time.Time{}
	}
	return begins
}
