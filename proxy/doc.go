// Package proxy serves clients: it accepts them, lets them in, and carries
// each statement to the server the router names and the answer back.
//
// One goroutine owns a session with both its sides. What happens between two
// packets (reading the statement's facts, routing, following the response,
// updating the session's state) neither blocks nor keeps anything on the stack:
// the session is a value that advances by command and by chunk of response.
// Only the login, waiting for a connection and LOCAL INFILE are written as
// straight blocking code.
package proxy
