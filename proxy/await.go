package proxy

import (
	"time"

	"github.com/telamondb/telamon/backend"
)

// awaitTopology waits until the topology is as wanted and returns it, or nil
// when limit is over. It is for statements that nobody can take at the moment.
func (p *Proxy) awaitTopology(limit time.Duration, wanted func(*backend.Topology) bool) *backend.Topology {
	changed := make(chan struct{}, 1)
	defer p.deps.Store.Subscribe(func(_, _ *backend.Topology) {
		select {
		case changed <- struct{}{}:
		default:
		}
	})()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		if t := p.deps.Store.Load(); wanted(t) {
			return t
		}
		select {
		case <-changed:
		case <-timer.C:
			return nil
		}
	}
}

// checkedWithin is how long a statement waits for the monitor to look at a
// server that turned out to be another one.
const checkedWithin = time.Second

// awaitIdentity waits until the monitor has seen that another server answers
// than st, and reports whether it has.
func (p *Proxy) awaitIdentity(st *backend.State) bool {
	return p.awaitTopology(checkedWithin, func(t *backend.Topology) bool {
		now := t.ByServer(st.Server)
		return now == nil || now.Identity != st.Identity
	}) != nil
}
