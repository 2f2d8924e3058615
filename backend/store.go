package backend

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Errors of the Store's operations.
var (
	// ErrNotFound: no backend has that number or address.
	ErrNotFound = errors.New("no such backend")
	// ErrOtherRole: the address is known already, in another role.
	ErrOtherRole = errors.New("backend is already known in another role")
)

// Store holds the current Topology. Load is lock-free; changes are made by one
// writer at a time and each publishes one new snapshot.
type Store struct {
	current atomic.Pointer[Topology]

	mu     sync.Mutex // held while a change is made and its subscribers run
	nextID uint32
	subs   []*subscriber
}

type subscriber struct {
	call func(old, new *Topology)
}

// NewStore returns a store with the given backends, all Unknown. It fails on
// an address that ParseAddress refuses or that occurs twice.
func NewStore(specs []Spec) (*Store, error) {
	if err := checkSpecs(specs); err != nil {
		return nil, err
	}
	s := &Store{}
	s.current.Store(&Topology{primary: -1})
	s.Update(func(d *Draft) {
		for _, spec := range specs {
			_, _, _ = d.Add(spec) // checked above
		}
	})
	return s, nil
}

func checkSpecs(specs []Spec) error {
	for i := range specs {
		if _, _, err := ParseAddress(specs[i].Address); err != nil {
			return err
		}
		for j := range specs[:i] {
			if specs[j].Address == specs[i].Address {
				return fmt.Errorf("backend %s occurs twice; to let a rw server take reads too, give it a weight", specs[i].Address)
			}
		}
	}
	return nil
}

// Load returns the current snapshot, never nil.
func (s *Store) Load() *Topology { return s.current.Load() }

// Subscribe calls fn after each change, one call at a time and in order, with
// the snapshots before and after. Measurements (lag, GTID) are changes too:
// expect several calls a second. fn must be quick and must not call anything
// of the Store but Load. The returned function ends the subscription.
func (s *Store) Subscribe(fn func(old, new *Topology)) (cancel func()) {
	sub := &subscriber{call: fn}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subs = append(slices.Clip(s.subs), sub)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.subs = slices.DeleteFunc(slices.Clone(s.subs), func(x *subscriber) bool { return x == sub })
	}
}

// Update lets change edit a draft of the topology, then publishes the result.
// Server epochs are raised before the new snapshot becomes visible. It returns
// after the subscribers have run.
func (s *Store) Update(change func(*Draft)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.current.Load()
	d := &Draft{store: s, states: slices.Clone(old.States), now: time.Now()}
	change(d)
	next := build(d.states, old, d.now)
	raiseEpochs(old, next)
	for i := range next.States {
		next.States[i].setIdentity(next.States[i].Identity)
	}
	s.current.Store(next)
	for _, sub := range s.subs {
		sub.call(old, next)
	}
}

// Add adds a backend in state Unknown. An address that is known in the same
// role is left as it is, as in Atlas; in another role that is ErrOtherRole.
func (s *Store) Add(spec Spec) (added bool, err error) {
	s.Update(func(d *Draft) { _, added, err = d.Add(spec) })
	return added, err
}

// Remove removes the backend that key (number or address) means and returns
// its last state.
func (s *Store) Remove(key string) (State, error) {
	return s.edit(key, func(d *Draft, st *State) { d.Remove(st.Server) })
}

// SetOffline takes a backend out until SetOnline. It returns the state after
// the change.
func (s *Store) SetOffline(key string) (State, error) {
	return s.edit(key, func(d *Draft, st *State) {
		d.SetHealth(st, Offline, CauseOperator, "taken offline on the console; SET ONLINE puts it back")
	})
}

// SetOnline gives a backend back to the monitor: it is Unknown until the next
// observation. A backend that is Down is judged afresh, which also ends a
// waiting time; one that is Up is left alone.
func (s *Store) SetOnline(key string) (State, error) {
	return s.edit(key, func(d *Draft, st *State) {
		if st.Health == Up {
			return
		}
		d.SetHealth(st, Unknown, CauseNew, "waiting for the first check")
	})
}

// SetWeight changes the share of reads a backend gets.
func (s *Store) SetWeight(key string, weight int) (State, error) {
	if weight < 0 || weight > MaxWeight {
		return State{}, fmt.Errorf("weight %d: want 0 to %d", weight, MaxWeight)
	}
	return s.edit(key, func(_ *Draft, st *State) { st.Spec.Weight = weight })
}

// edit applies change to the backend key means and returns its state after the
// change, or as it was if the change removed it.
func (s *Store) edit(key string, change func(*Draft, *State)) (State, error) {
	var server *Server
	var last State
	s.Update(func(d *Draft) {
		st := (&Topology{States: d.states}).Lookup(key)
		if st == nil {
			return
		}
		server, last = st.Server, *st
		change(d, st)
	})
	if server == nil {
		return State{}, fmt.Errorf("%w: %s", ErrNotFound, key)
	}
	if st := s.Load().ByServer(server); st != nil {
		return *st, nil
	}
	return last, nil
}

// Changes says what Reconcile did, by address.
type Changes struct {
	Added, Removed, Changed []string
}

// Reconcile makes the backends those of the configuration. A server whose
// address stays keeps its identity, health and pooled connections, and stays
// offline if an operator took it offline; weight, role and limits become those
// of the file. A role that changes makes it Unknown again. What the console
// added and the file does not have goes. On an error nothing is changed.
func (s *Store) Reconcile(specs []Spec) (Changes, error) {
	if err := checkSpecs(specs); err != nil {
		return Changes{}, err
	}
	var ch Changes
	s.Update(func(d *Draft) { ch = d.reconcile(specs) })
	return ch, nil
}

// raiseEpochs makes connections useless that must not outlive the change.
func raiseEpochs(old, next *Topology) {
	for i := range old.States {
		was := &old.States[i]
		is := next.ByServer(was.Server)
		if is == nil || endsEpoch(was, is) || (was == old.Primary() && is != next.Primary()) {
			was.epoch.Add(1)
		}
	}
}

func endsEpoch(was, is *State) bool {
	switch {
	case was.Health == Up && is.Health == Down && is.Cause.unreachable(),
		was.Health != Offline && is.Health == Offline:
		return true
	case is.Replaced(was):
		return true
	}
	return is.Role == RoleRW && was.ReadOnlyKnown && !was.ReadOnly && is.ReadOnlyKnown && is.ReadOnly
}

// unreachable reports whether connections to the server are lost with c. A
// replica that merely lags keeps its connections.
func (c Cause) unreachable() bool {
	switch c {
	case CauseRefused, CauseHung, CauseShutdown, CauseBlocked, CauseProtocol, CauseUnresolved:
		return true
	}
	return false
}
