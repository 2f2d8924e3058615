package proxy

import (
	"sync/atomic"

	"github.com/telamondb/telamon/router"
)

// counts are one session's figures. Only the session adds to them, so that
// counting touches no memory shared between sessions; readers add them up.
type counts struct {
	routes       [router.NumReasons]atomic.Uint64
	statements   atomic.Uint64
	retries      atomic.Uint64
	unknownHints atomic.Uint64
	// waits are reads that waited for a replica to catch up, behind those that
	// it did not for in time, so that they went to the primary.
	waits, behind atomic.Uint64
}

// totals are the proxy's figures: its own and those of sessions that have ended.
type totals struct {
	counts
	accepted, acceptErrors, refused, authFailures, panics atomic.Uint64
	tlsAccepted, tlsFailures                              atomic.Uint64
}

func (t *totals) add(c *counts) {
	for i := range c.routes {
		t.routes[i].Add(c.routes[i].Load())
	}
	t.statements.Add(c.statements.Load())
	t.retries.Add(c.retries.Load())
	t.unknownHints.Add(c.unknownHints.Load())
	t.waits.Add(c.waits.Load())
	t.behind.Add(c.behind.Load())
}

// Counts are the proxy's figures since its start.
type Counts struct {
	Clients, MaxClients                                   int
	Accepted, AcceptErrors, Refused, AuthFailures, Panics uint64
	TLSAccepted, TLSFailures                              uint64 // handshakes with clients
	Statements, Retries, UnknownHints                     uint64
	ConsistencyWaits, ConsistencyMisses                   uint64
	// Routes counts statements by the reason of their routing decision.
	Routes [router.NumReasons]uint64
}

// Counts adds the figures of all sessions up.
func (p *Proxy) Counts() Counts {
	var sum totals
	p.mu.Lock()
	sum.add(&p.totals.counts)
	for _, s := range p.sessions {
		sum.add(&s.counts)
	}
	clients := len(p.sessions)
	p.mu.Unlock()
	c := Counts{
		Clients: clients, MaxClients: p.config.Load().MaxConnections,
		Accepted: p.totals.accepted.Load(), AcceptErrors: p.totals.acceptErrors.Load(),
		Refused: p.totals.refused.Load(), AuthFailures: p.totals.authFailures.Load(), Panics: p.totals.panics.Load(),
		TLSAccepted: p.totals.tlsAccepted.Load(), TLSFailures: p.totals.tlsFailures.Load(),
		Statements: sum.statements.Load(), Retries: sum.retries.Load(), UnknownHints: sum.unknownHints.Load(),
		ConsistencyWaits: sum.waits.Load(), ConsistencyMisses: sum.behind.Load(),
	}
	for i := range c.Routes {
		c.Routes[i] = sum.routes[i].Load()
	}
	return c
}
