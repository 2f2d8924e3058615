// Package session is a client's session as data: what it has set, what it
// holds, which prepared statements it has. State is a reducer over the
// statements a client sends and what servers answer; it does no I/O and knows
// no connection.
package session
