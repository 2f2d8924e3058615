// Package auth computes and checks answers to MySQL and MariaDB authentication
// plugins: ClientExchange logs in to a server, ServerExchange lets a client in.
//
// Both are state machines over packet payloads. They do no I/O, keep no time
// and know nothing of connections: the caller moves the packets, applies
// deadlines and sends the final OK or ERR.
package auth
