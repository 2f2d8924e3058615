package proxy

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/proxyproto"
	"github.com/telamondb/telamon/wire/wiretest"
)

// fromLoopback trusts load balancers on this machine, but for 127.0.0.9.
func fromLoopback(s *setup) {
	s.config.ProxyProtocolFrom = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/29")}
}

// knockFrom connects from an address of this machine and sends the pieces one
// by one.
func (r *rig) knockFrom(local string, pieces ...string) net.Conn {
	r.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(local)}}
	nc, err := d.DialContext(r.t.Context(), "tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = nc.Close() })
	for _, piece := range pieces {
		if _, err := nc.Write([]byte(piece)); err != nil {
			r.t.Fatal(err)
		}
	}
	return nc
}

func header2(source string) string {
	return string(proxyproto.Append(nil, netip.MustParseAddrPort(source), netip.MustParseAddrPort("10.0.0.1:3306")))
}

func TestH33TheAnnouncedAddressIsTheClients(t *testing.T) {
	const line = "PROXY TCP4 10.9.8.7 10.0.0.1 4711 3306\r\n"
	local := string(proxyproto.Append(nil, netip.AddrPort{}, netip.AddrPort{}))
	for _, test := range []struct {
		name   string
		pieces []string
		host   string
	}{
		{"a line", []string{line}, "10.9.8.7"},
		{"a line in pieces", strings.SplitAfter(line, ""), "10.9.8.7"},
		{"binary", []string{header2("10.9.8.7:4711")}, "10.9.8.7"},
		{"binary in pieces", strings.SplitAfter(header2("[fd00::7]:4711"), ""), "fd00::7"},
		{"IPv4 mapped to IPv6", []string{header2("[::ffff:10.9.8.7]:4711")}, "10.9.8.7"},
		{"unknown", []string{"PROXY UNKNOWN\r\n"}, "127.0.0.1"},
		{"local", []string{local}, "127.0.0.1"},
		{"none, which is waited for", nil, "127.0.0.1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, fromLoopback)
			nc := r.knockFrom("127.0.0.1", test.pieces...)
			if _, err := wiretest.Login(nc, wiretest.Credentials{User: "app", Password: "pw"}); err != nil {
				t.Fatal(err)
			}
			list := r.Sessions()
			if host, _, _ := net.SplitHostPort(list[0].Host); host != test.host {
				t.Errorf("listed as %s", list[0].Host)
			}
			nc = r.knockFrom("127.0.0.1", test.pieces...)
			_, err := wiretest.Login(nc, wiretest.Credentials{User: "app", Password: "wrong"})
			wantAll(t, wantErr(t, err, wire.CodeAccessDenied), "'app'@'"+test.host+"'")
		})
	}
}

func TestH33WhoMayNotAnnounceIsRefused(t *testing.T) {
	for _, header := range []string{"PROXY TCP4 10.9.8.7 10.0.0.1 4711 3306\r\n", header2("10.9.8.7:4711")} {
		r := newRig(t, fromLoopback)
		nc := r.knockFrom("127.0.0.9", header)
		_, err := wiretest.Login(nc, wiretest.Credentials{User: "app", Password: "pw"})
		var refused *wire.Err
		if !errors.As(err, &refused) || refused.Code != wire.CodeHandshake || !strings.Contains(refused.Message, "127.0.0.9, which is not in proxy.proxy_protocol_from") {
			t.Errorf("%.5q: %v", header, err)
		}
		if n := r.Counts().Refused; n != 1 {
			t.Errorf("%d refusals counted", n)
		}
	}
	t.Run("without a header he is let in", func(t *testing.T) {
		r := newRig(t, fromLoopback)
		if _, err := wiretest.Login(r.knockFrom("127.0.0.9"), wiretest.Credentials{User: "app", Password: "pw"}); err != nil {
			t.Error(err)
		}
	})
}

// TestS27HeadersThatAreNone is FAULTS S27.
func TestS27HeadersThatAreNone(t *testing.T) {
	for name, header := range map[string]string{
		"a line that is wrong":     "PROXY TCP4 10.9.8.7\r\n",
		"a line without an end":    "PROXY TCP4 " + strings.Repeat("1", 1000),
		"64 KiB of further values": "\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff",
		"a header that stops":      "PROXY TCP4 10.9.",
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, fromLoopback)
			_, err := wiretest.Login(r.knockFrom("127.0.0.1", header), wiretest.Credentials{User: "app", Password: "pw"})
			wantAll(t, wantErr(t, err, wire.CodeHandshake), "from 127.0.0.1 is not valid")
		})
	}
}

func TestAnnouncedClientsAndTheListsOfAddresses(t *testing.T) {
	lists := func(s *setup) {
		s.config.Allow = []netip.Prefix{netip.MustParsePrefix("10.9.0.0/16")}
		s.config.LoadBalancers = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	}
	r := newRig(t, fromLoopback, lists)
	try := func(peer, header string) error {
		_, err := wiretest.Login(r.knockFrom(peer, header), wiretest.Credentials{User: "app", Password: "pw"})
		return err
	}
	if err := try("127.0.0.1", header2("10.9.8.7:1")); err != nil {
		t.Errorf("a client that is allowed: %v", err)
	}
	wantAll(t, wantErr(t, try("127.0.0.1", header2("10.8.8.7:1")), wire.CodeHostNotPrivileged), "10.8.8.7 is not in proxy.allow")
	if err := try("127.0.0.1", "PROXY UNKNOWN\r\n"); err != nil {
		t.Errorf("the load balancer itself: %v", err)
	}
	if err := try("127.0.0.2", header2("10.9.8.7:1")); err != nil {
		t.Errorf("through a balancer that is not in lb_ips: %v", err)
	}
	r.SetOffline(true)
	wantAll(t, wantErr(t, try("127.0.0.1", header2("10.9.8.7:1")), wire.CodeUnknown), "Offline Now")
	if err := try("127.0.0.2", header2("10.9.8.7:1")); err != nil {
		t.Errorf("offline, through a balancer that is not in lb_ips: %v", err)
	}
}
