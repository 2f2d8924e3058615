package backend

import (
	"cmp"
	"slices"
	"time"
)

// Draft is a topology being changed. It is valid only inside the function
// given to Store.Update, as are the pointers it hands out.
type Draft struct {
	store  *Store
	states []State
	now    time.Time
}

// State returns the state of server for editing, nil if it is no longer a
// backend. Add and Remove invalidate the pointer.
func (d *Draft) State(server *Server) *State {
	for i := range d.states {
		if d.states[i].Server == server {
			return &d.states[i]
		}
	}
	return nil
}

// Now is the time of the change.
func (d *Draft) Now() time.Time { return d.now }

// SetHealth sets health, cause and reason; Since moves if the health changes.
func (d *Draft) SetHealth(st *State, h Health, c Cause, reason string) {
	if st.Health != h {
		st.Health, st.Since = h, d.now
	}
	st.Cause, st.Reason = c, reason
}

// Add adds a backend in state Unknown; see Store.Add.
func (d *Draft) Add(spec Spec) (server *Server, added bool, err error) {
	spec = spec.normal()
	if old := (&Topology{States: d.states}).Find(spec.Address); old != nil {
		if old.Spec.Role != spec.Role {
			return old.Server, false, ErrOtherRole
		}
		return old.Server, false, nil
	}
	server, err = newServer(d.store.nextID+1, spec.Address)
	if err != nil {
		return nil, false, err
	}
	d.store.nextID++
	st := State{Server: server, Since: d.now, seq: d.nextSeq()}
	st.configure(spec)
	st.Cause, st.Reason = CauseNew, "waiting for the first check"
	d.states = append(d.states, st)
	return server, true, nil
}

func (d *Draft) nextSeq() int {
	seq := 0
	for i := range d.states {
		seq = max(seq, d.states[i].seq+1)
	}
	return seq
}

// Remove removes a backend; its Server will not be used again.
func (d *Draft) Remove(server *Server) {
	d.states = slices.DeleteFunc(d.states, func(st State) bool { return st.Server == server })
}

// configure gives st a spec, with the role that is certain so far.
func (st *State) configure(spec Spec) {
	st.Spec = spec
	st.Role = spec.Role
	if spec.Role == RoleAuto {
		st.Role = RoleRO
	}
}

func (d *Draft) reconcile(specs []Spec) (ch Changes) {
	old := &Topology{States: d.states}
	next := &Draft{store: d.store, now: d.now}
	for _, spec := range specs {
		spec = spec.normal()
		st := old.Find(spec.Address)
		if st == nil {
			_, _, _ = next.Add(spec) // address and uniqueness were checked
			ch.Added = append(ch.Added, spec.Address)
			continue
		}
		if !st.Spec.equal(&spec) {
			ch.Changed = append(ch.Changed, spec.Address)
		}
		d.respec(st, spec)
		st.seq = next.nextSeq()
		next.states = append(next.states, *st)
	}
	for i := range old.States {
		if next.State(old.States[i].Server) == nil {
			ch.Removed = append(ch.Removed, old.States[i].String())
		}
	}
	d.states = next.states
	return ch
}

// respec changes a server's spec in place. A change of role starts it afresh:
// what made it fit as a primary says nothing about it as a replica.
func (d *Draft) respec(st *State, spec Spec) {
	if st.Spec.Role == spec.Role {
		st.Spec = spec
		return
	}
	st.configure(spec)
	if st.Health != Offline {
		d.SetHealth(st, Unknown, CauseNew, "waiting for the first check in its new role")
	}
}

func (s *Spec) equal(o *Spec) bool {
	return s.Address == o.Address && s.Role == o.Role && s.Weight == o.Weight &&
		s.MaxConnections == o.MaxConnections && s.MaxLag == o.MaxLag && slices.Equal(s.Tags, o.Tags)
}

// build makes the snapshot that follows old.
func build(states []State, old *Topology, now time.Time) *Topology {
	slices.SortFunc(states, func(a, b State) int {
		return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.seq, b.seq))
	})
	t := &Topology{Version: old.Version + 1, States: slices.Clip(states)}
	var prev *Server
	if p := old.Primary(); p != nil {
		prev = p.Server
	}
	t.primary = elect(t.States, prev)
	t.markWritable()
	for i := range t.States {
		t.States[i].Share = t.States[i].Ramp.share(now)
	}
	if !sameWeights(old, t) {
		t.schedules()
	} else {
		t.all, t.byTag = old.all, old.byTag
	}
	return t
}

// markWritable notes the primary's lag, which is none by definition, and warns
// about other servers that could be written to.
func (t *Topology) markWritable() {
	for i := range t.States {
		st := &t.States[i]
		if i == t.primary {
			st.Lag, st.LagKnown = 0, true
		}
		second := st.Spec.Role == RoleAuto && i != t.primary && st.Writable()
		switch {
		case second && st.Cause == CauseNone:
			st.Cause = CauseSecondWritable
			st.Reason = "writable and not a replica, but not the primary: it gets no statements; set read_only=1 on it and make it a replica, or take the other one away"
		case !second && st.Cause == CauseSecondWritable:
			st.Cause, st.Reason = CauseNone, ""
		}
	}
}

// weight is the number of tenths of weight st counts with in schedules.
func (t *Topology) weight(st *State) int {
	if !t.serves(st) {
		return 0
	}
	return st.Spec.Weight * st.Share
}

// sameWeights reports whether a's schedules fit b.
func sameWeights(a, b *Topology) bool {
	return slices.EqualFunc(a.States, b.States, func(x, y State) bool {
		return x.Server == y.Server && a.weightOf(x.Server) == b.weightOf(y.Server) &&
			slices.Equal(x.Spec.Tags, y.Spec.Tags)
	})
}

func (t *Topology) weightOf(s *Server) int { return t.weight(t.ByServer(s)) }

func (t *Topology) schedules() {
	weights := make([]int, len(t.States))
	tags := map[string][]int{}
	for i := range t.States {
		st := &t.States[i]
		weights[i] = t.weight(st)
		for _, tag := range st.Spec.Tags {
			if tags[tag] == nil {
				tags[tag] = make([]int, len(t.States))
			}
			tags[tag][i] = weights[i]
		}
	}
	t.all = newSchedule(weights)
	t.byTag = make(map[string]schedule, len(tags))
	for tag := range tags {
		t.byTag[tag] = newSchedule(tags[tag])
	}
}
