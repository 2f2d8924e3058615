package backend

// elect returns the index of the server that takes the writes, -1 if none may.
// prev is the primary of the snapshot before, nil if there was none.
//
// Writes go to one server only, and they stay where they are as long as that
// server can take them: a former primary that comes back writable is no reason
// to move (it may lack what was written meanwhile). The one exception is a rw
// server configured before the present one that replicates, has caught up, and
// is what the present one replicates from: two masters in ring replication are
// then used in the configured order, and all Telamon instances agree again. A
// mere replica that somebody has left writable is no reason either.
//
// Without a primary to stay with, servers configured as rw come first, in
// order, those preferred that are not a replica left behind. A server of role
// auto is chosen only if it is the single one that could be meant: with two
// that are writable, the one other servers replicate from, and if that does
// not decide it, none.
func elect(states []State, prev *Server) int {
	keep, firstRW, fitRW := -1, -1, -1
	unseen := false // a server that would be preferred was not looked at yet
	var autos []int
	for i := range states {
		st := &states[i]
		if st.Health == Unknown && st.Spec.Role != RoleRO {
			unseen = unseen || firstRW < 0
		}
		if !st.Writable() {
			continue
		}
		if st.Server == prev {
			keep = i
		}
		if st.Spec.Role == RoleAuto {
			autos = append(autos, i)
			continue
		}
		if firstRW < 0 {
			firstRW = i
		}
		if fitRW < 0 && (!st.Replicating || st.CaughtUp) {
			fitRW = i
		}
	}
	switch {
	case keep >= 0 && fitRW >= 0 && fitRW < keep && states[fitRW].CaughtUp && states[fitRW].Replicating &&
		states[keep].replicatesFrom(&states[fitRW]):
		return fitRW
	case keep >= 0:
		return keep
	case unseen:
		return -1
	case fitRW >= 0:
		return fitRW
	case firstRW >= 0:
		return firstRW
	}
	return electAuto(states, autos)
}

// electAuto chooses among writable servers of role auto.
func electAuto(states []State, autos []int) int {
	if len(autos) == 1 {
		return autos[0]
	}
	found := -1
	for _, i := range autos {
		if !isSource(states, i) {
			continue
		}
		if found >= 0 {
			return -1
		}
		found = i
	}
	return found
}

// isSource reports whether a live server replicates from server i.
func isSource(states []State, i int) bool {
	of := &states[i]
	for j := range states {
		st := &states[j]
		if j == i || st.Health != Up {
			continue
		}
		if st.replicatesFrom(of) {
			return true
		}
	}
	return false
}

// replicatesFrom reports whether of is among the server's sources, going by
// identity rather than address: replicas may know it under another name.
func (st *State) replicatesFrom(of *State) bool {
	for _, src := range st.Sources {
		if of.ServerUUID != "" && src.UUID != "" {
			if src.UUID == of.ServerUUID {
				return true
			}
		} else if of.ServerID != 0 && src.ID == of.ServerID {
			return true
		}
	}
	return false
}
