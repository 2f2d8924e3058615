package backend

import (
	"os"
	"strings"
	"testing"
	"time"
)

// newTestStore makes a store whose servers have all been seen: those named in
// down are Down, the others Up.
func newTestStore(t testing.TB, specs ...Spec) *Store {
	t.Helper()
	s, err := NewStore(specs)
	if err != nil {
		t.Fatal(err)
	}
	s.Update(func(d *Draft) {
		for i := range d.states {
			observe(d, &d.states[i])
		}
	})
	return s
}

// observe marks st as a server in good order.
func observe(d *Draft, st *State) {
	d.SetHealth(st, Up, CauseNone, "")
	st.LagKnown, st.ReadOnlyKnown = true, true
	st.Identity = "id of " + st.String()
	if st.Role == RoleRO {
		st.ReadOnly, st.Replicating, st.CaughtUp = true, true, true
	}
}

func change(t testing.TB, s *Store, address string, edit func(d *Draft, st *State)) {
	t.Helper()
	s.Update(func(d *Draft) {
		st := d.State(s.Load().Find(address).Server)
		edit(d, st)
	})
}

func picks(t *Topology, n int, c Constraint) map[string]int {
	got := map[string]int{}
	for tick := range n {
		if st := t.PickReplica(uint32(tick), c); st != nil {
			got[st.String()]++
		}
	}
	return got
}

func TestReadsGoByWeight(t *testing.T) {
	primary := Spec{Address: "p:1", Role: RoleRW}
	r1 := Spec{Address: "r1:1", Role: RoleRO, Weight: 1, Tags: []string{"report"}}
	r2 := Spec{Address: "r2:1", Role: RoleRO, Weight: 5}
	weighted := primary
	weighted.Weight = 6
	tests := []struct {
		name  string
		specs []Spec
		prep  func(t *testing.T, s *Store)
		c     Constraint
		want  map[string]int
	}{
		{"the replicas share in proportion", []Spec{primary, r1, r2}, nil, Constraint{}, map[string]int{"r1:1": 100, "r2:1": 500}},
		{"a primary with a weight takes part", []Spec{weighted, r1, r2}, nil, Constraint{}, map[string]int{"p:1": 300, "r1:1": 50, "r2:1": 250}},
		{"a tag narrows the choice", []Spec{primary, r1, r2}, nil, Constraint{Tag: "report"}, map[string]int{"r1:1": 600}},
		{"an unknown tag leaves nobody", []Spec{primary, r1, r2}, nil, Constraint{Tag: "x"}, map[string]int{}},
		{"an address names one server", []Spec{primary, r1, r2}, nil, Constraint{Address: "r1:1"}, map[string]int{"r1:1": 600}},
		{"an unknown address leaves nobody", []Spec{primary, r1, r2}, nil, Constraint{Address: "r9:1"}, map[string]int{}},
		{"a replica that is down gets nothing", []Spec{primary, r1, r2}, func(t *testing.T, s *Store) {
			change(t, s, "r2:1", func(d *Draft, st *State) { d.SetHealth(st, Down, CauseLag, "") })
		}, Constraint{}, map[string]int{"r1:1": 600}},
		{"a lag limit leaves out slower ones", []Spec{primary, r1, r2}, func(t *testing.T, s *Store) {
			change(t, s, "r2:1", func(_ *Draft, st *State) { st.Lag = time.Second })
		}, Constraint{MaxLag: 200 * time.Millisecond}, map[string]int{"r1:1": 600}},
		{"a lag limit leaves out those whose lag is not known", []Spec{primary, r1, r2}, func(t *testing.T, s *Store) {
			change(t, s, "r2:1", func(_ *Draft, st *State) { st.LagKnown = false })
		}, Constraint{MaxLag: time.Hour}, map[string]int{"r1:1": 600}},
		{"the primary meets every lag limit", []Spec{weighted, r1}, func(t *testing.T, s *Store) {
			change(t, s, "p:1", func(_ *Draft, st *State) { st.LagKnown = false })
			change(t, s, "r1:1", func(_ *Draft, st *State) { st.LagKnown = false })
		}, Constraint{MaxLag: 1}, map[string]int{"p:1": 600}},
		{"without replicas a primary of weight 0 is left to the caller", []Spec{primary}, nil, Constraint{}, map[string]int{}},
		{"a weight of 0 takes a replica out of the turns", []Spec{primary, r1, {Address: "r3:1", Role: RoleRO}}, nil, Constraint{}, map[string]int{"r1:1": 600}},
		{"but not out of reach by address", []Spec{primary, r1, {Address: "r3:1", Role: RoleRO}}, nil, Constraint{Address: "r3:1"}, map[string]int{"r3:1": 600}},
		{"a second rw server that does not replicate is not read", []Spec{primary, {Address: "q:1", Role: RoleRW, Weight: 9}, r1}, nil, Constraint{}, map[string]int{"r1:1": 600}},
		{"a second rw server that has caught up is read", []Spec{primary, {Address: "q:1", Role: RoleRW, Weight: 1}, r1}, func(t *testing.T, s *Store) {
			change(t, s, "q:1", func(_ *Draft, st *State) { st.Replicating, st.CaughtUp = true, true })
		}, Constraint{}, map[string]int{"r1:1": 300, "q:1": 300}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newTestStore(t, tt.specs...)
			if tt.prep != nil {
				tt.prep(t, s)
			}
			got := picks(s.Load(), 600, tt.c)
			if len(got) != len(tt.want) {
				t.Fatalf("got %v, want %v", got, tt.want)
			}
			for k, n := range tt.want {
				if got[k] != n {
					t.Fatalf("got %v, want %v", got, tt.want)
				}
			}
		})
	}
}

