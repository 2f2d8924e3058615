package pool

import (
	"context"
	"slices"
	"time"
)

// waiter is an Acquire in line. It gets a connection (of any login), or nil as
// the permission to open one; either counts as open already.
type waiter struct{ turn chan *Conn }

// wait stands in line.
func (p *Pool) wait(ctx context.Context, req *Request, w *waiter) (*Conn, error) {
	limit := p.limits.Load().WaitTimeout
	timer := time.NewTimer(limit)
	defer timer.Stop()
	timedOut := false
	select {
	case c := <-w.turn:
		return p.fit(c, req)
	case <-ctx.Done():
	case <-timer.C:
		timedOut = true
	}
	p.mu.Lock()
	if i := slices.Index(p.waiters, w); i >= 0 {
		defer p.mu.Unlock()
		p.waiters = slices.Delete(p.waiters, i, i+1)
		p.waiting.Store(int32(len(p.waiters)))
		if !timedOut {
			return nil, context.Cause(ctx)
		}
		p.stats.TimedOut++
		return nil, &LimitError{Server: p.server, Max: p.max, Opening: p.dialing, Waited: limit}
	}
	p.mu.Unlock()
	return p.fit(<-w.turn, req) // its turn came at the same moment
}

// fit makes what a waiter was given usable for req.
func (p *Pool) fit(c *Conn, req *Request) (*Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		if c != nil {
			p.remove(c)
		} else {
			p.dialing--
		}
		return nil, p.unusable()
	}
	if c == nil {
		return nil, nil
	}
	return p.suit(c, req), nil
}

// hand gives the first waiter its turn; c is in use.
func (p *Pool) hand(c *Conn) {
	w := p.waiters[0]
	p.waiters = slices.Delete(p.waiters, 0, 1)
	p.waiting.Store(int32(len(p.waiters)))
	w.turn <- c // buffered, and used once
}

// serveWaiters lets as many waiters open a connection as there is room for.
func (p *Pool) serveWaiters() {
	for len(p.waiters) > 0 && p.room() {
		p.dialing++
		p.hand(nil)
	}
}

// maxDialing is how many connections to a server are opened at the same time.
// More of them would only take longer, all of them, until none is ready in time
// (measured: 500 at once on MySQL 9.7). Meanwhile those that are there change
// hands.
const maxDialing = 16

// room reports whether one more connection may be opened now.
func (p *Pool) room() bool { return p.dialing < maxDialing && !p.full() }

// full reports whether there are as many connections as may be.
func (p *Pool) full() bool { return p.limit() > 0 && len(p.all)+p.dialing >= p.limit() }

// surplus is the number of connections above the configured limit.
func (p *Pool) surplus() int {
	if p.max == 0 {
		return 0
	}
	return len(p.all) + p.dialing - p.max
}
