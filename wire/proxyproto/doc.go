// Package proxyproto reads and writes the header of the PROXY protocol, by
// which a load balancer says for whom it connects, before anything else is
// sent: version 1, a line of text, and version 2, which is binary (HAProxy,
// "The PROXY protocol", 2020/03/05).
//
// It works on bytes received so far and does not read by itself, so that a
// header may come in any number of pieces while the socket stays the caller's,
// with nothing wrapped around it. That is why it is not
// github.com/pires/go-proxyproto (0.15), which wraps the connection for its
// life and refuses a line that comes in two pieces.
package proxyproto