func TestARetryAvoidsTheServerJustTried(t *testing.T) {
	s := newTestStore(t, Spec{Address: "a:1", Role: RoleRO, Weight: 999}, Spec{Address: "b:1", Role: RoleRO, Weight: 1})
	a := s.Load().Find("a:1").Server
	for tick := range uint32(1000) {
		if st := s.Load().PickReplica(tick, Constraint{Exclude: a}); st == nil || st.String() != "b:1" {
			t.Fatalf("tick %d: %v", tick, st)
		}
	}
	if st := s.Load().PickReplica(0, Constraint{Exclude: a, Tag: "none"}); st != nil {
		t.Errorf("got %s for a tag nobody has", st.String())
	}
}

func TestChoosingAllocatesNothing(t *testing.T) {
	s := newTestStore(t, Spec{Address: "p:1", Role: RoleRW},
		Spec{Address: "a:1", Role: RoleRO, Weight: 3, Tags: []string{"x"}}, Spec{Address: "unix:/b", Role: RoleRO, Weight: 2})
	top := s.Load()
	a := top.Find("a:1").Server
	tick := uint32(0)
	if n := testing.AllocsPerRun(1000, func() {
		tick++
		top.PickReplica(tick, Constraint{})
		top.PickReplica(tick, Constraint{Tag: "x", MaxLag: 1})
		top.PickReplica(tick, Constraint{Exclude: a})
		top.PickReplica(tick, Constraint{Address: "unix:/b"})
		top.Primary()
		top.Fallback()
		top.ByServer(a)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkPickReplica(b *testing.B) {
	s := newTestStore(b, Spec{Address: "p:1", Role: RoleRW},
		Spec{Address: "a:1", Role: RoleRO, Weight: 3}, Spec{Address: "b:1", Role: RoleRO, Weight: 5})
	var tick uint32
	for b.Loop() {
		tick++
		s.Load().PickReplica(tick, Constraint{})
	}
}

func TestSlowStartGrowsInTenths(t *testing.T) {
	start := time.Unix(1000, 0)
	r := Ramp{From: start, For: 10 * time.Second}
	for _, c := range []struct {
		after time.Duration
		want  int
	}{{-time.Second, 1}, {0, 1}, {999 * time.Millisecond, 1}, {time.Second, 2}, {9 * time.Second, 10}, {time.Hour, 10}} {
		if got := r.share(start.Add(c.after)); got != c.want {
			t.Errorf("after %s: %d tenths, want %d", c.after, got, c.want)
		}
	}
	if got := (Ramp{}).share(start); got != rampSteps {
		t.Errorf("no slow start: %d tenths", got)
	}

	s := newTestStore(t, Spec{Address: "a:1", Role: RoleRO, Weight: 1}, Spec{Address: "b:1", Role: RoleRO, Weight: 1})
	change(t, s, "b:1", func(d *Draft, st *State) { st.Ramp = Ramp{From: d.Now(), For: time.Hour} })
	if got := picks(s.Load(), 1100, Constraint{}); got["a:1"] != 1000 || got["b:1"] != 100 {
		t.Errorf("at the beginning: %v, want 10 to 1", got)
	}
}

func TestNumbersAndAddressesNameBackends(t *testing.T) {
	s := newTestStore(t, Spec{Address: "r:1", Role: RoleRO}, Spec{Address: "p:1", Role: RoleRW}, Spec{Address: "unix:/x", Role: RoleRO})
	for key, want := range map[string]string{
		"1": "p:1", "2": "r:1", "3": "unix:/x", "r:1": "r:1", "unix:/x": "unix:/x",
		"0": "", "4": "", "-1": "", "/x": "", "x": "", "": "", "99999999999999999999": "",
	} {
		got := ""
		if st := s.Load().Lookup(key); st != nil {
			got = st.String()
		}
		if got != want {
			t.Errorf("%q is %q, want %q", key, got, want)
		}
	}
}

func TestAddresses(t *testing.T) {
	for in, want := range map[string]string{
		"db1:3306": "tcp db1:3306", "[::1]:3306": "tcp [::1]:3306", "unix:/run/my.sock": "unix /run/my.sock",
		"db1": "", ":3306": "", "db1:0": "", "db1:65536": "", "db1:x": "", "unix:": "", "": "", "a:b:3306": "",
	} {
		network, address, err := ParseAddress(in)
		if got := network + " " + address; err == nil && got != want || err != nil && want != "" {
			t.Errorf("%q is %q, %v; want %q", in, got, err, want)
		}
	}
}

func TestWordsAreAtlas(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{RoleRW.String(), "rw"}, {RoleRO.String(), "ro"}, {RoleAuto.String(), "auto"},
		{Unknown.String(), "unknown"}, {Up.String(), "up"}, {Down.String(), "down"}, {Offline.String(), "offline"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
	for c := range numCauses {
		if c.String() == "" {
			t.Errorf("cause %d has no name", c)
		}
	}
	for in, want := range map[string]Role{"Master": RoleRW, "SLAVE": RoleRO, "rw": RoleRW, "replica": RoleRO, "auto": RoleAuto} {
		if got, err := ParseRole(in); err != nil || got != want {
			t.Errorf("%s: %v, %v", in, got, err)
		}
	}
	if _, err := ParseRole("x"); err == nil {
		t.Error("role x is accepted")
	}
}

func TestEveryStateOfABackendIsExplainedToOperators(t *testing.T) {
	page, err := os.ReadFile("../docs/replicas.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []Health{Unknown, Up, Down, Offline} {
		if !strings.Contains(string(page), "| `"+h.String()+"` |") {
			t.Errorf("docs/replicas.md does not explain %s", h)
		}
	}
}
