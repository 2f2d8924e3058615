package pool

import (
	"errors"
	"maps"
	"time"

	"github.com/telamondb/telamon/wire"
)

// A server that refuses a login is not asked again at once: many sessions that
// all try would lock the account, have this host blocked, or keep others out.
const (
	// fullFor is how long a server that has no connection left (1040) is taken
	// to have as many as it has now: sessions wait for one of those.
	fullFor = 500 * time.Millisecond
	// refusedFor is how long the answer to one login is given to all others
	// of the same account.
	refusedFor = time.Second
)

// refusal is the ERR that a server answered a login with.
type refusal struct {
	err   error
	until time.Time
}

// refusesAccount reports whether an ERR concerns the account rather than what
// the session asked for: the next login would meet the same.
func refusesAccount(code uint16) bool {
	switch code {
	case wire.CodeAccessDenied, wire.CodeHostBlocked, wire.CodeHostNotPrivileged, wire.CodeTooManyUserConns,
		wire.CodeUserLimitReached, wire.CodeAccountLocked, wire.CodeAccountLockedMariaDB,
		wire.CodeMustChangePasswordLog, wire.CodeConCount:
		return true
	}
	return false
}

// isFull reports whether a server has no connection left for anybody.
func isFull(err error) bool {
	var e *wire.Err
	return errors.As(err, &e) && e.Code == wire.CodeConCount
}

// refusedBefore returns what the last login of an account was just refused
// with, nil if it was not. p.mu is held.
func (p *Pool) refusedBefore(who account) error {
	r, ok := p.refusals[who]
	if !ok {
		return nil
	}
	if time.Now().After(r.until) {
		delete(p.refusals, who)
		return nil
	}
	return r.err
}

// noteRefusal remembers why a login failed, if that was the server's word about
// the account, or about itself. p.mu is held.
func (p *Pool) noteRefusal(who account, err error) {
	var e *wire.Err
	if !errors.As(err, &e) || !refusesAccount(e.Code) {
		return
	}
	now := time.Now()
	if e.Code == wire.CodeConCount && len(p.all) > 0 {
		p.ceiling, p.ceilingUntil = len(p.all), now.Add(fullFor)
		return
	}
	if p.refusals == nil {
		p.refusals = map[account]refusal{}
	}
	maps.DeleteFunc(p.refusals, func(_ account, r refusal) bool { return now.After(r.until) })
	if who.credential != nil && e.Code != wire.CodeConCount {
		who.credential.refused.Store(true)
	}
	p.refusals[who] = refusal{err: err, until: now.Add(refusedFor)}
}

// limit is the number of connections that may be open, 0 for no limit. p.mu is
// held.
func (p *Pool) limit() int {
	if p.ceiling > 0 {
		if time.Now().Before(p.ceilingUntil) {
			if p.max == 0 || p.ceiling < p.max {
				return p.ceiling
			}
			return p.max
		}
		p.ceiling = 0
	}
	return p.max
}

func (p *Pool) forgetRefusals() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.refusals)
}
