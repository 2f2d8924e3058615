// Package wire speaks the MySQL client/server protocol: framing, packets and
// the shape of responses, in both directions and for both server flavours.
//
// It holds no policy, writes no log and starts no goroutine. Everything that
// looks at bytes (packet decoders, Response) works incrementally on slices it
// is given and never blocks, so that a blocking loop and an event loop can
// drive it alike; only Conn touches the network.
//
// Protocol facts cite the MySQL source documentation ("Client/Server Protocol",
// dev.mysql.com/doc/dev/mysql-server) as "protocol doc", the MariaDB knowledge
// base as "MariaDB KB", or the server version they were measured on.
package wire
