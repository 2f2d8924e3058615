package monitor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/telamondb/telamon/backend"
)

// world is a set of servers as probes see them, and a monitor watching it in a
// synctest bubble.
type world struct {
	t     *testing.T
	store *backend.Store
	mon   *Monitor

	mu     sync.Mutex // guards the fields below
	see    map[string]func(ctx context.Context, cfg Config) Observation
	probes map[string]int
	closed map[string]int
	log    []string
}

func newWorld(t *testing.T, cfg Config, specs ...backend.Spec) *world {
	store, err := backend.NewStore(specs)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, store: store, probes: map[string]int{}, closed: map[string]int{},
		see: map[string]func(context.Context, Config) Observation{}}
	w.mon = New(store, cfg, Options{
		NewProber: func(s *backend.Server) Prober { return &worldProber{w, s.String()} },
		OnChange: func(old, new backend.State) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.log = append(w.log, fmt.Sprintf("%s %s->%s %s", new.String(), old.Health, new.Health, new.Cause))
		},
	})
	return w
}

// run runs the monitor until the test ends.
func (w *world) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- w.mon.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("Run: %v", err)
		}
	})
}

func (w *world) set(address string, see func(context.Context, Config) Observation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.see[address] = see
}

func (w *world) count(m map[string]int, address string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return m[address]
}

func (w *world) health(address string) backend.Health { return w.store.Load().Find(address).Health }

// until waits for cond and returns how long that took.
func (w *world) until(limit time.Duration, cond func() bool) time.Duration {
	w.t.Helper()
	start := time.Now()
	for {
		synctest.Wait()
		if cond() {
			return time.Since(start)
		}
		if time.Since(start) > limit {
			w.t.Fatalf("not within %s; %s", limit, w.describe())
		}
		time.Sleep(time.Millisecond)
	}
}

func (w *world) describe() string {
	var s []string
	for _, st := range w.store.Load().States {
		s = append(s, fmt.Sprintf("%s %s %s (%s)", st.String(), st.Health, st.Cause, st.Reason))
	}
	return strings.Join(s, "; ")
}

type worldProber struct {
	w       *world
	address string
}

func (p *worldProber) Probe(ctx context.Context, cfg Config) Observation {
	p.w.mu.Lock()
	p.w.probes[p.address]++
	see := p.w.see[p.address]
	p.w.mu.Unlock()
	obs := see(ctx, cfg)
	obs.At = time.Now()
	return obs
}

func (p *worldProber) Close() {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.w.closed[p.address]++
}

func fails(f Failure) func(context.Context, Config) Observation {
	return func(context.Context, Config) Observation {
		return Observation{Failure: f, Err: errors.New("error text")}
	}
}

func hangs(ctx context.Context, cfg Config) Observation {
	select {
	case <-ctx.Done():
	case <-time.After(cfg.Timeout):
	}
	return Observation{Failure: Timeout, Err: errors.New("no answer")}
}

func primaryFine(context.Context, Config) Observation {
	return Observation{Identified: true, Identity: "p", ServerID: 1}
}

func replicaWith(edit func(*Channel)) func(context.Context, Config) Observation {
	return func(context.Context, Config) Observation {
		ch := Channel{IO: "Yes", SQL: true, LagKnown: true, Source: backend.Source{ID: 1}}
		if edit != nil {
			edit(&ch)
		}
		return Observation{Identified: true, Identity: "r", ServerID: 2, ReadOnly: true, Channels: []Channel{ch}}
	}
}

var (
	primarySpec = backend.Spec{Address: "p:1", Role: backend.RoleRW}
	replicaSpec = backend.Spec{Address: "r:1", Role: backend.RoleRO, Weight: 1}
)

// pair is a running world with a good primary and a good replica.
func pair(t *testing.T) *world {
	w := newWorld(t, DefaultConfig(), primarySpec, replicaSpec)
	w.set("p:1", primaryFine)
	w.set("r:1", replicaWith(nil))
	w.run()
	w.until(time.Second, func() bool { return w.health("p:1") == backend.Up && w.health("r:1") == backend.Up })
	return w
}

