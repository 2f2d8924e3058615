package backend

import "errors"

// ErrOtherServer is returned for a connection that has reached another server
// than the topology knows at the address: it has been moved, or rebuilt.
// Nothing of what is known about the server (its role, its lag, what it has
// applied) holds for that one.
var ErrOtherServer = errors.New("another server answers at this address than the one that was checked")

// IdentitySQL returns the expression that State.Identity is the value of. It is
// ASCII, whatever the character set of the connection that asks.
//
// MariaDB has no server_uuid, and its server_uid is the same for servers that
// share a host and a port.
func IdentitySQL(f Flavor) string {
	if f == MariaDB {
		return "HEX(CONCAT(@@server_id,'@',@@hostname,':',@@datadir))"
	}
	return "@@server_uuid"
}

// Identity returns State.Identity of the current topology, empty as long as the
// server has not told it.
func (s *Server) Identity() string {
	if id := s.identity.Load(); id != nil {
		return *id
	}
	return ""
}

// setIdentity is called by the Store, after the epoch has been raised.
func (s *Server) setIdentity(id string) {
	if s.Identity() != id {
		s.identity.Store(&id)
	}
}

// Replaced reports whether another server answers than when its state was was.
func (st *State) Replaced(was *State) bool {
	return was.Identity != "" && st.Identity != "" && was.Identity != st.Identity
}
