package pool

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/wire/wiretest"
)

func warmRig(t *testing.T, f *fake, max, least int) *rig {
	t.Helper()
	r := newRig(t, f.Addr(), max)
	r.limit(func(l *Limits) { l.MinIdle = least })
	return r
}

func TestEveryLoginInUseHasFreeConnectionsOpenedAhead(t *testing.T) {
	f := newFake(t, wiretest.Options{})
	r := warmRig(t, f, 0, 3)
	r.pool.warm(t.Context())
	r.checkStats(0, 0, 0, 0) // nobody has been here
	schema := &Profile{Schema: "shop", Collation: 45, Vars: []Var{{"time_zone", "+00:00"}}}
	c := r.acquire(1, schema)
	d := r.acquireAs(2, Login{User: "other"}, plain)
	r.pool.warm(t.Context())
	r.checkStats(8, 6, 0, 0)
	opened := r.pool.Stats().Opened
	for owner := range uint64(3) {
		e := r.acquire(10+owner, &Profile{Schema: "shop", Collation: 45})
		if log := f.conn(e).takeLog(); strings.Join(log, ";") != "TRACK" {
			t.Errorf("a connection opened ahead has run %q", log)
		}
	}
	if r.pool.Stats().Opened != opened {
		t.Error("a connection was opened although there were free ones")
	}
	r.pool.warm(t.Context())
	r.checkStats(11, 6, 0, 0)
	c.Release()
	d.Release()
	r.pool.warm(t.Context())
	r.checkStats(11, 8, 0, 0) // too many are closed by age, not at once
}

func TestALoginThatNobodyUsesAnyMoreIsForgotten(t *testing.T) {
	r := warmRig(t, newFake(t, wiretest.Options{}), 0, 2)
	c := r.acquire(1, plain)
	for _, step := range []struct {
		at   time.Duration
		want int
	}{{30 * time.Minute, 1}, {2 * time.Hour, 0}} { // in this order: what is forgotten is gone
		if got := len(r.pools.logins.all(time.Now().Add(step.at), time.Hour)); got != step.want {
			t.Errorf("after %v there are %d logins, want %d", step.at, got, step.want)
		}
	}
	r.pools.logins.opened(c.Login, plain)
	r.pool.mu.Lock()
	r.pool.noteUse(time.Now().Add(90 * time.Minute)) // c is in use
	r.pool.mu.Unlock()
	if got := len(r.pools.logins.all(time.Now().Add(2*time.Hour), time.Hour)); got != 1 {
		t.Errorf("a login in use has been forgotten")
	}
	c.Release()
	if got := len(r.pools.logins.all(time.Now().Add(1000*time.Hour), 0)); got != 1 {
		t.Error("forgotten although idle connections stay for ever")
	}
}

func TestOpeningAheadHeedsTheLimits(t *testing.T) {
	r := warmRig(t, newFake(t, wiretest.Options{}), 4, 10)
	r.acquire(1, plain)
	r.pool.warm(t.Context())
	r.checkStats(4, 3, 0, 0)
	r.limit(func(l *Limits) { l.MaxIdle = 5 })
	r.pool.setMax(0)
	r.pool.warm(t.Context())
	r.checkStats(6, 5, 0, 0)
	r.setHealth(backend.Down, backend.CauseLag) // which returns to the limit of the backend
	r.pool.setMax(0)
	r.pool.warm(t.Context())
	r.checkStats(4, 3, 0, 0)
}

func TestARefusedLoginIsNotTriedAgainAndAgain(t *testing.T) {
	f := newFake(t, wiretest.Options{Passwords: map[string]string{"app": "secret"}})
	r := warmRig(t, f, 0, 2)
	r.acquire(1, plain)
	d := testDialer()
	d.Password = func(string) (string, bool) { return "wrong", true }
	r.pools.Configure(d, *r.pools.limits.Load())
	for range 5 {
		r.pool.warm(t.Context())
	}
	if n := r.pool.Stats().ConnectFailures; n != 1 {
		t.Errorf("%d logins were refused", n)
	}
	r.checkStats(1, 0, 0, 0)
	r.pools.Configure(testDialer(), *r.pools.limits.Load())
	r.setHealth(backend.Down, backend.CauseRefused)
	r.setHealth(backend.Up, backend.CauseNone) // whatever it was may be over
	r.pool.warm(t.Context())
	if n := r.pool.Stats().Idle; n != 2 {
		t.Errorf("%d free connections", n)
	}
}

func TestAServerIsWarmedUpBeforeItServesAgain(t *testing.T) {
	f := newFake(t, wiretest.Options{})
	r := warmRig(t, f, 0, 3)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = r.pools.Run(ctx) })
	defer wg.Wait()
	defer cancel()
	r.acquire(1, plain)
	eventually(t, "connections opened ahead", func() bool { return r.pool.Stats().Idle == 3 })
	r.setHealth(backend.Down, backend.CauseRefused)
	if n := r.pool.Stats().Idle; n != 0 {
		t.Fatalf("%d connections to a server that is gone", n)
	}
	r.setHealth(backend.Down, backend.CauseCatchingUp)
	eventually(t, "connections to the server that catches up", func() bool { return r.pool.Stats().Idle == 3 })
	r.setHealth(backend.Up, backend.CauseNone)
	opened := r.pool.Stats().Opened
	r.acquire(2, plain)
	if r.pool.Stats().Opened != opened {
		t.Error("the first statement had to wait for a login")
	}
}

func TestAServerNobodyHasUsedYetIsWarmedUpToo(t *testing.T) {
	f, g := newFake(t, wiretest.Options{}), newFake(t, wiretest.Options{})
	r := warmRig(t, f, 0, 2)
	r.acquire(1, plain)
	if _, err := r.store.Add(backend.Spec{Address: g.Addr(), Role: backend.RoleRO}); err != nil {
		t.Fatal(err)
	}
	st := r.store.Load().Find(g.Addr())
	r.store.Update(func(d *backend.Draft) { d.SetHealth(d.State(st.Server), backend.Up, backend.CauseNone, "") })
	p := (*r.pools.pools.Load())[st.Server]
	if p == nil {
		t.Fatal("there is no pool")
	}
	defer p.close(true)
	p.warm(t.Context())
	if n := p.Stats().Idle; n != 2 {
		t.Errorf("%d free connections", n)
	}
}