func TestTimesToEjectAndToReturn(t *testing.T) {
	for _, c := range []struct {
		name     string
		see      func(context.Context, Config) Observation
		out      time.Duration
		back, at time.Duration // window for the return
	}{
		{"killed", fails(Refused), time.Second, 3 * time.Second, 5 * time.Second},
		{"hung", hangs, 4 * time.Second, 3 * time.Second, 6 * time.Second},
		{"replication stopped", replicaWith(func(c *Channel) { c.SQL, c.LagKnown = false, false }), time.Second, 3 * time.Second, 4500 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := pair(t)
				server := w.store.Load().Find("r:1").Server
				epoch := server.Epoch()
				w.set("r:1", c.see)
				out := w.until(c.out, func() bool { return w.health("r:1") == backend.Down })
				if lost := server.Epoch() > epoch; lost != (c.name != "replication stopped") {
					t.Errorf("connections dropped: %t", lost)
				}
				w.set("r:1", replicaWith(nil))
				back := w.until(c.at, func() bool { return w.health("r:1") == backend.Up })
				if back < c.back {
					t.Errorf("back after %s, too early", back)
				}
				t.Logf("out after %s, back after %s", out, back)
				if st := w.store.Load().Find("r:1"); st.Share != 1 {
					t.Errorf("back with %d tenths of its weight, want a slow start", st.Share)
				}
				w.until(11*time.Second, func() bool { return w.store.Load().Find("r:1").Share == 10 })
			})
		})
	}
}

func TestTrafficErrorsAreLookedIntoAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := pair(t)
		w.set("r:1", fails(Refused))
		server := w.store.Load().Find("r:1").Server
		before := w.count(w.probes, "r:1")
		for range 1000 {
			w.mon.Report(server, errors.New("reset"))
		}
		w.until(maxWokenPause, func() bool { return w.health("r:1") == backend.Down })
		for range 10000 { // an unlucky second of traffic
			w.mon.Report(server, errors.New("reset"))
			time.Sleep(100 * time.Microsecond)
		}
		if n := w.count(w.probes, "r:1") - before; n > 2*wokenPauses+3 {
			t.Errorf("11000 reports in a second made %d probes", n)
		}
		_, _ = w.store.Remove("r:1")
		synctest.Wait()
		w.mon.Report(server, nil) // no longer known: nothing happens
	})
}

func TestARefusedLoginIsNotRepeatedMoreThanOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := pair(t)
		w.set("r:1", fails(Auth))
		server := w.store.Load().Find("r:1").Server
		before := w.count(w.probes, "r:1")
		const seconds = 60
		for range seconds * 100 {
			w.mon.Report(server, errors.New("x"))
			time.Sleep(10 * time.Millisecond)
		}
		if n := w.count(w.probes, "r:1") - before; n > seconds+1 {
			t.Errorf("%d logins in %d seconds under reports", n, seconds)
		}
		before = w.count(w.probes, "r:1")
		time.Sleep(seconds * time.Second)
		if n := w.count(w.probes, "r:1") - before; n > seconds/maxAuthPauseSeconds+2 {
			t.Errorf("%d logins in %d quiet seconds", n, seconds)
		}
		// The account is repaired.
		w.set("r:1", replicaWith(nil))
		w.mon.SetConfig(DefaultConfig())
		w.until(6*time.Second, func() bool { return w.health("r:1") == backend.Up })
	})
}

const maxAuthPauseSeconds = int(maxAuthPause / time.Second)

func TestTheDeathOfThePrimaryDoesNotTakeItsReplicasOut(t *testing.T) {
	for run := range 10 { // the order of probes is random
		synctest.Test(t, func(t *testing.T) {
			w := pair(t)
			time.Sleep(time.Duration(run*37) * time.Millisecond)
			synctest.Wait()
			w.set("p:1", fails(Refused))
			w.set("r:1", replicaWith(func(c *Channel) { c.IO, c.LagKnown = "Connecting", false }))
			for range 1000 {
				time.Sleep(10 * time.Millisecond)
				synctest.Wait()
				if w.health("r:1") != backend.Up {
					t.Fatalf("the replica is out: %s", w.describe())
				}
			}
			if w.store.Load().Primary() != nil {
				t.Error("there is a primary")
			}
			// The primary is back, the replica still has not reconnected.
			w.set("p:1", primaryFine)
			w.until(4*time.Second, func() bool { return w.health("r:1") == backend.Down })
		})
	}
}

