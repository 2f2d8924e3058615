// Package fakebackend is a MySQL or MariaDB server that costs next to nothing:
// one epoll loop that answers a closed set of statements from bytes built
// beforehand. It exists so that a benchmark of a proxy measures the proxy, and
// so that tests can have any number of servers at once.
//
// It speaks the protocol well enough for any driver and for a monitor:
// handshake with mysql_native_password, text and binary protocol with and
// without CLIENT_DEPRECATE_EOF, transactions with their status flags, session
// tracking, replication status. It executes nothing: a statement it does not
// know is error 1064, except verbs that return no rows, which are OK.
package fakebackend
