package backend

import (
	"errors"
	"strings"
	"sync"
	"testing"
)

func TestAStoreStartsWithItsBackendsUnknownAndMastersFirst(t *testing.T) {
	s, err := NewStore([]Spec{
		{Address: "a:1", Role: RoleRO, Weight: 1},
		{Address: "b:1", Role: RoleRW},
		{Address: "unix:/c", Role: RoleAuto, Weight: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := order(s); got != "b:1 a:1 unix:/c" {
		t.Errorf("order %s", got)
	}
	for _, st := range s.Load().States {
		if st.Health != Unknown || st.Cause != CauseNew || st.Spec.MaxLag != DefaultMaxLag {
			t.Errorf("%s: %s, %s, max lag %s", st.String(), st.Health, st.Cause, st.Spec.MaxLag)
		}
	}
	if p := s.Load().Primary(); p != nil {
		t.Errorf("primary %s before any check", p)
	}
}

func order(s *Store) string {
	var names []string
	for _, st := range s.Load().States {
		names = append(names, st.String())
	}
	return strings.Join(names, " ")
}

func TestARoleThatChangesAndChangesBackKeepsTheConfiguredOrder(t *testing.T) {
	s := newTestStore(t, Spec{Address: "a:1", Role: RoleAuto}, Spec{Address: "b:1", Role: RoleAuto}, Spec{Address: "c:1", Role: RoleAuto})
	change(t, s, "c:1", func(_ *Draft, st *State) { st.Role = RoleRW })
	if got := order(s); got != "c:1 a:1 b:1" {
		t.Errorf("order %s", got)
	}
	change(t, s, "c:1", func(_ *Draft, st *State) { st.Role = RoleRO })
	if got := order(s); got != "a:1 b:1 c:1" {
		t.Errorf("order %s", got)
	}
}

func TestConsoleOperations(t *testing.T) {
	s := newTestStore(t, Spec{Address: "p:1", Role: RoleRW}, Spec{Address: "r:1", Role: RoleRO, Weight: 1})
	if added, err := s.Add(Spec{Address: "n:1", Role: RoleRO, Weight: 5000}); !added || err != nil {
		t.Fatalf("add: %v, %v", added, err)
	}
	if st := s.Load().Find("n:1"); st.Health != Unknown || st.Spec.Weight != MaxWeight {
		t.Errorf("added: %s, weight %d", st.Health, st.Spec.Weight)
	}
	if added, err := s.Add(Spec{Address: "n:1", Role: RoleRO}); added || err != nil {
		t.Errorf("a duplicate: %v, %v; want it ignored", added, err)
	}
	if _, err := s.Add(Spec{Address: "n:1", Role: RoleRW}); !errors.Is(err, ErrOtherRole) {
		t.Errorf("a duplicate in another role: %v", err)
	}
	if _, err := s.Add(Spec{Address: "nowhere"}); err == nil {
		t.Error("an address without a port is accepted")
	}
	before := s.Load().Find("n:1").ID
	if st, err := s.Remove("3"); err != nil || st.String() != "n:1" {
		t.Errorf("remove: %v, %v", st, err)
	}
	for _, key := range []string{"3", "n:1", "x"} {
		if _, err := s.Remove(key); !errors.Is(err, ErrNotFound) {
			t.Errorf("remove %s: %v", key, err)
		}
	}
	_, _ = s.Add(Spec{Address: "n:1", Role: RoleRO})
	if after := s.Load().Find("n:1").ID; after == before {
		t.Error("a server added again has the identity of the removed one")
	}
	if st, err := s.SetOffline("2"); err != nil || st.Health != Offline || s.Load().Find("r:1").Health != Offline {
		t.Errorf("offline: %+v, %v", st, err)
	}
	if st, err := s.SetOnline("r:1"); err != nil || st.Health != Unknown {
		t.Errorf("online: %s, %v", st.Health, err)
	}
	if st, _ := s.SetOnline("p:1"); st.Health != Up {
		t.Errorf("online of a server that is up: %s", st.Health)
	}
	if st, err := s.SetWeight("r:1", 7); err != nil || st.Spec.Weight != 7 {
		t.Errorf("weight: %d, %v", st.Spec.Weight, err)
	}
	if _, err := s.SetWeight("r:1", MaxWeight+1); err == nil {
		t.Error("a weight beyond the limit is accepted")
	}
}

func TestEpochs(t *testing.T) {
	health := func(h Health, c Cause) func(*Draft, *State) {
		return func(d *Draft, st *State) { d.SetHealth(st, h, c, "") }
	}
	tests := []struct {
		name   string
		server string
		do     func(*Draft, *State)
		raised bool
	}{
		{"a server that is lost", "r:1", health(Down, CauseRefused), true},
		{"a server that hangs", "r:1", health(Down, CauseHung), true},
		{"a replica that lags keeps its connections", "r:1", health(Down, CauseLag), false},
		{"a server taken offline", "r:1", health(Offline, CauseOperator), true},
		{"another server at the address", "r:1", func(_ *Draft, st *State) { st.Identity = "another" }, true},
		{"a primary that becomes read-only", "p:1", func(_ *Draft, st *State) { st.ReadOnly = true }, true},
		{"a replica that becomes read-only", "w:1", func(_ *Draft, st *State) { st.ReadOnly = true }, false},
		{"new lag", "r:1", func(_ *Draft, st *State) { st.Lag = 5 }, false},
		{"a replica that is promoted", "r:1", func(_ *Draft, st *State) { st.ReadOnly = false }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newTestStore(t, Spec{Address: "p:1", Role: RoleRW}, Spec{Address: "r:1", Role: RoleRO}, Spec{Address: "w:1", Role: RoleRO})
			change(t, s, "w:1", func(_ *Draft, st *State) { st.ReadOnly = false })
			server := s.Load().Find(tt.server).Server
			before := server.Epoch()
			change(t, s, tt.server, tt.do)
			if got := server.Epoch() > before; got != tt.raised {
				t.Errorf("raised: %t, want %t", got, tt.raised)
			}
		})
	}
	t.Run("a primary that is replaced while it still answers", func(t *testing.T) {
		s := newTestStore(t, Spec{Address: "a:1", Role: RoleRW}, Spec{Address: "b:1", Role: RoleRW})
		change(t, s, "a:1", health(Down, CauseRefused))
		b := s.Load().Primary()
		before := b.Epoch()
		change(t, s, "b:1", func(_ *Draft, st *State) { st.Sources = []Source{{ID: 11}} })
		change(t, s, "a:1", func(d *Draft, st *State) {
			observe(d, st)
			st.Replicating, st.CaughtUp, st.ServerID = true, true, 11
		})
		if s.Load().Primary().String() != "a:1" || b.Epoch() == before {
			t.Errorf("primary %s, epoch of b %d, was %d", s.Load().Primary(), b.Epoch(), before)
		}
	})
	t.Run("a removed server", func(t *testing.T) {
		s := newTestStore(t, Spec{Address: "a:1", Role: RoleRO})
		server := s.Load().Find("a:1").Server
		before := server.Epoch()
		_, _ = s.Remove("1")
		if server.Epoch() == before {
			t.Error("its connections are still good")
		}
	})
}

func TestReconcileMakesTheBackendsThoseOfTheFile(t *testing.T) {
	s := newTestStore(t, Spec{Address: "p:1", Role: RoleRW}, Spec{Address: "r1:1", Role: RoleRO, Weight: 1},
		Spec{Address: "r2:1", Role: RoleRO, Weight: 1}, Spec{Address: "r3:1", Role: RoleRO, Weight: 1})
	_, _ = s.Add(Spec{Address: "console:1", Role: RoleRO, Weight: 1})
	_, _ = s.SetWeight("r1:1", 9)
	_, _ = s.SetOffline("r2:1")
	r1 := s.Load().Find("r1:1")
	epoch := r1.Epoch()
	ch, err := s.Reconcile([]Spec{
		{Address: "p:1", Role: RoleRO, Weight: 1},
		{Address: "new:1", Role: RoleRW},
		{Address: "r2:1", Role: RoleRO, Weight: 1},
		{Address: "r1:1", Role: RoleRO, Weight: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := order(s); got != "new:1 p:1 r2:1 r1:1" {
		t.Errorf("order %s", got)
	}
	now := s.Load().Find("r1:1")
	if now.Server != r1.Server || now.Health != Up || now.Spec.Weight != 1 || now.Epoch() != epoch {
		t.Errorf("r1: same %t, %s, weight %d, epoch %d was %d", now.Server == r1.Server, now.Health, now.Spec.Weight, now.Epoch(), epoch)
	}
	if st := s.Load().Find("r2:1"); st.Health != Offline {
		t.Errorf("r2: %s, want it to stay offline", st.Health)
	}
	if st := s.Load().Find("p:1"); st.Health != Unknown || st.Role != RoleRO {
		t.Errorf("p with its new role: %s %s", st.Health, st.Role)
	}
	if got := strings.Join(ch.Added, " ") + "|" + strings.Join(ch.Removed, " ") + "|" + strings.Join(ch.Changed, " "); got != "new:1|r3:1 console:1|p:1 r1:1" {
		t.Errorf("changes %s", got)
	}
	version := s.Load().Version
	if _, err := s.Reconcile([]Spec{{Address: "x:1"}, {Address: "x:1"}}); err == nil || s.Load().Version != version {
		t.Errorf("an address given twice: %v", err)
	}
}

func TestReconcileWithTheSameFileChangesNothing(t *testing.T) {
	specs := []Spec{{Address: "p:1", Role: RoleRW}, {Address: "r:1", Role: RoleRO, Weight: 1, Tags: []string{"x"}}}
	s := newTestStore(t, specs...)
	p, r := s.Load().Find("p:1").Epoch(), s.Load().Find("r:1").Epoch()
	ch, err := s.Reconcile(specs)
	if err != nil || len(ch.Added)+len(ch.Changed)+len(ch.Removed) != 0 {
		t.Errorf("%+v, %v", ch, err)
	}
	if s.Load().Find("p:1").Epoch() != p || s.Load().Find("r:1").Epoch() != r || s.Load().Primary() == nil {
		t.Error("connections were dropped")
	}
}

func TestSubscribersSeeEveryChangeInOrderWhileReadersRead(t *testing.T) {
	s := newTestStore(t, Spec{Address: "p:1", Role: RoleRW}, Spec{Address: "a:1", Role: RoleRO, Weight: 3}, Spec{Address: "b:1", Role: RoleRO, Weight: 4})
	last := s.Load().Version
	seen := 0
	cancel := s.Subscribe(func(old, new *Topology) {
		if old.Version != last || new.Version != last+1 {
			t.Errorf("versions %d, %d after %d", old.Version, new.Version, last)
		}
		last = new.Version
		seen++
	})
	const writers, rounds = 4, 200
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range rounds {
				switch (w + i) % 4 {
				case 0:
					_, _ = s.SetWeight("a:1", i%10)
				case 1:
					_, _ = s.SetOffline("b:1")
				case 2:
					_, _ = s.SetOnline("b:1")
				case 3:
					s.Update(func(d *Draft) {
						if st := d.State(s.Load().Find("a:1").Server); st != nil {
							st.Lag++
						}
					})
				}
			}
		})
	}
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for tick := uint32(0); ; tick++ {
				select {
				case <-stop:
					return
				default:
				}
				if st := s.Load().PickReplica(tick, Constraint{}); st != nil && (st.Health != Up || st.Role != RoleRO) {
					t.Errorf("picked %s, %s", st.String(), st.Health)
				}
				if p := s.Load().Primary(); p == nil || p.String() != "p:1" {
					t.Errorf("primary %v", p)
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	readers.Wait()
	if seen != writers*rounds {
		t.Errorf("%d calls, want %d", seen, writers*rounds)
	}
	cancel()
	_, _ = s.SetWeight("a:1", 1)
	if seen != writers*rounds {
		t.Error("called after cancel")
	}
}
