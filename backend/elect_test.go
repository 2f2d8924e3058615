package backend

import "testing"

func TestWhoTakesTheWrites(t *testing.T) {
	down := func(d *Draft, st *State) { d.SetHealth(st, Down, CauseRefused, "") }
	up := observe
	readOnly := func(_ *Draft, st *State) { st.ReadOnly = true }
	writable := func(_ *Draft, st *State) { st.ReadOnly = false }
	behind := func(_ *Draft, st *State) { st.Replicating, st.CaughtUp = true, false }
	caughtUp := func(_ *Draft, st *State) { st.Replicating, st.CaughtUp = true, true }
	follows := func(id uint32) func(*Draft, *State) {
		return func(_ *Draft, st *State) { st.Sources = []Source{{ID: id}} }
	}
	isID := func(id uint32) func(*Draft, *State) { return func(_ *Draft, st *State) { st.ServerID = id } }
	// An auto server that reports itself a writable non-replica is given RoleRW
	// by the monitor.
	promoted := func(d *Draft, st *State) {
		d.SetHealth(st, Up, CauseNone, "")
		st.Role, st.ReadOnly, st.ReadOnlyKnown, st.Replicating, st.CaughtUp = RoleRW, false, true, false, false
	}
	type step struct {
		server string
		do     func(*Draft, *State)
		want   string // the primary afterwards, "" for none
	}
	ring := []Spec{{Address: "a:1", Role: RoleRW}, {Address: "b:1", Role: RoleRW}}
	autos := []Spec{{Address: "a:1", Role: RoleAuto}, {Address: "b:1", Role: RoleAuto}, {Address: "c:1", Role: RoleAuto}}
	tests := []struct {
		name  string
		specs []Spec
		steps []step
	}{
		{"the first rw server in order, once both were looked at", ring, []step{{"b:1", up, ""}, {"a:1", up, "a:1"}}},
		{"the first is down from the beginning", ring, []step{{"b:1", up, ""}, {"a:1", down, "b:1"}}},
		{"a former primary that comes back writable is not written to", ring, []step{
			{"a:1", up, "a:1"}, {"b:1", up, "a:1"}, {"a:1", down, "b:1"}, {"a:1", up, "b:1"}}},
		{"nor while it is still catching up", ring, []step{
			{"a:1", up, "a:1"}, {"b:1", up, "a:1"}, {"a:1", down, "b:1"}, {"a:1", behind, "b:1"}, {"a:1", up, "b:1"}, {"a:1", behind, "b:1"}}},
		{"it is when it has caught up with the present one, which replicates from it", ring, []step{
			{"a:1", up, "a:1"}, {"a:1", isID(11), "a:1"}, {"b:1", up, "a:1"}, {"b:1", follows(11), "a:1"},
			{"a:1", down, "b:1"}, {"a:1", up, "b:1"}, {"a:1", caughtUp, "a:1"}}},
		{"not even when it has caught up if its writes would never reach the present one", ring, []step{
			{"a:1", up, "a:1"}, {"a:1", isID(11), "a:1"}, {"b:1", up, "a:1"}, {"b:1", follows(13), "a:1"},
			{"a:1", down, "b:1"}, {"a:1", up, "b:1"}, {"a:1", caughtUp, "b:1"}}},
		{"a later rw server that has caught up does not take over", ring, []step{
			{"a:1", up, "a:1"}, {"b:1", up, "a:1"}, {"b:1", caughtUp, "a:1"}}},
		{"a read-only rw server gets no writes", ring[:1], []step{{"a:1", up, "a:1"}, {"a:1", readOnly, ""}, {"a:1", writable, "a:1"}}},
		{"a switchover by read_only moves the writes", ring, []step{
			{"a:1", up, "a:1"}, {"b:1", up, "a:1"}, {"b:1", readOnly, "a:1"}, {"a:1", readOnly, ""}, {"b:1", writable, "b:1"}}},
		{"a replica left behind is not preferred over one in order", ring, []step{
			{"a:1", up, "a:1"}, {"a:1", down, ""}, {"a:1", behind, ""}, {"b:1", up, "b:1"}}},
		{"the only rw server is written to even if it replicates badly", ring[:1], []step{{"a:1", up, "a:1"}, {"a:1", behind, "a:1"}}},
		{"a ro server never is", []Spec{{Address: "r:1", Role: RoleRO}}, []step{{"r:1", up, ""}, {"r:1", writable, ""}}},
		{"auto: the one that is writable", autos, []step{{"a:1", promoted, ""}, {"b:1", up, ""}, {"c:1", up, "a:1"}}},
		{"auto: a promotion is followed", autos, []step{
			{"a:1", promoted, ""}, {"b:1", up, ""}, {"c:1", up, "a:1"}, {"a:1", down, ""}, {"b:1", promoted, "b:1"}}},
		{"auto: the old primary that comes back writable is not written to", autos, []step{
			{"a:1", promoted, ""}, {"b:1", up, ""}, {"c:1", up, "a:1"}, {"a:1", down, ""}, {"b:1", promoted, "b:1"}, {"a:1", promoted, "b:1"}}},
		{"auto: two writable from the beginning, nobody is chosen", autos, []step{
			{"a:1", promoted, ""}, {"b:1", promoted, ""}, {"c:1", up, ""}}},
		{"auto: two writable, the one that others replicate from is it", autos, []step{
			{"a:1", promoted, ""}, {"b:1", promoted, ""}, {"a:1", isID(11), ""}, {"b:1", isID(12), ""},
			{"c:1", follows(12), ""}, {"c:1", up, "b:1"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := NewStore(tt.specs)
			if err != nil {
				t.Fatal(err)
			}
			for i, step := range tt.steps {
				change(t, s, step.server, step.do)
				got := ""
				if p := s.Load().Primary(); p != nil {
					got = p.String()
				}
				if got != step.want {
					t.Fatalf("step %d (%s): primary %q, want %q", i+1, step.server, got, step.want)
				}
			}
		})
	}
}

func TestASecondWritableServerIsAnAlarmAndNotRead(t *testing.T) {
	s := newTestStore(t, Spec{Address: "a:1", Role: RoleAuto, Weight: 1}, Spec{Address: "b:1", Role: RoleAuto, Weight: 1})
	makeRW := func(d *Draft, st *State) {
		d.SetHealth(st, Up, CauseNone, "")
		st.Role, st.ReadOnly, st.Replicating, st.CaughtUp = RoleRW, false, false, false
	}
	change(t, s, "a:1", makeRW)
	change(t, s, "b:1", makeRW)
	if st := s.Load().Find("b:1"); st.Cause != CauseSecondWritable || st.Reason == "" {
		t.Errorf("b: cause %s, reason %q", st.Cause, st.Reason)
	}
	if got := picks(s.Load(), 10, Constraint{}); got["a:1"] != 10 {
		t.Errorf("reads: %v", got)
	}
	change(t, s, "b:1", func(_ *Draft, st *State) { st.ReadOnly = true })
	if st := s.Load().Find("b:1"); st.Cause != CauseNone || st.Reason != "" {
		t.Errorf("b read-only: cause %s, reason %q", st.Cause, st.Reason)
	}
}

func TestReadsFallBackToAReadOnlyPrimary(t *testing.T) {
	s := newTestStore(t, Spec{Address: "a:1", Role: RoleRW})
	change(t, s, "a:1", func(d *Draft, st *State) { st.ReadOnly = true; d.SetHealth(st, Up, CauseReadOnly, "x") })
	if p := s.Load().Primary(); p != nil {
		t.Errorf("primary %s", p)
	}
	if f := s.Load().Fallback(); f == nil || f.String() != "a:1" {
		t.Errorf("fallback %v", f)
	}
	change(t, s, "a:1", func(d *Draft, st *State) { d.SetHealth(st, Down, CauseRefused, "") })
	if f := s.Load().Fallback(); f != nil {
		t.Errorf("fallback %s although it is down", f)
	}
}
