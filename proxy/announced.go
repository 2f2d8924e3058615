package proxy

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	"go.uber.org/zap"

	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/proxyproto"
)

// headerWait is how long a load balancer may take to announce its client. It
// does so right after connecting, in its first segment; who connects from there
// and says nothing is a MySQL client, which waits for the greeting.
const headerWait = time.Second

// readAnnouncement reads the PROXY protocol header if the peer is one that may
// send it. From then on the client's address is the announced one. A peer that
// sends none counts as the client itself.
// deadline is that of the login.
func (s *Session) readAnnouncement(cfg *Config, deadline time.Time) *wire.Err {
	peer, ok := s.peerIP()
	if !ok || !contains(cfg.ProxyProtocolFrom, peer) {
		return nil
	}
	_ = s.client.SetDeadline(time.Now().Add(min(headerWait, cfg.ConnectTimeout)))
	defer func() { _ = s.client.SetDeadline(deadline) }()
	for {
		received := s.client.Buffered()
		source, size, err := proxyproto.Parse(received)
		switch err {
		case nil:
			s.client.Discard(size)
			if source.IsValid() {
				s.announced.Store(&source)
			}
			return nil
		case proxyproto.ErrNone:
			return nil
		case proxyproto.ErrIncomplete:
			if err = s.client.Fill(); err == nil {
				continue
			}
			if len(received) == 0 {
				return nil
			}
		}
		s.proxy.deps.Log.Warn("PROXY protocol header", zap.Stringer("peer", peer), zap.Error(err))
		return wire.NewErr(wire.CodeHandshake, "Proxy Warning - the PROXY protocol header from %s is not valid", peer)
	}
}

// refuseAnnouncement says why a login cannot be read that is a PROXY protocol
// header, from a peer that is not to send one.
func (s *Session) refuseAnnouncement() *wire.Err {
	peer, ok := s.peerIP()
	if !ok || !proxyproto.Suspect(s.client.Buffered()) {
		return nil
	}
	s.proxy.deps.Log.Debug("PROXY protocol header from a peer that is not in proxy.proxy_protocol_from", zap.Stringer("peer", peer))
	s.client.Seq = 2 // behind the login that follows the header
	return wire.NewErr(wire.CodeHandshake, "Proxy Warning - PROXY protocol header from %s, which is not in proxy.proxy_protocol_from", peer)
}

// peerIP returns the address of whoever has connected, and false on a UNIX
// socket.
func (s *Session) peerIP() (netip.Addr, bool) {
	a, ok := s.client.NetConn().RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}, false
	}
	ip, ok := netip.AddrFromSlice(a.IP)
	return ip.Unmap(), ok
}

// clientIP returns the client's address, announced or its own, and false on a
// UNIX socket.
func (s *Session) clientIP() (netip.Addr, bool) {
	if a := s.announced.Load(); a != nil {
		return a.Addr(), true
	}
	return s.peerIP()
}

// remote is clientIP with the port, for lists.
func (s *Session) remote() fmt.Stringer {
	if a := s.announced.Load(); a != nil {
		return a
	}
	return s.client.NetConn().RemoteAddr()
}
