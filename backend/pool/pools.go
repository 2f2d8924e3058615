package pool

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/telamondb/telamon/backend"
)

// sweepInterval is how long a connection stays parked with an inactive session
// before it becomes available to all.
const sweepInterval = time.Second

// Pools are the pools of all servers. They follow the topology: a server that
// is lost has its connections interrupted, one that is removed loses its pool.
type Pools struct {
	dialer atomic.Pointer[Dialer]
	limits atomic.Pointer[Limits]
	logins logins
	warm   chan struct{} // capacity 1: a server has come back

	mu    sync.Mutex // held to change pools; taken before a Pool's own
	pools atomic.Pointer[map[*backend.Server]*Pool]
}

// NewPools returns pools without connections. Run keeps them in order.
func NewPools(dialer *Dialer, limits Limits) *Pools {
	ps := &Pools{warm: make(chan struct{}, 1)}
	ps.dialer.Store(dialer)
	ps.limits.Store(&limits)
	ps.pools.Store(&map[*backend.Server]*Pool{})
	return ps
}

// Configure replaces dialer and limits for everything that happens from now on.
func (ps *Pools) Configure(dialer *Dialer, limits Limits) {
	ps.dialer.Store(dialer)
	ps.limits.Store(&limits)
	for _, p := range *ps.pools.Load() {
		p.forgetRefusals() // the password may be right now
	}
}

// For returns the pool of a server in the topology.
func (ps *Pools) For(st *backend.State) *Pool {
	if p, ok := (*ps.pools.Load())[st.Server]; ok {
		return p
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	old := *ps.pools.Load()
	if p, ok := old[st.Server]; ok {
		return p
	}
	p := newPool(st, ps)
	next := maps.Clone(old)
	next[st.Server] = p
	ps.pools.Store(&next)
	return p
}

// Follow adapts the pools to a new topology; it is a subscriber of backend.Store.
func (ps *Pools) Follow(_, next *backend.Topology) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	pools := maps.Clone(*ps.pools.Load())
	for server, p := range pools {
		i := slices.IndexFunc(next.States, func(st backend.State) bool { return st.Server == server })
		if i < 0 {
			p.close(false)
			delete(pools, server)
			continue
		}
		st := &next.States[i]
		p.setMax(st.Spec.MaxConnections)
		p.dropInvalid(st.Health == backend.Down)
		if p.setWarms(warms(st)) {
			select {
			case ps.warm <- struct{}{}:
			default:
			}
		}
	}
	if ps.limits.Load().MinIdle > 0 { // not only where somebody has been
		for i := range next.States {
			if st := &next.States[i]; pools[st.Server] == nil {
				pools[st.Server] = newPool(st, ps)
			}
		}
	}
	ps.pools.Store(&pools)
}

// Run sweeps the pools and opens connections ahead until ctx ends, then closes
// them.
func (ps *Pools) Run(ctx context.Context) error {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		select {
		case <-ctx.Done():
			for _, p := range *ps.pools.Load() {
				p.close(true)
			}
			return nil
		case <-ticker.C:
			for _, p := range *ps.pools.Load() {
				p.sweep()
			}
		case <-ps.warm:
		}
		ps.warmAll(ctx, &wg)
	}
}

// warmAll warms all pools, each by a goroutine of its own: a server that does
// not answer holds up nobody else.
func (ps *Pools) warmAll(ctx context.Context, wg *sync.WaitGroup) {
	if ps.limits.Load().MinIdle == 0 {
		return
	}
	for _, p := range *ps.pools.Load() {
		if !p.warming.CompareAndSwap(false, true) {
			continue
		}
		wg.Go(func() {
			defer p.warming.Store(false)
			p.warm(ctx)
		})
	}
}

// KillQuery kills the statement that runs on c, by a connection of its own. It
// does not count against the server's limit, which may be why somebody is
// killing statements. The caller keeps c from changing hands meanwhile.
func (ps *Pools) KillQuery(ctx context.Context, c *Conn) error {
	k, err := ps.dialer.Load().dial(ctx, c.Server, Login{User: c.Login.User, Credential: c.Login.Credential, Client: c.Login.Client}, &Profile{Collation: c.collation})
	if err != nil {
		return err
	}
	defer func() { _ = k.Wire.Close() }()
	stop := context.AfterFunc(ctx, k.Interrupt)
	defer stop()
	return k.Query("KILL QUERY " + strconv.FormatUint(uint64(c.ThreadID), 10))
}

// Stats returns the figures of all pools, ordered by address.
func (ps *Pools) Stats() []Stats {
	var all []Stats
	for _, p := range *ps.pools.Load() {
		all = append(all, p.Stats())
	}
	slices.SortFunc(all, func(a, b Stats) int {
		switch {
		case a.Address < b.Address:
			return -1
		case a.Address > b.Address:
			return 1
		}
		return 0
	})
	return all
}