func TestOperatorsOverrule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultConfig()
		cfg.Maintenance.Enabled = false
		w := newWorld(t, cfg, primarySpec, replicaSpec)
		w.set("p:1", primaryFine)
		w.set("r:1", replicaWith(nil))
		w.run()
		up := func() bool { return w.health("r:1") == backend.Up }
		w.until(time.Second, up)

		_, _ = w.store.SetOffline("r:1")
		time.Sleep(time.Minute)
		synctest.Wait()
		if w.health("r:1") != backend.Offline {
			t.Fatalf("offline was overruled: %s", w.describe())
		}
		_, _ = w.store.SetOnline("r:1")
		w.until(maxWokenPause, up)

		w.set("r:1", fails(Refused))
		w.until(time.Second, func() bool { return w.health("r:1") == backend.Down })
		w.set("r:1", replicaWith(nil))
		time.Sleep(time.Minute)
		synctest.Wait()
		if st := w.store.Load().Find("r:1"); st.Cause != backend.CauseHeld {
			t.Fatalf("maintenance is off: %s", w.describe())
		}
		_, _ = w.store.SetOnline("r:1")
		w.until(maxWokenPause, up)
	})
}

func TestAnotherServerAtTheAddressEndsItsConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := pair(t)
		server := w.store.Load().Find("p:1").Server
		epoch := server.Epoch()
		w.set("p:1", func(context.Context, Config) Observation {
			return Observation{Identified: true, Identity: "another", ServerID: 3}
		})
		w.until(time.Second, func() bool { return server.Epoch() > epoch })
		if p := w.store.Load().Primary(); p == nil || p.ServerID != 3 {
			t.Errorf("primary: %s", w.describe())
		}
	})
}

func TestServersComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := pair(t)
		w.set("n:1", replicaWith(nil))
		_, _ = w.store.Add(backend.Spec{Address: "n:1", Role: backend.RoleRO, Weight: 1})
		w.until(maxWokenPause, func() bool { return w.health("n:1") == backend.Up })
		_, _ = w.store.Remove("n:1")
		synctest.Wait()
		if w.count(w.closed, "n:1") != 1 {
			t.Error("its prober was not closed")
		}
		before := w.count(w.probes, "n:1")
		time.Sleep(time.Minute)
		if w.count(w.probes, "n:1") != before {
			t.Error("it is still probed")
		}
		// Thousands of changes leave nothing behind: the bubble checks that
		// every goroutine ends.
		for i := range 2000 {
			a := fmt.Sprintf("x:%d", 1+i%5)
			w.set(a, hangs)
			if added, _ := w.store.Add(backend.Spec{Address: a, Role: backend.RoleRO}); !added {
				_, _ = w.store.Remove(a)
			}
			time.Sleep(time.Millisecond)
		}
		w.mon.mu.Lock()
		workers := len(w.mon.workers)
		w.mon.mu.Unlock()
		if want := len(w.store.Load().States); workers != want {
			t.Errorf("%d workers for %d servers", workers, want)
		}
	})
}

func TestChangesAreToldOnceAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := pair(t)
		w.set("r:1", fails(Refused))
		w.until(time.Second, func() bool { return w.health("r:1") == backend.Down })
		w.set("r:1", replicaWith(nil))
		w.until(5*time.Second, func() bool { return w.health("r:1") == backend.Up })
		_, _ = w.store.SetOffline("r:1")
		time.Sleep(time.Minute)
		synctest.Wait()
		w.mu.Lock()
		defer w.mu.Unlock()
		var got []string
		for _, line := range w.log {
			if strings.HasPrefix(line, "r:1 ") {
				got = append(got, strings.TrimPrefix(line, "r:1 "))
			}
		}
		want := "unknown->up ok, up->down refused, down->down catching_up, down->up ok, up->offline operator"
		if strings.Join(got, ", ") != want {
			t.Errorf("told: %s\nwant: %s", strings.Join(got, ", "), want)
		}
	})
}

func TestAConfigurationIsTakenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultConfig()
		cfg.Interval = time.Hour
		w := newWorld(t, cfg, primarySpec)
		var user string
		w.set("p:1", func(_ context.Context, cfg Config) Observation {
			w.mu.Lock()
			defer w.mu.Unlock()
			user = cfg.Username
			return Observation{Identified: true}
		})
		w.run()
		w.until(time.Second, func() bool { return w.health("p:1") == backend.Up })
		cfg.Username = "new"
		w.mon.SetConfig(cfg)
		w.until(maxWokenPause, func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return user == "new"
		})
	})
}
