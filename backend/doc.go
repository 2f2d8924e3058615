// Package backend knows which database servers exist and which of them may
// serve what: an immutable Topology snapshot, the Store that replaces it, and
// the choice of a server for a read or a write.
//
// The package does no I/O. The monitor feeds observations into the Store, the
// console and the configuration change its members, sessions load the current
// Topology once per decision and never wait for anybody.
package backend
