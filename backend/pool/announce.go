package pool

import (
	"net"
	"net/netip"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/wire/proxyproto"
)

// announces reports whether a server is told clients' addresses.
func (d *Dialer) announces(server *backend.Server) bool {
	return d.ProxyProtocol != nil && d.ProxyProtocol(server)
}

// clientFor returns the address that a server is told for a client: none if the
// server is not told. What a server grants to an address must not be had from
// another, so this is part of a connection's Login.
func (d *Dialer) clientFor(server *backend.Server, client netip.Addr) netip.Addr {
	if !d.announces(server) {
		return netip.Addr{}
	}
	return client
}

// announce sends the header if the server is to get one. Clients of the same
// address share the connection, hence no port. Without an address (the client
// is on a UNIX socket) it says that the connection is Telamon's own.
func (d *Dialer) announce(nc net.Conn, server *backend.Server, client netip.Addr) error {
	if !d.announces(server) {
		return nil
	}
	var source, destination netip.AddrPort
	if client.IsValid() {
		source = netip.AddrPortFrom(client, 0)
	}
	if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		destination = a.AddrPort()
	}
	_, err := nc.Write(proxyproto.Append(nil, source, destination))
	return err
}
