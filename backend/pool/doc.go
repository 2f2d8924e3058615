// Package pool keeps authenticated connections to the servers and lends them
// to sessions in exactly the state a session expects.
//
// A connection belongs to one login: user and capability flags are fixed in
// the handshake. Everything else a session can set and the server reports back
// is its Profile; handing a connection to a session means establishing that
// profile, by the cheapest way that leaves nothing of the previous owner:
// nothing to do, a few SET, or COM_RESET_CONNECTION and the SETs. What cannot
// be undone that way closes the connection.
//
// A session that has no use for its connection right now parks it: the
// connection stays with the session, which takes it back by one atomic
// operation, without a lock shared with other sessions. Only when somebody
// else needs it, or it has lain there for long, the pool takes it away.
package pool
